/**
 * Half types: their values as float32, exactly, and back, to the nearest with ties to even. The results of
 * math/half.ts, by loops over words: a call an element takes several times as long.
 */
import { lengthOf } from '../../call/arrays.js';

/** The values of all float16: 256 KB, made for the first array. */
let values: Float32Array | undefined;

function makeValues(): Float32Array {
  const all = new Float32Array(2 ** 16);
  const words = new Uint32Array(all.buffer);
  for (let bits = 0; bits < all.length; bits++) {
    // Moved to the bits of a float32, they have their value times 2^-112.
    words[bits] = ((bits & 0x8000) << 16) | ((bits & 0x7fff) << 13);
    all[bits]! *= (bits & 0x7c00) !== 0x7c00 ? 2 ** 112 : bits & 0x3ff ? NaN : Infinity;
  }
  return all;
}

export function widened(x: Uint16Array, isBfloat16: boolean): Float32Array {
  const n = lengthOf(x);
  const floats = new Float32Array(n);
  if (isBfloat16) {
    const words = new Int32Array(floats.buffer);
    for (let i = 0; i < n; i++) words[i] = x[i]! << 16;
  } else {
    const table = (values ??= makeValues());
    for (let i = 0; i < n; i++) floats[i] = table[x[i]!]!;
  }
  return floats;
}

/** Writes all of `from` as halves. */
export function narrow(from: Float32Array, to: Uint16Array, isBfloat16: boolean): void {
  const words = new Uint32Array(from.buffer, from.byteOffset, from.length);
  if (isBfloat16) {
    for (let i = 0; i < words.length; i++) {
      const bits = words[i]!;
      to[i] = ((bits & 0x7fffffff) > 0x7f800000 ? bits | 0x400000 : bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
    }
    return;
  }
  for (let i = 0; i < words.length; i++) {
    const bits = words[i]!;
    const magnitude = bits & 0x7fffffff;
    let half = 0x7c00;
    if (magnitude > 0x7f800000) half = 0x7e00 | ((bits >> 13) & 0x3ff);
    else if (magnitude < 0x477ff000) {
      // Of the digits, 13 are dropped, and one more for each octave below 2^-14. No branch: real data has both.
      const octave = (magnitude >> 23) - 113;
      const isBelow = octave >> 31;
      const drop = 13 - Math.max(octave & isBelow, -12);
      const digits = (bits & 0x7fffff) | 0x800000;
      half = ((octave & ~isBelow) << 10) + ((digits + (1 << (drop - 1)) - 1 + ((digits >> drop) & 1)) >> drop);
    }
    to[i] = ((bits >>> 16) & 0x8000) | half;
  }
}
