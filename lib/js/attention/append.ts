/** Appends keys and values to the pages of a cache, with the bits that native kernels store there. */
import type { CacheKind } from '../../attention/cache-view.js';
import { shapeOf } from '../../attention/shape.js';
import { slabOf, TILE, tokenPlace } from '../../attention/tiles.js';
import type { AppendKernel, BackendOf } from '../../backend/backend.js';
import { bfloat16, float16 } from '../../math/half.js';

type Stored = Float32Array | Uint16Array | Int8Array;

/** Stores the n numbers of one head that begin at `from`, and returns their scale; 1 for a type without scales. */
type Encode = (x: Float32Array, from: number, n: number, put: (d: number, stored: number) => void) => number;

const encodeEach =
  (toStored: (x: number) => number): Encode =>
  (x, from, n, put) => {
    for (let d = 0; d < n; d++) put(d, toStored(x[from + d]!));
    return 1;
  };

/** x + ROUNDER − ROUNDER rounds a float to an integer, ties to even, for |x| below 2^22. */
const ROUNDER = 1.5 * 2 ** 23;

/**
 * Stores bytes, the largest number as ±127, rounded to nearest with ties to even. The scale is NaN unless all numbers
 * are finite, and 0 if all are below 127 · 2^-120.
 */
const encodeInt8: Encode = (x, from, n, put) => {
  let largest = 0;
  for (let d = 0; d < n && largest === largest; d++) {
    const size = Math.abs(x[from + d]!);
    if (!(size <= largest)) largest = size < Infinity ? size : NaN;
  }
  const scale = Math.fround(largest / 127);
  const isUsual = scale >= 2 ** -120;
  const inverse = isUsual ? Math.fround(1 / scale) : 0;
  for (let d = 0; d < n; d++) {
    const scaled = Math.fround(x[from + d]! * inverse);
    put(d, isUsual ? Math.fround(Math.fround(scaled + ROUNDER) - ROUNDER) + 0 : 0); // a byte has no −0
  }
  return isUsual || scale !== scale ? scale : 0;
};

/** How each type stores the numbers of one head. */
export const ENCODERS: Readonly<Record<CacheKind, Encode>> = {
  f32: encodeEach((x) => x),
  f16: encodeEach(float16.toBits),
  bf16: encodeEach(bfloat16.toBits),
  i8: encodeInt8,
};

function appendKernel<A extends Stored>(encode: Encode): AppendKernel<A> {
  return (shape, k, v, slabs, scales, table, from) => {
    const s = shapeOf(shape);
    for (let i = 0; i < s.keys; i++) {
      const page = table[Math.floor((from + i) / s.pageSize)]!;
      const slab = slabs[slabOf(page)]!;
      for (let head = 0; head < s.kvHeads; head++) {
        const row = s.positionsFirst ? i * s.kvHeads + head : head * s.keys + i;
        const place = tokenPlace(s, slab.length, page, head, from + i);
        const putKey = (d: number, stored: number) => (slab[place.key + d * TILE] = stored);
        const putValue = (d: number, stored: number) => (slab[place.value + d] = stored);
        const keyScale = encode(k, row * s.headDim, s.headDim, putKey);
        const valueScale = encode(v, row * s.valueDim, s.valueDim, putValue);
        if (scales.length === 0) continue;
        scales[slabOf(page)]![place.keyScale] = keyScale;
        scales[slabOf(page)]![place.valueScale] = valueScale;
      }
    }
  };
}

export const appendKernels: BackendOf<'kv_append'> = /* @__PURE__ */ (() => ({
  name: 'js',
  kv_append_f32: appendKernel<Float32Array>(ENCODERS.f32),
  kv_append_f16: appendKernel<Uint16Array>(ENCODERS.f16),
  kv_append_bf16: appendKernel<Uint16Array>(ENCODERS.bf16),
  kv_append_i8: appendKernel<Int8Array>(ENCODERS.i8),
}))();
