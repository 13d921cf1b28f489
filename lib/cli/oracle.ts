/**
 * The reference for results: exp and softmax in double-double arithmetic. A number is the unevaluated sum hi + lo of
 * two doubles (about 106 bits). The oracle shares no code and no method with the kernels or the fallback. Max error:
 * 2^-95. It is slow on purpose: nothing is rounded before the end. `flash-softmax verify` and the tests use it.
 */

export interface DD {
  readonly hi: number;
  readonly lo: number;
}

// ---- arithmetic -------------------------------------------------------------------------------------

/** a + b without error. */
export function twoSum(a: number, b: number): DD {
  const hi = a + b;
  const t = hi - a;
  return { hi, lo: a - (hi - t) + (b - t) };
}

/** a + b without error, where |a| >= |b| or a is 0. */
function quickTwoSum(a: number, b: number): DD {
  const hi = a + b;
  return { hi, lo: b - (hi - a) };
}

/** a · b without error (Dekker; JavaScript has no fma), for magnitudes below 2^996. */
export function twoProduct(a: number, b: number): DD {
  const hi = a * b;
  const sa = a * 134217729; // 2^27 + 1 splits 53 bits into 26 + 26
  const a1 = sa - (sa - a);
  const a2 = a - a1;
  const sb = b * 134217729;
  const b1 = sb - (sb - b);
  const b2 = b - b1;
  return { hi, lo: a2 * b2 - (hi - a1 * b1 - a2 * b1 - a1 * b2) };
}

export function add(a: DD, b: DD): DD {
  const s = twoSum(a.hi, b.hi);
  const t = twoSum(a.lo, b.lo);
  const u = quickTwoSum(s.hi, s.lo + t.hi);
  return quickTwoSum(u.hi, u.lo + t.lo);
}

export function addNumber(a: DD, b: number): DD {
  const s = twoSum(a.hi, b);
  return quickTwoSum(s.hi, s.lo + a.lo);
}

export function multiply(a: DD, b: DD): DD {
  const p = twoProduct(a.hi, b.hi);
  return quickTwoSum(p.hi, p.lo + (a.hi * b.lo + a.lo * b.hi));
}

export function multiplyNumber(a: DD, b: number): DD {
  const p = twoProduct(a.hi, b);
  return quickTwoSum(p.hi, p.lo + a.lo * b);
}

export function divide(a: DD, b: DD): DD {
  const q1 = a.hi / b.hi;
  const rest = add(a, multiplyNumber(b, -q1));
  const q2 = rest.hi / b.hi;
  const q3 = add(rest, multiplyNumber(b, -q2)).hi / b.hi;
  return addNumber(quickTwoSum(q1, q2), q3);
}

// ---- powers of two ----------------------------------------------------------------------------------

// 2^n for every normal result, -1022 <= n <= 1023, at [n + 1022].
const POWER2 = new Float64Array(2046);
POWER2[0] = 2.2250738585072014e-308;
for (let i = 1; i < POWER2.length; i++) POWER2[i] = POWER2[i - 1]! * 2;

const bits = new DataView(new ArrayBuffer(8));

/** floor(log2 |x|); -1023 for a subnormal. */
function exponentOf(x: number): number {
  bits.setFloat64(0, x);
  return ((bits.getUint32(0) >>> 20) & 0x7ff) - 1023;
}

/** x · 2^n, rounded at most once: n is split in two, which keeps the first product normal. */
export function scale(x: number, n: number): number {
  const m = Math.max(-2044, Math.min(2046, n));
  const half = m >> 1;
  return x * POWER2[half + 1022]! * POWER2[m - half + 1022]!;
}

// ---- exp --------------------------------------------------------------------------------------------

// ln 2 in three parts; the first two have 40 bits each, so that their products with n are exact.
const LN2 = [0.6931471805592082, 7.371002565161996e-13, 5.8029889835956905e-25] as const;

const INVERSE_FACTORIAL: DD[] = [{ hi: 1, lo: 0 }];
for (let k = 1; k <= 26; k++) INVERSE_FACTORIAL.push(divide(INVERSE_FACTORIAL[k - 1]!, { hi: k, lo: 0 }));

/** exp(s) by its power series up to s^terms / terms!; terms from s^plain on are plain doubles. */
function series(s: DD, terms: number, plain: number): DD {
  let tail = 0;
  for (let k = terms; k >= plain; k--) tail = tail * s.hi + INVERSE_FACTORIAL[k]!.hi;
  let sum: DD = { hi: tail, lo: 0 };
  for (let k = plain - 1; k >= 0; k--) sum = add(multiply(sum, s), INVERSE_FACTORIAL[k]!);
  return sum;
}

// exp(j/64) for |j| <= 24 leaves |s| <= 1/128 to the series. It needs 11 terms, as the 12th is 2^-112, and plain
// doubles
// from the 7th on, which is 2^-61.
const STEP = 64;
const REACH = 24;
const TABLE = Array.from({ length: 2 * REACH + 1 }, (_, i) => series({ hi: (i - REACH) / STEP, lo: 0 }, 26, 26));

