// Times flash-softmax/sampling in one run, interleaved: one row of 128,256 logits on one thread, then 64 rows on one thread
// and on all; beside softmax of the same row, and beside @huggingface/transformers if `npm ci` was run in bench/peers.
//
//   npm run compile && node bench/sampling.mjs [rounds, default 60]
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { setThreads, softmax } from 'flash-softmax';
import { argmax, logProbs, sample, topK } from 'flash-softmax/sampling';
import { normal } from './numbers.mjs';
import { oneThread, show, turns } from './turns.mjs';

const cols = 128_256;
const rounds = Number(process.argv[2] ?? 60);
const allThreads = oneThread();

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
      'minP 0.05, xtc': (seed) => sample(peaked, { minP: 0.05, xtc: { threshold: 0.1, probability: 0.5 }, seed }),
      'etaCutoff 3e-4': (seed) => sample(peaked, { etaCutoff: 3e-4, seed }),
      'mirostat 2': (seed) => sample(peaked, { mirostat: { version: 2 }, seed }),
      'topK 50, a mask of words': (seed) => sample(peaked, { topK: 50, mask: words, maskFormat: 'bits', seed }),
    },
    { rounds: Math.ceil(rounds / 4) },
  ),
  'softmax',
);

const batch = normal(64 * cols, 8, 3);
const options = { cols, ...usual, seed: 1 };
const sampleOn = (threads, given) => {
  setThreads(threads);
  return sample(batch, given);
};
const nucleus = { cols, topP: 0.95, seed: 1 };
const each = (value) => new Array(64).fill(value);
const aRow = { cols, temperature: each(0.8), topK: each(50), topP: each(0.95), minP: each(0.05), seed: each(1) };
const times = await turns(
  {
    'sample, one thread': () => sampleOn(1, options),
    [`sample, ${allThreads} threads`]: () => sampleOn(allThreads, options),
    'topP 0.95, one thread': () => sampleOn(1, nucleus),
    [`topP 0.95, ${allThreads} threads`]: () => sampleOn(allThreads, nucleus),
    [`options a row, ${allThreads} threads`]: () => sampleOn(allThreads, aRow),
  },
  { rounds: Math.ceil(rounds / 12) },
);
show('64 rows', times, 'sample, one thread');
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
