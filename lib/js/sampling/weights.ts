/**
 * The weights that sampling counts with: multiples of 2^-bits, whose sums are exact integers and do not depend on an order. The
 * steps are those of native/sampling/weights.h, operation by operation, so that every backend keeps and draws the same tokens.
 */

/** 2^(j/8). */
const ROOTS = Float64Array.of(1, 1.0905077326652577, 1.189207115002721, 1.2968395546510096, 1.4142135623730951, 1.5422108254079407, 1.681792830507429, 1.8340080864093424);
/** (2^(r/8) − 1) / r for |r| ≤ ½, interpolated at the Chebyshev nodes: 6 · 10^-13 of the weight. */
const [Q0, Q1, Q2, Q3, Q4] = [0.08664339756999315, 0.003753539159758873, 0.00010840646209415717, 0.00000234835968262459, 4.0693061897911777e-8] as const;
const LOG2_E = 1.4426950408889634;
const SHIFTER = 1.5 * 2 ** 52;
/** What lies as many eighths of octaves below the largest counts as nothing. */
export const DEEPEST = -512;
/** 2^-64 … 2^0 */
const OCTAVES = Float64Array.from({ length: 65 }, (_, i) => 2 ** (i - 64));

export class Weigher {
  /** A weight of 1 in integers. */
  readonly unit: number;
  private readonly scale: number;
  private readonly rounding: number;

  constructor(readonly top: number, temperature: number, n: number) {
    this.scale = temperature === 0 ? 1 : Math.min((8 * LOG2_E) / temperature, 2 ** 1000);
    let unit = 2 ** 46;
    while (n * unit > 2 ** 62) unit /= 2;
    this.unit = unit;
    this.rounding = SHIFTER / unit;
  }

  /** How far a logit is below the largest, in eighths of octaves. */
  distance(z: number): number {
    const s = (z - this.top) * this.scale;
    return s > DEEPEST ? s : DEEPEST;
  }

  /** Not rounded yet. */
  exactly(z: number): number {
    const s = this.distance(z);
    const whole = s + SHIFTER - SHIFTER;
    const r = s - whole;
    const p = (((Q4 * r + Q3) * r + Q2) * r + Q1) * r + Q0;
    return ROOTS[whole & 7]! * OCTAVES[(whole >> 3) + 64]! * (p * r + 1);
  }

  round(w: number): number {
    return w + this.rounding - this.rounding;
  }

  /** As an integer. */
  of(z: number): number {
    return this.round(this.exactly(z)) * this.unit;
  }
}

/** A sum of integers up to 2^62, exactly. */
export class Sum {
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

  /** Rounded to a double. */
  get value(): number {
    return this.high * 2 ** 32 + this.low;
  }
}
