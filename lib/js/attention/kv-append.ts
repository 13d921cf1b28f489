/** Keys and values into the pages of a cache, with the bits that native kernels store there. */
import type { AppendKernel, BackendOf } from '../../backend/backend.js';
import { shapeOf, TILE, tileOf, tileSize, widthOf } from './attention.js';
import { bfloat16, float16 } from '../rows/half.js';

type Stored = Float32Array | Uint16Array | Int8Array;
/** The numbers of one head, at `from`, as they are stored; of which the scale is returned, if there are scales. */
type Encode = (x: Float32Array, from: number, n: number, put: (d: number, stored: number) => void) => number;

const each = (toStored: (x: number) => number): Encode => (x, from, n, put) => {
  for (let d = 0; d < n; d++) put(d, toStored(x[from + d]!));
  return 1;
};

/** As bytes with a scale, the largest being ±127, to the nearest with ties to even; NaN for all if not all are finite. */
const quantize: Encode = (x, from, n, put) => {
  let most = 0;
  for (let d = 0; d < n && most === most; d++) {
    const size = Math.abs(x[from + d]!);
    if (!(size <= most)) most = size < Infinity ? size : NaN;
  }
  const scale = Math.fround(most / 127);
  const isUsual = scale >= 2 ** -120;
  const inverse = isUsual ? Math.fround(1 / scale) : 0;
  const magic = 1.5 * 2 ** 23;
  for (let d = 0; d < n; d++) put(d, isUsual ? Math.fround(Math.fround(Math.fround(x[from + d]! * inverse) + magic) - magic) : 0);
  return isUsual || scale !== scale ? scale : 0;
};

function appendKernel<A extends Stored>(encode: Encode): AppendKernel<A> {
  return (shape, k, v, slabs, scales, table, from) => {
    const s = shapeOf(shape);
    const width = widthOf(s);
    const size = tileSize(s);
    for (let i = 0; i < s.keys; i++) {
      const token = from + i;
      const entry = table[Math.floor(token / s.pageSize)]!;
      const slab = slabs[entry >>> 26]!;
      const lane = token % TILE;
      for (let head = 0; head < s.kvHeads; head++) {
        const row = s.positionsFirst ? i * s.kvHeads + head : head * s.keys + i;
        const tile = tileOf(s, slab, entry, head, token);
        const values = tile * size + TILE * s.headDim + lane * width;
        const keyScale = encode(k, row * s.headDim, s.headDim, (d, stored) => (slab[tile * size + d * TILE + lane] = stored));
        const valueScale = encode(v, row * s.valueDim, s.valueDim, (d, stored) => (slab[values + d] = stored));
        if (scales.length === 0) continue;
        scales[entry >>> 26]![2 * tile * TILE + lane] = keyScale;
        scales[entry >>> 26]![(2 * tile + 1) * TILE + lane] = valueScale;
      }
    }
  };
}

export const appendKernels: BackendOf<'kv_append'> = /* @__PURE__ */ (() => ({
  name: 'js',
  kv_append_f32: appendKernel<Float32Array>(each((x) => x)),
  kv_append_f16: appendKernel<Uint16Array>(each(float16.toBits)),
  kv_append_bf16: appendKernel<Uint16Array>(each(bfloat16.toBits)),
  kv_append_i8: appendKernel<Int8Array>(quantize),
}))();
