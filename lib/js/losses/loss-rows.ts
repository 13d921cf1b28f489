/** What the row operators of this family share in JavaScript: rows read as doubles, with mask and bias. */
import { kindOf, lengthOf } from '../../call/arrays.js';
import { twoSum } from '../../math/log.js';
import { counts } from '../../backend/masks.js';
import { powerOfTwo } from '../../math/extended.js';
import { LOG2_E, LN2, LN2_LOW, rootsOfTwo, STEP_BITS, STEPS } from '../../math/powers.js';

export type Floats = Float32Array | Float64Array;

/** x; a NaN gets the bits that it has on all machines. The sign of a NaN that was computed differs between them. */
export const sameNaN = (x: number): number => (x === x ? x : NaN);

/** {@link sameNaN} of the elements start, start + stride, … below `end`. In the loop that writes it would be slow. */
export function unifyNaNs(out: Floats, start: number, end: number, stride: number): void {
  for (let i = start; i < end; i += stride) if (out[i] !== out[i]) out[i] = NaN;
}

/** [outer, cols, inner] with rows along cols. A row is named by the index of its first element. */
export class LossRows {
  readonly cols: number;
  readonly inner: number;
  readonly hasMask: boolean;
  readonly isSingle: boolean;
  /** What rounding took from the sum that `read` returned last. */
  low = 0;
  readonly #x: Floats;
  readonly #mask: Uint8Array | null;
  readonly #layout: number;
  readonly #bias: Floats | null;
  readonly #isBiasShared: boolean;

  constructor(
    x: Floats,
    cols: number,
    inner: number,
    mask: Uint8Array | null = null,
    maskLayout = 0,
    bias: Floats | null = null,
  ) {
    this.cols = cols;
    this.inner = inner;
    this.hasMask = mask !== null;
    this.isSingle = kindOf(x) === 'Float32Array';
    this.#x = x;
    this.#mask = mask;
    this.#layout = maskLayout;
    this.#bias = bias;
    this.#isBiasShared = bias !== null && lengthOf(bias) === cols;
  }

  /** Whether element c of a row counts. */
  isVisible(start: number, c: number): boolean {
    return this.#mask === null || counts(this.#mask, this.#layout, start + c * this.inner, c);
  }

  /** Logit and bias of element c, times a power of two: the sum, and in `low` what rounding took. Unmasked or not. */
  read(start: number, c: number, unit = 1): number {
    const at = start + c * this.inner;
    this.low = 0;
    const logit = this.#x[at]! * unit;
    if (this.#bias === null) return logit;
    const [sum, low] = twoSum(logit, this.#bias[this.#isBiasShared ? c : at]! * unit);
    if (Math.abs(sum) < Infinity && low === low) this.low = low;
    return sum;
  }

  /** Whether the logit or the bias of element c is far, as `test` says. */
  isFar(start: number, c: number, test: (x: number) => boolean): boolean {
    const at = start + c * this.inner;
    return test(this.#x[at]!) || (this.#bias !== null && test(this.#bias[this.#isBiasShared ? c : at]!));
  }

  /** Calls a task for each row: the index of its first element, and its number. */
  each(outer: number, task: (start: number, row: number) => void): void {
    for (let o = 0, row = 0; o < outer; o++) {
      for (let i = 0; i < this.inner; i++, row++) task(o * this.cols * this.inner + i, row);
    }
  }
}

/** A sum of doubles that carries its roundings along. */
export class Total {
  #sum = 0;
  #rest = 0;

  add(value: number): void {
    const next = this.#sum + value;
    const ofValue = next - this.#sum;
    this.#rest += this.#sum - (next - ofValue) + (value - ofValue);
    this.#sum = next;
  }

  /** The sum, rounded once, and what rounding took from it. */
  get parts(): readonly [sum: number, rest: number] {
    const isFinite = Math.abs(this.#sum) < Infinity && this.#rest === this.#rest;
    return isFinite ? twoSum(this.#sum, this.#rest) : [this.#sum, 0];
  }
}

/** 2^n for n within ±1000. */
export const powerWithin = (n: number): number => powerOfTwo(Math.max(-1000, Math.min(1000, n)));

/** floor(log2 |x|), about: it chooses units only. */
export function exponentOf(x: number): number {
  let [size, n] = [Math.abs(x), 0];
  for (; size >= 2 ** 32; size /= 2 ** 32) n += 32;
  for (; size !== 0 && size < 2 ** -32; size *= 2 ** 32) n -= 32;
  for (; size >= 2; size /= 2) n++;
  for (; size !== 0 && size < 1; size *= 2) n--;
  return n;
}

let roots: Float64Array | undefined;

/** exp(x) for x ≤ 0, by the table of powers.ts. Max error: 1 ULP and |x| · 2^-53. */
export function expBelow(x: number): number {
  if (!(x > -745.2)) return x === x ? 0 : x;
  if (roots === undefined) {
    const { high, low } = rootsOfTwo();
    roots = high.map((root, j) => root + low[j]!);
  }
  const k = Math.round(x * (LOG2_E * STEPS));
  const t = x - k * (LN2_HIGH / STEPS) - k * (LN2_REST / STEPS);
  const whole = k >> STEP_BITS;
  const root = roots[k & (STEPS - 1)]!;
  const value = root + root * (t * (1 + t * (1 / 2 + t * (1 / 6 + t * (1 / 24)))));
  return whole < -1000 ? value * powerOfTwo(whole + 100) * 2 ** -100 : value * powerOfTwo(whole);
}

/** ln 2 in 30 bits, whose products with a number of steps are exact, and the rest. */
const LN2_HIGH = 0x2c5c85fd / 2 ** 30;
const LN2_REST = LN2 - LN2_HIGH + LN2_LOW;
