/**
 * Judges a result that double-double arithmetic calls wrong: it loses digits near the ends of the range of doubles.
 * Integers (../softmax/edge-oracle.ts) lose none, and take a thousand times as long.
 */
import { backward, exactRow, gradient, near, probability, type ExactRow } from '../softmax/edge-oracle.js';
import { exactUlpError, fixed } from '../support/exact.js';
import type { RowInput } from './row-oracle.js';

/** True if a number is within so many ULP of the exact value, or within `slack` of it. */
export function isNear(type: 'f32' | 'f64', actual: number, exact: bigint, units: number, slack = 0): boolean {
  if (!Number.isFinite(actual)) {
    const { low, high } = near(exact, type, units);
    return actual >= low && actual <= high;
  }
  const off = fixed(actual) - exact;
  if ((off < 0n ? -off : off) <= fixed(Math.min(slack, Number.MAX_VALUE))) return true;
  return (exact < 0n ? exactUlpError(type, -actual, -exact) : exactUlpError(type, actual, exact)) <= units;
}

/** One row with a finite logit and neither NaN nor +∞. */
export class IntegerRow {
  readonly #input: RowInput;
  #row: ExactRow | undefined;

  constructor(input: RowInput) {
    this.#input = input;
  }

  get row(): ExactRow {
    const { x, bias, visible, temperature } = this.#input;
    const isVisible = (i: number) => !visible || visible[i] !== 0;
    return (this.#row ??= exactRow(Array.from(x), bias ? Array.from(bias) : null, isVisible, temperature)!);
  }

  softmax(i: number): bigint {
    return probability(this.row, i);
  }

  /** i is not a position of −∞. */
  logSoftmax(i: number): bigint {
    return this.row.distance(i)! - this.row.log;
  }

  gradient(i: number, target: number): bigint {
    return gradient(this.row, i, target, this.#input.temperature);
  }

  get logSumExp(): bigint {
    return this.row.logSumExp;
  }
}

/** y (dy − Σ y dy) / T of each position. */
export function integerBackward(
  y: Float64Array,
  dy: Float64Array,
  visible: Uint8Array | undefined,
  temperature: number,
): bigint[] {
  return backward(Array.from(y), Array.from(dy), (i) => !visible || visible[i] !== 0, temperature);
}
