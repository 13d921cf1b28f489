// A program of someone who installed the package. It is compiled and run as an ES module and as CommonJS, under
// `nodenext` and under `node16`; the lines that must not compile are part of the test.
import { capabilities, softmax } from 'flash-softmax';

const singles: Float32Array = softmax(Float32Array.of(1, 2, 3), { temperature: 2 });
const doubles: Float64Array = softmax(new Float64Array(6), { cols: 3 });
const inPlace = Float32Array.of(0, 0);
softmax(inPlace, { out: inPlace });

// @ts-expect-error an array of numbers has no element type
const plain = () => softmax([1, 2, 3]);
// @ts-expect-error the result has the element type of the input
const mixed = () => softmax(new Float32Array(3), { out: new Float64Array(3) });
// @ts-expect-error a misspelt option
const misspelt = () => softmax(new Float32Array(3), { temprature: 2 });

const refused = [plain, mixed, misspelt].filter((call) => {
  try {
    call();
    return false;
  } catch (error) {
    return error instanceof TypeError && 'code' in error;
  }
});

const backend: string = capabilities().backend;
console.log(JSON.stringify({ backend, singles: [...singles], doubles: [...doubles], inPlace: [...inPlace], refused: refused.length }));
