// Times OutputHead.logits for 1, 4 and 8 states, also in bytes (`activations: 'int8'`), and what is read off the
// logits, beside reading as many bytes as the weights have (argmax of floats) and ggml (whose states are bytes),
// OpenBLAS and oneDNN where they are there (peers/head.mjs), in turns.
//
//   node bench/head.mjs [classes, default 32,000] [hidden size, default 2,048] [rounds, default 9] [formats, all]
//
// Needs `npm run compile`. One thread; milliseconds of processor time, as other jobs may share the machine.
import { OutputHead } from 'flash-softmax/head';
import { argmax } from 'flash-softmax/sampling';
import { uniform } from './numbers.mjs';
import { headPeers } from './peers/head.mjs';
import { oneThread, processorTime, table, turns } from './turns.mjs';

const [rows, cols, rounds] = [process.argv[2] ?? 32_000, process.argv[3] ?? 2048, process.argv[4] ?? 9].map(Number);
const next = uniform(12345);
const n = rows * cols;

/** Random bytes whose halves, at these places of a block, are near 0.01. */
function blocks(columns, bytes, halves) {
  const all = new Uint8Array((n / columns) * bytes);
  for (let i = 0; i < all.length; i++) all[i] = (i * 2654435761) >>> 13;
  for (let b = 0; b < all.length; b += bytes) for (const at of halves) all.set([0x1f, 0x21], b + at);
  return all;
}
const bits = (base) => Uint16Array.from({ length: n }, (_, i) => base + ((i * 40503) & 1023));
const onnx = (of) => ({ scales: new Float32Array(n / 32).fill(0.01), zeroPoints: new Uint8Array(n / of).fill(119) });

const MAKERS = {
  float32: () => [Float32Array.from({ length: n }, (_, i) => ((i * 40503) & 1023) / 1024 - 0.5)],
  float16: () => [bits(0x2000)],
  bfloat16: () => [bits(0x3c00)],
  int8: () => [new Int8Array(blocks(1, 1, []).buffer), { scales: new Float32Array(rows).fill(0.01) }],
  q8_0: () => [blocks(32, 34, [0])],
  q4_0: () => [blocks(32, 18, [0])],
  q4_K: () => [blocks(256, 144, [0, 2])],
  q6_K: () => [blocks(256, 210, [208])],
  nbits4: () => [blocks(2, 1, []), onnx(64)],
  nbits8: () => [blocks(1, 1, []), onnx(32)],
};
const formats = process.argv[5]?.split(',') ?? Object.keys(MAKERS);
const hidden = Float32Array.from({ length: 8 * cols }, () => next() - 0.5);

const peers = headPeers();
let elsewhere = 0; // milliseconds that peers have worked in their processes
const clock = () => processorTime() + elsewhere;

oneThread();
console.log(`${rows} classes × ${cols}; median ms ± half the interquartile range, and × reading\n`);
const lines = [];
const columns = ['1', '4', '8', 'sums', 'tokens', 'top 10'];
for (const format of formats) {
  const [weights, options] = MAKERS[format]();
  const head = new OutputHead(weights, { rows, cols, format, ...options });
  const asFloats = new Float32Array(Math.ceil(weights.byteLength / 4));
  const out = new Float32Array(8 * rows);
  const states = (m) => () => head.logits(hidden.subarray(0, m * cols), { out: out.subarray(0, m * rows) });
  const tasks = { reading: () => argmax(asFloats), 1: states(1), 4: states(4), 8: states(8) };
  tasks.sums = () => head.expSum(hidden);
  tasks.tokens = () => head.sample(hidden, { seed: 1 });
  tasks['top 10'] = () => head.topK(hidden, 10);
  const others = [];
  if (!format.includes('float')) {
    const inBytes = new OutputHead(weights, { rows, cols, format, ...options, activations: 'int8' });
    others.push('bytes');
    for (const m of [1, 4, 8]) {
      const some = hidden.subarray(0, m * cols);
      tasks[`bytes ${m}`] = () => inBytes.logits(some, { out: out.subarray(0, m * rows) });
    }
  }
  for (const peer of peers) {
    if (!(await peer.has(format, rows, cols))) continue;
    others.push(peer.name);
    for (const m of [1, 4, 8]) tasks[`${peer.name} ${m}`] = async () => (elsewhere += await peer.time(m));
  }
  const times = await turns(tasks, { rounds, clock });
  const cell = (name) => {
    const { median, spread } = times[name] ?? {};
    const ratio = (median / times.reading.median).toFixed(2);
    return median === undefined ? '' : `${median.toFixed(2)} ± ${spread.toFixed(2)} (${ratio})`;
  };
  lines.push([format, times.reading.median, ...columns.map(cell)]);
  for (const name of others) lines.push([`${format}, ${name}`, '', ...columns.map((each) => cell(`${name} ${each}`))]);
}
for (const peer of peers) peer.close();
table(['weights', 'reading', 'M = 1', 'M = 4', 'M = 8', 'expSum, 8', 'sample, 8', 'topK, 8'], lines);
