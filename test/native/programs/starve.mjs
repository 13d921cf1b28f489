// Fails memory (by starve.cc, preloaded) while the addon loads, and then each allocation of every operator's calls,
// alone and with all later ones, sync and as a promise. A call gives its usual results, or an error with a code and its
// output as it was. Prints as JSON the kernels that lacked memory, and every fault.
//
//     node --expose-gc starve.mjs ADDON DIST
import { createRequire } from 'node:module';
import { isDeepStrictEqual } from 'node:util';

const [, , addon, dist] = process.argv;
const require = createRequire(import.meta.url);
const CODE = 'ERR_MEMORY_ALLOCATION_FAILED';
const kernels = { sync: new Set(), promise: new Set() };
const wrong = [];
let failed = 0;

const starve = (n) => {
  process.env.STARVE = String(n);
};
const asked = () => Number(process.env.STARVE_ASKED);
const kept = () => Number(process.env.STARVE_KEPT);

/** Repeats a call until each of its allocations has failed. `use` gets the error or the value of each try. */
async function eachAllocation(call, use) {
  for (const more of ['', '+']) {
    for (let n = 1; ; n += n < 8 ? 1 : n >> 1) {
      let error, value;
      starve(`${n}${more}`);
      try {
        value = call();
        if (value instanceof Promise) value = await value;
      } catch (thrown) {
        error = thrown;
      }
      const count = asked();
      starve('');
      if (error !== undefined && error.code !== CODE) throw error;
      await use(error, value);
      if (count < n) break;
      failed++;
    }
  }
}

await eachAllocation(
  () => {
    delete require.cache[require.resolve(addon)];
    return require(addon);
  },
  () => {},
);
const loads = failed;

const names = ['index', 'attention', 'losses', 'detection', 'head', 'routing', 'sampling'];
const entries = await Promise.all(names.map((entry) => import(`${dist}${entry}.js`)));
const sync = Object.assign({}, ...entries);
const { expSum, KVCache, route, Sampler, setThreads, softmax } = sync;
sync.next = (logits, options) => new Sampler(options).next(logits);
const promises = { ...(await import(`${dist}promises.js`)) };
const headSizes = { rows: 3000, cols: 64 };
for (const api of [sync, promises]) {
  const Head = api.OutputHead;
  api.headLogits = (hidden, weights, options) => new Head(weights, headSizes).logits(hidden, options);
  api.integerLogits = (hidden, weights, options) =>
    new Head(weights, { ...headSizes, format: 'int8', activations: 'int8' }).logits(hidden, options);
  api.headLoss = (hidden, weights, options) => new Head(weights, headSizes).crossEntropy(hidden, [1, 2], options);
}

const [cols, length] = [2 ** 18 + 3, 2 * (2 ** 18 + 3)];
const types = [[Float32Array], [Float64Array], [Uint16Array, 'float16'], [Uint16Array, 'bfloat16']];
/** Small numbers of the type; bits of such numbers for a half type. */
function numbers(Kind, n) {
  const isHalf = Kind === Uint16Array;
  return Kind.from({ length: n }, (_, i) => (isHalf ? 0x3000 + ((i * 7919) % 1021) : ((i * 7919) % 1021) / 100));
}

