/**
 * softmaxBackward: dx = y (dy − Σ y dy) / T. If isLog: dx = (dy − exp(y) Σ dy) / T. Products and sums carry their
 * rounding errors along.
 *
 * Doubles near the ends of their range would overflow, or become subnormal where a quotient by the temperature is not.
 * Such a row is computed with dy multiplied by a power of two.
 */
import { kindOf } from '../../call/arrays.js';
import { extended, powerOfTwo } from '../../math/extended.js';
import { twoSum } from '../../math/log.js';
import { counts } from '../../backend/masks.js';
import { exp, expBelowZero } from '../../math/exp.js';
import { exactProduct, type Pair } from '../../math/powers.js';
import { sameNaN } from '../losses/loss-rows.js';
import { eachRow } from '../rows/row.js';

type Floats = Float32Array | Float64Array;

export function softmaxBackward(
  y: Floats,
  dy: Floats,
  out: Floats,
  isLog: number,
  outer: number,
  cols: number,
  inner: number,
  temperature: number,
  mask: Uint8Array | null,
  maskLayout: number,
): void {
  const rows = new BackwardRows(y, dy, cols, inner, mask, maskLayout, isLog !== 0);
  const isFar = !(temperature >= 2 ** -20 && temperature <= 2 ** 20);
  const isDouble = kindOf(y) === 'Float64Array';
  const farQuotient = quotientBy(temperature);

  eachRow(outer, cols, inner, (start) => {
    let factor = isFar && temperature < 1 && isDouble ? 2 ** 128 : 1;
    let [sum, low] = rows.sumOfProducts(start, factor);
    if (isDouble && !(Math.abs(sum) < 1e290)) {
      factor = 2 ** -64;
      [sum, low] = rows.sumOfProducts(start, factor);
    } else if (isDouble && !isFar && isLog === 0 && Math.abs(sum) < 2 ** -900 && rows.isTiny(start)) {
      factor = 2 ** 128;
      [sum, low] = rows.sumOfProducts(start, factor);
    }
    for (let c = 0, at = start; c < cols; c++, at += inner) {
      if (!rows.isVisible(at, c)) {
        out[at] = 0;
        continue;
      }
      if (isLog !== 0) {
        out[at] = logSlope(y[at]!, dy[at]! * factor, sum + low) / temperature / factor;
        continue;
      }
      const [difference, error] = twoSum(dy[at]! * factor, -sum);
      const rest = error - low;
      const left = Number.isFinite(rest) ? difference + rest : difference;
      const quotient = (y[at]! * left) / temperature;
      // A subnormal product must not be divided again.
      const isSmall = Math.abs(quotient) < 2 ** -960;
      out[at] = isFar || isSmall || factor !== 1 ? farQuotient(y[at]!, left, factor) : quotient;
    }
  });
}

/** dy − exp(y) · sum; +∞ in place of exp(y) from e^355 on, as in native kernels. */
function logSlope(y: number, dy: number, sum: number): number {
  const p = y > 0 ? (y > 355 ? Infinity : exp(y)) : y === y ? expBelowZero(y) : y;
  return sameNaN(dy - p * sum);
}

/** Reads the rows of y and dy at their visible positions. */
class BackwardRows {
  constructor(
    private readonly y: Floats,
    private readonly dy: Floats,
    private readonly cols: number,
    private readonly inner: number,
    private readonly mask: Uint8Array | null,
    private readonly maskLayout: number,
    private readonly isLog: boolean,
  ) {}

  isVisible(at: number, column: number): boolean {
    return this.mask === null || counts(this.mask, this.maskLayout, at, column);
  }

  /** Returns Σ y · dy · factor of a row, and its rounding error. */
  sumOfProducts(start: number, factor: number): Pair {
    const { y, dy, cols, inner, isLog } = this;
    let sum = 0;
    let low = 0;
    for (let c = 0, at = start; c < cols; c++, at += inner) {
      if (!this.isVisible(at, c)) continue;
      const [product, rest] = isLog ? [dy[at]! * factor, 0] : exactProduct(y[at]!, dy[at]! * factor);
      const [next, error] = twoSum(sum, product);
      sum = next;
      // A number near the end of the range has no exact product, and needs none.
      low += Number.isFinite(rest) ? rest + error : error;
    }
    return [sum, low];
  }

  /** Whether a row has a dy, and none from 2^-800 on: products that round to multiples of 2^-1074 matter then. */
  isTiny(start: number): boolean {
    const { dy, cols, inner } = this;
    let most = 0;
    for (let c = 0, at = start; c < cols; c++, at += inner) {
      if (this.isVisible(at, c)) most = Math.max(most, Math.abs(dy[at]!));
    }
    return most > 0 && most < 2 ** -800;
  }
}

/** Returns a · b / (temperature · factor) for any temperature: powers of two go to a and b, or to their product. */
function quotientBy(temperature: number): (a: number, b: number, factor: number) => number {
  const [mantissa, octave] =
    temperature < 2 ** -1000 ? extended(temperature * 2 ** 100, -100) : extended(temperature, 0);
  const n = -(octave + 1);
  const divisor = mantissa / 2; // in [½, 1), so that a product is not larger than its quotient
  const first = powerOfTwo(n >> 1);
  const second = powerOfTwo(n - (n >> 1));
  return (a, b, factor) => {
    const late = ((a * b) / divisor) * first * (second / factor);
    // A power below 1 comes last: it could make b subnormal.
    const early = ((a * first * (b * Math.max(second / factor, 1))) / divisor) * Math.min(second / factor, 1);
    const [better, other] = n > 0 ? [early, late] : [late, early];
    return Number.isFinite(better) ? better : other;
  };
}
