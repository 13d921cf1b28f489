// Forms of attention that are composed in double, beside plain loops and the softmax attention of the package:
//
//     npm run compile && node bench/attention-forms.mjs
//
// 4 heads, 512 positions, headDim 64, one thread. Processor time, as other jobs may share the machine. Rounds are taken
// in turns, so that a clock that changes falls on all alike; a figure is the median of its rounds.
import {
  attention,
  KVCache,
  l2NormalizedAttention,
  lucidAttention,
  softmaxFreeAttention,
  softplusAttention,
  taylorAttention,
} from 'flash-softmax/attention';
import { oneThread, processorTime, table, turns } from './turns.mjs';

const [heads, n, dim] = [4, 512, 64];
const numbers = (seed) =>
  Float32Array.from({ length: heads * n * dim }, (_, i) => 2 * Math.sin(i * 12.9898 + seed) * Math.cos(i * 78.233));
const [q, k, v] = [numbers(1), numbers(2), numbers(3)];
const out = new Float32Array(heads * n * dim);
const options = { heads, headDim: dim, out };

const dot = (a, i, b, j) => {
  let sum = 0;
  for (let d = 0; d < dim; d++) sum += a[i + d] * b[j + d];
  return sum;
};
const add = (to, i, from, j, w) => {
  for (let d = 0; d < dim; d++) to[i + d] += w * from[j + d];
};

/** A form as its definition reads: `weigh` makes weights of the scores that query m has, in place. */
const plain = (weigh, isCausal, isUnit = false) => {
  const row = new Float64Array(dim);
  for (let m = 0; m < heads * n; m++) {
    const first = m - (m % n);
    const scores = new Float64Array(isCausal ? (m % n) + 1 : n);
    for (let j = 0; j < scores.length; j++) scores[j] = dot(q, m * dim, k, (first + j) * dim);
    weigh(scores, m, first);
    row.fill(0);
    for (let j = 0; j < scores.length; j++) add(row, 0, v, (first + j) * dim, scores[j]);
    const length = isUnit ? Math.sqrt(dot(row, 0, row, 0)) : 1;
    for (let d = 0; d < dim; d++) out[m * dim + d] = row[d] / length;
  }
};
const toSum = (w) => {
  let sum = 0;
  for (let j = 0; j < w.length; j++) sum += w[j];
  for (let j = 0; j < w.length; j++) w[j] /= sum;
};
const exponentials = (w) => {
  let top = -Infinity;
  for (let j = 0; j < w.length; j++) top = Math.max(top, w[j] / 8);
  for (let j = 0; j < w.length; j++) w[j] = Math.exp(w[j] / 8 - top);
};
const softplus = (w, m, first) => {
  const factor = (Math.log(dim) * Math.log(w.length)) / Math.sqrt(dot(q, m * dim, q, m * dim));
  for (let j = 0; j < w.length; j++) {
    const at = (first + j) * dim;
    w[j] = Math.log1p(Math.exp((factor * w[j]) / Math.sqrt(dot(k, at, k, at))));
  }
  toSum(w);
};

const plainLucid = () => {
  const [unit, y] = [Float64Array.from(k), Float64Array.from(v)];
  for (let i = 0; i < heads * n; i++) {
    const length = Math.sqrt(dot(k, i * dim, k, i * dim));
    for (let d = 0; d < dim; d++) unit[i * dim + d] /= length;
    for (let j = i - (i % n); j < i; j++)
      add(y, i * dim, y, j * dim, -Math.exp(8 * (dot(unit, i * dim, unit, j * dim) - 1)));
  }
  attention(q, k, Float32Array.from(y), { ...options, causal: true });
};

/** 16 tokens behind 512 others, a call each. */
const decode = () => {
  const cache = new KVCache({ kvHeads: heads, headDim: dim });
  const id = cache.create();
  cache.append(id, k, v, { layout: 'hsd' });
  const token = heads * dim;
  for (let i = 0; i < 16; i++) {
    cache.appendPreconditioned(id, k.subarray(i * token, (i + 1) * token), v.subarray(i * token, (i + 1) * token));
  }
  cache.dispose();
};

const rows = {
  'softmaxFreeAttention (SOFT)': [
    () => softmaxFreeAttention(q, v, { heads, headDim: dim, out }),
    () =>
      plain((w, m, first) => {
        for (let j = 0; j < n; j++) {
          let sum = 0;
          for (let d = 0; d < dim; d++) sum += (q[m * dim + d] - q[(first + j) * dim + d]) ** 2;
          w[j] = Math.exp(-sum / 16);
        }
      }, false),
  ],
  'softmaxFreeAttention, 32 landmarks': [() => softmaxFreeAttention(q, v, { heads, headDim: dim, out, landmarks: 32 })],
  'softplusAttention (LSSA)': [() => softplusAttention(q, k, v, options), () => plain(softplus, true)],
  'softplusAttention, sharpen 15 (LSSAR)': [
    () => softplusAttention(q, k, v, { ...options, sharpen: 15 }),
    () =>
      plain((w, m, first) => {
        softplus(w, m, first);
        for (let j = 0; j < w.length; j++) w[j] = Math.max(0, w[j] * w.length - (w.length > 3 ? 1 : 0)) ** 15;
        toSum(w);
      }, true),
  ],
  l2NormalizedAttention: [() => l2NormalizedAttention(q, k, v, options), () => plain(exponentials, false, true)],
  'taylorAttention, order 2': [
    () => taylorAttention(q, k, v, options),
    () =>
      plain((w) => {
        for (let j = 0; j < w.length; j++) w[j] = 1 + (w[j] / 8) * (1 + w[j] / 16);
        toSum(w);
      }, false),
  ],
  lucidAttention: [() => lucidAttention(q, k, v, options), plainLucid],
  '16 calls of appendPreconditioned': [decode],
  'attention, causal': [
    () => attention(q, k, v, { ...options, causal: true }),
    () =>
      plain((w) => {
        exponentials(w);
        toSum(w);
      }, true),
  ],
};

oneThread();
const tasks = {};
for (const [name, [here, loop]] of Object.entries(rows)) {
  tasks[name] = here;
  if (loop) tasks[`${name}, a loop`] = loop;
}
const times = await turns(tasks, { rounds: 7, clock: processorTime });
console.log(`milliseconds of ${heads} heads, ${n} positions, headDim ${dim}`);
table(
  ['', 'here', 'a loop', 'loop / here'],
  Object.keys(rows).map((name) => {
    const [here, loop] = [times[name].median, times[`${name}, a loop`]?.median];
    return [name, here, loop ?? '', loop ? loop / here : ''];
  }),
);
