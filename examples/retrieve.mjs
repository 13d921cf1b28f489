// Exact retrieval: the nearest of many embeddings by cosine, without an index. Embeddings are stored as int8, 384 bytes
// each; a query is a float32 vector. The matrix of an output head is the table of embeddings.
//
//     node examples/retrieve.mjs [embeddings, 100000] [queries, 8]      1000000: 384 MB
import { OutputHead } from 'flash-softmax/head';

const DIMENSIONS = 384;
const [count = 100_000, queries = 8] = process.argv.slice(2).map(Number);

let state = 1;
/** From −1 to 1. */
const random = () => (state = (Math.imul(state, 1664525) + 1013904223) | 0) / 2 ** 31;

const weights = new Int8Array(count * DIMENSIONS);
for (let i = 0; i < weights.length; i++) weights[i] = 127 * random();
const scales = new Float32Array(count).fill(1 / 127);
const options = { rows: count, cols: DIMENSIONS, format: 'int8', scales };
const table = new OutputHead(weights, { ...options, normalize: true }); // products are cosines

// Queries near an embedding each, with noise.
const wanted = Array.from({ length: queries }, (_, q) => Math.floor((count * (q + 0.5)) / queries));
const vectors = Float32Array.from({ length: queries * DIMENSIONS }, (_, i) => {
  const row = wanted[Math.floor(i / DIMENSIONS)];
  return weights[row * DIMENSIONS + (i % DIMENSIONS)] / 127 + 0.7 * random();
});

table.topK(vectors.subarray(0, DIMENSIONS), 1); // the first call makes the threads
const begun = performance.now();
const { indices, values, k } = table.topK(vectors, 5);
const took = performance.now() - begun;

for (let q = 0; q < queries; q++) {
  const nearest = Array.from({ length: k }, (_, i) => `${indices[q * k + i]} (${values[q * k + i].toFixed(3)})`);
  console.log(`near ${wanted[q]}: ${nearest.join(', ')}`);
}
const found = wanted.filter((row, q) => indices[q * k] === row).length;
console.log(`${found} of ${queries} found`);
console.error(`${count} embeddings, ${(took / queries).toFixed(2)} ms a query`);
if (found < queries) process.exitCode = 1;
