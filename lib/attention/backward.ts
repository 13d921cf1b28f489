/** attentionBackward: the gradients of attention over keys and values in two arrays. */
import { ATTENTION_BACKWARD } from '../backend/operators.js';
import { backend } from '../backend/choice.js';
import { allocate } from '../call/allocate.js';
import { lengthOf } from '../call/arrays.js';
import { callOf, runNow, type Call } from '../call/call.js';
import { apart } from '../call/checks.js';
import { describe, wrongType, wrongValue } from '../call/errors.js';
import { types, type NewFloat32Array, type Returned } from '../call/types.js';
import { attentionBackwardKernels } from '../js/attention/backward.js';
import { DENSE_OPTIONS, denseArguments, type DenseOptions } from './dense.js';
import { copyOptions, OPTION_NAMES } from './options.js';
import { attached, floats, perHead } from './sizes.js';

/** Where a gradient goes: a new array (true), this array, or nowhere (false or null), which saves its work. */
export type GradientTarget = Float32Array | boolean | null | undefined;

/** Options of {@link attentionBackward}: those of the call of `attention`, its results, and which gradients to give. */
export interface AttentionBackwardOptions<
  Q extends GradientTarget = GradientTarget,
  K extends GradientTarget = GradientTarget,
  V extends GradientTarget = GradientTarget,
  Bias extends GradientTarget = GradientTarget,
  Sinks extends GradientTarget = GradientTarget,
> extends DenseOptions {
  /** What `attention` returned. It is read. */
  out: Float32Array;
  /** The log-sum-exps that `attention` returned with `lse: true`. They are read. */
  lse: Float64Array;
  /** The sinks of the call of `attention`. Default: none. */
  sinks?: Float32Array | undefined;
  /** The gradient by q. Default: a new array. */
  dq?: Q;
  /** The gradient by k. Default: a new array. */
  dk?: K;
  /** The gradient by v. Default: a new array. */
  dv?: V;
  /** The gradient by `bias`, in its shape: summed over the dimensions that share its entries. Default: none. */
  dBias?: Bias;
  /** The gradient by `sinks`, one number a head. Default: none. */
  dSinks?: Sinks;
}

/** The gradient for a target: the caller's array with its own type, a new array, or null. */
type Gradient<T extends GradientTarget, Default> = [T] extends [Float32Array]
  ? Returned<T>
  : [T] extends [true]
    ? NewFloat32Array
    : [T] extends [false | null]
      ? null
      : [T] extends [undefined]
        ? Default
        : Float32Array | null;

/** The gradients. null: not wanted. */
export interface AttentionGradients<
  Q extends GradientTarget = GradientTarget,
  K extends GradientTarget = GradientTarget,
  V extends GradientTarget = GradientTarget,
  Bias extends GradientTarget = GradientTarget,
  Sinks extends GradientTarget = GradientTarget,
> {
  readonly dq: Gradient<Q, NewFloat32Array>;
  readonly dk: Gradient<K, NewFloat32Array>;
  readonly dv: Gradient<V, NewFloat32Array>;
  readonly dBias: Gradient<Bias, null>;
  readonly dSinks: Gradient<Sinks, null>;
}

const RESULTS = ['dq', 'dk', 'dv', 'dBias', 'dSinks'] as const;
type ResultName = (typeof RESULTS)[number];
export const BACKWARD_OPTIONS = [...DENSE_OPTIONS, 'sinks', 'out', 'lse', ...RESULTS] as const;

