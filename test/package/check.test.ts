/** The checks before a release: of the tarball, and of a release's binaries after their download. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { root } from '../support/emulated.js';
import { run } from '../support/run.js';
import { temporary } from './package.js';

const script = (name: string) => path.join(root, 'scripts', name);

it('npm run pack:check: publint, attw, the list of files and the size', async () => {
  expect(await run(process.execPath, [script('check-pack.mjs')])).toMatch(/\d+ files, \d+ KB of at most/);
}, 120_000);

describe('npm run download-prebuilds', () => {
  // The lines of pack-files.txt as the release names them: <platform>-<arch>.<name>.node.
  const list = readFileSync(script('pack-files.txt'), 'utf8');
  const packed = [...list.matchAll(/^prebuilds\/(.*)$/gm)].map(([, file]) => file!);
  const released = (file: string) => file.replace('/', '.');
  const files = Object.fromEntries(packed.map((file) => [released(file), Buffer.from(`bytes of ${file}`)]));
  const sum = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
  const line = ([name, bytes]: [string, Buffer]) => `${sum(bytes)}  ${name}\n`;
  const sums = (names: Record<string, Buffer>) => Object.entries(names).map(line).join('');
  const releases: Record<string, Record<string, Buffer>> = {
    'v1.0.0': { ...files, SHA256SUMS: Buffer.from(sums(files)) },
    'v1.0.1': {
      ...files,
      'linux-x64.flash-softmax.glibc.node': Buffer.from('tampered with'),
      SHA256SUMS: Buffer.from(sums(files)),
    },
    'v1.0.2': { SHA256SUMS: Buffer.from(sums({ '../../outside.node': Buffer.from('x') })) },
    'v1.0.3': { SHA256SUMS: Buffer.from(sums(files)) },
    'v1.1.0': { ...files, SHA256SUMS: Buffer.from(sums(files).replaceAll('  ', ' *').replaceAll('\n', '\r\n')) },
    'v1.0.4': { ...files, SHA256SUMS: Buffer.from('') },
    'v1.0.5': { ...files, SHA256SUMS: Buffer.from(sums(files).replaceAll('musl', 'uclibc')) },
  };
  let server: Server;
  let env: Record<string, string>;

  beforeAll(async () => {
    server = createServer((request, response) => {
      const [, tag = '', name = ''] = request.url!.split('/').map(decodeURIComponent);
      const bytes = releases[tag]?.[name];
      response.writeHead(bytes ? 200 : 404).end(bytes);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    env = { FLASH_SOFTMAX_RELEASES: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
  });
  afterAll(() => server.close());

  const program = script('download-prebuilds.mjs');
  const download = (tag: string, to: string) => run(process.execPath, [program, tag, to], { env });

  // v1.1.0 has the format of sha256sum on Windows.
  it.each(['v1.0.0', 'v1.1.0'])('%s puts each of eight platforms where the loader looks for it', async (tag) => {
    const to = temporary();
    await download(tag, to);
    expect(packed).toHaveLength(8);
    for (const file of packed) expect(readFileSync(path.join(to, ...file.split('/')), 'utf8')).toBe(`bytes of ${file}`);
    expect(readdirSync(to, { recursive: true }).filter((name) => String(name).endsWith('.node'))).toHaveLength(8);
  });

  it('knows the platforms that the release builds', () => {
    const workflow = readFileSync(path.join(root, '.github', 'workflows', 'release.yml'), 'utf8');
    const targets = [...workflow.matchAll(/target: ([\w-]+)/g)].map(([, target]) => target!).sort();
    const platforms = packed.map((file) => `${path.dirname(file)}${file.includes('.musl.') ? '-musl' : ''}`);
    expect(targets).toEqual(platforms.sort());
  });

  it('prebuildify names them so: after a C library for Linux alone', async () => {
    interface Script {
      prebuildifyArguments(arch: string, platform: string): string[];
    }
    const { prebuildifyArguments } = (await import(pathToFileURL(script('prebuild.mjs')).href)) as Script;
    for (const platform of ['linux', 'darwin', 'win32']) {
      expect(prebuildifyArguments('arm64', platform).includes('--tag-libc')).toBe(platform === 'linux');
    }
  });

  it.each([
    ['v1.0.1', /Expected the SHA-256 [0-9a-f]{64} for linux-x64\.flash-softmax\.glibc\.node but received/],
    ['v1.0.2', /Expected lines .* in SHA256SUMS but received \.\.\/\.\.\/outside\.node/],
    ['v1.0.3', /but received 404/],
    ['v1.0.4', /Expected lines .* in SHA256SUMS but received something else/],
    ['v1.0.5', /Expected lines .* in SHA256SUMS but received linux-\w+\.flash-softmax\.uclibc\.node/],
    ['v9.9.9', /SHA256SUMS but received 404/],
  ])('%s is refused, and nothing is written', async (tag, message) => {
    const to = path.join(temporary(), 'prebuilds');
    await expect(download(tag, to)).rejects.toThrow(message);
    expect(existsSync(to)).toBe(false);
  });
});
