/**
 * Half types: their values as float32, exactly, and back, to the nearest with ties to even. The results of
 * math/half.ts, by loops over words: a call an element takes several times as long.
 */
import { lengthOf, viewOf } from '../../call/arrays.js';

/** The values of all float16, and of all bfloat16: 256 KB each, made for the first array. */
const values: (Float32Array | undefined)[] = [];

/** Returns a table of the values of all halves. */
export function valuesOf(isBfloat16: boolean): Float32Array {
  const known = values[Number(isBfloat16)];
  if (known !== undefined) return known;
  const all = (values[Number(isBfloat16)] = new Float32Array(2 ** 16));
  const words = new Uint32Array(all.buffer);
  for (let bits = 0; bits < all.length; bits++) {
    // Moved to the bits of a float32, float16 have their value times 2^-112.
    words[bits] = isBfloat16 ? bits << 16 : ((bits & 0x8000) << 16) | ((bits & 0x7fff) << 13);
    if (!isBfloat16) all[bits]! *= (bits & 0x7c00) !== 0x7c00 ? 2 ** 112 : bits & 0x3ff ? NaN : Infinity;
  }
  return all;
}

/** Memory for the floats of one call after the other: new memory costs more than what is done with it. */
const MOST_HELD = 2 ** 21;
let held: Float32Array | undefined;

/** Returns n floats. Arrays that are in use at once need different places. */
export function floatsAt(place: number, n: number): Float32Array {
  const end = place + n;
  if (end > MOST_HELD) return new Float32Array(n);
  if (held === undefined || held.length < end) held = new Float32Array(Math.min(2 * end, MOST_HELD));
  return viewOf(held, place, end);
}

/** Returns the values of halves, in memory of their length or in memory of its own. */
export function widened(x: Uint16Array, isBfloat16: boolean, into?: Float32Array): Float32Array {
  const floats = into ?? new Float32Array(lengthOf(x));
  const n = floats.length;
  let i = 0;
  if (isBfloat16) {
    const words = wordsOf(floats);
    for (; i < n - 3; i += 4) {
      words[i] = x[i]! << 16;
      words[i + 1] = x[i + 1]! << 16;
      words[i + 2] = x[i + 2]! << 16;
      words[i + 3] = x[i + 3]! << 16;
    }
    for (; i < n; i++) words[i] = x[i]! << 16;
  } else {
    const table = valuesOf(false);
    for (; i < n; i++) floats[i] = table[x[i]!]!;
  }
  return floats;
}

/**
 * Makes the steps that write float16. For each sign and exponent: the digits that are dropped, 13 and one more for each
 * octave below 2^-14, and the half that the others are added to. No branch: real data has both.
 */
function halfSteps() {
  const drops = new Int32Array(512).fill(25);
  const bases = new Int32Array(512);
  for (let e = 0; e < 512; e++) {
    const octave = (e & 255) - 113;
    if (octave < 30) drops[e] = Math.min(13 - Math.min(octave, 0), 25);
    bases[e] = ((e >> 8) << 15) | (octave < 30 ? Math.max(octave, 0) << 10 : 0x7c00);
  }

  /** Writes n floats to start, start + stride, … Returns a negative number if one is a NaN. */
  function narrowToHalf(words: Int32Array, n: number, to: Uint16Array, start: number, stride: number): number {
    let flags = 0;
    for (let i = 0, at = start; i < n; i++, at += stride) {
      const bits = words[i]!;
      const digits = (bits & 0x7fffff) | 0x800000;
      const drop = drops[bits >>> 23]!;
      flags |= 0x7f800000 - (bits & 0x7fffffff);
      to[at] = bases[bits >>> 23]! + ((digits + (1 << (drop - 1)) - 1 + ((digits >> drop) & 1)) >> drop);
    }
    return flags;
  }
  return { narrowToHalf };
}

const { narrowToHalf } = /* @__PURE__ */ halfSteps();

/** As narrowToHalf. */
function narrowToBfloat16(words: Int32Array, n: number, to: Uint16Array, start: number, stride: number): number {
  let flags = 0;
  for (let i = 0, at = start; i < n; i++, at += stride) {
    const bits = words[i]!;
    flags |= 0x7f800000 - (bits & 0x7fffffff);
    to[at] = (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
  }
  return flags;
}

/** The function that writes floats, given by their words, as halves. */
export const narrowerTo = (isBfloat16: boolean) => (isBfloat16 ? narrowToBfloat16 : narrowToHalf);

/** The words of floats. */
export const wordsOf = (floats: Float32Array) => new Int32Array(floats.buffer, floats.byteOffset, floats.length);

/** Writes all of `from` as halves. */
export function narrow(from: Float32Array, to: Uint16Array, isBfloat16: boolean): void {
  const words = wordsOf(from);
  const n = words.length;
  if (narrowerTo(isBfloat16)(words, n, to, 0, 1) >= 0) return;
  for (let i = 0; i < n; i++) {
    const bits = words[i]!;
    if (from[i] === from[i]) continue;
    to[i] = isBfloat16 ? (bits | 0x400000) >>> 16 : ((bits >>> 16) & 0x8000) | 0x7e00 | ((bits >> 13) & 0x3ff);
  }
}