/**
 * The gradients of {@link attention} (Dao, FlashAttention-2, arXiv 2307.08691, algorithm 2), for the gradient `dOut` of
 * a loss by its output:
 *
 *     p[m, n] = exp(s[m, n] − lse[m])        s the score after scale, softcap, slope and bias, as in attention
 *     dP[m, n] = dOut[m] · v[n]              D[m] = dOut[m] · out[m]
 *     dS[m, n] = p[m, n] · (dP[m, n] − D[m])
 *     dv[n] = Σ_m p[m, n] · dOut[m]
 *     dq[m] = scale · Σ_n c[m, n] · dS[m, n] · k[n]        dk[n] = scale · Σ_m c[m, n] · dS[m, n] · q[m]
 *     dBias[m, n] = dS[m, n]                 dSinks[head] = −Σ_m exp(sink − lse[m]) · D[m]
 *
 * with c = 1 − (s / softcap)² at the capped score s, or 1 without a softcap. Sums over m include all query heads that
 * share a key/value head, and dBias sums over all that share an entry. `lse` has the sinks in it already. Scores are
 * computed again, block by block: memory does not grow with queries · keys. Bits do not depend on threads.
 *
 * The error of a gradient is at most (100 + headDim + valueDim + (8 + 2 · headDim) · A) · 2⁻²⁴ of its scale, the sum of
 * the sizes of its terms with c = 1 and Σ |dOut · v| + Σ |dOut · out| in place of dP − D. A is the largest Σ |q · k| ·
 * |scale| of a visible key, with a softcap times 1 + 1 / softcap. Largest seen with headDim 64: 5 · 10⁻⁷ of the scale
 * for A about 9, 1.5 · 10⁻⁶ for A about 70. Large biases, slopes and lse add 2⁻⁵⁰ of their size, and weights below
 * 2⁻¹²⁵ count as 0. Products beyond 10³⁸ may overflow, as products of blocks are float32. JavaScript computes in double
 * and rounds once. `lse` and `out` bring errors of their own ({@link attention}): p has the error of lse as a relative
 * one, and D that of out.
 *
 * A query that sees no key (lse is −Infinity) has a dq of 0 and adds nothing to other gradients. A query with a score
 * of NaN or +Infinity (lse is NaN or +Infinity) has a dq of NaN and makes dk, dv and dBias NaN at all keys it sees.
 * What is masked does not matter, NaN included. Weights are at most 1, also if lse belongs to another call. An infinite
 * number in k or dOut times a weight of 0 is NaN, as in any product of matrices.
 *
 * @param q Queries. @param k Keys. @param v Values: all as for {@link attention}.
 * @param dOut The gradient by the output, in its shape.
 * @param options The options of the call of `attention`, `out` and `lse` that it returned, and which gradients to give.
 * @returns { dq, dk, dv, dBias, dSinks } in the shapes of q, k, v, bias and sinks; null where one is not wanted.
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) as attention does.
 *   Nothing was written then.
 * @example
 * import { attention, attentionBackward } from 'flash-softmax/attention';
 * const q = Float32Array.of(1, 0), k = Float32Array.of(1, 0, 0, 1), v = Float32Array.of(1, 2, 3, 4);
 * const sizes = { heads: 1, headDim: 2 };
 * const { out, lse } = attention(q, k, v, { ...sizes, lse: true });
 * const { dq } = attentionBackward(q, k, v, Float32Array.of(1, 0), { ...sizes, out, lse });
 * console.log(dq[0].toFixed(4)); // → -0.3128
 */
export function attentionBackward<
  Q extends GradientTarget = undefined,
  K extends GradientTarget = undefined,
  V extends GradientTarget = undefined,
  Bias extends GradientTarget = undefined,
  Sinks extends GradientTarget = undefined,
>(
  q: Float32Array,
  k: Float32Array,
  v: Float32Array,
  dOut: Float32Array,
  options: AttentionBackwardOptions<Q, K, V, Bias, Sinks>,
): AttentionGradients<Q, K, V, Bias, Sinks> {
  return runNow(attentionBackwardCall([q, k, v, dOut], options)) as AttentionGradients<Q, K, V, Bias, Sinks>;
}

const { fill } = Float32Array.prototype;

type Results = Record<ResultName, Float32Array | null>;

