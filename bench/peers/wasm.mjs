// Times the WebAssembly backend beside other WebAssembly and a loop of JavaScript: node bench/peers/wasm.mjs. Arrays
// of `allocate` stand beside a tensor that lives in tfjs's memory; plain arrays beside tensors that are made of them,
// whose results are read. Needs relaxed SIMD (Node 22 and later), and the peers (`npm ci` in this folder).
import { createRequire } from 'node:module';
import os from 'node:os';
import { measureCase, timed } from './measure.mjs';
import { flashSoftmax, mathExp, memcpy, onnxruntimeWeb, tfjsWasm } from './peers.mjs';
import { duration } from './table.mjs';

const require = createRequire(import.meta.url);
const COLS = [10, 64, 1000, 32_768, 128_256, 2 ** 20];
const ROUNDS = 101;

const [ours] = (await flashSoftmax(1)).filter(({ backend }) => backend === 'wasm');
if (ours === undefined) throw new Error('WebAssembly does not run here, or dist/ is not built');

/** The same library, on arrays in WebAssembly's memory. */
const inPlace = {
  ...ours,
  name: `${ours.name}, allocate`,
  prepare(x, rows, cols) {
    const { allocate, softmax } = ours.library;
    const logits = allocate('float32', x.length);
    const out = allocate('float32', x.length);
    logits.set(x);
    return () => softmax(logits, { cols, out });
  },
};

const tfjs = await tfjsWasm(1);

/** tfjs on a tensor that lives in its memory. The result is read once, to check it, and not in what is timed. */
const tfjsKept = {
  ...tfjs,
  name: `${tfjs.name}, kept tensor`,
  prepare(x, rows, cols) {
    const tf = require('@tensorflow/tfjs-core');
    const input = tf.tensor2d(x, [rows, cols]);
    let result;
    return () => {
      const output = tf.softmax(input);
      result ??= output.dataSync();
      output.dispose();
      return result;
    };
  },
};

const peers = [memcpy, inPlace, ours, tfjsKept, tfjs, await onnxruntimeWeb(1), mathExp];
console.log(`${os.cpus()[0].model.trim()}, Node ${process.version}, one thread, float32 logits N(0, 8), medians`);
for (const { name, version } of peers) console.log(`${name}: ${version}`);
for (const cols of COLS) {
  const { results } = await measureCase(peers.map(timed), { rows: 1, cols, deviation: 8, rounds: ROUNDS });
  const [, first, second] = results;
  console.log(`\n${cols} logits`);
  for (const { name, seconds, low } of results) {
    const ratios = [first, second].map((each) => (seconds / each.seconds).toFixed(2)).join(', ');
    console.log(`  ${name}: ${duration(seconds)} (10 %: ${duration(low)}), to ours ${ratios}`);
  }
}
