/** Whatever is wrong with the binary, the package works in JavaScript and capabilities() gives the reason. */
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect } from 'vitest';
import { itWith, tool, type Tool } from '../support/tools.js';
import { ask, compiler, cross, linux, npmInstall, pack, prebuilds, project, temporary } from './package.js';

const folder = temporary();
const needs = [linux, compiler];
let place = '';
let built = '';

beforeAll(async () => {
  if (!needs.every(({ available }) => available)) return;
  built = await prebuilds();
  const tarballs = await pack(folder);
  place = await npmInstall(project(path.join(folder, 'project'), tarballs.full, tarballs)).then(() =>
    path.join(folder, 'project'),
  );
}, 600_000);

const x64 = 'linux-x64/flash-softmax.glibc.node';

interface Fault {
  name: string;
  needs?: Tool[];
  /** Replaces the content of the binaries, by another binary or by bytes. */
  files: Record<string, string | Buffer>;
  args?: string[];
  env?: Record<string, string>;
  reason: RegExp;
}

const faults: Fault[] = [
  { name: 'none at all', files: {}, reason: /^No native build was found for platform=linux arch=x64/ },
  {
    name: 'of another architecture, under the right name',
    needs: [cross],
    files: { [x64]: 'linux-arm64/flash-softmax.glibc.node' },
    reason: /cannot open shared object file|wrong ELF class|Exec format|invalid ELF/,
  },
  {
    name: 'of other architectures only',
    needs: [cross],
    files: { 'linux-arm64/flash-softmax.glibc.node': 'linux-arm64/flash-softmax.glibc.node' },
    reason: /^No native build was found for platform=linux arch=x64/,
  },
  {
    name: 'for another C library',
    files: { 'linux-x64/flash-softmax.musl.node': x64 },
    reason: /^No native build was found for .*libc=glibc/,
  },
  {
    name: 'corrupt',
    files: { [x64]: Buffer.from('This is not a shared object.') },
    reason: /invalid ELF header|file too short/,
  },
  { name: 'cut off', files: { [x64]: Buffer.alloc(0) }, reason: /file too short/ },
  {
    name: 'there, but addons are off',
    files: { [x64]: x64 },
    args: ['--no-addons'],
    reason: /disabled.*without --no-addons/,
  },
];

describe('a binary that is', () => {
  for (const { name, needs: more = [], files, args = [], env = {}, reason } of faults) {
    itWith(
      [...needs, ...more],
      name,
      async () => {
        const binaries = path.join(place, 'node_modules', 'flash-softmax', 'prebuilds');
        rmSync(binaries, { recursive: true, force: true });
        for (const [to, from] of Object.entries(files)) {
          mkdirSync(path.join(binaries, path.dirname(to)), { recursive: true });
          if (typeof from === 'string') cpSync(path.join(built, from), path.join(binaries, to));
          else writeFileSync(path.join(binaries, to), from);
        }
        const answer = await ask([process.execPath, ...args], place, env);
        expect(answer).toMatchObject({ backend: 'js', native: { loaded: false }, values: [0.5, 0.5, 0] });
        expect(answer.native.error).toMatch(reason);
      },
      60_000,
    );
  }
});

const qemu = tool('qemu-x86_64', ['qemu-x86_64', '--version']);

itWith(
  [...needs, qemu],
  'a processor without AVX2 loads the binary, which has nothing for it, and runs JavaScript',
  async () => {
    const binaries = path.join(place, 'node_modules', 'flash-softmax', 'prebuilds');
    mkdirSync(path.join(binaries, 'linux-x64'), { recursive: true });
    cpSync(path.join(built, x64), path.join(binaries, x64));
    expect(await ask([qemu.path, '-cpu', 'Nehalem', process.execPath], place)).toMatchObject({
      backend: 'js',
      native: { loaded: true },
      values: [0.5, 0.5, 0],
    });
  },
  120_000,
);
