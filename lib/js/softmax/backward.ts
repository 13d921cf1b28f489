/** softmaxBackward: dx = y (dy − Σ y dy) / T. Products and sums carry what rounding takes from them along. */
import { kindOf } from '../../call/arrays.js';
import { extended, powerOfTwo } from '../../math/extended.js';
import { twoSum } from '../../math/log.js';
import { counts } from '../../backend/masks.js';
import { exactProduct } from '../../math/powers.js';

type Floats = Float32Array | Float64Array;

export function softmaxBackward(
  y: Floats,
  dy: Floats,
  out: Floats,
  outer: number,
  cols: number,
  inner: number,
  temperature: number,
  mask: Uint8Array | null,
  maskLayout: number,
): void {
  const isKept = (at: number, column: number): boolean => mask === null || counts(mask, maskLayout, at, column);
  const isFar = !(temperature >= 2 ** -20 && temperature <= 2 ** 20);
  const isDouble = kindOf(y) === 'Float64Array';
  const farQuotient = quotientBy(temperature);

  /** Σ y dy of a row, with dy multiplied by a power of two. */
  const sumOf = (start: number, by: number): readonly [sum: number, low: number] => {
    let sum = 0;
    let low = 0;
    for (let c = 0, at = start; c < cols; c++, at += inner) {
      if (!isKept(at, c)) continue;
      const [product, rest] = exactProduct(y[at]!, dy[at]! * by);
      const [next, lost] = twoSum(sum, product);
      sum = next;
      // A factor near the end of the range has no exact product, and needs none.
      low += Number.isFinite(rest) ? rest + lost : lost;
    }
    return [sum, low];
  };

  /**
   * Whether all dy of a row are tiny, and some not 0: then products that are rounded to a multiple of 2^-1074 matter.
   */
  const isTiny = (start: number): boolean => {
    let most = 0;
    for (let c = 0, at = start; c < cols; c++, at += inner) if (isKept(at, c)) most = Math.max(most, Math.abs(dy[at]!));
    return most > 0 && most < 2 ** -800;
  };

  for (let o = 0; o < outer; o++) {
    for (let start = o * cols * inner, end = start + inner; start < end; start++) {
      // Sums and differences of doubles would overflow, or be subnormal where a quotient by the temperature is not.
      let by = isFar && temperature < 1 && isDouble ? 2 ** 128 : 1;
      let [sum, low] = sumOf(start, by);
      if (isDouble && !(Math.abs(sum) < 1e290)) {
        by = 2 ** -64;
        [sum, low] = sumOf(start, by);
      } else if (isDouble && !isFar && Math.abs(sum) < 2 ** -900 && isTiny(start)) {
        by = 2 ** 128;
        [sum, low] = sumOf(start, by);
      }
      for (let c = 0, at = start; c < cols; c++, at += inner) {
        if (!isKept(at, c)) {
          out[at] = 0;
          continue;
        }
        const [difference, lost] = twoSum(dy[at]! * by, -sum);
        const rest = lost - low;
        const left = Number.isFinite(rest) ? difference + rest : difference;
        const quotient = (y[at]! * left) / temperature;
        // A product that is subnormal must not be divided again.
        const isSmall = Math.abs(quotient) < 2 ** -960;
        out[at] = isFar || isSmall || by !== 1 ? farQuotient(y[at]!, left, by) : quotient;
      }
    }
  }
}

/** a · b / (temperature · by), for temperatures anywhere: powers of two go to the factors, or to their product. */
function quotientBy(temperature: number): (a: number, b: number, by: number) => number {
  const [mantissa, octave] =
    temperature < 2 ** -1000 ? extended(temperature * 2 ** 100, -100) : extended(temperature, 0);
  const n = -(octave + 1);
  const divisor = mantissa / 2; // in [½, 1), so that what comes before is not the larger one
  const first = powerOfTwo(n >> 1);
  const second = powerOfTwo(n - (n >> 1));
  return (a, b, by) => {
    const late = ((a * b) / divisor) * first * (second / by);
    // What is less than 1 comes last: it could make b subnormal.
    const early = ((a * first * (b * Math.max(second / by, 1))) / divisor) * Math.min(second / by, 1);
    const [better, other] = n > 0 ? [early, late] : [late, early];
    return Number.isFinite(better) ? better : other;
  };
}
