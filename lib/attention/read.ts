/** Tokens of a cache as numbers. */
import { tileOf, tileSize, widthOf } from '../js/attention/attention.js';
import { bfloat16, float16 } from '../js/rows/half.js';
import type { CacheView } from './cache-view.js';
import type { NewTokens } from './kv-types.js';
import { allocate } from './memory.js';
import { slabOf } from './pages.js';

const same = (x: number): number => x;
const TO_NUMBER = { f32: same, f16: float16.toFloat, bf16: bfloat16.toFloat, i8: same };

/** The tokens [from, to) of the first sequence of a view. Each product of an int8 and its scale is exact in float64. */
export function readTokens(
  view: CacheView, from: number, to: number, dtype: 'float32' | 'float64',
): NewTokens<'float32' | 'float64'> {
  const { kvHeads, headDim, valueDim, pageSize, slabs, scales, table } = view;
  const toNumber = TO_NUMBER[view.kind];
  const kind = dtype === 'float32' ? 'Float32Array' : 'Float64Array';
  const rows = (to - from) * kvHeads;
  const [k, v] = [allocate(kind, rows * headDim, 'k'), allocate(kind, rows * valueDim, 'v')];
  const [size, width] = [tileSize(view), widthOf(view)];
  for (let n = from, row = 0; n < to; n++) {
    const page = table[Math.floor(n / pageSize)]!;
    const slab = slabs[slabOf(page)]!;
    const lane = n % 16;
    for (let head = 0; head < kvHeads; head++, row++) {
      const tile = tileOf(view, slab, page, head, n);
      const scaleOf = (which: 0 | 1) => scales[slabOf(page)]?.[(2 * tile + which) * 16 + lane] ?? 1;
      const [ofKey, ofValue] = [scaleOf(0), scaleOf(1)];
      for (let d = 0; d < headDim; d++) k[row * headDim + d] = toNumber(slab[tile * size + d * 16 + lane]!) * ofKey;
      const at = tile * size + 16 * headDim + lane * width;
      for (let d = 0; d < valueDim; d++) v[row * valueDim + d] = toNumber(slab[at + d]!) * ofValue;
    }
  }
  return { k, v } as NewTokens<'float32' | 'float64'>;
}
