/** Rows as sampling filters them: with bias and mask, in a unit in which sums, distances and T are doubles. */
import { lengthOf } from '../../call/arrays.js';
import { counts } from '../rows/masks.js';

type Floats = Float32Array | Float64Array;

/** See native/sampling/sample.h. */
export interface Filters {
  readonly topK: number;
  readonly temperature: number;
  readonly topP: number;
  readonly minDistance: number;
  readonly typicalP: number;
  readonly epsilon: number;
}

export interface Extras {
  readonly mask: Uint8Array | null;
  readonly maskLayout: number;
  readonly bias: Floats | null;
}

/** Above this a distance of any two doubles counts. */
export const LARGE_TEMPERATURE = 2 ** 1000;

/** Below this the inverse of a temperature is beyond the weigher's scale, and distances of subnormal numbers count. */
const SMALL_TEMPERATURE = 2 ** -990;
const RAISED_UNIT = 2 ** -100;

/**
 * A row with its bias added; what is masked as −∞. All are quarters if `unit` is 4: a sum of two finite numbers
 * overflows otherwise, or the distance of two of them is wanted, which may. They are raised if `unit` is less than 1.
 */
export interface RowWithExtras {
  readonly z: Float64Array;
  readonly unit: number;
}

/** Raises logits for a small temperature, but none near the end of the doubles: the weigher is as good on these. */
export function raised(row: RowWithExtras, temperature: number): RowWithExtras {
  const { z, unit } = row;
  if (!(temperature > 0 && temperature < SMALL_TEMPERATURE) || unit !== 1) return row;
  let top = -Infinity;
  for (const logit of z) if (logit > top) top = logit;
  return Math.abs(top) < 2 ** 900 ? { z: z.map((logit) => logit / RAISED_UNIT), unit: RAISED_UNIT } : row;
}

export function withExtras(
  x: Floats,
  r: number,
  cols: number,
  extras: Extras,
  hasLargeDistances = false,
): RowWithExtras {
  const { mask, maskLayout, bias } = extras;
  const start = r * cols;
  const biasStart = bias !== null && lengthOf(bias) === cols ? 0 : start;
  const isHidden = (i: number): boolean => mask !== null && !counts(mask, maskLayout, start + i, i);
  const z = new Float64Array(cols);
  let unit: 1 | 4 = hasLargeDistances ? 4 : 1;
  for (let i = 0; i < cols; i++) {
    const logit = x[start + i]!;
    z[i] = logit;
    if (bias === null) continue;
    const added = bias[biasStart + i]!;
    z[i] = logit + added;
    if (Math.abs(z[i]!) === Infinity && Math.abs(logit) < Infinity && Math.abs(added) < Infinity && !isHidden(i))
      unit = 4;
  }
  if (unit === 4)
    for (let i = 0; i < cols; i++) z[i] = bias === null ? z[i]! / 4 : x[start + i]! / 4 + bias[biasStart + i]! / 4;
  if (mask !== null) for (let i = 0; i < cols; i++) if (isHidden(i)) z[i] = -Infinity;
  return { z, unit };
}

export const inUnits = (filters: Filters, unit: number): Filters =>
  unit === 1
    ? filters
    : {
        ...filters,
        temperature: filters.temperature === 0 ? 0 : Math.max(filters.temperature / unit, Number.MIN_VALUE),
        minDistance: filters.minDistance / unit,
      };
