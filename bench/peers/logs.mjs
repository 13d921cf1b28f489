// Times the logarithmic operators beside onnxruntime-node, tfjs-wasm and a loop, many rows a call and one:
//
//     node bench/peers/logs.mjs [--threads 1] [--rounds 25] [--elements 1000000]
//
// Needs `npm run compile`, and `npm ci` in this folder. A case has as many rows as make up `elements` numbers, or one.
// Every result is compared with doubles before it is timed. Of the peers' losses the mean is timed, as ours.
import { createRequire } from 'node:module';
import os from 'node:os';
import { parseArgs } from 'node:util';
import { measureCase, timed, WRONG } from './measure.mjs';
import { operatorModel } from './onnx-model.mjs';
import { flashSoftmax, tfjsWasm } from './peers.mjs';
import { table } from './table.mjs';

const require = createRequire(import.meta.url);
const { InferenceSession, Tensor } = require('onnxruntime-node');
const { values } = parseArgs({
  options: {
    threads: { type: 'string', default: '1' },
    rounds: { type: 'string', default: '25' },
    elements: { type: 'string', default: '1000000' },
  },
});
const [threads, rounds, elements] = [values.threads, values.rounds, values.elements].map(Number);
const [FLOAT, INT64] = [1, 7];
const COLS = [4, 10, 32, 64, 100, 128, 256, 512, 1000, 4096];

const targetsOf = (rows, cols) => Int32Array.from({ length: rows }, (_, row) => (row * 7919) % cols);

/** Each row's largest logit, and how much the logarithm of its sum lies above, which keeps its digits near 0. */
function exactSums(x, cols) {
  return Array.from({ length: x.length / cols }, (_, row) => {
    const logits = [...x.subarray(row * cols, (row + 1) * cols)].sort((a, b) => b - a);
    const max = logits[0];
    const others = logits.slice(1).reduceRight((sum, value) => sum + Math.exp(value - max), 0);
    return { max, above: Math.log1p(others) };
  });
}

/** The loop that a person would write: calls `write` with the row's start and the logarithm of its sum. */
function eachSum(x, cols, write) {
  for (let start = 0; start < x.length; start += cols) {
    let max = -Infinity;
    for (let i = start; i < start + cols; i++) if (x[i] > max) max = x[i];
    let sum = 0;
    for (let i = start; i < start + cols; i++) sum += Math.exp(x[i] - max);
    write(start, max + Math.log(sum));
  }
}

async function onnxruntime(name, inputs, outputs, feedsOf, resultOf = (y) => y) {
  const model = (rows, cols) => operatorModel(name, {}, inputs(rows, cols), outputs(rows, cols), 18);
  return {
    name: 'onnxruntime-node',
    version: require('./node_modules/onnxruntime-node/package.json').version,
    isAsync: true,
    prepare(x, rows, cols) {
      const started = InferenceSession.create(model(rows, cols), { intraOpNumThreads: threads, interOpNumThreads: 1 });
      const feeds = { x: new Tensor('float32', x, [rows, cols]), ...feedsOf(rows, cols) };
      let session;
      return async () => {
        session ??= await started;
        const { y } = await session.run(feeds);
        return resultOf(y.data);
      };
    },
  };
}

const logits = (rows, cols) => ['x', FLOAT, [rows, cols]];
const [ours] = (await flashSoftmax(threads)).filter(({ isSelected }) => isSelected);
if (ours === undefined) process.exit(1);
const { logSoftmax, logSumExp, crossEntropy } = ours.library;
await tfjsWasm(threads);
const tf = require('@tensorflow/tfjs-core');

/** tfjs on plain arrays, whose result is read. */
const tfjs = (compute) => ({
  name: 'tfjs-wasm',
  prepare: (x, rows, cols) => () => {
    const input = tf.tensor2d(x, [rows, cols]);
    const output = compute(input);
    const result = output.dataSync();
    input.dispose();
    output.dispose();
    return result;
  },
});

