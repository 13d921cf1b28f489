/** The checks before a release: the tarball's own, and the download of a release's binaries. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { root } from '../setup/emulated.js';
import { run } from '../setup/run.js';
import { temporary } from './package.js';

const script = (name: string) => path.join(root, 'scripts', name);

it('npm run pack:check: publint, attw, the list of files and the size', async () => {
  expect(await run(process.execPath, [script('check-pack.mjs')])).toMatch(/\d+ files, \d+ KB of at most/);
}, 120_000);

describe('npm run download-prebuilds', () => {
  const files: Record<string, Buffer> = { 'linux-x64.flash-softmax.glibc.node': Buffer.from('x64'), 'win32-arm64.flash-softmax.node': Buffer.from('arm64') };
  const sum = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
  const sums = (names: Record<string, Buffer>) => Object.entries(names).map(([name, bytes]) => `${sum(bytes)}  ${name}\n`).join('');
  const releases: Record<string, Record<string, Buffer>> = {
    'v1.0.0': { ...files, SHA256SUMS: Buffer.from(sums(files)) },
    'v1.0.1': { ...files, 'linux-x64.flash-softmax.glibc.node': Buffer.from('tampered with'), SHA256SUMS: Buffer.from(sums(files)) },
    'v1.0.2': { SHA256SUMS: Buffer.from(sums({ '../../outside.node': Buffer.from('x') })) },
    'v1.0.3': { SHA256SUMS: Buffer.from(sums(files)) },
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

  const download = (tag: string, to: string) => run(process.execPath, [script('download-prebuilds.mjs'), tag, to], { env });

  it('puts each where the loader looks for it', async () => {
    const to = temporary();
    await download('v1.0.0', to);
    expect(readFileSync(path.join(to, 'linux-x64', 'flash-softmax.glibc.node'), 'utf8')).toBe('x64');
    expect(readFileSync(path.join(to, 'win32-arm64', 'flash-softmax.node'), 'utf8')).toBe('arm64');
  });

  it.each([
    ['v1.0.1', /Expected the SHA-256 [0-9a-f]{64} for linux-x64\.flash-softmax\.glibc\.node but received/],
    ['v1.0.2', /Expected lines .* in SHA256SUMS but received \.\.\/\.\.\/outside\.node/],
    ['v1.0.3', /but received 404/],
    ['v9.9.9', /SHA256SUMS but received 404/],
  ])('%s is refused, and nothing is written', async (tag, message) => {
    const to = path.join(temporary(), 'prebuilds');
    await expect(download(tag, to)).rejects.toThrow(message);
    expect(existsSync(to)).toBe(false);
  });
});
