// The operators of flash-softmax/losses beside plain loops and a copy of the same memory, on one thread:
//
//     npm run compile && node bench/losses.mjs
//
// tfjs-core has no gradient of its softmaxCrossEntropy, and is not measured.
// Rounds are taken in turns, so that a clock that changes falls on all alike; a figure is the median of its rounds, in
// processor time, which other jobs of the machine change least.
import { logSoftmax, logSumExp } from 'flash-softmax';
import {
  ClusteredVocabulary,
  compSum,
  crossEntropy,
  decoupledSoftmax,
  focalLoss,
  logSoftmaxBackward,
  marginCrossEntropy,
  safeStepRadius,
  softTopK,
  softTopKBackward,
  stableMax,
  stableMaxCrossEntropy,
  taylorSoftmax,
  zLoss,
} from 'flash-softmax/losses';
import { oneThread, processorTime, show, table, turns } from './turns.mjs';

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
  stableMax: () => stableLoop(),
  stableMaxCrossEntropy: () => {
    stableLoop();
    for (let r = 0; r < rows; r++) {
      const target = r * cols + targets[r];
      losses[r] = -Math.log(out[target]);
      for (let i = r * cols; i < (r + 1) * cols; i++) {
        gradient[i] = (out[i] - (i === target ? 1 : 0)) / (1 + Math.abs(x[i]));
      }
    }
  },
  logSoftmaxBackward: () =>
    eachRow((from, to) => {
      let sum = 0;
      for (let i = from; i < to; i++) sum += dp[i];
      for (let i = from; i < to; i++) out[i] = dp[i] - Math.exp(logs[i]) * sum;
    }),
  'logSumExp, row weights': () => weightedLoop((i, column) => rowWeights[column]),
  'logSumExp, all weights': () => weightedLoop((i) => weights[i]),
};
const losses = new Float64Array(rows);
const cosines = x.map((v) => v / 4.01);
const logs = logSoftmax(x, { cols });
const classWeights = Float64Array.from({ length: cols }, (_, i) => 0.5 + (i % 3));
const rowWeights = Float64Array.from({ length: cols }, (_, i) => (i % 5) - 2.25);
const weights = Float64Array.from({ length: n }, (_, i) => (i % 5) - 2.25);

