// Times LinearAttentionState, magnitudeAwareAttention and injectiveLinearAttention beside plain loops in JavaScript,
// and TensorFlow.js if it is there, in turns; and a query of one token beside reading its state.
//
//   node bench/linear-attention.mjs [rounds, default 9] [folder with node_modules/@tensorflow, default bench/peers]
//
// Needs `npm run compile`. Numbers uniform in −1 … 1. Median and best of the rounds.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { argmax } from 'flash-softmax/sampling';
import { injectiveLinearAttention, LinearAttentionState, magnitudeAwareAttention } from 'flash-softmax/attention';
import { uniform } from './numbers.mjs';
import { oneThread, show, turns } from './turns.mjs';

const rounds = Number(process.argv[2] ?? 9);
const peers = path.resolve(process.argv[3] ?? new URL('peers', import.meta.url).pathname);

const next = uniform(12345);
const number = () => 2 * next() - 1;
const numbers = (n) => Float32Array.from({ length: n }, number);

const [N, d, heads] = [4096, 64, 8];
const [q, k, v] = [numbers(heads * N * d), numbers(heads * N * d), numbers(heads * N * d)];

const phi = (x) => (x > 0 ? x + 1 : Math.exp(x));

/** MALA as a program without a library has it: φ, KV and the results in loops, in double. */
function plainLoops() {
  const out = new Float32Array(heads * N * d);
  const scale = 1 / Math.sqrt(d);
  const [products, features, values, row] = [d * d, d, d, d].map((n) => new Float64Array(n));
  const weights = new Float64Array(d);
  for (let h = 0; h < heads; h++) {
    for (const sums of [products, features, values]) sums.fill(0);
    for (let n = h * N; n < (h + 1) * N; n++) {
      for (let i = 0; i < d; i++) {
        const w = phi(k[n * d + i]);
        features[i] += w;
        for (let j = 0; j < d; j++) products[i * d + j] += w * v[n * d + j];
      }
      for (let j = 0; j < d; j++) values[j] += v[n * d + j];
    }
    for (let n = h * N; n < (h + 1) * N; n++) {
      let z = 0;
      for (let i = 0; i < d; i++) {
        weights[i] = phi(q[n * d + i]);
        z += weights[i] * features[i];
      }
      z *= scale / N;
      row.fill(0);
      for (let i = 0; i < d; i++) {
        const w = weights[i];
        for (let j = 0; j < d; j++) row[j] += w * products[i * d + j];
      }
      const a = (scale / N) * (1 + 1 / (z + 1e-6));
      for (let j = 0; j < d; j++) out[n * d + j] = a * row[j] - (z * values[j]) / N;
    }
  }
  return out;
}

/** MALA in tfjs on its wasm backend, with one thread. */
async function tensorflow() {
  const entry = path.join(peers, 'node_modules/@tensorflow/tfjs-core/package.json');
  if (!existsSync(entry)) return undefined;
  const require = createRequire(path.join(peers, 'package.json'));
  const tf = require('@tensorflow/tfjs-core');
  const backend = require('@tensorflow/tfjs-backend-wasm');
  backend.setWasmPaths(`${path.join(peers, 'node_modules/@tensorflow/tfjs-backend-wasm/dist')}/`);
  backend.setThreadsCount(1);
  await tf.setBackend('wasm');
  await tf.ready();
  return () =>
    tf.tidy(() => {
      const [Q, K, V] = [q, k, v].map((x) => tf.tensor(x, [heads, N, d]));
      const [a, b] = [Q, K].map((x) => tf.add(tf.elu(x), 1));
      const scale = 1 / Math.sqrt(d);
      const z = tf.mul(tf.matMul(a, tf.mean(b, 1, true), false, true), scale);
      const kv = tf.mul(tf.matMul(b, V, true), scale / N);
      const first = tf.mul(tf.matMul(a, kv), tf.add(1, tf.div(1, tf.add(z, 1e-6))));
      return tf.sub(first, tf.mul(z, tf.mean(V, 1, true))).dataSync();
    });
}

const state = new LinearAttentionState({ kvHeads: heads, headDim: d });
const work = {
  'append of 4,096 tokens': () => state.reset().append(k, v),
  'query of 4,096 tokens': () => state.query(q),
  magnitudeAwareAttention: () => magnitudeAwareAttention(q, k, v, { heads, headDim: d }),
  injectiveLinearAttention: () => injectiveLinearAttention(q, k, v, { heads, headDim: d }),
  'plain loops (MALA)': plainLoops,
};
const wasm = await tensorflow();
if (wasm) work['tfjs wasm (MALA)'] = wasm;

oneThread();
show(`${heads} heads, ${N} tokens, d ${d}`, await turns(work, { rounds }), 'plain loops (MALA)');

// A token at a time, d 128: 8 heads have 1.06 MB of state.
const wide = 128;
const decoding = new LinearAttentionState({ kvHeads: heads, headDim: wide });
decoding.append(numbers(heads * 64 * wide), numbers(heads * 64 * wide));
const token = { q: numbers(heads * wide), k: numbers(heads * wide), v: numbers(heads * wide) };
const out = new Float32Array(heads * wide);
const numbersOfState = Float64Array.from({ length: decoding.bytes / 8 }, number);
const one = {
  'query of one token': () => decoding.query(token.q, { out }),
  'append of one token': () => decoding.append(token.k, token.v),
  'reading a state (argmax)': () => argmax(numbersOfState),
};
show(`a token, ${heads} heads, d ${wide}`, await turns(one, { rounds: 99 }), 'reading a state (argmax)');
