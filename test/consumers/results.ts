// Results go where only arrays on an ArrayBuffer may: `new Blob`, `new Response`, WebCrypto. This is compiled under
// TypeScript 5.4, whose arrays are not generic, and under the newest, and run as an ES module and as CommonJS.
import * as root from 'flash-softmax';
import { attention, AttentionPartial, attentionPartial, decodeAttention, KVCache } from 'flash-softmax/attention';
import { alibiSlopes, mergeAttentionPartials } from 'flash-softmax/attention';
import * as later from 'flash-softmax/promises';
import * as sampling from 'flash-softmax/sampling';

const x = Float32Array.of(1, 2, 3, 4);
const doubles = Float64Array.of(1, 2, 3, 4);
const halves = Uint16Array.of(0, 1, 2, 3);
const dtype = { dtype: 'float16' } as const;
const state = root.expSum(x);
const { normalize, softmax, softmaxBackward } = root;
const accumulator = new root.ExpSumAccumulator().add(x);

new Blob([softmax(x), softmax(doubles, { cols: 2 }), softmax(halves, dtype)]);
new Response(softmax(x, { temperature: 2 }));
crypto.subtle.digest('SHA-256', softmax(x)).then(({ byteLength }) => byteLength);

const results: BufferSource[] = [
  softmax(x),
  softmax(doubles),
  softmax(halves, dtype),
  softmax(halves, { ...dtype, out: new Float32Array(4) }),
  root.logSoftmax(x),
  root.logSoftmax(doubles),
  root.logSoftmax(halves, dtype),
  softmaxBackward(x, x),
  softmaxBackward(doubles, doubles),
  softmaxBackward(halves, halves, dtype),
  root.logSumExp(x),
  root.logSumExp(state),
  root.logSumExp(x, { out: new Float64Array(1) }),
  root.crossEntropy(x, [1]),
  root.crossEntropy(halves, [1], { ...dtype, gradient: halves.slice() }),
  state.mantissa,
  state.exponent,
  root.expSum(x, { unifiedMax: 1 }).raised!,
  root.mergeExpSums(state, state).mantissa,
  root.logSumExpOfState(state),
  normalize(x, state),
  normalize(doubles, state),
  normalize(halves, state, dtype),
  accumulator.normalize(x),
  accumulator.normalize(x, new Float32Array(4)),
  accumulator.normalize(doubles),
  accumulator.normalize(halves, undefined, dtype),
  accumulator.normalize(halves, new Float32Array(4), dtype),
  accumulator.state.mantissa,
  accumulator.state.exponent,
  accumulator.toBytes(),
];

const sizes = { heads: 1, headDim: 2 };
const cache = new KVCache({ kvHeads: 1, headDim: 2 });
const sequence = cache.create();
cache.append(sequence, x, x);
const withLse = attention(x, x, x, { ...sizes, lse: true });
const partial = attentionPartial(x, x, x, { ...sizes, unifiedMax: 1 });
const finished = partial.finish({ lse: new Float64Array(2), out: new Float32Array(4) });
const decoded = decodeAttention(x, cache, sequence, { queries: 2, lse: true });
const tokens = cache.read(sequence);
const exact = cache.read(sequence, 0, 1, { dtype: 'float64' });

results.push(
  attention(x, x, x, sizes),
  attention(x, x, x, { ...sizes, out: new Float32Array(4) }),
  withLse.out,
  withLse.lse,
  decodeAttention(x, cache, sequence, { queries: 2 }),
  decoded.out,
  decoded.lse,
  partial.out,
  partial.mantissa,
  partial.exponent,
  partial.raised!,
  partial.toBytes(),
  partial.finish(),
  partial.finish({ lse: true }).lse,
  finished.out,
  finished.lse,
  AttentionPartial.fromBytes(partial.toBytes()).out,
  mergeAttentionPartials(partial, partial).out,
  AttentionPartial.empty(1, 1).mantissa,
  tokens.k,
  tokens.v,
  exact.k,
  exact.v,
  alibiSlopes(2),
);

