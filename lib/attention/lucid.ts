/** LUCID attention: causal softmax attention over preconditioned values. */
import type { AsyncOptions } from '../call/abort.js';
import { allocate } from '../call/allocate.js';
import { copyInto, viewOf } from '../call/arrays.js';
import { wrongValue } from '../call/errors.js';
import { checkWhole } from '../call/memory.js';
import type { Form } from '../call/options.js';
import { runSteps, type Steps } from '../call/steps.js';
import type { NewFloat32Array, Returned } from '../call/types.js';
import { finite } from '../call/values.js';
import { composedCall, composedOptions, privateArrays, type ComposedCall, type ComposedOptions } from './composed.js';
import { attentionCall } from './dense.js';
import { finishRows, ROWS, toUnits, type Positions, type RowSizes } from './precondition.js';

export interface LucidAttentionOptions<Out extends Float32Array = Float32Array> extends ComposedOptions<Out> {
  /** The factor of q · k in the softmax: finite. The preconditioner has 1/√headDim. Default: 1/√headDim. */
  scale?: number | undefined;
}

/**
 * LUCID attention ("LUCID: Attention with Preconditioned Representations", Duvvuri et al., arXiv 2602.10410): causal
 * softmax attention over values from which earlier positions with similar keys are taken off.
 *
 *     Y[n] = v[n] − Σ_{j < n} exp(k̂[n] · k̂[j] / √d − √d) Y[j]      k̂ = k · √d / |k|      d = headDim
 *     out[m] = Σₙ softmax(scale · q[m] · k[n])ₙ · Y[n]               n up to the position of query m
 *
 * Always causal: the last query is at the last key, as in `attention`, and a query that sees no key gives 0. Y is
 * computed for each key/value head, in double, and rounded to float32 once; `attention` does the rest. A key of zeros
 * has products of 0. The first position has Y = v. A key or value with a NaN, or with an infinity, makes the Y of all
 * later positions NaN and leaves earlier ones alone; a query whose only key scores −∞ gives 0, as in `attention`. (The
 * paper's code adds an ε to |k|²; this does not.)
 *
 * The error of an output is at most 2 · 10⁻⁶ of the largest |Y| that its row sees, as in `attention`, and ½ ULP of Y;
 * largest seen: 5 · 10⁻⁸ of it. The time is that of n² / 2 products of keys and of values a head, in JavaScript.
 *
 * @param q Queries, [batch, heads, queries, headDim]. @param k Keys, [batch, kvHeads, keys, headDim].
 * @param v Values, [batch, kvHeads, keys, valueDim]. @param options `heads`, `headDim`, …
 * @returns [batch, heads, queries, valueDim]: `out`, or a new Float32Array.
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) as attention does.
 * @see KVCache.appendPreconditioned, for decoding.
 * @example
 * import { lucidAttention } from 'flash-softmax/attention';
 * const q = Float32Array.of(1, 0), k = Float32Array.of(1, 0, 0, 1), v = Float32Array.of(1, 2, 3, 4);
 * console.log(lucidAttention(q, k, v, { heads: 1, headDim: 2 })[0].toFixed(4)); // → 1.5802
 */
export function lucidAttention<Out extends Float32Array = NewFloat32Array>(
  q: Float32Array,
  k: Float32Array,
  v: Float32Array,
  options: LucidAttentionOptions<Out>,
): Returned<Out> {
  return runSteps(lucidAttentionSteps('now', q, k, v, options)) as Returned<Out>;
}

export function lucidAttentionSteps(
  form: Form,
  q: Float32Array,
  k: Float32Array,
  v: Float32Array,
  options: LucidAttentionOptions & AsyncOptions,
): Steps<Float32Array> {
  const own = composedOptions(options, ['scale'], form);
  const call = composedCall(q, k, v, own);
  const scale = finite(own.scale ?? 1 / Math.sqrt(call.sizes.headDim), 'scale');
  if (call.sizes.valueDim === 0) throw wrongValue('one element a key at least', 'v', '0');
  return steps(form, call, scale);
}

function* steps(form: Form, { sizes, arrays, out }: ComposedCall, scale: number): Steps<Float32Array> {
  const { batch, kvHeads, keys, headDim, valueDim } = sizes;
  const length = batch * sizes.heads * sizes.queries * valueDim;
  const { q, k, v } = yield* privateArrays(form, arrays);
  const y = allocate('Float32Array', batch * kvHeads * keys * valueDim, 'Y');
  const head: Positions = {
    unit: allocate('Float64Array', keys * headDim, 'keys'),
    y: allocate('Float64Array', keys * valueDim, 'Y'),
  };
  for (let h = 0; h < batch * kvHeads; h++) {
    copyInto(head.unit, viewOf(k, h * keys * headDim, (h + 1) * keys * headDim));
    copyInto(head.y, viewOf(v, h * keys * valueDim, (h + 1) * keys * valueDim));
    yield* precondition(head, keys, sizes);
    copyInto(y, head.y, h * keys * valueDim);
  }
  const wanted = form === 'now' ? out : undefined;
  const call = attentionCall(q, k, y, { ...sizes, scale, causal: true, out: wanted });
  yield call;
  const result = call.parts.finish() as Float32Array;
  if (out === undefined || wanted !== undefined) return result;
  checkWhole({ view: out, name: 'out', length });
  copyInto(out, result);
  return out;
}

/** Products of two positions between two turns of the event loop. */
const PIECE = 2 ** 14;

/** Solves a head, with turns. */
function* precondition(head: Positions, keys: number, sizes: RowSizes): Steps<void> {
  toUnits(head.unit, 0, keys, sizes.headDim);
  let since = 0;
  for (let from = 0; from < keys; from += ROWS) {
    const to = Math.min(keys, from + ROWS);
    finishRows(head, [from, to], sizes);
    since += (to - from) * to;
    if (since < PIECE) continue;
    since = 0;
    yield undefined;
  }
}
