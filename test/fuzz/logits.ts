/** Rows of logits as flash-softmax/sampling reads them, and the faults for which a row has no answer. */
import { axisOf, rowsOf, type Axis } from './axis.js';
import { logitsOf } from './data.js';
import type { Draw } from './draw.js';
import type { Outcome } from './judge.js';

/** A row of x + bias in doubles, −∞ where masked. NaN is there only where it is visible. */
export interface LogitRow {
  /** The sums, or a quarter of each. */
  readonly z: Float64Array;
  /** 4 if a sum of two finite numbers overflows. */
  readonly unit: 1 | 4;
}

export type RowFault = 'NaN' | 'nothing finite' | undefined;

/** The reason why a row has no answer; undefined if it has one. */
export function faultOfRow({ z }: LogitRow): RowFault {
  if (z.some(Number.isNaN)) return 'NaN';
  const top = z.reduce((a, b) => Math.max(a, b), -Infinity);
  return Math.abs(top) < Infinity ? undefined : 'nothing finite';
}

export function* rowsOfLogits({ values, biases, visible, outer, cols }: Axis): Generator<LogitRow> {
  for (let r = 0; r < outer; r++) {
    const sumOf = (i: number, unit: number) =>
      visible && visible[i] === 0 ? -Infinity : values[i]! / unit + (biases ? biases[i]! / unit : 0);
    const rowIn = (unit: 1 | 4) => Float64Array.from({ length: cols }, (_, c) => sumOf(r * cols + c, unit));
    const [z, quarters] = [rowIn(1), rowIn(4)];
    const isBeyond = z.some((x, c) => Math.abs(x) === Infinity && Math.abs(quarters[c]!) < Infinity);
    yield isBeyond ? { z: quarters, unit: 4 } : { z, unit: 1 };
  }
}

/**
 * The distances of a row from its largest logit divided by DISTANCE, which is so large that none overflows. Each is
 * rounded once.
 */
export const DISTANCE = 1024;
export function* distancesOf(axis: Axis): Generator<Float64Array> {
  for (const { exact } of rowsOf({ ...axis, temperature: DISTANCE }, true))
    yield Float64Array.from(exact.distances, ({ hi }) => hi);
}

/** Undefined if an error, or none, is right: a row without an answer must be an error. */
export function faultOfError(axis: Axis, { error }: Outcome): string | undefined {
  const bad = Array.from(rowsOfLogits(axis), faultOfRow).some((fault) => fault !== undefined) || axis.cols === 0;
  if (error) return bad ? undefined : error.message;
  return bad && axis.outer > 0 ? 'no error for a row without an answer' : undefined;
}

export const flat = (draw: Draw, limit: number, needs: { hasTemperature?: boolean } = {}): Axis => {
  const axis = axisOf(draw, Math.min(limit, 20_000), { isFlat: true, hasTemperature: false, ...needs });
  // NaN and +∞ are errors of the whole call, and are wanted in one call of five.
  if (draw.chance(0.8)) {
    for (const all of [axis.values, axis.biases]) all?.forEach((x, i) => !(x < Infinity) && (all[i] = 1));
    (axis.x as Float64Array).set(logitsOf(axis.type, axis.values) as Float64Array);
  }
  return axis.biases ? { ...axis, ...withoutBiasFaults(axis) } : axis;
};

/** The bias of the call, from the copy without NaN and +∞. */
function withoutBiasFaults(axis: Axis): Partial<Axis> {
  const isRow = axis.bias!.length === axis.cols;
  return { bias: logitsOf(axis.type, isRow ? axis.biases!.slice(0, axis.cols) : axis.biases!) };
}
