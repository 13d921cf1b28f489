/**
 * Softmax in BigInt fixed point: slow, short, and plainly right. It checks the double-double oracle, which is fast
 * enough for rows of a million but must be proved itself.
 *
 * A number v is the integer v·2^1400. Every double is such an integer (the smallest is 2^-1074), and rounding errors
 * are 300 bits below the smallest double.
 */
import type { Floats, FloatsName } from './cases.js';

const FRACTION_BITS = 1400n;
const ONE = 1n << FRACTION_BITS;

/** v·2^1400, exactly; v is finite. */
export function fixed(v: number): bigint {
  const word = new BigUint64Array(new Float64Array([v]).buffer)[0]!;
  const exponent = (word >> 52n) & 0x7ffn;
  const fraction = word & 0xf_ffff_ffff_ffffn;
  const significand = exponent === 0n ? fraction : fraction | (1n << 52n);
  const magnitude = significand << (FRACTION_BITS - 1074n + (exponent === 0n ? 0n : exponent - 1n));
  return word >> 63n ? -magnitude : magnitude;
}

/** e^x for a fixed x ≤ 0: a Taylor series at x/2^12, squared twelve times. */
export function exponential(x: bigint): bigint {
  if (x < -2000n * ONE) return 0n;
  const reduced = x >> 12n;
  let sum = ONE;
  let term = ONE;
  for (let k = 1n; term !== 0n && term !== -1n; k++) {
    term = ((term * reduced) >> FRACTION_BITS) / k;
    sum += term;
  }
  for (let i = 0; i < 12; i++) sum = (sum * sum) >> FRACTION_BITS;
  return sum;
}

/** softmax(x / temperature) of one row of finite numbers and -∞, in fixed point. */
export function exactSoftmax(x: Floats, temperature = 1): bigint[] {
  const logits = Array.from(x, (v) => (v === -Infinity ? null : fixed(v)));
  const largest = logits.reduce((a, b) => (a === null || (b !== null && b > a) ? b : a), null) ?? 0n;
  const terms = logits.map((v) =>
    v === null ? 0n : exponential(((v - largest) << FRACTION_BITS) / fixed(temperature)),
  );
  const sum = terms.reduce((a, b) => a + b, 0n);
  return terms.map((term) => (term << FRACTION_BITS) / sum);
}

/** |actual − expected| in ULP of the type at `expected`. */
export function exactUlpError(type: FloatsName, actual: number, expected: bigint): number {
  const [significandBits, smallest] = type === 'f32' ? [24n, 149n] : [53n, 1074n];
  const exponent = BigInt(expected.toString(2).length) - FRACTION_BITS; // expected < 2^exponent
  const ulpExponent = exponent - significandBits < -smallest ? -smallest : exponent - significandBits;
  const ulp = 1n << (ulpExponent + FRACTION_BITS);
  const difference = fixed(actual) - expected;
  return Number(((difference < 0n ? -difference : difference) * 1_000_000n) / ulp) / 1e6;
}