function stableLoop() {
  eachRow((from, to) => {
    let sum = 0;
    for (let i = from; i < to; i++) sum += out[i] = x[i] < 0 ? 1 / (1 - x[i]) : x[i] + 1;
    for (let i = from; i < to; i++) out[i] /= sum;
  });
}
function weightedLoop(weightOf) {
  for (let r = 0; r < rows; r++) {
    let [top, sum] = [-Infinity, 0];
    for (let c = 0; c < cols; c++) if (x[r * cols + c] > top) top = x[r * cols + c];
    for (let c = 0; c < cols; c++) sum += weightOf(r * cols + c, c) * Math.exp(x[r * cols + c] - top);
    losses[r] = top + Math.log(Math.abs(sum));
  }
}
/** A cross-entropy with its gradient, as a person writes it: f gives the loss of p, g what multiplies p − [target]. */
function lossLoop(logits, count, { scale = 1, loss = (p) => -Math.log(p), slope = () => 1, target = (v) => v } = {}) {
  for (let r = 0, from = 0; from < n; r++, from += count) {
    const at = from + classOf(r, count);
    const moved = target(logits[at]) * scale;
    let [top, sum] = [moved, 0];
    for (let i = from; i < from + count; i++) if (i !== at && logits[i] * scale > top) top = logits[i] * scale;
    for (let i = from; i < from + count; i++) {
      sum += gradient[i] = Math.exp((i === at ? moved : logits[i] * scale) - top);
    }
    const p = gradient[at] / sum;
    losses[r % rows] = loss(p);
    const factor = slope(p);
    for (let i = from; i < from + count; i++) gradient[i] *= factor / sum;
    gradient[at] -= factor;
  }
}
const classOf = (r, count) => (r * 37) % count;
const smoothLoop = (epsilon, weightOf = () => 1) => {
  lossLoop(x, cols, { slope: () => 1 });
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < cols; c++) gradient[r * cols + c] -= (epsilon / cols) * weightOf(c);
  }
};
const focal = {
  loss: (p) => -((1 - p) ** 2) * Math.log(p),
  slope: (p) => (1 - p) ** 2 - 2 * (1 - p) * p * Math.log(p),
};
const power = { loss: (p) => (1 - p ** 0.7) / 0.7, slope: (p) => p ** 0.7 };
const arc = { scale: 64, target: (c) => c * Math.cos(0.5) - Math.sqrt(1 - c * c) * Math.sin(0.5) };
Object.assign(loops, {
  crossEntropy: () => lossLoop(x, cols),
  "crossEntropy, 'mean'": () => lossLoop(x, cols, { slope: () => 1 / rows }),
  'crossEntropy, class weights': () => lossLoop(x, cols, { slope: () => 2 }),
  'crossEntropy, lsePenalty': () => lossLoop(x, cols, { slope: () => 1.001 }),
  'crossEntropy, labelSmoothing': () => smoothLoop(0.1),
  'crossEntropy, soft targets': () => smoothLoop(0.1, (c) => cosines[c]),
  compSum: () => lossLoop(x, cols, power),
  focalLoss: () => lossLoop(x, cols, focal),
  marginCrossEntropy: () => lossLoop(cosines, cols, arc),
});
const short = Int32Array.from({ length: n / 10 }, (_, r) => classOf(r, 10));
const shortLoops = {
  crossEntropy: () => lossLoop(x, 10),
  "crossEntropy, 'mean'": () => lossLoop(x, 10, { slope: () => 10 / n }),
  compSum: () => lossLoop(x, 10, power),
  focalLoss: () => lossLoop(x, 10, focal),
  marginCrossEntropy: () => lossLoop(cosines, 10, arc),
};
const shortOurs = {
  crossEntropy: () => crossEntropy(x, short, { cols: 10, gradient }),
  "crossEntropy, 'mean'": () => crossEntropy(x, short, { cols: 10, gradient, reduction: 'mean' }),
  compSum: () => compSum(x, short, { cols: 10, gradient, tau: 1.7 }),
  focalLoss: () => focalLoss(x, short, { cols: 10, gradient }),
  marginCrossEntropy: () => marginCrossEntropy(cosines, short, { cols: 10, gradient, kind: 'arc' }),
};
const ours = {
  crossEntropy: () => crossEntropy(x, targets, { cols, gradient }),
  "crossEntropy, 'mean'": () => crossEntropy(x, targets, { cols, gradient, reduction: 'mean' }),
  'crossEntropy, class weights': () => crossEntropy(x, targets, { cols, gradient, weight: classWeights }),
  'crossEntropy, lsePenalty': () => crossEntropy(x, targets, { cols, gradient, lsePenalty: 1e-4 }),
  'crossEntropy, labelSmoothing': () => crossEntropy(x, targets, { cols, gradient, labelSmoothing: 0.1 }),
  'crossEntropy, soft targets': () => crossEntropy(x, cosines, { cols, gradient }),
  compSum: () => compSum(x, targets, { cols, gradient, tau: 1.7 }),
  focalLoss: () => focalLoss(x, targets, { cols, gradient }),
  marginCrossEntropy: () => marginCrossEntropy(cosines, targets, { cols, gradient, kind: 'arc' }),
  stableMax: () => stableMax(x, { cols, out }),
  stableMaxCrossEntropy: () => stableMaxCrossEntropy(x, targets, { cols, gradient }),
  logSoftmaxBackward: () => logSoftmaxBackward(logs, dp, { cols, out }),
  'logSumExp, row weights': () => logSumExp(x, { cols, weights: rowWeights, sign: true }),
  'logSumExp, all weights': () => logSumExp(x, { cols, weights, sign: true }),
  taylorSoftmax: () => taylorSoftmax(x, { cols, out }),
  zLoss: () => zLoss(x, targets, { cols, gradient }),
  softTopK: () => softTopK(x, 5, { cols, out }),
  softTopKBackward: () => softTopKBackward(p, dp, { cols, out }),
  safeStepRadius: () => safeStepRadius(x, { cols }),
  decoupledSoftmax: () => decoupledSoftmax(x, positives, { cols, gradient }),
};
/** Prints nanoseconds an element of each function, its loop, and a copy. */
async function race(title, here, beside) {
  console.log(`\n${title}, ns an element`);
  const lines = [];
  for (const name of Object.keys(here)) {
    const tasks = { here: here[name], loop: beside[name], copy: () => copy.set(x) };
    const times = await turns(tasks, { rounds: 7, clock: processorTime });
    const [mine, loop, copied] = Object.values(times).map(({ median }) => (median * 1e6) / n);
    lines.push([name, mine, loop, copied, loop / mine]);
  }
  table(['', 'here', 'a loop', 'memcpy', 'loop / here'], lines);
}

oneThread();
await race(`${rows} rows of ${cols} float32`, ours, loops);
await race(`${n / 10} rows of 10 float32`, shortOurs, shortLoops);

const spread = new Float32Array(8 * 128_000);
const spreading = {
  'ClusteredVocabulary.probabilities': () => vocabulary.probabilities(l),
  'a loop': () => {
    for (let r = 0; r < 8; r++) {
      let sum = 0;
      for (let v = 0; v < 128_000; v++) {
        sum += spread[r * 128_000 + v] = Math.exp(l[r * codes + ((v * 7919) % codes)]);
      }
      for (let v = 0; v < 128_000; v++) spread[r * 128_000 + v] /= sum;
    }
  },
  'a copy into a new array': () => spread.set(spread.slice()),
};
show('256 codes, 128,000 tokens, 8 rows', await turns(spreading, { rounds: 7 }), 'a copy into a new array');
