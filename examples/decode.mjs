// A decode loop over a KV cache: one prompt, forked into two continuations that share its pages. The "model" is one layer
// of random projections; a real model uses the cache and decodeAttention in the same way.
//
//   node examples/decode.mjs [tokens of the prompt, default 1000]
import { decodeAttention, KVCache } from 'flash-softmax/attention';

const [heads, kvHeads, headDim, vocabulary] = [8, 2, 64, 500];

// Random weights, from a generator with a seed.
let state = 1;
const random = () => {
  state = (Math.imul(state, 1664525) + 1013904223) | 0;
  return state / 2 ** 31;
};
const matrix = (rows, cols) => Array.from({ length: rows }, () => Float32Array.from({ length: cols }, random));
const times = (weights, x) => Float32Array.from(weights, (row) => row.reduce((sum, w, i) => sum + w * x[i], 0) / 8);
const width = heads * headDim;
const embedding = matrix(vocabulary, width);
const [toQuery, toKey, toValue, toLogits] = [width, kvHeads * headDim, kvHeads * headDim, vocabulary].map((rows) =>
  matrix(rows, width),
);

const cache = new KVCache({ kvHeads, headDim, dtype: 'bfloat16', maxBytes: 64 * 2 ** 20 });

/** One step: appends the token's key and value to the cache, and attends to all keys; returns the next token. */
function step(sequence, token) {
  const x = embedding[token];
  cache.append(sequence, times(toKey, x), times(toValue, x));
  const attended = decodeAttention(times(toQuery, x), cache, sequence, { heads });
  const logits = times(toLogits, attended);
  return logits.indexOf(Math.max(...logits));
}

const prompt = cache.create();
for (let i = 0; i < Number(process.argv[2] ?? 1000); i++) step(prompt, (i * 7) % vocabulary);
const shared = cache.bytes;

// Two continuations. A page is copied when one of them writes to it: the last page alone.
const continuations = [cache.fork(prompt), cache.fork(prompt)];
cache.free(prompt);
const texts = continuations.map((sequence, i) => {
  const text = [i]; // they begin with different tokens
  while (text.length < 8) text.push(step(sequence, text.at(-1)));
  return text;
});

console.log(`prompt: ${shared} bytes; prompt and two continuations: ${cache.bytes} bytes`);
texts.forEach((text, i) =>
  console.log(`continuation ${i}: ${text.join(' ')} (${cache.length(continuations[i])} tokens)`),
);

// Both at once, as in a server: a batch of sequences of any lengths.
const batch = decodeAttention(new Float32Array(2 * width).fill(0.1), cache, continuations, { heads, lse: true });
console.log(`a batch of two: ${batch.out.length} numbers, log-sum-exp of the first head ${batch.lse[0].toFixed(3)}`);

cache.truncate(continuations[0], 10); // back to an earlier token
cache.free(continuations[1]);
console.log(`after truncate and free: ${cache.bytes} bytes`);
