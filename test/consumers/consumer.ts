// A program of a user of the package. It is compiled and run as an ES module and as CommonJS, under `nodenext` and
// under `node16`; the lines that must not compile are part of the test.
import {
  capabilities,
  crossEntropy,
  expSum,
  logSoftmax,
  logSumExp,
  normalize,
  softmax,
  softmaxBackward,
} from 'flash-softmax';
import type { ExpSums } from 'flash-softmax';
import * as later from 'flash-softmax/promises';

const singles: Float32Array = softmax(Float32Array.of(1, 2, 3), { temperature: 2 });
const doubles: Float64Array = softmax(new Float64Array(6), { cols: 3 });
const inPlace = Float32Array.of(0, 0);
softmax(inPlace, { out: inPlace });

const halves: Uint16Array = softmax(Uint16Array.of(0, 0), { dtype: 'float16' });
const wide: Float32Array = logSoftmax(Uint16Array.of(0, 0), { dtype: 'bfloat16', out: new Float32Array(2) });
const state: ExpSums = expSum(singles, { unifiedMax: 1 });
const numbers: Float64Array[] = [logSumExp(singles), logSumExp(state), crossEntropy(doubles, [0, 1], { cols: 3 })];
const slopes: Float32Array = softmaxBackward(singles, normalize(singles, state));

// @ts-expect-error an array of numbers has no element type
const plain = () => softmax([1, 2, 3]);
// @ts-expect-error the result has the element type of the input
const mixed = () => softmax(new Float32Array(3), { out: new Float64Array(3) });
// @ts-expect-error a misspelt option
const misspelt = () => softmax(new Float32Array(3), { temprature: 2 });

// @ts-expect-error a Uint16Array needs a dtype
const typeless = () => softmax(new Uint16Array(3));
// @ts-expect-error y and dy must have one element type
const unlike = () => later.softmaxBackward(singles, doubles);

const refused = [plain, mixed, misspelt, typeless].filter((call) => {
  try {
    call();
    return false;
  } catch (error) {
    return error instanceof TypeError && 'code' in error;
  }
});

const backend: string = capabilities().backend;
const off: Promise<Float64Array> = later.softmax(new Float64Array(4), { cols: 2 });
const sums: Promise<ExpSums> = later.expSum(Float64Array.of(0, 0));
Promise.all([off, sums, unlike().catch((error: unknown) => error instanceof TypeError)]).then(
  ([awaited, { exponent }, isRefused]) => {
    const sizes = [halves, wide, slopes, ...numbers].map((array) => array.length);
    const awaitedToo = { awaited: [...awaited], exponent: exponent[0], isRefused };
    console.log(
      JSON.stringify({
        backend,
        singles: [...singles],
        doubles: [...doubles],
        inPlace: [...inPlace],
        refused: refused.length,
        sizes,
        ...awaitedToo,
      }),
    );
  },
);
