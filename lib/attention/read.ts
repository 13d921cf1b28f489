/** Reads tokens of a cache as numbers. */
import { allocate } from '../call/allocate.js';
import { bfloat16, float16 } from '../math/half.js';
import type { CacheView } from './cache-view.js';
import type { NewTokens } from './kv-types.js';
import { slabOf, TILE, tokenPlace } from './tiles.js';

const identity = (x: number): number => x;
/** The number that a stored one stands for, but for its scale. */
export const TO_NUMBER = { f32: identity, f16: float16.toFloat, bf16: bfloat16.toFloat, i8: identity };

/** The tokens [from, to) of the first sequence of a view. Each product of an int8 and its scale is exact in float64. */
export function readTokens(
  view: CacheView,
  from: number,
  to: number,
  dtype: 'float32' | 'float64',
): NewTokens<'float32' | 'float64'> {
  const { kvHeads, headDim, valueDim, pageSize, slabs, scales, table } = view;
  const toNumber = TO_NUMBER[view.kind];
  const kind = dtype === 'float32' ? 'Float32Array' : 'Float64Array';
  const rows = (to - from) * kvHeads;
  const [k, v] = [allocate(kind, rows * headDim, 'k'), allocate(kind, rows * valueDim, 'v')];
  let row = 0;
  for (let token = from; token < to; token++) {
    const page = table[Math.floor(token / pageSize)]!;
    const slab = slabs[slabOf(page)]!;
    const slabScales = scales[slabOf(page)];
    for (let head = 0; head < kvHeads; head++) {
      const place = tokenPlace(view, slab.length, page, head, token);
      const keyScale = slabScales?.[place.keyScale] ?? 1;
      const valueScale = slabScales?.[place.valueScale] ?? 1;
      for (let d = 0; d < headDim; d++) k[row * headDim + d] = toNumber(slab[place.key + d * TILE]!) * keyScale;
      for (let d = 0; d < valueDim; d++) v[row * valueDim + d] = toNumber(slab[place.value + d]!) * valueScale;
      row++;
    }
  }
  return { k, v } as NewTokens<'float32' | 'float64'>;
}
