// Times attention beside operators of onnxruntime-node, in one process and in turns:
//
//     node bench/peers/attention.mjs [--threads 1] [--rounds 15]
//
// Needs `npm run compile`, and `npm ci` in this folder. Decoding: GroupQueryAttention of com.microsoft with past and
// present in one buffer, and Attention of ONNX 23 over all keys; a prompt: MultiHeadAttention of com.microsoft, and
// Attention, causal too. Medians and half the interquartile range; every result is compared before it is timed.
//
// The yardstick of decoding is reading: a search for an absent byte through as many bytes as the cache has, the fastest
// loop over memory that JavaScript can start.
import { createRequire } from 'node:module';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { attention, decodeAttention, KVCache } from '../../dist/attention.js';
import { capabilities, setThreads } from '../../dist/index.js';
import { operatorModel } from './onnx-model.mjs';

const { InferenceSession, Tensor } = createRequire(import.meta.url)('onnxruntime-node');
const { values } = parseArgs({
  options: { threads: { type: 'string', default: '1' }, rounds: { type: 'string', default: '15' } },
});
const [threads, rounds] = [Number(values.threads), Number(values.rounds)];
setThreads(threads);
// onnxruntime's threads look for work for some 50 ms after a call, on the cores that the next call needs.
const pause = threads > 1 ? 100 : 5;
const session = (...model) =>
  InferenceSession.create(operatorModel(...model), { intraOpNumThreads: threads, interOpNumThreads: 1 });

const [FLOAT, INT32] = [1, 6];
const numbers = (n) => Float32Array.from({ length: n }, () => 2 * Math.random() - 1);
const tensor = (data, dims) => new Tensor(data instanceof Int32Array ? 'int32' : 'float32', data, dims);
const largestError = (a, b) => a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i])), 0);

/** The median milliseconds of each call, in turns, and half the interquartile range of each. */
async function medians(calls) {
  const times = Object.fromEntries(Object.keys(calls).map((name) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const [name, call] of Object.entries(calls)) {
      await new Promise((resolve) => setTimeout(resolve, pause)); // the next call begins on an idle processor
      const start = performance.now();
      await call();
      times[name].push(performance.now() - start);
    }
  }
  const at = (all, part) => all[Math.floor(part * (all.length - 1))];
  const spread = {};
  for (const [name, all] of Object.entries(times)) {
    all.sort((a, b) => a - b);
    spread[name] = (at(all, 0.75) - at(all, 0.25)) / 2;
    times[name] = at(all, 0.5);
  }
  return { times, spread };
}

const cell = ({ times, spread }, name) => `${times[name].toFixed(2)} ± ${spread[name].toFixed(2)}`;

const software = `flash-softmax ${capabilities().backend}, Node ${process.versions.node}`;
console.log(`${cpus()[0].model.trim()}, ${software}, threads: ${threads}; milliseconds, medians of ${rounds}`);

