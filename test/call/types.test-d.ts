/** What TypeScript makes of calls of the package's functions: the types of results, and the calls that it refuses. */
import * as root from '../../lib/index.js';
import * as later from '../../lib/promises.js';
import type { Float16ArrayLike, LogitArray } from '../../lib/index.js';

type New32 = ReturnType<typeof Float32Array.of>;
type New64 = ReturnType<typeof Float64Array.of>;
type New16 = ReturnType<typeof Uint16Array.of>;
type FloatArray = Float32Array | Float64Array;

declare const x: Float32Array;
declare const doubles: Float64Array;
declare const halves: Uint16Array;
declare const half: Float16ArrayLike;
declare const either: FloatArray;
declare const any: LogitArray;
declare const state: root.ExpSums;
declare const signal: AbortSignal;
declare const accumulator: root.ExpSumAccumulator;

const dtype = { dtype: 'float16' } as const;

/** Compiles if Actual and Expected are one type, either way round. */
type Same<Actual, Expected> = [Actual] extends [Expected] ? ([Expected] extends [Actual] ? true : false) : false;
const same =
  <Expected>() =>
  <Actual>(_: () => Actual, __: Same<Actual, Expected>): void => {};

/** Results of new arrays, of `out`, and of an array that may be of either type. */
export function results(): void {
  for (const f of [root.softmax, root.logSoftmax]) {
    same<New32>()(() => f(x), true);
    same<New32>()(() => f(x, { temperature: 2, bias: x, cols: 2 }), true);
    same<Float32Array>()(() => f(x, { out: undefined }), true);
    same<New64>()(() => f(doubles, { shape: [1, 2], axis: 0 }), true);
    same<New16>()(() => f(halves, dtype), true);
    same<New16>()(() => f(halves, {}), true);
    same<Float16ArrayLike>()(() => f(half), true);
    same<Float32Array>()(() => f(x, { out: x }), true);
    same<Float32Array>()(() => f(halves, { ...dtype, out: x }), true);
    same<Float32Array>()(() => f(half, { out: x }), true);
    same<Uint16Array>()(() => f(halves, { dtype: 'bfloat16', out: halves }), true);
    same<FloatArray>()(() => f(either, { out: either, bias: either }), true);
    const result: FloatArray = f(either);
    void result;
  }
  same<New32>()(() => root.softmaxBackward(x, x), true);
  same<New64>()(() => root.softmaxBackward(doubles, doubles, { mask: new Uint8Array(1) }), true);
  same<New16>()(() => root.softmaxBackward(halves, halves, dtype), true);
  same<Float32Array>()(() => root.softmaxBackward(halves, halves, { ...dtype, out: x }), true);
  same<New32>()(() => root.normalize(x, state), true);
  same<New16>()(() => root.normalize(halves, state, dtype), true);
  same<Float64Array>()(() => root.normalize(doubles, state, { out: doubles }), true);
  same<New64>()(() => root.logSumExp(any), true);
  same<New64>()(() => root.logSumExp(state), true);
  same<Float64Array>()(() => root.logSumExp(x, { out: doubles }), true);
  same<New64>()(() => root.crossEntropy(halves, [1], { ...dtype, gradient: halves, ignoreIndex: -1 }), true);
  same<Float64Array>()(() => root.crossEntropy(x, Int32Array.of(1), { out: doubles }), true);
  same<root.NewExpSums>()(() => root.expSum(any, { unifiedMax: 1, range: [-1, 1] }), true);
  same<New32>()(() => accumulator.normalize(x), true);
  same<New16>()(() => accumulator.normalize(halves, undefined, dtype), true);
  same<Float32Array>()(() => accumulator.normalize(halves, x, dtype), true);
  same<Float64Array>()(() => accumulator.normalize(doubles, doubles), true);
  same<Promise<New32>>()(() => later.softmax(x, { signal }), true);
  same<Promise<New64>>()(() => later.logSoftmax(doubles), true);
  same<Promise<New16>>()(() => later.softmax(halves, dtype), true);
  same<Promise<Float32Array>>()(() => later.normalize(halves, state, { ...dtype, out: x, signal }), true);
  same<Promise<Float16ArrayLike>>()(() => later.softmaxBackward(half, half, { signal }), true);
  same<Promise<New64>>()(() => later.logSumExp(x, { signal }), true);
  same<Promise<New64>>()(() => later.logSumExp(state), true);
  same<Promise<New64>>()(() => later.crossEntropy(x, [0], { gradient: x, signal }), true);
  same<Promise<root.NewExpSums>>()(() => later.expSum(x, { unifiedMax: 0, signal }), true);
  same<Promise<New16>>()(() => later.topK(halves, 1, { ...dtype, signal }).then(({ values }) => values), true);
  same<Promise<New32>>()(() => later.filterLogits(halves, { ...dtype, signal }).then(({ logits }) => logits), true);
  same<Promise<New64>>()(() => later.filterLogits(doubles).then(({ logits }) => logits), true);
}

