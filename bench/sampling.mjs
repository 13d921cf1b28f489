// Times flash-softmax/sampling in one run, interleaved: one row of 128,256 logits on one thread, then 64 rows on one
// thread and on two, and as promises; beside softmax of the same row, and beside @huggingface/transformers if `npm ci`
// was run in bench/peers. With `processor`, filters are timed by processor time, for a machine that others share.
//
//   npm run compile && node bench/sampling.mjs [rounds, default 60] [processor]
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { setThreads, softmax } from 'flash-softmax';
import * as promises from 'flash-softmax/promises';
import { argmax, logProbs, sample, topK } from 'flash-softmax/sampling';
import { normal } from './numbers.mjs';
import { oneThread, processorTime, show, turns } from './turns.mjs';

const cols = 128_256;
const rounds = Number(process.argv[2] ?? 60);
const clock = process.argv[3] === 'processor' ? processorTime : undefined;
oneThread();

const [flat, peaked] = [normal(cols, 1, 1), normal(cols, 8, 2)];
// Rows in the last-level cache, too many for a branch predictor to learn.
const flats = Array.from({ length: 8 }, (_, i) => normal(cols, 1, 10 + i));
const out = new Float32Array(cols);
const usual = { temperature: 0.8, topK: 50, topP: 0.95, minP: 0.05 };
show(
  'one row, one thread',
  await turns(
    {
      softmax: () => softmax(peaked, { out }),
      memcpy: () => out.set(peaked),
      argmax: () => argmax(peaked),
      'topK(50)': () => topK(peaked, 50),
      'sample: temperature 0.8, topK 50, topP 0.95, minP 0.05': (seed) => sample(peaked, { ...usual, seed }),
      'sample: temperature 0.8': (seed) => sample(peaked, { temperature: 0.8, seed }),
      'sample: minP 0.05': (seed) => sample(peaked, { minP: 0.05, seed }),
      'sample: topP 0.95, logits N(0,8)': (seed) => sample(peaked, { topP: 0.95, seed }),
      'sample: topP 0.95, logits N(0,1)': (seed) => sample(flat, { topP: 0.95, seed }),
      'softmax, 8 rows in turn': (seed) => softmax(flats[seed % 8], { out }),
      'sample: topP 0.95, logits N(0,1), 8 rows in turn': (seed) => sample(flats[seed % 8], { topP: 0.95, seed }),
      'logProbs, top 20': () => logProbs(flat, 0, { top: 20 }),
      'sample and logProbs: 20': (seed) => sample(peaked, { ...usual, seed, logProbs: 20 }),
    },
    { rounds },
  ),
  'softmax',
);

const words = new Int32Array(Math.ceil(cols / 32)).fill(-1);
show(
  'filters in any order, one row, one thread',
  await turns(
    {
      softmax: () => softmax(peaked, { out }),
      "order 'llama.cpp': topK 40, topP, minP, temperature": (seed) =>
        sample(peaked, { topK: 40, topP: 0.95, minP: 0.05, temperature: 0.8, order: 'llama.cpp', seed }),
      'topK 50, xtc': (seed) => sample(peaked, { topK: 50, xtc: { threshold: 0.1, probability: 0.5 }, seed }),
      'topNSigma 1': (seed) => sample(peaked, { topNSigma: 1, seed }),
      'topH 0.5': (seed) => sample(peaked, { topH: 0.5, seed }),
      'mirostat 1': (seed) => sample(peaked, { mirostat: { version: 1 }, seed }),
      'mirostat 2': (seed) => sample(peaked, { mirostat: { version: 2 }, seed }),
      'etaCutoff 3e-4': (seed) => sample(peaked, { etaCutoff: 3e-4, seed }),
      dynamicTemperature: (seed) => sample(peaked, { dynamicTemperature: { range: 0.5 }, seed }),
      'xtc that drops tokens': (seed) => sample(peaked, { xtc: { threshold: 0.1, probability: 1 }, seed }),
      'epsilonCutoff 3e-4': (seed) => sample(peaked, { epsilonCutoff: 3e-4, seed }),
      'minP 0.05, xtc': (seed) => sample(peaked, { minP: 0.05, xtc: { threshold: 0.1, probability: 0.5 }, seed }),
      'topK 50, a mask of words': (seed) => sample(peaked, { topK: 50, mask: words, maskFormat: 'bits', seed }),
    },
    { rounds: Math.ceil(rounds / 2), clock },
  ),
  'softmax',
);

/** Rows of a batch in shared memory, so that a second thread can have the other half. */
const shared = new Float32Array(new SharedArrayBuffer(4 * 64 * cols));
shared.set(normal(64 * cols, 8, 3));
const batch = shared.slice();
const options = { cols, ...usual, seed: 1 };

/** Samples 32 rows each time its number changes: the most that two threads can gain is when they share nothing. */
const code = `
  const { workerData: { entry, shared, flag, options } } = require('node:worker_threads');
  import(entry).then(({ sample }) => {
    const [numbers, rows] = [new Int32Array(flag), new Float32Array(shared).slice(32 * options.cols)];
    sample(rows, options);
    Atomics.store(numbers, 1, 1);
    for (let seen = 0; ; Atomics.store(numbers, 1, seen)) {
      while (Atomics.load(numbers, 0) === seen);
      seen = Atomics.load(numbers, 0);
      if (seen < 0) return;
      sample(rows, options);
    }
  });`;
