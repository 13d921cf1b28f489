// `out` keeps its own type, in shared memory too. This is compiled under the newest TypeScript alone: 5.7 takes a
// SharedArrayBuffer for an ArrayBuffer.
import { crossEntropy, ExpSumAccumulator, expSum, logSoftmax, logSumExp, normalize } from 'flash-softmax';
import { softmax, softmaxBackward } from 'flash-softmax';
import { attention, attentionPartial } from 'flash-softmax/attention';
import * as later from 'flash-softmax/promises';
import { penalize, topK } from 'flash-softmax/sampling';

type New32 = Float32Array<ArrayBuffer>;
type Shared32 = Float32Array<SharedArrayBuffer>;
type Shared64 = Float64Array<SharedArrayBuffer>;
const shared32 = (length: number): Shared32 => new Float32Array(new SharedArrayBuffer(4 * length));
const shared64 = (length: number): Shared64 => new Float64Array(new SharedArrayBuffer(8 * length));

const x = Float32Array.of(1, 2, 3, 4);
const doubles = Float64Array.of(1, 2, 3, 4);
const halves = Uint16Array.of(0, 1, 2, 3);
const out = shared32(4);
const dtype = 'float16';
const sizes = { heads: 1, headDim: 2 };

const singles: Shared32[] = [
  softmax(x, { out }),
  logSoftmax(x, { out }),
  softmaxBackward(x, x, { out }),
  normalize(x, expSum(x), { out }),
  softmax(halves, { dtype, out }),
  new ExpSumAccumulator().add(x).normalize(x, out),
  penalize(x, [], { out }),
  attention(x, x, x, { ...sizes, out }),
  attentionPartial(x, x, x, sizes).finish({ out }),
  attention(x, x, x, { ...sizes, out, lse: true }).out,
  softmax(out, { out, bias: x }),
];
const sums: Shared64[] = [
  softmax(doubles, { out: shared64(4) }),
  logSumExp(x, { out: shared64(1) }),
  crossEntropy(x, [1], { out: shared64(1) }),
  attention(x, x, x, { ...sizes, lse: shared64(2) }).lse,
  attentionPartial(x, x, x, sizes).finish({ lse: shared64(2) }).lse,
];
const bits: Uint16Array<SharedArrayBuffer> = new Uint16Array(new SharedArrayBuffer(8));
const halfResults: (typeof bits)[] = [
  softmax(halves, { dtype, out: bits }),
  new ExpSumAccumulator().add(x).normalize(halves, bits, { dtype }),
];
const promises: Promise<Shared32 | Shared64>[] = [
  later.softmax(x, { out: shared32(4) }),
  later.logSumExp(x, { out: shared64(1) }),
  later.attention(x, x, x, { ...sizes, out: shared32(4) }),
];

// From shared memory, into a new array.
const copies: New32[] = [softmax(out), topK(out, 1).values, new ExpSumAccumulator().add(x).normalize(out)];

// A Float16Array, which not every runtime has.
const newHalf = (given: Float16Array): Float16Array<ArrayBuffer> => softmax(given);
const wideHalf = (given: Float16Array): Shared32 => softmax(given, { out });
const topHalf = (given: Float16Array): Float16Array<ArrayBuffer> => topK(given, 1).values;
const halfFunctions = [newHalf, wideHalf, topHalf];

// @ts-expect-error a result in shared memory is not in an ArrayBuffer
const sent = (): New32 => softmax(x, { out });
// @ts-expect-error a new array is not in shared memory
const wished = (): Shared32 => softmax(x);
// @ts-expect-error the caller may give an array in shared memory
const unsure = (given?: Float32Array): New32 => softmax(x, { out: given });
// @ts-expect-error a new lse is not in shared memory
const wishedLse = (): Shared64 => attention(x, x, x, { ...sizes, lse: true }).lse;
// @ts-expect-error `out` of another element type
const unlike = () => softmax(x, { out: doubles });
// @ts-expect-error a misspelt option beside `out`
const misspelt = () => softmax(x, { out, temprature: 2 });

const errors = [sent, wished, unsure, wishedLse, unlike, misspelt];
Promise.all(promises).then((awaited) => {
  const arrays = [...singles, ...sums, ...halfResults, ...awaited];
  const isShared = arrays.every(({ buffer }) => buffer instanceof SharedArrayBuffer);
  console.log(JSON.stringify({ isShared, copies: copies.length + halfFunctions.length, errors: errors.length }));
});
