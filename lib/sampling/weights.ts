/**
 * The weights of tokens in sampling: multiples of 2^-bits, whose sums are exact integers in any order. The steps are
 * the steps of native/sampling/weights.h, operation by operation: every backend keeps and draws the same tokens.
 */

/** 2^(j/8). */
const ROOTS = Float64Array.of(
  1,
  1.0905077326652577,
  1.189207115002721,
  1.2968395546510096,
  1.4142135623730951,
  1.5422108254079407,
  1.681792830507429,
  1.8340080864093424,
);
/** (2^(r/8) − 1) / r for |r| ≤ ½, interpolated at the Chebyshev nodes. Max error: 6 · 10^-13 of the weight. */
const [Q0, Q1, Q2, Q3, Q4] = [
  0.08664339756999315, 0.003753539159758873, 0.00010840646209415717, 0.00000234835968262459, 4.0693061897911777e-8,
] as const;
const LOG2_E = 1.4426950408889634;
/** x + SHIFTER − SHIFTER rounds a double to an integer. */
const SHIFTER = 1.5 * 2 ** 52;
/** A distance, in eighths of octaves: tokens as far below the largest logit have the weight 0. */
export const DEEPEST = -512;
/** 2^-64 … 2^0 */
const OCTAVES = Float64Array.from({ length: 65 }, (_, i) => 2 ** (i - 64));

/** The indices of tokens in a row, and their weights. */
export interface Items {
  readonly index: Uint32Array;
  readonly weight: Float64Array;
  readonly count: number;
}

/** What weights are computed from: the fields of TokenWeights. */
interface WeightScales {
  readonly largest: number;
  readonly scale: number;
  readonly rounding: number;
  readonly unit: number;
}

/** Makes the loop over weights: what it uses are constants of its own, which V8 sees and bundlers leave. */
function weightSteps() {
  const [q0, q1, q2, q3, q4] = [Q0, Q1, Q2, Q3, Q4];
  const [deepest, shifter] = [DEEPEST, SHIFTER];
  // 2^(distance / 8), exactly a root times an octave.
  const powers = Float64Array.from({ length: 1 - DEEPEST }, (_, i) => ROOTS[i & 7]! * OCTAVES[i >> 3]!);

  /** Writes {@link TokenWeights.of} of the logits z[start + index[i]]. */
  function writeWeights(scales: WeightScales, z: Float32Array | Float64Array, start: number, items: Items): void {
    const { largest, scale, rounding, unit } = scales;
    const { index, weight, count } = items;
    for (let i = 0; i < count; i++) {
      const far = (z[start + index[i]!]! - largest) * scale;
      const distance = far > deepest ? far : deepest;
      const whole = distance + shifter - shifter;
      const r = distance - whole;
      const p = (((q4 * r + q3) * r + q2) * r + q1) * r + q0;
      weight[i] = (powers[whole - deepest]! * (p * r + 1) + rounding - rounding) * unit;
    }
  }
  return { writeWeights };
}

const { writeWeights } = /* @__PURE__ */ weightSteps();

/** The weights of one row's tokens: exp((logit − largest) / temperature). */
export class TokenWeights {
  /** The integer of weight 1. */
  readonly unit: number;
  private readonly scale: number;
  private readonly rounding: number;

  /** @param largest The largest logit. @param n The length of the row: n weights have a sum below 2^62. */
  constructor(
    readonly largest: number,
    temperature: number,
    n: number,
  ) {
    this.scale = temperature === 0 ? 1 : Math.min((8 * LOG2_E) / temperature, 2 ** 1000);
    let unit = 2 ** 46;
    while (n * unit > 2 ** 62) unit /= 2;
    this.unit = unit;
    this.rounding = SHIFTER / unit;
  }

  /** The distance of a logit from the largest, in eighths of octaves: 0 or less, from DEEPEST on. */
  distance(logit: number): number {
    const distance = (logit - this.largest) * this.scale;
    return distance > DEEPEST ? distance : DEEPEST;
  }

  /** The weight before it is rounded to a multiple of 1 / unit. */
  unrounded(logit: number): number {
    const distance = this.distance(logit);
    const whole = distance + SHIFTER - SHIFTER;
    const r = distance - whole;
    const p = (((Q4 * r + Q3) * r + Q2) * r + Q1) * r + Q0;
    return ROOTS[whole & 7]! * OCTAVES[(whole >> 3) + 64]! * (p * r + 1);
  }

  /** Writes the weights of items. */
  write(z: Float32Array | Float64Array, start: number, items: Items): void {
    const { largest, scale, rounding, unit } = this;
    writeWeights({ largest, scale, rounding, unit }, z, start, items);
  }

  /** The weight as an integer. */
  of(logit: number): number {
    return (this.unrounded(logit) + this.rounding - this.rounding) * this.unit;
  }
}

/** An exact sum of integers, up to 2^62. */
export class IntegerSum {
  private high = 0;
  private low = 0;

  add(integer: number): this {
    this.low += integer;
    if (this.low >= 2 ** 52) {
      const carry = Math.floor(this.low / 2 ** 32);
      this.high += carry;
      this.low -= carry * 2 ** 32;
    }
    return this;
  }

  /** The sum, rounded to a double. */
  get value(): number {
    return this.high * 2 ** 32 + this.low;
  }
}

/** The number of first items whose weights sum to `share` of all n weights; at least one. */
export function shareLength(n: number, weightOf: (i: number) => number, share: number): number {
  const all = new IntegerSum();
  for (let i = 0; i < n; i++) all.add(weightOf(i));
  const target = share * all.value;
  const sum = new IntegerSum();
  let kept = 0;
  do {
    sum.add(weightOf(kept));
    kept++;
  } while (kept < n && sum.value < target);
  return kept;
}