const flag = new SharedArrayBuffer(8);
const numbers = new Int32Array(flag);
const workerData = { entry: import.meta.resolve('flash-softmax/sampling'), shared: shared.buffer, flag, options };
let worker;
let calls = 1;
const firstHalf = shared.slice(0, 32 * cols);
const halves = {
  async prepare() {
    setThreads(1);
    worker ??= new Worker(code, { eval: true, workerData });
    while (Atomics.load(numbers, 1) === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  },
  run() {
    Atomics.store(numbers, 0, ++calls);
    sample(firstHalf, options);
    while (Atomics.load(numbers, 1) !== calls);
  },
};

/** A task on so many threads, which an untimed call has started. */
const on = (threads, run) => ({
  prepare() {
    setThreads(threads);
    sample(batch.subarray(0, 8 * cols), options);
  },
  run,
});
const nucleus = { cols, topP: 0.95, seed: 1 };
const each = (value) => new Array(64).fill(value);
const aRow = { cols, temperature: each(0.8), topK: each(50), topP: each(0.95), minP: each(0.05), seed: each(1) };
const copy = new Float32Array(64 * cols);
const times = await turns(
  {
    'sample, one thread': on(1, () => sample(batch, options)),
    'sample, two threads': on(2, () => sample(batch, options)),
    'two halves on two threads that share nothing': halves,
    'topP 0.95, one thread': on(1, () => sample(batch, nucleus)),
    'topP 0.95, two threads': on(2, () => sample(batch, nucleus)),
    'options a row, two threads': on(2, () => sample(batch, aRow)),
    'promises.sample, two threads': on(2, () => promises.sample(batch, options)),
    'promises.sample of shared memory, two threads': on(2, () => promises.sample(shared, options)),
    'memcpy of the batch': on(1, () => copy.set(batch)),
  },
  { rounds: Math.ceil(rounds / 2) },
);
show('64 rows', times, 'sample, one thread');
Atomics.store(numbers, 0, -1);

const [sharedRow, sharedOut] = [1, 2].map(() => new Float32Array(new SharedArrayBuffer(4 * cols)));
sharedRow.set(peaked);
show(
  'one row as a promise',
  await turns(
    {
      softmax: on(1, () => softmax(peaked, { out })),
      'promises.softmax': on(1, () => promises.softmax(peaked, { out })),
      'promises.softmax without out': on(1, () => promises.softmax(peaked)),
      'promises.softmax of shared memory': on(1, () => promises.softmax(sharedRow, { out: sharedOut })),
      'promises.softmax of 100 logits': on(1, () => promises.softmax(peaked.subarray(0, 100))),
    },
    { rounds },
  ),
  'softmax',
);
setThreads(1);

const require = createRequire(new URL('./peers/package.json', import.meta.url));
let entry;
try {
  entry = pathToFileURL(require.resolve('@huggingface/transformers').replace(/\.cjs$/, '.mjs'));
} catch {
  console.log('\nbench/peers is not installed: nothing to compare with');
}
if (entry) {
  const { LogitsProcessorList, softmax: peerSoftmax, TemperatureLogitsWarper, Tensor, topk } = await import(entry);
  const warpers = new LogitsProcessorList();
  warpers.push(new TemperatureLogitsWarper(0.8));
  const tensors = new Tensor('float32', peaked.slice(), [1, cols]);
  // The steps of generate() with do_sample: the warpers, then the sampler's top k, softmax and draw.
  const peerSample = (k) => async () => {
    tensors.data.set(peaked);
    const [values, indices] = await topk(warpers([[]], tensors), k);
    const p = peerSoftmax(values.data);
    let u = Math.random() * p.reduce((a, b) => a + b, 0);
    for (let i = 0; i < p.length; i++) if ((u -= p[i]) < 0) return indices.data[i];
    return indices.data.at(-1);
  };
  const rows = 8;
  const [many, manyTensor] = [
    normal(rows * cols, 8, 4),
    new Tensor('float32', new Float32Array(rows * cols), [rows, cols]),
  ];
  const peerBatch = async () => {
    manyTensor.data.set(many);
    const scores = warpers(
      Array.from({ length: rows }, () => []),
      manyTensor,
    );
    for (let row = 0; row < rows; row++) peerSoftmax((await topk(scores[row], 50))[0].data);
  };
  const beside = await turns(
    {
      'flash-softmax, top 50': (seed) => sample(peaked, { temperature: 0.8, topK: 50, seed }),
      'transformers.js, top 50': peerSample(50),
      'transformers.js, of that its temperature': () => {
        tensors.data.set(peaked);
        return warpers([[]], tensors);
      },
      'flash-softmax, 8 rows': (seed) => sample(many, { cols, temperature: 0.8, topK: 50, seed }),
      'transformers.js, 8 rows': peerBatch,
      'flash-softmax, all tokens': (seed) => sample(peaked, { temperature: 0.8, seed }),
      'transformers.js, all tokens': peerSample(cols),
    },
    { rounds: Math.max(5, rounds / 6) },
  );
  show('beside @huggingface/transformers: temperature 0.8, then a draw', beside, 'flash-softmax, top 50');
  console.log(
    `all tokens: ${(beside['transformers.js, all tokens'].median / beside['flash-softmax, all tokens'].median).toFixed(0)} × as fast`,
  );
}
