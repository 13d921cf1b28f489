/**
 * The WebAssembly kernels in a page of headless Chromium: the bits of the native ones, from a bundle of one file; the
 * whole corpus; whether they are faster than a loop; and threads.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'vitest';
import { backendNamed } from '../../lib/backend/named.js';
import { MODULE_NAMES } from '../../lib/backend/wasm/wasm.js';
import { sameBitBackends } from '../support/backends.js';
import { root } from '../support/emulated.js';
import { portable, runInPage, runIsolated } from '../support/page.js';
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

itWith([modules, built, chromium], 'a page has the native bits', async () => {
  const alias = {
    'flash-softmax': path.join(dist, 'portable/index.js'),
    'flash-softmax/wasm': path.join(dist, 'portable/wasm.js'),
    'flash-softmax/wasm/inline': path.join(dist, 'wasm-inline.js'),
  };
  const found = await runInPage(chromium.path, SCRIPT, { alias });
  const native = backendNamed(sameBitBackends[0]!);
  const hashes = LENGTHS.map((n) => {
    const [x, y, sum] = [rowOf(n), new Float32Array(n), new Float64Array(1)];
    native.softmax_f32(x, y, 1, n, 1, 1, null, 0, null);
    native.log_sum_exp_f32(x, sum, 1, n, 1, 1, null, 0, null);
    return [hashOf(y), sum[0]];
  });
  expect(found).toEqual({ before: 'js', backend: 'wasm', hashes });
});

const CORPUS = `
import { initSync } from './lib/wasm.js';
import { allocate, softmax } from './lib/index.js';
import { softmax as loop } from './bench/js-loops.mjs';
import { corpusInputs, corpusOf } from './test/support/corpus.js';
import committed from './test/corpus.json';
${MODULE_NAMES.map((name) => `import ${name}_ from './wasm/${name}.wasm';`).join('\n')}
const backend = initSync({ ${MODULE_NAMES.map((name) => `${name}: ${name}_`).join(', ')} });
const found = corpusOf('wasm');
const names = Object.keys(committed.native);
const other = names.filter((name) => found[name].join() !== committed.native[name].join());

/** The least time of 15 samples in milliseconds: of twenty calls, as a page's clock is coarse. */
function least(run) {
  const times = Array.from({ length: 15 }, () => {
    const start = performance.now();
    for (let i = 0; i < 20; i++) run();
    return performance.now() - start;
  });
  return Math.min(...times) / 20;
}
const x = allocate('float32', 128_256);
const out = allocate('float32', 128_256);
for (let i = 0; i < x.length; i++) x[i] = Math.sin(i) * 8;
const [copy, results] = [new Float32Array(x), new Float32Array(x)];
const times = [
  least(() => softmax(x, { out })),
  least(() => softmax(copy, { out: results })),
  least(() => loop({ x: copy, out: results, rows: 1, cols: x.length })),
];
const inputs = corpusInputs().join() === committed.inputs.join();
document.title = JSON.stringify({ backend, inputs, cases: names.length, other, times });
`;

itWith(
  [modules, chromium],
  'a page has the bits of the whole corpus, and is faster than a loop',
  async () => {
    const found = (await runInPage(chromium.path, CORPUS, {
      plugins: [portable],
      loader: { '.wasm': 'binary' },
      define: { 'process.env': '{}' },
    })) as { times: number[] };
    const { times, ...rest } = found;
    expect(rest).toEqual({ backend: 'wasm', inputs: true, cases: expect.any(Number), other: [] });
    const [inPlace, foreign, loop] = times as [number, number, number];
    expect(loop / inPlace, `${times}`).toBeGreaterThan(3);
    expect(loop / foreign, `${times}`).toBeGreaterThan(2);
  },
  300_000,
);

const THREADS = `
import { allocate, capabilities, setThreads, softmax } from './lib/index.js';
import { init } from './lib/wasm.js';
import bytes from './wasm/softmax.wasm';
const rowOf = ${rowOf.toString()};
const hashOf = ${hashOf.toString()};
let answer;
try {
  const backend = await init({ softmax: bytes }, { threads: 3 });
  const { threads } = capabilities();
  const x = rowOf(2 ** 20);
  const [shared, out] = [allocate('float32', x.length), allocate('float32', x.length)];
  shared.set(x);
  const hashes = new Set();
  for (let i = 0; i < 20; i++) {
    hashes.add(hashOf(softmax(x, { cols: 2 ** 10 })));
    hashes.add(hashOf(softmax(shared, { cols: 2 ** 10, out }).slice()));
  }
  setThreads(1);
  hashes.add(hashOf(softmax(x, { cols: 2 ** 10 })));
  const isShared = shared.buffer instanceof SharedArrayBuffer;
  answer = { isolated: crossOriginIsolated, backend, threads, hashes: [...hashes], isShared };
} catch (error) {
  answer = { error: String(error) };
}
await fetch('/answer', { method: 'POST', body: JSON.stringify(answer) });
`;

itWith(
  [modules, chromium],
  'a page that is isolated has threads, and the same bits',
  async () => {
    const [x, y] = [rowOf(2 ** 20), new Float32Array(2 ** 20)];
    backendNamed(sameBitBackends[0]!).softmax_f32(x, y, 2 ** 10, 2 ** 10, 1, 1, null, 0, null);
    const found = await runIsolated(chromium.path, THREADS, {
      plugins: [portable],
      loader: { '.wasm': 'binary' },
      define: { 'process.env': '{}' },
    });
    expect(found).toEqual({ isolated: true, backend: 'wasm', threads: 3, hashes: [hashOf(y)], isShared: true });
  },
  60_000,
);