const OPERATORS = {
  logSoftmax: {
    exactOf(x, cols) {
      const sums = exactSums(x, cols);
      return Float64Array.from(
        x,
        (value, i) => value - sums[Math.floor(i / cols)].max - sums[Math.floor(i / cols)].above,
      );
    },
    peers: [
      {
        ...ours,
        prepare(x, rows, cols) {
          const out = new Float32Array(x.length);
          return () => logSoftmax(x, { cols, out });
        },
      },
      await onnxruntime(
        'LogSoftmax',
        (rows, cols) => [logits(rows, cols)],
        (rows, cols) => [['y', FLOAT, [rows, cols]]],
        () => ({}),
      ),
      tfjs((input) => tf.logSoftmax(input)),
      {
        name: 'a loop',
        prepare(x, rows, cols) {
          const out = new Float32Array(x.length);
          const write = (start, log) => {
            for (let i = start; i < start + cols; i++) out[i] = x[i] - log;
          };
          return () => (eachSum(x, cols, write), out);
        },
      },
    ],
  },
  logSumExp: {
    exactOf: (x, cols) => Float64Array.from(exactSums(x, cols), ({ max, above }) => max + above),
    peers: [
      { ...ours, prepare: (x, rows, cols) => () => logSumExp(x, { cols }) },
      await onnxruntime(
        'ReduceLogSumExp',
        (rows, cols) => [logits(rows, cols), ['axes', INT64, [1]]],
        (rows) => [['y', FLOAT, [rows, 1]]],
        () => ({ axes: new Tensor('int64', BigInt64Array.of(1n), [1]) }),
      ),
      tfjs((input) => tf.logSumExp(input, 1)),
      {
        name: 'a loop',
        prepare: (x, rows, cols) => () => {
          const out = new Float64Array(rows);
          eachSum(x, cols, (start, log) => (out[start / cols] = log));
          return out;
        },
      },
    ],
  },
  crossEntropy: {
    exactOf(x, cols) {
      const sums = exactSums(x, cols);
      const targets = targetsOf(sums.length, cols);
      const losses = sums.map(({ max, above }, row) => max - x[row * cols + targets[row]] + above);
      return Float64Array.of(losses.reduce((sum, loss) => sum + loss, 0) / sums.length);
    },
    peers: [
      {
        ...ours,
        prepare(x, rows, cols) {
          const targets = targetsOf(rows, cols);
          return () => [crossEntropy(x, targets, { cols, reduction: 'mean' })];
        },
      },
      await onnxruntime(
        'SoftmaxCrossEntropyLoss',
        (rows, cols) => [logits(rows, cols), ['targets', INT64, [rows]]],
        () => [['y', FLOAT, []]],
        (rows, cols) => ({
          targets: new Tensor('int64', BigInt64Array.from(targetsOf(rows, cols), BigInt), [rows]),
        }),
      ),
      {
        name: 'a loop',
        prepare(x, rows, cols) {
          const targets = targetsOf(rows, cols);
          return () => {
            let total = 0;
            eachSum(x, cols, (start, log) => (total += log - x[start + targets[start / cols]]));
            return [total / rows];
          };
        },
      },
    ],
  },
};

const report = { peers: [{ name: ours.name, isSelected: true }] };
const memory = { ...ours, name: 'memcpy', isCopy: true };
memory.prepare = (x) => {
  const out = new Float32Array(x.length);
  return () => out.set(x);
};
console.log(
  `${os.cpus()[0].model.trim()}, Node ${process.version}, threads: ${threads}, float32 logits N(0, 8), medians`,
);
for (const [name, { exactOf, peers }] of Object.entries(OPERATORS)) {
  for (const cols of COLS) {
    for (const rows of new Set([1, Math.max(1, Math.floor(elements / cols))])) {
      const size = { rows, cols, deviation: 8, rounds };
      const isWrong = ({ absolute }) => !(absolute < WRONG); // near a logarithm of 0 any relative error is possible
      const measured = await measureCase([memory, ...peers].map(timed), { ...size, exactOf, isWrong });
      console.log(`\n${name}, ${table(measured, report)}`);
    }
  }
}
