/**
 * The kernels of softTopKBackward: y = alpha · v · (dp − Σ dp v / Σ v), v = p (1 − p). native/losses/soft_top_k.h has
 * the method.
 *
 * Sums carry their rounding errors along. Results that are rounded to float32 hardly ever depend on these: plain sums
 * come first, with a bound of their error, and a row of which an element could round in another way is computed again.
 */
import { SOFT_TOP_K_BACKWARD } from '../../backend/operators.js';
import { kindOf, overlap } from '../../call/arrays.js';
import { twinOf } from '../twin.js';
import { unifyNaNs, type Floats } from './loss-rows.js';

/** So many terms are added up plainly; a longer row has sums of such blocks. */
const BLOCK = 64;
/** The bound of the error grows with a row: in longer ones some element is always in doubt. */
const LONGEST = 2 ** 15;
/** With smaller v a result may be 0, or underflow to −0. */
const LEAST_V = 2 ** -60;

/**
 * Writes a row of floats with p in (0, 1) from plain sums. Returns false where an element could round in another way:
 * the row must be written again then.
 */
function writeQuickly(p: Float32Array, dp: Float32Array, out: Float32Array, start: number, end: number, alpha: number) {
  let sum = 0;
  let products = 0;
  let sizes = 0;
  let from = start;
  for (let to = Math.min(start + BLOCK, end); ; to = Math.min(to + BLOCK, end)) {
    let ofBlock = 0;
    let productsOfBlock = 0;
    for (let i = from; i < to; i++) {
      const probability = p[i]!;
      const v = probability * (1 - probability);
      if (!(v >= LEAST_V)) return false;
      const product = dp[i]! * v;
      ofBlock += v;
      productsOfBlock += product;
      sizes += Math.abs(product);
    }
    sum += ofBlock;
    products += productsOfBlock;
    from = to;
    if (to === end) break;
  }
  const mean = products / sum;
  const doubt = (2 * BLOCK + (end - start) / BLOCK) * 2 ** -52 * (sizes / sum);
  if (!(doubt < Infinity && doubt * alpha * LEAST_V > 2 ** -140)) return false;
  const least = mean - doubt;
  const most = mean + doubt;
  let isSure = true;
  for (let i = start; i < end; i++) {
    const v = p[i]! * (1 - p[i]!) * alpha;
    const d = dp[i]!;
    const value = Math.fround(v * (d - least));
    out[i] = value;
    if (value !== Math.fround(v * (d - most))) isSure = false;
  }
  return isSure;
}

/** A sum and what rounding took from it. */
const wholeOf = (sum: number, low: number): number => (Math.abs(sum) < Infinity && low === low ? sum + low : sum);

/** Writes any row of elements at start, start + stride, … */
function writeExactly(
  p: Floats,
  dp: Floats,
  out: Floats,
  start: number,
  end: number,
  stride: number,
  alpha: number,
): void {
  let sum = 0;
  let low = 0;
  let products = 0;
  let productsLow = 0;
  for (let i = start; i < end; i += stride) {
    const probability = p[i]!;
    const v = probability * (1 - probability);
    const next = sum + v;
    const ofV = next - sum;
    low += sum - (next - ofV) + (v - ofV);
    sum = next;
    if (v === 0) continue;
    const product = dp[i]! * v;
    const after = products + product;
    const ofProduct = after - products;
    productsLow += products - (after - ofProduct) + (product - ofProduct);
    products = after;
  }
  const whole = wholeOf(sum, low);
  const mean = whole === 0 ? 0 : wholeOf(products, productsLow) / whole;
  if (mean !== mean || whole !== whole) {
    for (let i = start; i < end; i += stride) out[i] = NaN;
    return;
  }
  let hasNaN = false;
  for (let i = start; i < end; i += stride) {
    const v = p[i]! * (1 - p[i]!);
    const value = v === 0 ? 0 : alpha * v * (dp[i]! - mean);
    out[i] = value;
    if (value !== value) hasNaN = true;
  }
  if (hasNaN) unifyNaNs(out, start, end, stride);
}

function softTopKBackward(
  p: Floats,
  dp: Floats,
  out: Floats,
  alpha: number,
  outer: number,
  cols: number,
  inner: number,
): void {
  const isShort = inner === 1 && cols <= LONGEST;
  const isQuick = isShort && kindOf(p) === 'Float32Array' && !overlap(out, p) && !overlap(out, dp);
  const length = cols * inner;
  for (let first = 0; first < outer * length; first += length) {
    for (let start = first; start < first + inner; start++) {
      const end = start + length;
      if (isQuick && writeQuickly(p as Float32Array, dp as Float32Array, out as Float32Array, start, end, alpha))
        continue;
      writeExactly(p, dp, out, start, Math.min(end, first + length), inner, alpha);
    }
  }
}

export const softTopKBackwardKernels = /* @__PURE__ */ twinOf(SOFT_TOP_K_BACKWARD, softTopKBackward, softTopKBackward);
