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
import { exponentialOf, writeLogSlopes } from '../rows/exponential.js';
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

  const isNear = !isFar && inner === 1 && mask === null;
  const compute = (start: number): void => {
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
  };
  if (!isNear) eachRow(outer, cols, inner, compute);
  else {
    for (let start = 0; start < outer * cols; start += cols) {
      if (!quickRow(y, dy, out, start, cols, temperature, isDouble, isLog !== 0)) compute(start);
    }
  }
}

type WriteArguments = [y: Floats, dy: Floats, out: Floats, start: number, end: number, temperature: number];

/** Σ y dy or Σ dy of a row, and its rounding error. */
const sums = new Float64Array(2);

/** Writes a row without a mask, at an ordinary temperature. Returns false, with nothing written, where it cannot. */
function quickRow(
  y: Floats,
  dy: Floats,
  out: Floats,
  start: number,
  cols: number,
  temperature: number,
  isDouble: boolean,
  isLog: boolean,
): boolean {
  const end = start + cols;
  if (isLog) sumOf(dy, start, end);
  else if (isDouble) sumOfDoubles(y as Float64Array, dy as Float64Array, start, end);
  else sumOfSingles(y as Float32Array, dy as Float32Array, start, end);
  const sum = sums[0]!;
  const low = sums[1]!;
  const size = Math.abs(sum);
  // Rows near the ends of a double's range are computed with a factor.
  if (!(size < 1e290 && Math.abs(low) < Infinity) || (isDouble && !isLog && size < 2 ** -900)) return false;
  if (isLog) {
    const whole = sum + low;
    if (temperature === 1) {
      for (let i = start; i < end; i++) {
        i = writeLogSlopes(y, dy, out, i, end, whole);
        if (i < end) out[i] = logSlope(y[i]!, dy[i]!, whole);
      }
    } else for (let i = start; i < end; i++) out[i] = logSlope(y[i]!, dy[i]!, whole) / temperature;
  } else {
    const write = (isDouble ? writeDoubles : writeSingles) as (...args: WriteArguments) => void;
    write(y, dy, out, start, end, temperature);
  }
  return true;
}

function sumOf(dy: Floats, start: number, end: number): void {
  let sum = 0;
  let low = 0;
  for (let i = start; i < end; i++) {
    const value = dy[i]!;
    const next = sum + value;
    const ofValue = next - sum;
    low += sum - (next - ofValue) + (value - ofValue);
    sum = next;
  }
  sums[0] = sum;
  sums[1] = low;
}

/** Products of float32 are exact in double. Two sums, so that one addition does not wait for another. */
function sumOfSingles(y: Float32Array, dy: Float32Array, start: number, end: number): void {
  let sum = 0;
  let low = 0;
  let sum2 = 0;
  let i = start;
  for (; i < end - 1; i += 2) {
    const a = y[i]! * dy[i]!;
    const b = y[i + 1]! * dy[i + 1]!;
    const next = sum + a;
    const next2 = sum2 + b;
    const ofA = next - sum;
    const ofB = next2 - sum2;
    low += sum - (next - ofA) + (a - ofA) + (sum2 - (next2 - ofB) + (b - ofB));
    sum = next;
    sum2 = next2;
  }
  if (i < end) sum2 = addTo(sum2, y[i]! * dy[i]!, low);
  else sums[1] = low;
  low = sums[1]!;
  sum = addTo(sum, sum2, low);
  sums[0] = sum;
}

/** Returns sum + value; puts low and the rounding error into `sums`. */
function addTo(sum: number, value: number, low: number): number {
  const next = sum + value;
  const ofValue = next - sum;
  sums[1] = low + (sum - (next - ofValue) + (value - ofValue));
  return next;
}

/** As exactProduct, in a loop. */
function sumOfDoubles(y: Float64Array, dy: Float64Array, start: number, end: number): void {
  let sum = 0;
  let low = 0;
  for (let i = start; i < end; i++) {
    const a = y[i]!;
    const b = dy[i]!;
    const product = a * b;
    const aScaled = a * 0x8000001;
    const aHigh = aScaled - (aScaled - a);
    const aLow = a - aHigh;
    const bScaled = b * 0x8000001;
    const bHigh = bScaled - (bScaled - b);
    const bLow = b - bHigh;
    const rest = aLow * bLow - (product - aHigh * bHigh - aLow * bHigh - aHigh * bLow);
    const next = sum + product;
    const ofProduct = next - sum;
    low += rest + (sum - (next - ofProduct) + (product - ofProduct));
    sum = next;
  }
  sums[0] = sum;
  sums[1] = low;
}

function writeSingles(
  y: Float32Array,
  dy: Float32Array,
  out: Float32Array,
  start: number,
  end: number,
  temperature: number,
): void {
  const sum = sums[0]!;
  const rest = 0 - sums[1]!; // 0 and not −0
  const scale = 1 / temperature;
  let i = start;
  for (; i < end - 3; i += 4) {
    const a = y[i]! * (dy[i]! - sum + rest) * scale;
    const b = y[i + 1]! * (dy[i + 1]! - sum + rest) * scale;
    const c = y[i + 2]! * (dy[i + 2]! - sum + rest) * scale;
    const d = y[i + 3]! * (dy[i + 3]! - sum + rest) * scale;
    out[i] = a;
    out[i + 1] = b;
    out[i + 2] = c;
    out[i + 3] = d;
  }
  for (; i < end; i++) out[i] = y[i]! * (dy[i]! - sum + rest) * scale;
}

function writeDoubles(
  y: Float64Array,
  dy: Float64Array,
  out: Float64Array,
  start: number,
  end: number,
  temperature: number,
): void {
  const sum = sums[0]!;
  const low = sums[1]!;
  const minusSum = -sum;
  const farQuotient = quotientBy(temperature);
  for (let i = start; i < end; i++) {
    const value = dy[i]!;
    const difference = value + minusSum;
    const ofSum = difference - value;
    const error = value - (difference - ofSum) + (minusSum - ofSum);
    const left = difference + (error - low);
    const quotient = (y[i]! * left) / temperature;
    // A subnormal product must not be divided again.
    out[i] = Math.abs(quotient) < 2 ** -960 ? farQuotient(y[i]!, left, 1) : quotient;
  }
}

/** dy − exp(y) · sum; +∞ in place of exp(y) from e^355 on, as in native kernels. */
function logSlope(y: number, dy: number, sum: number): number {
  const p = y > 0 ? (y > 355 ? Infinity : exp(y)) : y === y ? (y > -708 ? exponentialOf(y) : expBelowZero(y)) : y;
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
