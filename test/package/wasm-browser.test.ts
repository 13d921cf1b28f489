/** The WebAssembly kernels in a page of headless Chromium: the bits of the native ones, from a bundle of one file. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { build } from 'esbuild';
import { expect } from 'vitest';
import { backendNamed } from '../../lib/backend/named.js';
import { sameBitBackends } from '../support/backends.js';
import { root } from '../support/emulated.js';
import { run } from '../support/run.js';
import { itWith, tool } from '../support/tools.js';

const dist = path.join(root, 'dist');
const chromium = tool('chromium', ['chromium', '--version'], ['chromium-browser', '--version']);
const modules = { name: 'clang 19 and lld 19', available: existsSync(path.join(root, 'wasm/softmax.wasm')), path: '' };
const built = { name: 'npm run compile', available: existsSync(path.join(dist, 'portable/wasm.js')), path: '' };

const LENGTHS = [1, 7, 100, 1000, 70_001];

/** Numbers that a page can make as well, and a hash of bits. */
const rowOf = (n: number): Float32Array =>
  Float32Array.from({ length: n }, (_, i) => (((i * 7919) % 1009) / 1009 - 0.5) * 16);
const hashOf = (y: Float32Array | Float64Array): number =>
  new Uint32Array(y.buffer, y.byteOffset, y.byteLength / 4).reduce((hash, word) => Math.imul(hash ^ word, 16777619), 5);

const SCRIPT = `
import { capabilities, logSumExp, softmax } from 'flash-softmax';
import { initSync } from 'flash-softmax/wasm';
import { logarithms, softmax as module } from 'flash-softmax/wasm/inline';
const rowOf = ${rowOf.toString()};
const hashOf = ${hashOf.toString()};
const before = capabilities().backend;
const backend = initSync({ softmax: module, logarithms });
const rows = ${JSON.stringify(LENGTHS)}.map(rowOf);
const hashes = rows.map((x) => [hashOf(softmax(x)), logSumExp(x)[0]]);
document.title = JSON.stringify({ before, backend, hashes });
`;

itWith(
  [modules, built, chromium],
  'a page has the native bits',
  async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'flash-softmax-page-'));
    try {
      const { outputFiles } = await build({
        stdin: { contents: SCRIPT, resolveDir: folder },
        alias: {
          'flash-softmax': path.join(dist, 'portable/index.js'),
          'flash-softmax/wasm': path.join(dist, 'portable/wasm.js'),
          'flash-softmax/wasm/inline': path.join(dist, 'wasm-inline.js'),
        },
        bundle: true,
        format: 'esm',
        write: false,
        logLevel: 'silent',
      });
      const page = path.join(folder, 'page.html');
      const script = outputFiles[0]!.text.replaceAll('</script', '<\\/script');
      const head = '<!doctype html><meta charset="utf-8"><title>nothing ran</title>';
      writeFileSync(page, `${head}<script type="module">${script}</script>`);
      const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--dump-dom'];
      const profile = `--user-data-dir=${path.join(folder, 'profile')}`;
      const dom = await run(chromium.path, [...flags, profile, '--virtual-time-budget=20000', `file://${page}`]);
      const title = /<title>(.*?)<\/title>/s.exec(dom)![1]!.replaceAll('&quot;', '"');
      const native = backendNamed(sameBitBackends[0]!);
      const hashes = LENGTHS.map((n) => {
        const [x, y, sum] = [rowOf(n), new Float32Array(n), new Float64Array(1)];
        native.softmax_f32(x, y, 1, n, 1, 1, null, 0, null);
        native.log_sum_exp_f32(x, sum, 1, n, 1, 1, null, 0, null);
        return [hashOf(y), sum[0]];
      });
      expect(JSON.parse(title)).toEqual({ before: 'js', backend: 'wasm', hashes });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
  120_000,
);