/** An operator, its arguments, and a function that makes its options with new outputs in them. */
const calls = [];
for (const [Kind, dtype] of types) {
  const options = { cols, ...(dtype && { dtype }) };
  const x = numbers(Kind, length);
  const state = expSum(x, options);
  for (const Out of Kind === Uint16Array ? [Uint16Array, Float32Array] : [Kind]) {
    const out = () => ({ ...options, out: new Out(length).fill(7) });
    calls.push(['softmax', [x], out], ['logSoftmax', [x], out]);
    calls.push(['softmaxBackward', [x, x], out], ['normalize', [x, state], out]);
    calls.push(['stableMax', [x], out], ['logStableMax', [x], out]);
  }
  calls.push(['softmax', [x], () => ({ ...options, out: new Kind(length), bias: x })]);
  calls.push(['crossEntropy', [x, [3, 4]], () => ({ ...options, gradient: new Kind(length).fill(7) })]);
  calls.push(['logSumExp', [x], () => ({ ...options, out: new Float64Array(2).fill(7) })]);
  calls.push(['expSum', [x], () => options]);
  const logits = x.slice(0, 40_000);
  const rows = { ...options, cols: 20_000 };
  for (const Out of Kind === Uint16Array ? [Uint16Array, Float32Array] : [Kind]) {
    const out = () => ({ ...rows, out: new Out(40_000).fill(7) });
    calls.push(['taylorSoftmax', [logits], out], ['softTopKBackward', [logits, logits], out]);
    calls.push(['softTopK', [logits, 5], out]);
  }
  const slopes = () => ({ ...rows, gradient: new Kind(40_000).fill(7) });
  calls.push(['stableMaxCrossEntropy', [x, [3, 4]], () => ({ ...options, gradient: new Kind(length).fill(7) })]);
  calls.push(['zLoss', [logits, [3, 4]], slopes], ['focalLoss', [logits, [3, 4]], slopes]);
  calls.push(['safeStepRadius', [logits], () => ({ ...rows, out: new Float64Array(2).fill(7) })]);
  if (Kind !== Float64Array) {
    const routing = { experts: 100, k: 4, ...(dtype && { dtype }) };
    const routes = route(logits, routing);
    calls.push(['route', [logits], () => routing]);
    calls.push(['loadBalanceLoss', [routes, logits], () => ({ ...routing, gradient: new Kind(40_000).fill(7) })]);
    calls.push(['routeBackward', [routes, routes.weights, logits], () => routing]);
  }
  calls.push(['topK', [logits, 5], () => rows], ['argmax', [logits], () => rows]);
  calls.push(['filterLogits', [logits], () => ({ ...rows, topP: 0.5 })]);
  calls.push(['sample', [logits], () => ({ ...rows, seed: 1, topP: 0.9 })]);
  calls.push(['sample', [logits], () => ({ ...rows, seed: 1, epsilonCutoff: 1e-6 })]);
  calls.push(['sample', [logits], () => ({ ...rows, seed: 1, topNSigma: 1 })]);
}
for (const [Kind, more] of [
  [Float32Array, { topK: 50 }],
  [Float64Array, { topP: 0.9 }],
]) {
  const logits = numbers(Kind, 40_000);
  calls.push(['next', [logits], () => ({ repetitionPenalty: 1.1, seed: 1, ...more })]);
}
const boxes = Float32Array.from({ length: 400 }, (_, i) => (i % 4 > 1 ? 50 : 0) + ((i * 7919) % 101));
calls.push(['softNMS', [boxes, numbers(Float32Array, 100)], () => ({})]);
calls.push(['iouMatrix', [boxes, boxes], () => ({})]);
calls.push(['decodeYolo', [numbers(Float32Array, 600)], () => ({ classes: 2, layout: 'boxes-first' })]);
const [hidden, weights] = [numbers(Float32Array, 128), numbers(Float32Array, 192_000)];
calls.push(['headLogits', [hidden, weights], () => ({ out: new Float32Array(6000).fill(7) })]);
const bytes = new Int8Array(192_000).fill(3);
calls.push(['integerLogits', [hidden, bytes], () => ({ out: new Float32Array(6000).fill(7) })]);
calls.push(['headLoss', [hidden, weights], () => ({ gradient: 'both' })]);
const [heads, kvHeads, headDim, tokens] = [4, 2, 64, 3000];
const q = numbers(Float32Array, heads * headDim);
const [k, v] = [1, 2].map(() => numbers(Float32Array, kvHeads * headDim * tokens));
const results = () => ({ out: new Float32Array(q.length).fill(7), lse: new Float64Array(heads).fill(7) });
calls.push(['attention', [q, k, v], () => ({ heads, kvHeads, headDim, ...results() })]);
calls.push(['attentionPartial', [q, k, v], () => ({ heads, kvHeads, headDim })]);
const halves = [q, k, v].map((x) => new Uint16Array(x.length).fill(0x3c00));
for (const dtype of ['float16', 'bfloat16'])
  for (const accumulate of ['float32', 'float64'])
    for (const Out of [Uint16Array, Float32Array]) {
      const typed = { heads, kvHeads, headDim, dtype, accumulate };
      calls.push(['attention', halves, () => ({ ...typed, out: new Out(q.length).fill(7) })]);
    }
