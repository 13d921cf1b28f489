// flash-softmax/sampling, in one run, interleaved: one row of 128,256 logits on one thread, then 64 rows on one thread and on all;
// beside softmax of the same row, and beside the pipeline of @huggingface/transformers if `npm ci` was run in bench/peers.
//
//   npm run compile && node bench/sampling.mjs [rounds of five calls, default 60]
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { capabilities, setThreads, softmax } from 'flash-softmax';
import { argmax, logProbs, sample, topK } from 'flash-softmax/sampling';

const cols = 128_256;
const rounds = Number(process.argv[2] ?? 60);
const all = setThreads(1);

function normal(length, deviation, seed) {
  let state = seed;
  const random = () => ((state = (Math.imul(state, 1664525) + 1013904223) >>> 0) + 0.5) / 2 ** 32;
  return Float32Array.from({ length }, () => deviation * Math.sqrt(-2 * Math.log(random())) * Math.cos(2 * Math.PI * random()));
}
const median = (times) => times.sort((a, b) => a - b)[times.length >> 1];

/** Microseconds of each, the medians of turns; each is given the number of the turn. */
async function measure(cases, turns) {
  const times = Object.fromEntries(Object.keys(cases).map((name) => [name, []]));
  for (let turn = -5; turn < turns; turn++) {
    for (const [name, run] of Object.entries(cases)) {
      for (let i = 0; i < 5; i++) { // so that what another case left in the caches weighs little
        const start = performance.now();
        await run(5 * turn + 25 + i);
        if (turn >= 0) times[name].push(1000 * (performance.now() - start));
      }
    }
  }
  return Object.fromEntries(Object.entries(times).map(([name, each]) => [name, median(each)]));
}
function show(title, times, unit) {
  console.log(`\n${title}`);
  for (const [name, time] of Object.entries(times)) console.log(`${name.padEnd(58)} ${time.toFixed(1).padStart(9)} µs  ${(time / times[unit]).toFixed(2).padStart(7)} × ${unit}`);
}

console.log(`${capabilities().processor}; ${capabilities().backend}; node ${process.version}; ${cols.toLocaleString('en')} float32 logits`);

const [flat, peaked] = [normal(cols, 1, 1), normal(cols, 8, 2)];
// Rows that come from the last cache, and that no branch predictor learns by heart.
const flats = Array.from({ length: 8 }, (_, i) => normal(cols, 1, 10 + i));
const out = new Float32Array(cols);
const usual = { temperature: 0.8, topK: 50, topP: 0.95, minP: 0.05 };
show('one row, one thread', await measure({
  softmax: () => softmax(peaked, { out }),
  'memcpy': () => out.set(peaked),
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
}, rounds), 'softmax');

const batch = normal(64 * cols, 8, 3);
const options = { cols, ...usual, seed: 1 };
const nucleus = { cols, topP: 0.95, seed: 1 };
const times = await measure({
  'sample, one thread': () => (setThreads(1), sample(batch, options)),
  [`sample, ${all} threads`]: () => (setThreads(all), sample(batch, options)),
  'topP 0.95, one thread': () => (setThreads(1), sample(batch, nucleus)),
  [`topP 0.95, ${all} threads`]: () => (setThreads(all), sample(batch, nucleus)),
}, Math.ceil(rounds / 12));
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
  const { LogitsProcessorList, softmax: theirSoftmax, TemperatureLogitsWarper, Tensor, topk } = await import(entry);
  const warpers = new LogitsProcessorList();
  warpers.push(new TemperatureLogitsWarper(0.8));
  const tensors = new Tensor('float32', peaked.slice(), [1, cols]);
  // What generate() does with do_sample: the warpers, then the sampler's top k, softmax and draw.
  const theirs = (k) => async () => {
    tensors.data.set(peaked);
    const [values, indices] = await topk(warpers([[]], tensors), k);
    const p = theirSoftmax(values.data);
    let u = Math.random() * p.reduce((a, b) => a + b, 0);
    for (let i = 0; i < p.length; i++) if ((u -= p[i]) < 0) return indices.data[i];
    return indices.data.at(-1);
  };
  const rows = 8;
  const [many, manyTensor] = [normal(rows * cols, 8, 4), new Tensor('float32', new Float32Array(rows * cols), [rows, cols])];
  const theirBatch = async () => {
    manyTensor.data.set(many);
    const scores = warpers(Array.from({ length: rows }, () => []), manyTensor);
    for (let row = 0; row < rows; row++) theirSoftmax((await topk(scores[row], 50))[0].data);
  };
  const beside = await measure({
    'flash-softmax, top 50': (seed) => sample(peaked, { temperature: 0.8, topK: 50, seed }),
    'transformers.js, top 50': theirs(50),
    'transformers.js, of that its temperature': () => (tensors.data.set(peaked), warpers([[]], tensors)),
    'flash-softmax, 8 rows': (seed) => sample(many, { cols, temperature: 0.8, topK: 50, seed }),
    'transformers.js, 8 rows': theirBatch,
    'flash-softmax, all tokens': (seed) => sample(peaked, { temperature: 0.8, seed }),
    'transformers.js, all tokens': theirs(cols),
  }, Math.max(5, rounds / 6));
  show('beside @huggingface/transformers: temperature 0.8, then a draw', beside, 'flash-softmax, top 50');
  console.log(`all tokens: ${(beside['transformers.js, all tokens'] / beside['flash-softmax, all tokens']).toFixed(0)} × as fast`);
}
