/** Preconditioned values of new tokens, from the keys and values that a cache has stored (precondition.ts). */
import { allocate } from '../call/allocate.js';
import { ENCODERS } from '../js/attention/append.js';
import type { CacheKind, CacheView } from './cache-view.js';
import type { TokenLayout } from './kv-append.js';
import { finishRows, ROWS, subtractRows, toUnits, type Positions } from './precondition.js';
import { TO_NUMBER } from './read.js';
import { slabOf, TILE, tokenPlace } from './tiles.js';

/** Stored tokens that are read at a time. */
const BLOCK = 64;

/**
 * The values of new tokens, preconditioned, in the layout of `v`. Keys and Ys are those that the cache stores: a row is
 * rounded before later rows read it.
 */
export function preconditionedValues(
  view: CacheView,
  k: Float32Array,
  v: Float32Array,
  { tokens, positionsFirst }: TokenLayout,
): Float32Array {
  const { kvHeads, headDim, valueDim } = view;
  const out = allocate('Float32Array', tokens * kvHeads * valueDim, 'append');
  const fresh = newPositions(tokens, view);
  const past = newPositions(BLOCK, view);
  for (let head = 0; head < kvHeads; head++) {
    const rowOf = (i: number) => (positionsFirst ? i * kvHeads + head : head * tokens + i);
    for (let i = 0; i < tokens; i++) {
      storedRow(view.kind, k, rowOf(i) * headDim, fresh.unit.subarray(i * headDim, (i + 1) * headDim));
      for (let d = 0; d < valueDim; d++) fresh.y[i * valueDim + d] = v[rowOf(i) * valueDim + d]!;
    }
    toUnits(fresh.unit, 0, tokens, headDim);
    subtractStored(view, head, fresh, past, tokens);
    for (let from = 0; from < tokens; from += ROWS) {
      finishRows(fresh, [from, Math.min(tokens, from + ROWS)], view, (i) => {
        const y = fresh.y.subarray(i * valueDim, (i + 1) * valueDim);
        out.set(y, rowOf(i) * valueDim);
        storedRow(view.kind, out, rowOf(i) * valueDim, y);
      });
    }
  }
  return out;
}

const newPositions = (n: number, { headDim, valueDim }: CacheView): Positions => ({
  unit: allocate('Float64Array', n * headDim, 'append'),
  y: allocate('Float64Array', n * valueDim, 'append'),
});

/** The numbers that a cache of this kind has when it has stored those of x from `at` on. */
function storedRow(kind: CacheKind, x: Float32Array, at: number, into: Float64Array): void {
  const toNumber = TO_NUMBER[kind];
  const scale = ENCODERS[kind](x, at, into.length, (d, stored) => (into[d] = stored));
  for (let d = 0; d < into.length; d++) into[d] = toNumber(into[d]!) * scale;
}

/** Subtracts all tokens that one head of the cache has stored. `past` is memory for a block of them. */
function subtractStored(view: CacheView, head: number, fresh: Positions, past: Positions, tokens: number): void {
  const length = view.lengths[0]!;
  for (let from = 0; from < length; from += BLOCK) {
    const n = Math.min(BLOCK, length - from);
    for (let i = 0; i < n; i++) readRow(view, head, from + i, past, i);
    toUnits(past.unit, 0, n, view.headDim);
    for (let row = 0; row < tokens; row++) subtractRows(fresh, row, past, [0, n], view);
  }
}

/** Reads one stored token as row i of `into`. */
function readRow(view: CacheView, head: number, token: number, into: Positions, i: number): void {
  const { headDim, valueDim, pageSize, slabs, scales, table } = view;
  const page = table[Math.floor(token / pageSize)]!;
  const slab = slabs[slabOf(page)]!;
  const place = tokenPlace(view, slab.length, page, head, token);
  const slabScales = scales[slabOf(page)];
  const [keyScale, valueScale] = [slabScales?.[place.keyScale] ?? 1, slabScales?.[place.valueScale] ?? 1];
  const toNumber = TO_NUMBER[view.kind];
  for (let d = 0; d < headDim; d++) into.unit[i * headDim + d] = toNumber(slab[place.key + d * TILE]!) * keyScale;
  for (let d = 0; d < valueDim; d++) into.y[i * valueDim + d] = toNumber(slab[place.value + d]!) * valueScale;
}
