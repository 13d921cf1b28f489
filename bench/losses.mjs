// The operators of flash-softmax/losses beside plain loops and a copy of the same memory, on one thread:
//
//     npm run compile && node bench/losses.mjs
//
// Rounds are taken in turns, so that a clock that changes falls on all alike; a figure is the median of its rounds.
import { setThreads } from '../dist/index.js';
import {
  ClusteredVocabulary,
  decoupledSoftmax,
  safeStepRadius,
  softTopK,
  softTopKBackward,
  taylorSoftmax,
  zLoss,
} from '../dist/losses.js';

setThreads(1);
const [rows, cols] = [256, 4000];
const n = rows * cols;
const x = Float32Array.from({ length: n }, (_, i) => 3 * Math.sin(i * 12.9898) + Math.cos(i * 78.233));
const dp = x.map((v) => v / 3);
const [out, gradient, copy] = [new Float32Array(n), new Float32Array(n), new Float32Array(n)];
const targets = Int32Array.from({ length: rows }, (_, r) => (r * 37) % cols);
const p = softTopK(x, 5, { cols });
const positives = {
  indptr: Array.from({ length: rows + 1 }, (_, r) => 3 * r),
  indices: Array.from({ length: 3 * rows }, (_, i) => (i % 3) * 17 + 1),
};
const codes = 256;
const vocabulary = new ClusteredVocabulary(Uint32Array.from({ length: 128_000 }, (_, v) => (v * 7919) % codes));
const l = x.slice(0, 8 * codes);

const eachRow = (task) => {
  for (let at = 0; at < n; at += cols) task(at, at + cols);
};
const loops = {
  taylorSoftmax: () =>
    eachRow((from, to) => {
      let sum = 0;
      for (let i = from; i < to; i++) sum += out[i] = 1 + x[i] * (1 + x[i] / 2);
      for (let i = from; i < to; i++) out[i] /= sum;
    }),
  zLoss: () =>
    eachRow((from, to) => {
      let [mean, squares] = [0, 0];
      for (let i = from; i < to; i++) mean += x[i] / cols;
      for (let i = from; i < to; i++) squares += (x[i] - mean) ** 2 / cols;
      const std = Math.sqrt(squares);
      const z = (x[from + 7] - mean) / std;
      const s = -1 / (1 + Math.exp(z - 1)) / std;
      for (let i = from; i < to; i++) gradient[i] = s * (-1 / cols - (z * (x[i] - mean)) / std / cols);
      gradient[from + 7] += s;
    }),
  softTopK: () =>
    eachRow((from, to) => {
      let [low, high] = [-20, 20];
      for (let step = 0; step < 30; step++) {
        const t = (low + high) / 2;
        let sum = 0;
        for (let i = from; i < to; i++) sum += 1 / (1 + Math.exp(-x[i] - t));
        if (sum > 5) high = t;
        else low = t;
      }
      for (let i = from; i < to; i++) out[i] = 1 / (1 + Math.exp(-x[i] - low));
    }),
  softTopKBackward: () =>
    eachRow((from, to) => {
      let [weights, products] = [0, 0];
      for (let i = from; i < to; i++) {
        const v = p[i] * (1 - p[i]);
        weights += v;
        products += v * dp[i];
      }
      for (let i = from; i < to; i++) out[i] = p[i] * (1 - p[i]) * (dp[i] - products / weights);
    }),
  safeStepRadius: () =>
    eachRow((from, to) => {
      let [most, least] = [-Infinity, Infinity];
      for (let i = from; i < to; i++) {
        if (x[i] > most) most = x[i];
        if (x[i] < least) least = x[i];
      }
      out[from] = Math.PI / (most - least);
    }),
  decoupledSoftmax: () =>
    eachRow((from, to) => {
      let [top, sum] = [-Infinity, 0];
      for (let i = from; i < to; i++) if (x[i] > top) top = x[i];
      for (let i = from; i < to; i++) sum += gradient[i] = Math.exp(x[i] - top);
      for (let i = from; i < to; i++) gradient[i] /= sum;
    }),
};
const ours = {
  taylorSoftmax: () => taylorSoftmax(x, { cols, out }),
  zLoss: () => zLoss(x, targets, { cols, gradient }),
  softTopK: () => softTopK(x, 5, { cols, out }),
  softTopKBackward: () => softTopKBackward(p, dp, { cols, out }),
  safeStepRadius: () => safeStepRadius(x, { cols }),
  decoupledSoftmax: () => decoupledSoftmax(x, positives, { cols, gradient }),
};
const median = (times) => times.sort((a, b) => a - b)[times.length >> 1];
const timed = (task) => {
  const start = performance.now();
  task();
  return performance.now() - start;
};
function race(tasks, rounds = 15) {
  const times = tasks.map(() => []);
  for (const task of tasks) timed(task);
  for (let round = 0; round < rounds; round++) tasks.forEach((task, i) => times[i].push(timed(task)));
  return times.map(median);
}

console.log(`${rows} rows of ${cols} float32, ns an element: ours, a loop, memcpy`);
for (const name of Object.keys(ours)) {
  const times = race([ours[name], loops[name], () => copy.set(x)]);
  console.log(name.padEnd(18), ...times.map((ms) => ((ms * 1e6) / n).toFixed(2).padStart(8)));
}
const spread = new Float32Array(8 * 128_000);
const [fast, plain, copied] = race([
  () => vocabulary.probabilities(l),
  () => {
    for (let r = 0; r < 8; r++) {
      let sum = 0;
      for (let v = 0; v < 128_000; v++) {
        sum += spread[r * 128_000 + v] = Math.exp(l[r * codes + ((v * 7919) % codes)]);
      }
      for (let v = 0; v < 128_000; v++) spread[r * 128_000 + v] /= sum;
    }
  },
  () => spread.set(spread.slice()),
]);
console.log('ClusteredVocabulary, 256 codes, 128,000 tokens, ns a token:');
console.log(
  'probabilities'.padEnd(18),
  ...[fast, plain, copied].map((ms) => ((ms * 1e6) / 1_024_000).toFixed(2).padStart(8)),
);