/** A caller's generic function. */
export const through = <Out extends Float32Array>(out: Out): Out => root.softmax(x, { out });

export function refusedElementCalls(): void {
  for (const f of [root.softmax, root.logSoftmax]) {
    // @ts-expect-error no array
    f();
    // @ts-expect-error numbers have no element type
    f([1, 2, 3]);
    // @ts-expect-error a misspelt option
    f(x, { temprature: 2 });
    // @ts-expect-error a Uint16Array needs options
    f(halves);
    // @ts-expect-error another name of a type
    f(halves, { dtype: 'half' });
    // @ts-expect-error `out` of another type
    f(x, { out: doubles });
    // @ts-expect-error `out` of another type
    f(doubles, { out: x });
    // @ts-expect-error `out` of another type
    f(halves, { ...dtype, out: doubles });
    // @ts-expect-error `out` of another half type
    f(half, { out: halves });
    // @ts-expect-error a bias of another type
    f(x, { bias: doubles });
    // @ts-expect-error a bias of float32 beside halves
    f(halves, { ...dtype, bias: x });
    // @ts-expect-error a mask of numbers
    f(x, { mask: [1, 0] });
    // @ts-expect-error a temperature of text
    f(x, { temperature: '1' });
    // @ts-expect-error another format
    f(x, { mask: new Uint8Array(1), maskFormat: 'words' });
    // @ts-expect-error a signal is for promises
    f(x, { signal });
    // @ts-expect-error logits that may be halves, without options
    f(any);
    // @ts-expect-error an argument too many
    f(x, {}, {});
    // @ts-expect-error no options
    f(x, null);
  }
}

export function refusedOtherCalls(): void {
  // @ts-expect-error one gradient is missing
  root.softmaxBackward(x);
  // @ts-expect-error the derivative of a float32 array is by one
  root.softmaxBackward(x, doubles);
  // @ts-expect-error y has the bias in it
  root.softmaxBackward(x, x, { bias: x });
  // @ts-expect-error a Uint16Array needs options
  root.softmaxBackward(halves, halves);
  // @ts-expect-error `out` of another type
  root.softmaxBackward(x, x, { out: doubles });
  // @ts-expect-error no state
  root.normalize(x);
  // @ts-expect-error no state, but options
  root.normalize(x, { temperature: 1 });
  // @ts-expect-error a Uint16Array needs options
  root.normalize(halves, state);
  // @ts-expect-error `out` of another type
  root.normalize(x, state, { out: doubles });
  // @ts-expect-error a misspelt option
  root.normalize(x, state, { colums: 2 });
  // @ts-expect-error `out` of another type
  accumulator.normalize(x, doubles);
  // @ts-expect-error `out` of another half type
  accumulator.normalize(half, halves);
  // @ts-expect-error the temperature is the accumulator's
  accumulator.normalize(x, undefined, { temperature: 2 });
  // @ts-expect-error results are doubles
  root.logSumExp(x, { out: x });
  // @ts-expect-error a bias of another type
  root.logSumExp(x, { bias: doubles });
  // @ts-expect-error numbers have no element type
  root.logSumExp([1, 2]);
  // @ts-expect-error no targets
  root.crossEntropy(x);
  // @ts-expect-error a gradient of another type
  root.crossEntropy(x, [1], { gradient: doubles });
  // @ts-expect-error losses are doubles
  root.crossEntropy(x, [1], { out: x });
  // @ts-expect-error targets are integers
  root.crossEntropy(x, ['1']);
  // @ts-expect-error a state is its own result
  root.expSum(x, { out: x });
  // @ts-expect-error a range has two ends
  root.expSum(x, { unifiedMax: 1, range: [1] });
  // @ts-expect-error a misspelt option
  root.expSum(x, { unifiedMaximum: 1 });
}

export function refusedPromises(): void {
  // @ts-expect-error numbers have no element type
  void later.softmax([1, 2, 3]);
  // @ts-expect-error a misspelt option beside a signal
  void later.softmax(x, { signal, temprature: 2 });
  // @ts-expect-error no signal
  void later.softmax(x, { signal: 1 });
  // @ts-expect-error a Uint16Array needs options
  void later.logSoftmax(halves);
  // @ts-expect-error `out` of another type
  void later.softmax(x, { out: doubles });
  // @ts-expect-error a promise is no array
  x satisfies ReturnType<typeof later.softmax>;
  // @ts-expect-error y has the bias in it
  void later.softmaxBackward(x, x, { bias: x, signal });
  // @ts-expect-error the derivative of a float32 array is by one
  void later.softmaxBackward(x, doubles);
  // @ts-expect-error no state
  void later.normalize(x, { signal });
  // @ts-expect-error losses are doubles
  void later.crossEntropy(x, [1], { out: x, signal });
  // @ts-expect-error results are doubles
  void later.logSumExp(x, { out: x });
  // @ts-expect-error a state is its own result
  void later.expSum(x, { out: x, signal });
  // @ts-expect-error no k
  void later.topK(x);
  // @ts-expect-error a misspelt option
  void later.sample(x, { topk: 1 });
}
