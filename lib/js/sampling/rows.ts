/** Rows of logits as sampling filters them: with bias and mask, in a unit that keeps sums and distances finite. */
import { counts } from '../../backend/masks.js';
import { lengthOf } from '../../call/arrays.js';

export type Floats = Float32Array | Float64Array;

/** The filters of a call: native/sampling/sample.h. */
export interface Filters {
  readonly topK: number;
  readonly temperature: number;
  readonly topP: number;
  readonly minDistance: number;
  readonly typicalP: number;
  readonly epsilon: number;
}

/** The filters of row r, six numbers a row in the order of native/rows/parameters.h. */
export function filtersOfRow(numbers: Float64Array, r: number, cols: number): Filters {
  const [k, temperature, topP, minDistance, typicalP, epsilon] = numbers.subarray(6 * r, 6 * r + 6) as unknown as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  return { topK: k >= 1 && k < cols ? Math.floor(k) : cols, temperature, topP, minDistance, typicalP, epsilon };
}

export interface MaskAndBias {
  readonly mask: Uint8Array | null;
  readonly maskLayout: number;
  readonly bias: Floats | null;
}

/** At higher temperatures the distance of any two doubles matters, and it may overflow. */
const LARGE_TEMPERATURE = 2 ** 1000;

/** At lower temperatures 1 / temperature is beyond the scale of weights, and distances of subnormal numbers matter. */
const SMALL_TEMPERATURE = 2 ** -990;
const SMALL_UNIT = 2 ** -100;

/** A row with its bias added and −∞ where it is masked, divided by `unit`. */
export interface UnitRow {
  readonly z: Float64Array;
  /** 1; 4 if sums of two finite numbers, or their distances, overflow otherwise; SMALL_UNIT for a small temperature. */
  readonly unit: number;
}

/** A row of n logits from `start` on, divided by `unit`. */
export interface PlacedRow {
  readonly z: Floats;
  readonly start: number;
  readonly unit: number;
}

/** Row r as sampling at a temperature needs it: in its place, or a copy. */
export function placedRow(temperature: number, x: Floats, r: number, cols: number, extras: MaskAndBias): PlacedRow {
  const isUsual = temperature === 0 || (temperature >= SMALL_TEMPERATURE && temperature < LARGE_TEMPERATURE);
  if (isUsual && extras.mask === null && extras.bias === null) return { z: x, start: r * cols, unit: 1 };
  return { ...rowFor(temperature, x, r, cols, extras), start: 0 };
}

/** Reads row r as sampling at a temperature needs it. */
export function rowFor(temperature: number, x: Floats, r: number, cols: number, extras: MaskAndBias): UnitRow {
  const row = readRow(x, r, cols, extras, temperature >= LARGE_TEMPERATURE);
  return temperature > 0 && temperature < SMALL_TEMPERATURE ? inSmallUnit(row) : row;
}

/**
 * Divides logits by SMALL_UNIT, unless one is so large that this could overflow. Weights of such rows do not need it.
 */
function inSmallUnit(row: UnitRow): UnitRow {
  if (row.unit !== 1) return row;
  let largest = -Infinity;
  for (const logit of row.z) if (logit > largest) largest = logit;
  if (!(Math.abs(largest) < 2 ** 900)) return row;
  return { z: row.z.map((logit) => logit / SMALL_UNIT), unit: SMALL_UNIT };
}

/** Reads row r in the unit 4 if `wantsQuarters` or a sum with the bias overflows, else in the unit 1. */
export function readRow(x: Floats, r: number, cols: number, extras: MaskAndBias, wantsQuarters = false): UnitRow {
  const { mask, maskLayout, bias } = extras;
  const start = r * cols;
  const biasStart = bias !== null && lengthOf(bias) === cols ? 0 : start;
  const isHidden = (i: number): boolean => mask !== null && !counts(mask, maskLayout, start + i, i);
  const z = new Float64Array(cols);
  let unit: 1 | 4 = wantsQuarters ? 4 : 1;
  for (let i = 0; i < cols; i++) {
    const logit = x[start + i]!;
    z[i] = logit;
    if (bias === null) continue;
    const added = bias[biasStart + i]!;
    z[i] = logit + added;
    const hasOverflowed = Math.abs(z[i]!) === Infinity && Math.abs(logit) < Infinity && Math.abs(added) < Infinity;
    if (hasOverflowed && !isHidden(i)) unit = 4;
  }
  if (unit === 4) {
    for (let i = 0; i < cols; i++) z[i] = bias === null ? z[i]! / 4 : x[start + i]! / 4 + bias[biasStart + i]! / 4;
  }
  if (mask !== null) for (let i = 0; i < cols; i++) if (isHidden(i)) z[i] = -Infinity;
  return { z, unit };
}

/** The filters for logits that are divided by `unit`. */
export function filtersIn(unit: number, filters: Filters): Filters {
  if (unit === 1) return filters;
  const { temperature, minDistance } = filters;
  return {
    ...filters,
    temperature: temperature === 0 ? 0 : Math.max(temperature / unit, Number.MIN_VALUE),
    minDistance: minDistance / unit,
  };
}
