// Softmax, its family, partial sums and selection beside the loops that a person would write, on one thread:
//
//     npm run compile && node bench/family.mjs
import * as flash from 'flash-softmax';
import { argmax, sample, topK } from 'flash-softmax/sampling';
import { oneThread, table, turns } from './turns.mjs';

function work(rows, cols) {
  const n = rows * cols;
  const x = Float32Array.from({ length: n }, (_, i) => 3 * Math.sin(i * 12.9898) + Math.cos(i * 78.233));
  const half = Uint16Array.from({ length: n }, (_, i) => 0x3c00 + ((i * 7919) & 0x3ff)); // 1 … 2
  const halfOut = new Uint16Array(n);
  const [out, copy] = [new Float32Array(n), new Float32Array(n)];
  const y = flash.softmax(x, { cols });
  const targets = Int32Array.from({ length: rows }, (_, r) => (r * 37) % cols);
  const states = flash.expSum(x, { cols });
  const largest = (from) => {
    let top = -Infinity;
    for (let i = from; i < from + cols; i++) if (x[i] > top) top = x[i];
    return top;
  };
  const sum = (from, top) => {
    let total = 0;
    for (let i = from; i < from + cols; i++) total += out[i] = Math.exp(x[i] - top);
    return total;
  };
  const each = (row) => () => {
    for (let from = 0; from < n; from += cols) row(from, from + cols);
  };
  const probabilities = (from, to) => {
    const scale = 1 / sum(from, largest(from));
    for (let i = from; i < to; i++) out[i] *= scale;
  };
  return {
    softmax: [() => flash.softmax(x, { cols, out }), each(probabilities)],
    'softmax, float16': [() => flash.softmax(half, { cols, dtype: 'float16', out: halfOut })],
    logSoftmax: [
      () => flash.logSoftmax(x, { cols, out }),
      each((from, to) => {
        const top = largest(from),
          log = top + Math.log(sum(from, top));
        for (let i = from; i < to; i++) out[i] = x[i] - log;
      }),
    ],
    logSumExp: [
      () => flash.logSumExp(x, { cols }),
      each((from) => {
        const top = largest(from);
        let total = 0;
        for (let i = from; i < from + cols; i++) total += Math.exp(x[i] - top);
        out[0] = top + Math.log(total);
      }),
    ],
    'crossEntropy with gradient': [
      () => flash.crossEntropy(x, targets, { cols, gradient: out }),
      each((from, to) => {
        probabilities(from, to);
        out[from + targets[from / cols]] -= 1;
      }),
    ],
    softmaxBackward: [
      () => flash.softmaxBackward(y, x, { cols, out }),
      each((from, to) => {
        let total = 0;
        for (let i = from; i < to; i++) total += y[i] * x[i];
        for (let i = from; i < to; i++) out[i] = y[i] * (x[i] - total);
      }),
    ],
    stableMax: [
      () => flash.stableMax(x, { cols, out }),
      each((from, to) => {
        let total = 0;
        for (let i = from; i < to; i++) total += out[i] = x[i] < 0 ? 1 / (1 - x[i]) : x[i] + 1;
        for (let i = from; i < to; i++) out[i] /= total;
      }),
    ],
    expSum: [() => flash.expSum(x, { cols }), each((from) => sum(from, largest(from)))],
    normalize: [() => flash.normalize(x, states, { cols, out })],
    argmax: [() => argmax(x, { cols }), each(largest)],
    'topK, 50': [
      () => topK(x, 50, { cols }),
      each((from, to) => {
        const order = Uint32Array.from({ length: cols }, (_, i) => from + i);
        order.sort((a, b) => x[b] - x[a]);
        out[0] = order[49];
      }),
    ],
    'sample, usual chain': [() => sample(x, { cols, temperature: 0.8, topK: 50, topP: 0.95, minP: 0.05, seed: 1 })],
    memcpy: [() => copy.set(x)],
  };
}

oneThread();
for (const [rows, cols] of [
  [4096, 10],
  [1000, 1000],
  [8, 128_256],
]) {
  console.log(`\n${rows} × ${cols}, nanoseconds an element`);
  const tasks = work(rows, cols);
  const named = {};
  for (const [name, [ours, loop]] of Object.entries(tasks)) {
    named[name] = ours;
    if (loop) named[`${name}, a loop`] = loop;
  }
  const times = await turns(named, { rounds: 9 });
  const ns = (name) => (times[name] ? (times[name].median * 1e6) / (rows * cols) : '');
  table(
    ['', 'here', 'a loop', 'loop / here', 'here / memcpy'],
    Object.keys(tasks).map((name) => {
      const [here, loop] = [ns(name), ns(`${name}, a loop`)];
      return [name, here, loop, loop === '' ? '' : loop / here, here / ns('memcpy')];
    }),
  );
}