/** exp(a + b + c) as mantissa · 2^exponent, for |a| < 2^11; the mantissa is in [0.7, 1.42]. */
function expParts(a: number, b: number, c: number): { mantissa: DD; exponent: number } {
  const exponent = Math.round(a * Math.LOG2E);
  let r = addNumber(twoSum(a, -exponent * LN2[0]), b);
  r = addNumber(r, -exponent * LN2[1]);
  r = addNumber(r, c - exponent * LN2[2]);
  const j = Math.round(r.hi * STEP);
  const mantissa = multiply(TABLE[j + REACH]!, series(addNumber(r, -j / STEP), 11, 7));
  return { mantissa, exponent };
}

/** exp(x). Overflows to infinity and underflows to 0 at the ends of the doubles. */
export function expDD(x: DD): DD {
  if (Number.isNaN(x.hi)) return { hi: NaN, lo: 0 };
  if (x.hi > 710) return { hi: Infinity, lo: 0 };
  if (x.hi < -800) return { hi: 0, lo: 0 };
  const { mantissa, exponent } = expParts(x.hi, x.lo, 0);
  return { hi: scale(mantissa.hi, exponent), lo: scale(mantissa.lo, exponent) };
}

// ---- softmax ----------------------------------------------------------------------------------------

/** d / t to about 150 bits as three doubles, for t in [1, 2); undefined if exp(d / t) is 0 in a double. */
function quotient(d: DD, t: number): [number, number, number] | undefined {
  const a = d.hi / t;
  if (a < -800) return undefined;
  const rest = add(d, twoProduct(-a, t));
  const b = rest.hi / t;
  return [a, b, add(rest, twoProduct(-b, t)).hi / t];
}

/** softmax(x / temperature) of one row; element i is hi[i] + lo[i]. Below 2^-970 lo loses bits to underflow. */
export function softmaxOracle(
  x: Float64Array | Float32Array,
  { temperature = 1 }: { temperature?: number } = {},
): { hi: Float64Array; lo: Float64Array } {
  const hi = new Float64Array(x.length);
  const lo = new Float64Array(x.length);
  const exponents = new Int32Array(x.length);
  let max = -Infinity;
  let min = Infinity;
  let hasNaN = false;
  for (const v of x) {
    if (v > max) max = v;
    if (v < min && v !== -Infinity) min = v;
    if (Number.isNaN(v)) hasNaN = true;
  }
  if (hasNaN || !Number.isFinite(max)) return { hi: hi.fill(NaN), lo };

  // The temperature is scaled into [1, 2) and the differences with it, and differences too large for a double are taken
  // between halves, so that no step overflows or loses a bit.
  const lift = temperature < 1e-300 ? 100 : 0;
  const shift = exponentOf(scale(temperature, lift)) - lift;
  const t = scale(scale(temperature, lift), -shift - lift);
  const halved = max - min === Infinity ? 1 : 0;

  let sum: DD = { hi: 0, lo: 0 };
  for (let i = 0; i < x.length; i++) {
    if (x[i] === -Infinity) continue;
    const d = twoSum(scale(x[i]!, -halved), -scale(max, -halved));
    const parts = quotient({ hi: scale(d.hi, halved - shift), lo: scale(d.lo, halved - shift) }, t);
    if (parts === undefined) continue;
    const { mantissa, exponent } = expParts(parts[0], parts[1], parts[2]);
    hi[i] = mantissa.hi;
    lo[i] = mantissa.lo;
    exponents[i] = exponent;
    sum = add(sum, { hi: scale(mantissa.hi, exponent), lo: scale(mantissa.lo, exponent) });
  }
  const inverse = divide({ hi: 1, lo: 0 }, sum);
  for (let i = 0; i < x.length; i++) {
    if (hi[i] === 0) continue;
    const y = multiply({ hi: hi[i]!, lo: lo[i]! }, inverse);
    hi[i] = scale(y.hi, exponents[i]!);
    lo[i] = scale(y.lo, exponents[i]!);
  }
  return { hi, lo };
}

// ---- errors -----------------------------------------------------------------------------------------

const FORMATS = {
  f32: { fraction: 23, smallest: -126 },
  f64: { fraction: 52, smallest: -1022 },
};

/** |actual - exact| in units of the exact value's last place; 0 if both are NaN, Infinity if one is. */
export function ulpError(actual: number, exactHi: number, exactLo: number, type: 'f32' | 'f64'): number {
  if (Number.isNaN(actual) && Number.isNaN(exactHi)) return 0;
  if (actual === exactHi && exactLo === 0) return 0;
  const { fraction, smallest } = FORMATS[type];
  // An exact value just below a power of two, with that power as hi, has the unit of the lower binade.
  const hiIsPower = scale(exactHi, -exponentOf(exactHi)) === 1;
  const exponent = exponentOf(exactHi) - (hiIsPower && exactLo < 0 ? 1 : 0);
  const error = Math.abs(actual - exactHi - exactLo);
  const units = scale(error, fraction - Math.max(exponent, smallest));
  return Number.isNaN(units) ? Infinity : units;
}

/**
 * ulpError, scaled so that 2 is the promised bound everywhere. In the one binade above the subnormals the smaller of
 * the two products that make a native result underflows, and 2.3 units are promised.
 */
export function countedError(actual: number, exactHi: number, exactLo: number, type: 'f32' | 'f64'): number {
  const smallest = type === 'f32' ? 2 ** -126 : 2 ** -1022;
  const share = exactHi >= smallest && exactHi < 2 * smallest ? 2 / 2.3 : 1;
  return share * ulpError(actual, exactHi, exactLo, type);
}
