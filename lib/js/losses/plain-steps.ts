/**
 * Loops over plain rows: float logits one after the other, without a mask or a bias. They take the steps of the kernels
 * that call them, with the same roundings, and leave every row that is not ordinary to these.
 */
import { HELD_LENGTH } from '../rows/row.js';
import { cells, store_f32 } from '../rows/logits.js';
import { copyStep } from '../softmax/log-steps.js';
import type { Floats } from './loss-rows.js';

const { copy_f64 } = /* @__PURE__ */ copyStep(cells);

/** Whether rows can be taken by these loops. */
export const isPlainShape = (cols: number, inner: number, mask: unknown, bias: unknown): boolean =>
  inner === 1 && mask === null && bias === null && cols <= HELD_LENGTH;

/** Makes the steps that put terms into `cells`. Each puts their sum and what rounding took from it into `parts`. */
export function termSteps(held: Float64Array, parts: Float64Array) {
  const row = held;

  /** s(z) of stableMax, without a branch: z + 1 over 1, or 1 over 1 − z. |z| / 2 ± z / 2 is |z| or 0, exactly. */
  function stableTerms(x: Floats, start: number, n: number): void {
    let sum = 0;
    let low = 0;
    for (let i = 0; i < n; i++) {
      const half = x[start + i]! * 0.5;
      const size = Math.abs(half);
      const term = (1 + (size + half)) / (1 + (size - half));
      row[i] = term;
      const next = sum + term;
      const ofTerm = next - sum;
      low += sum - (next - ofTerm) + (term - ofTerm);
      sum = next;
    }
    setParts(parts, sum, low);
  }

  /** The Taylor polynomial of exp of an even order. The sum is not finite where a z is −∞. */
  function taylorTerms(x: Floats, start: number, n: number, order: number, temperature: number): void {
    const isScaled = temperature !== 1;
    let sum = 0;
    let low = 0;
    for (let i = 0; i < n; i++) {
      let z = x[start + i]!;
      if (isScaled) z /= temperature;
      let term = 1;
      if (order === 2) term = (z / 2 + 1) * z + 1;
      else for (let k = order; k > 0; k--) term = term * (z / k) + 1;
      row[i] = term;
      const next = sum + term;
      const ofTerm = next - sum;
      low += sum - (next - ofTerm) + (term - ofTerm);
      sum = next;
    }
    setParts(parts, sum, low);
  }

  /** Makes the terms of logits of −∞ zeros, and adds all terms up again. A z that overflows is another thing. */
  function hideLowest(x: Floats, start: number, n: number): void {
    let sum = 0;
    let low = 0;
    for (let i = 0; i < n; i++) {
      const term = x[start + i] === -Infinity ? 0 : row[i]!;
      row[i] = term;
      const next = sum + term;
      const ofTerm = next - sum;
      low += sum - (next - ofTerm) + (term - ofTerm);
      sum = next;
    }
    setParts(parts, sum, low);
  }

  return { stableTerms, taylorTerms, hideLowest };
}

/** Puts sum + low into two parts that do not overlap; of a sum that is not finite, the sum and 0. */
function setParts(parts: Float64Array, sum: number, low: number): void {
  const isFinite = Math.abs(sum) < Infinity && low === low;
  const whole = isFinite ? sum + low : sum;
  const ofLow = whole - sum;
  parts[0] = whole;
  parts[1] = isFinite ? sum - (whole - ofLow) + (low - ofLow) : 0;
}

/** A sum and what rounding took from it, of the row that was read last. */
export const parts = new Float64Array(2);
export const { stableTerms, taylorTerms, hideLowest } = /* @__PURE__ */ termSteps(cells, parts);

/** Writes n terms, divided by their sum. */
export function storeShares(out: Floats, start: number, n: number, sum: number, isSingle: boolean): void {
  if (isSingle) {
    store_f32(out as Float32Array, start, 1, n, sum);
    return;
  }
  for (let i = 0; i < n; i++) cells[i]! /= sum;
  copy_f64(out as Float64Array, start, 1, n);
}

/** A relative distance by which no logarithm of an engine differs from this package's: both are within some 2^-52. */
const DOUBT = 2 ** -48;

/** Above this quotient ln is that of the sum of the others: their rounding is doubted as well. */
const DOUBT_BESIDE_ONE = 2 ** -50;

/**
 * Writes ln(term / sum) of n terms, rounded to float32. Math.log differs in its last places from engine to engine;
 * where that may decide how a float rounds, and where the quotient is no ordinary one, `exactly` is asked.
 */
export function storeLogs(
  x: Floats,
  out: Float32Array,
  start: number,
  n: number,
  sum: number,
  low: number,
  exactly: (logit: number, sum: number, low: number) => number,
): void {
  for (let i = 0; i < n; i++) {
    const quotient = cells[i]! / sum;
    const log = Math.log(quotient);
    const doubt = DOUBT_BESIDE_ONE - log * DOUBT;
    const value = Math.fround(log + doubt);
    const isSure = quotient > 2 ** -900 && value === Math.fround(log - doubt);
    out[start + i] = isSure ? value : exactly(x[start + i]!, sum, low);
  }
}

/** Writes the gradient of stableMaxCrossEntropy from its terms: a term counts as 1 where its logit is not negative. */
export function storeSlopes(
  out: Floats,
  start: number,
  n: number,
  factor: number,
  target: number,
  atTarget: number,
): void {
  for (let i = 0; i < n; i++) {
    const term = Math.min(cells[i]!, 1);
    out[start + i] = term * (term * factor);
  }
  out[start + target] = atTarget;
}

/** Adds up n numbers. Two sums, so that none waits for the other. */
export function addUp(x: Floats, start: number, n: number): void {
  let sum = 0;
  let sum2 = 0;
  let rest = 0;
  const end = start + n;
  let i = start;
  for (; i < end - 1; i += 2) {
    const a = x[i]!;
    const b = x[i + 1]!;
    const next = sum + a;
    const next2 = sum2 + b;
    const ofA = next - sum;
    const ofB = next2 - sum2;
    rest += sum - (next - ofA) + (a - ofA) + (sum2 - (next2 - ofB) + (b - ofB));
    sum = next;
    sum2 = next2;
  }
  addLast(sum, sum2, rest, i < end ? x[i]! : 0);
}

/** Adds up the squares of n numbers less `hi` and `low`. */
export function addSquares(x: Floats, start: number, n: number, hi: number, low: number): void {
  let sum = 0;
  let sum2 = 0;
  let rest = 0;
  const end = start + n;
  let i = start;
  for (; i < end - 1; i += 2) {
    const c = x[i]! - hi - low;
    const d = x[i + 1]! - hi - low;
    const a = c * c;
    const b = d * d;
    const next = sum + a;
    const next2 = sum2 + b;
    const ofA = next - sum;
    const ofB = next2 - sum2;
    rest += sum - (next - ofA) + (a - ofA) + (sum2 - (next2 - ofB) + (b - ofB));
    sum = next;
    sum2 = next2;
  }
  const last = i < end ? x[i]! - hi - low : 0;
  addLast(sum, sum2, rest, last * last);
}

/** Puts the sum of two sums, their rest and a last number into `parts`. */
function addLast(sum: number, sum2: number, rest: number, last: number): void {
  const first = sum + last;
  const ofLast = first - sum;
  const low = rest + (sum - (first - ofLast) + (last - ofLast));
  const all = first + sum2;
  const ofSecond = all - first;
  setParts(parts, all, low + (first - (all - ofSecond) + (sum2 - ofSecond)));
}
