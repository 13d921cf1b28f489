/** Rows of logits as flash-softmax/sampling sees them, and which of them have no answer. */
import { axisOf, type Axis } from './axis.js';
import { logitsOf } from './data.js';
import type { Draw } from './draw.js';
import type { Outcome } from './judge.js';

/** (x + bias) of each element in doubles, −∞ where it is masked; NaN stays only where it counts. */
export function seenLogits({ values, biases, visible }: Axis): Float64Array {
  return values.map((x, i) => (visible && visible[i] === 0 ? -Infinity : biases ? x + biases[i]! : x));
}

export type RowFault = 'NaN' | 'nothing finite' | undefined;

/** Rows without an answer. */
export function faultOfRow(z: Float64Array): RowFault {
  if (z.some(Number.isNaN)) return 'NaN';
  const top = z.reduce((a, b) => Math.max(a, b), -Infinity);
  return Math.abs(top) < Infinity ? undefined : 'nothing finite';
}

export function* rowsOfLogits(axis: Axis): Generator<Float64Array> {
  const z = seenLogits(axis);
  for (let r = 0; r < axis.outer; r++) yield z.subarray(r * axis.cols, (r + 1) * axis.cols);
}

/** Undefined if an error, or none, is right; for rows, the first that has no answer. */
export function faultOfError(axis: Axis, { error }: Outcome): string | undefined {
  const bad = Array.from(rowsOfLogits(axis), faultOfRow).some((fault) => fault !== undefined) || axis.cols === 0;
  if (error) return bad ? undefined : error.message;
  return bad && axis.outer > 0 ? 'no error for a row without an answer' : undefined;
}

export const flat = (draw: Draw, limit: number, needs: { hasTemperature?: boolean } = {}): Axis => {
  const axis = axisOf(draw, Math.min(limit, 20_000), { isFlat: true, hasTemperature: false, ...needs });
  // NaN and +∞ are errors of the whole call: often enough, but not in every third one.
  if (draw.chance(0.8)) {
    for (const all of [axis.values, axis.biases]) all?.forEach((x, i) => !(x < Infinity) && (all[i] = 1));
    (axis.x as Float64Array).set(logitsOf(axis.type, axis.values) as Float64Array);
  }
  return axis.biases ? { ...axis, ...withoutBiasFaults(axis) } : axis;
};

/** The bias as it is, wherever NaN and +∞ were taken out of its copy. */
function withoutBiasFaults(axis: Axis): Partial<Axis> {
  const isRow = axis.bias!.length === axis.cols;
  return { bias: logitsOf(axis.type, isRow ? axis.biases!.slice(0, axis.cols) : axis.biases!) };
}