/** The checked call, not run yet. `more` names options that the caller handles. */
export function attentionBackwardCall(
  [q, k, v, dOut]: readonly [q: Float32Array, k: Float32Array, v: Float32Array, dOut: Float32Array],
  options: AttentionBackwardOptions,
  more: readonly string[] = [],
): Call<Results> {
  const given = copyOptions(options, [...BACKWARD_OPTIONS, ...more], true);
  const checked = denseArguments(q, k, v, given);
  const { shape, keyLengths, slopes, mask, bias, rows, keys, heads, valueDim } = checked;
  ofLength(floats(dOut, 'dOut'), 'dOut', rows * valueDim);
  const out = ofLength(floats(given.out, 'out'), 'out', rows * valueDim);
  const lse = checkedLse(given.lse, rows);
  const sinks = given.sinks === undefined ? null : perHead(given.sinks, heads, 'sinks');
  const inputs = { q, k, v, dOut, out, lse, mask, bias, sinks, alibi: slopes };
  const results = resultsOf(given, { dq: q, dk: k, dv: v, dBias: bias, dSinks: sinks }, inputs);
  return callOf(ATTENTION_BACKWARD, {
    backend: backend(attentionBackwardKernels),
    type: 'f32',
    args: { shape, spans: null, keyLengths, q, k, v, slopes, sinks, mask, bias, out, lse, dOut, ...results },
    own: ['shape', 'keyLengths', ...RESULTS.filter((name) => !types.isFloat32Array(given[name]))],
    names: OPTION_NAMES,
    work: rows * keys,
    finish() {
      if (rows === 0 && results.dBias) fill.call(results.dBias, 0); // kernels have no row that would write it
      return results;
    },
  });
}

function ofLength(array: Float32Array, name: string, elements: number): Float32Array {
  const length = lengthOf(array);
  if (length !== elements)
    throw wrongValue(`${elements} elements, one an element of the output,`, name, String(length));
  return array;
}

function checkedLse(lse: unknown, rows: number): Float64Array {
  if (!types.isFloat64Array(lse)) throw wrongType('a Float64Array', 'lse', lse);
  const length = lengthOf(attached(lse, 'Float64Array', 'lse'));
  if (length !== rows) throw wrongValue(`${rows} elements, one a query row,`, 'lse', String(length));
  return lse;
}

/** A checked target. */
type Target = Float32Array | boolean;

function targetOf(value: unknown, name: ResultName): Target {
  if (value === undefined) return name === 'dq' || name === 'dk' || name === 'dv';
  if (value === null) return false;
  if (typeof value === 'boolean') return value;
  if (!types.isFloat32Array(value)) throw wrongType('a Float32Array, a boolean or null', name, value);
  return attached(value, 'Float32Array', name);
}

/** Checks the arrays for the gradients of `sources`, and allocates those that the caller does not give. */
function resultsOf(
  options: Pick<AttentionBackwardOptions, ResultName>,
  sources: Results,
  inputs: Readonly<Record<string, ArrayBufferView | null>>,
): Results {
  const targets = RESULTS.map((name) => ({ name, target: targetOf(options[name], name), source: sources[name] }));
  targets.forEach(({ name, target, source }, i) => {
    if (target === false) return;
    const input = name === 'dBias' ? 'bias' : 'sinks';
    if (source === null) throw wrongValue(`none, as ${input} is not given,`, name, describe(target));
    if (target === true) return;
    const [length, wanted] = [lengthOf(target), lengthOf(source)];
    if (length !== wanted) throw wrongValue(`${wanted} elements, as its input has,`, name, String(length));
    for (const [inputName, array] of Object.entries(inputs)) apart(target, name, array, inputName);
    for (const earlier of targets.slice(0, i)) {
      if (typeof earlier.target !== 'boolean') apart(target, name, earlier.target, earlier.name);
    }
  });
  const arrays = targets.map(({ name, target, source }) => {
    if (target === false) return [name, null];
    return [name, target === true ? allocate('Float32Array', lengthOf(source!), name) : target];
  });
  return Object.fromEntries(arrays) as Results;
}
