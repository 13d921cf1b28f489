/**
 * Half types: their values as float32, exactly, and back, to the nearest with ties to even. The steps of math/half.ts on
 * whole arrays: loops over words, as a call an element takes several times as long.
 */
import { lengthOf } from '../../call/arrays.js';
import { float16, type Half } from '../../math/half.js';

/** From so many elements on, the table of all float16 is made. */
const WORTH_A_TABLE = 4096;

/** The values of all float16. It takes the time of some large arrays to make, and 256 KB. */
let values: Float32Array | undefined;

function makeValues(): Float32Array {
  const all = new Float32Array(2 ** 16);
  for (let bits = 0; bits < all.length; bits++) all[bits] = float16.toFloat(bits);
  return all;
}

export function widened(x: Uint16Array, half: Half): Float32Array {
  const floats = new Float32Array(lengthOf(x));
  if (half !== float16) widenBfloat16(x, new Int32Array(floats.buffer));
  else if (floats.length >= WORTH_A_TABLE) lookUp(x, floats, (values ??= makeValues()));
  else for (let i = 0; i < floats.length; i++) floats[i] = float16.toFloat(x[i]!);
  return floats;
}

function widenBfloat16(x: Uint16Array, words: Int32Array): void {
  for (let i = 0; i < words.length; i++) words[i] = x[i]! << 16;
}

function lookUp(x: Uint16Array, floats: Float32Array, table: Float32Array): void {
  for (let i = 0; i < floats.length; i++) floats[i] = table[x[i]!]!;
}

/** Writes all of `from` as halves. */
export function narrow(from: Float32Array, to: Uint16Array, half: Half): void {
  const words = new Uint32Array(from.buffer, from.byteOffset, from.length);
  if (half === float16) narrowToFloat16(words, to);
  else narrowToBfloat16(words, to);
}

function narrowToBfloat16(words: Uint32Array, to: Uint16Array): void {
  for (let i = 0; i < words.length; i++) {
    const bits = words[i]!;
    if ((bits & 0x7fffffff) > 0x7f800000) to[i] = (bits | 0x400000) >>> 16;
    else to[i] = (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
  }
}

/**
 * Makes the loop that narrows to float16. What to do follows from the sign and the exponent, by tables: small numbers
 * are rounded to the step of the smallest halves, and real data has these among others.
 */
function float16Steps() {
  const base = new Int32Array(512);
  const leading = new Int32Array(512);
  const shift = new Int32Array(512).fill(25); // all of the digits
  for (let i = 0; i < 512; i++) {
    const exponent = (i & 255) - 127;
    const sign = (i >> 8) << 15;
    const isNormal = exponent >= -14 && exponent <= 15;
    base[i] = sign | (exponent > 15 ? 0x7c00 : isNormal ? (exponent + 15) << 10 : 0);
    if (isNormal) shift[i] = 13;
    else if (exponent < -14 && exponent >= -25) {
      shift[i] = -1 - exponent;
      leading[i] = 0x800000;
    }
  }

  function narrowToFloat16(words: Uint32Array, to: Uint16Array): void {
    for (let i = 0; i < words.length; i++) {
      const bits = words[i]!;
      const at = bits >>> 23;
      const s = shift[at]!;
      const digits = (bits & 0x7fffff) | leading[at]!;
      if ((bits & 0x7fffffff) > 0x7f800000) to[i] = (base[at]! | 0x200) | ((bits >> 13) & 0x3ff);
      else to[i] = base[at]! + ((digits + (1 << (s - 1)) - 1 + ((digits >> s) & 1)) >> s);
    }
  }

  return { narrowToFloat16 };
}

const { narrowToFloat16 } = /* @__PURE__ */ float16Steps();