for (const keys of [8192, 32768]) {
  const [heads, kvHeads, dim] = [32, 8, 128];
  const past = [1, kvHeads, keys, dim];
  const one = (h) => [1, 1, h * dim];
  const inputs = [
    ['q', FLOAT, one(heads)],
    ['k', FLOAT, one(kvHeads)],
    ['v', FLOAT, one(kvHeads)],
    ['pastK', FLOAT, past],
    ['pastV', FLOAT, past],
    ['length', INT32, [1]],
    ['total', INT32, []],
  ];
  const peer = await session('GroupQueryAttention', { num_heads: heads, kv_num_heads: kvHeads }, inputs, [
    ['y', FLOAT, one(heads)],
    ['newK', FLOAT, past],
    ['newV', FLOAT, past],
  ]);
  const [q, k, v, pastK, pastV, y] = [heads, kvHeads, kvHeads, kvHeads * keys, kvHeads * keys, heads].map((h) =>
    numbers(h * dim),
  );
  const feeds = {
    q: tensor(q, one(heads)),
    k: tensor(k, one(kvHeads)),
    v: tensor(v, one(kvHeads)),
    pastK: tensor(pastK, past),
    pastV: tensor(pastV, past),
    length: tensor(Int32Array.of(keys - 1), [1]),
    total: tensor(Int32Array.of(keys), []),
  };
  // nothing is copied
  const fetches = { y: tensor(y, one(heads)), newK: tensor(pastK, past), newV: tensor(pastV, past) };
  await peer.run(feeds, fetches); // writes the last token into the past

  const out = new Float32Array(heads * dim);
  const onnx = await session(
    'Attention',
    {},
    [
      ['q', FLOAT, [1, heads, 1, dim]],
      ['k', FLOAT, past],
      ['v', FLOAT, past],
    ],
    [['y', FLOAT, [1, heads, 1, dim]]],
    23,
  );
  const onnxFeeds = { q: tensor(q, [1, heads, 1, dim]), k: tensor(pastK, past), v: tensor(pastV, past) };
  const onnxY = new Float32Array(heads * dim);
  const onnxFetches = { y: tensor(onnxY, [1, heads, 1, dim]) };
  await onnx.run(onnxFeeds, onnxFetches);
  if (!(largestError(onnxY, y) < 1e-5)) throw new Error(`Attention: off by ${largestError(onnxY, y)}`);
  const calls = {
    GroupQueryAttention: () => peer.run(feeds, fetches),
    Attention: () => onnx.run(onnxFeeds, onnxFetches),
  };
  const bytes = {};
  for (const dtype of ['float32', 'float16', 'bfloat16', 'int8']) {
    const cache = new KVCache({ kvHeads, headDim: dim, dtype });
    const sequence = cache.create();
    cache.append(sequence, pastK, pastV, { layout: 'hsd' });
    decodeAttention(q, cache, sequence, { out });
    if (!(largestError(out, y) < 2e-3)) throw new Error(`${dtype}: off by ${largestError(out, y)}`);
    calls[dtype] = () => decodeAttention(q, cache, sequence, { out });
    const memory = Buffer.alloc(cache.bytes, 1);
    calls[`read ${dtype}`] = () => memory.indexOf(2);
    bytes[dtype] = cache.bytes;
  }
  const measured = await medians(calls);
  const { times } = measured;
  console.log(`\ndecode, ${heads} heads, ${kvHeads} of keys and values, ${dim} numbers, ${keys} keys`);
  console.log(`  onnxruntime-node GroupQueryAttention, float32: ${cell(measured, 'GroupQueryAttention')}`);
  console.log(`  onnxruntime-node Attention (ONNX 23), float32: ${cell(measured, 'Attention')}`);
  for (const dtype of Object.keys(bytes)) {
    const [ours, read] = [times[dtype], times[`read ${dtype}`]];
    const speed = `${(bytes[dtype] / ours / 1e6).toFixed(1)} GB/s, ${((100 * read) / ours).toFixed(0)} % of reading`;
    const ratios = [times.GroupQueryAttention, times.Attention].map((time) => (time / ours).toFixed(1)).join(' and ');
    console.log(`  ${dtype.padEnd(8)} ${cell(measured, dtype)}, ${speed}, ${ratios} × as fast as onnxruntime-node`);
  }
}

for (const [heads, dim, queries] of [
  [32, 128, 512],
  [12, 64, 512],
  [12, 64, 128],
]) {
  const dims = [1, queries, heads * dim];
  const peer = await session(
    'MultiHeadAttention',
    { num_heads: heads },
    ['q', 'k', 'v'].map((name) => [name, FLOAT, dims]),
    [['y', FLOAT, dims]],
  );
  const [q, k, v, y] = Array.from({ length: 4 }, () => numbers(heads * queries * dim));
  const feeds = { q: tensor(q, dims), k: tensor(k, dims), v: tensor(v, dims) };
  const fetches = { y: tensor(y, dims) };
  const out = new Float32Array(y.length);
  const ours = (causal) => () => attention(q, k, v, { heads, headDim: dim, layout: 'bshd', causal, out });
  await peer.run(feeds, fetches);
  ours(false)();
  if (!(largestError(out, y) < 1e-5)) throw new Error(`off by ${largestError(out, y)}`);
  const [attend, attendCausal] = await Promise.all([0, 1].map((is_causal) => onnxAttention(is_causal, heads, dims)));
  await attend(feeds, fetches);
  if (!(largestError(out, y) < 1e-5)) throw new Error(`Attention: off by ${largestError(out, y)}`);
  await attendCausal(feeds, fetches);
  ours(true)();
  if (!(largestError(out, y) < 1e-5)) throw new Error(`Attention, causal: off by ${largestError(out, y)}`);
  const measured = await medians({
    MultiHeadAttention: () => peer.run(feeds, fetches),
    Attention: () => attend(feeds, fetches),
    'Attention, causal': () => attendCausal(feeds, fetches),
    all: ours(false),
    causal: ours(true),
  });
  const { times } = measured;
  console.log(`\nprompt, ${heads} heads of ${dim} numbers, ${queries} queries and keys`);
  for (const [name, by] of [
    ['MultiHeadAttention', 'all'],
    ['Attention', 'all'],
    ['Attention, causal', 'causal'],
  ]) {
    const ratio = `${(times[name] / times[by]).toFixed(2)} × as fast`;
    console.log(`  onnxruntime-node ${name} ${cell(measured, name)}; flash-softmax ${cell(measured, by)}, ${ratio}`);
  }
}

/** Attention of ONNX 23 over [batch, positions, heads · dim]. */
async function onnxAttention(is_causal, heads, dims) {
  const inputs = ['q', 'k', 'v'].map((name) => [name, FLOAT, dims]);
  const attributes = { is_causal, q_num_heads: heads, kv_num_heads: heads };
  const peer = await session('Attention', attributes, inputs, [['y', FLOAT, dims]], 23);
  return (feeds, fetches) => peer.run(feeds, fetches);
}