const top = sampling.topK(x, 2);
const filtered = sampling.filterLogits(halves, { ...dtype, topK: 2 });
const drawn = sampling.gumbelTopK(x, 2);
const chosen = sampling.logProbs(x, 1, { top: 2 });
const soft = sampling.softToken(x);

results.push(
  sampling.argmax(x),
  top.indices,
  top.values,
  sampling.topK(halves, 1, dtype).values,
  sampling.sample(x),
  sampling.sampleMany(x, 2),
  filtered.logits,
  filtered.probabilities,
  sampling.filterLogits(doubles).logits,
  sampling.gumbelSoftmax(x),
  sampling.gumbelSoftmax(doubles),
  sampling.gumbelMax(x),
  drawn.indices,
  drawn.values,
  chosen.logProbs,
  chosen.top.indices,
  chosen.top.logProbs,
  soft.indices,
  soft.weights,
  soft.noised,
  soft.logProbability,
  soft.counts,
  sampling.dirichletResample(x),
  sampling.dirichletResample(doubles),
  sampling.penalize(x, [1], { presencePenalty: 1 }),
  sampling.penalize(doubles, [1], { out: doubles.slice() }),
);

const { signal } = new AbortController();
const promises: Promise<BufferSource>[] = [
  later.softmax(x),
  later.softmax(doubles, { signal }),
  later.softmax(halves, dtype),
  later.softmax(halves, { ...dtype, out: new Float32Array(4) }),
  later.logSoftmax(x),
  later.logSoftmax(doubles),
  later.logSoftmax(halves, dtype),
  later.softmaxBackward(x, x),
  later.softmaxBackward(doubles, doubles),
  later.softmaxBackward(halves, halves, dtype),
  later.logSumExp(x),
  later.logSumExp(state),
  later.crossEntropy(x, [1], { signal }),
  later.expSum(x).then(({ mantissa }) => mantissa),
  later.expSum(x).then(({ exponent }) => exponent),
  later.normalize(x, state),
  later.normalize(doubles, state),
  later.normalize(halves, state, dtype),
  later.sample(x),
  later.sampleMany(x, 2),
  later.topK(x, 2).then(({ values }) => values),
  later.filterLogits(x).then(({ logits }) => logits),
  later.filterLogits(doubles).then(({ logits }) => logits),
  later.attention(x, x, x, sizes),
  later.attention(x, x, x, { ...sizes, lse: true }).then(({ lse }) => lse),
  later.decodeAttention(x, cache, sequence, { queries: 2 }),
  later.decodeAttention(x, cache, sequence, { queries: 2, lse: true }).then(({ out }) => out),
  later.attentionPartial(x, x, x, sizes).then(({ out }) => out),
  later.attentionPartial(x, cache, sequence, { queries: 2 }).then((part) => part.finish()),
];

// Options in a variable, which may have an `out` or not.
const options: root.SoftmaxOptions<Float32Array> = { temperature: 2 };
const maybe = (given?: root.SoftmaxOptions<Float32Array>): Float32Array => softmax(x, given);
const either = (logits: Float32Array | Float64Array): Float32Array | Float64Array => softmax(logits);
const usual: Float32Array[] = [softmax(x, options), maybe(), maybe({ out: x.slice() }), attention(x, x, x, sizes)];
const unknownLse = (lse: boolean) => attention(x, x, x, { ...sizes, lse });

Promise.all(promises).then(async (awaited) => {
  const all = [...results, ...awaited];
  for (const result of all) {
    const digest = await crypto.subtle.digest('SHA-256', result);
    const sent = await new Response(result).arrayBuffer();
    const isSent = digest.byteLength === 32 && sent.byteLength === new Blob([result]).size;
    if (!isSent) throw new Error('A result of another length was sent');
  }
  const others = [...usual, either(doubles)].map(({ length }) => length);
  console.log(JSON.stringify({ sent: all.length, others, unknown: unknownLse(true) instanceof Float32Array }));
});