const doubles = [q, k, v].map((x) => Float64Array.from(x));
calls.push(['attention', doubles, () => ({ heads, kvHeads, headDim, out: new Float64Array(q.length).fill(7) })]);
calls.push(['attention', [q, k, v], () => ({ heads, kvHeads, headDim, accumulate: 'float64', ...results() })]);
const backward = { heads, kvHeads, headDim, ...sync.attention(q, k, v, { heads, kvHeads, headDim, lse: true }) };
const gradients = () => ({ ...backward, dq: new Float32Array(q.length).fill(7), dk: new Float32Array(k.length) });
calls.push(['attentionBackward', [q, k, v, q], gradients]);
const ofAll = () => ({ heads, kvHeads, headDim, out: new Float32Array(q.length).fill(7) });
calls.push(['magnitudeAwareAttention', [q, k, v], ofAll], ['injectiveLinearAttention', [q, k, v], ofAll]);
for (const dtype of ['float32', 'float16', 'bfloat16', 'int8']) {
  const cache = new KVCache({ kvHeads, headDim, dtype });
  const sequence = cache.create();
  cache.append(sequence, k, v);
  calls.push(['decodeAttention', [q, cache, sequence], results]);
}

// By now the memory that is kept for the next call is there, and garbage of the failed loads is gone.
setThreads(3);
softmax(numbers(Float32Array, length));
setThreads(1);
softmax(numbers(Float32Array, length));
for (let i = 0; i < 3; i++) {
  globalThis.gc();
  await new Promise((resolve) => setTimeout(resolve, 10));
}
const before = kept();
for (const threads of [1, 3]) {
  for (const [operator, args, optionsOf] of calls) {
    for (const [how, table] of Object.entries({ sync, promise: promises })) {
      if (!(operator in table)) continue;
      const call = (options) => table[operator](...args, options);
      const what = `${how} ${operator} of ${args[0].constructor.name} on ${threads} threads`;
      setThreads(threads);
      const usual = optionsOf();
      const expected = await call(usual);
      const untouched = optionsOf();
      let options;
      await eachAllocation(
        () => {
          setThreads(threads);
          return call((options = optionsOf()));
        },
        (error, value) => {
          const name = /^Expected \d+ bytes of memory for (\w+|a job) but received none$/.exec(error?.message)?.[1];
          if (error && !name) wrong.push(`${what}: ${error.message}`);
          if (name && name !== 'a job') kernels[how].add(name);
          const isRight = isDeepStrictEqual(options, error ? untouched : usual);
          if (!isRight) wrong.push(`${what}: ${error ? 'wrote' : 'has another output'}`);
          if (!error && !isDeepStrictEqual(value, expected)) wrong.push(`${what}: has another result`);
        },
      );
      const isSame = isDeepStrictEqual(await call(optionsOf()), expected);
      if (!isSame) wrong.push(`${what}: the call after it has another result`);
    }
  }
}
setThreads(1);
softmax(numbers(Float32Array, length)); // ends the helpers
const found = { sync: [...kernels.sync].sort(), promise: [...kernels.promise].sort() };
console.log(JSON.stringify({ loads, failed, kept: kept() - before, ...found, wrong: [...new Set(wrong)] }));
