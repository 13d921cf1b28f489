/** magnitudeAwareAttention (MALA) and injectiveLinearAttention (InLine): linear attention of all queries at once. */
import type { AsyncOptions } from '../call/abort.js';
import { allocate } from '../call/allocate.js';
import { copyInto } from '../call/arrays.js';
import { checkWhole } from '../call/memory.js';
import type { Form } from '../call/options.js';
import { privately, runSteps, type Steps } from '../call/steps.js';
import type { NewFloat32Array, Returned } from '../call/types.js';
import { composedCall, composedOptions, type ComposedOptions } from './composed.js';
import { FEATURE_NAMES, featuresOf, formOf, type Features, type KernelForm } from './linear-options.js';
import { appendCall, queryCall } from './linear-calls.js';
import { stateLength } from './linear-wire.js';

export interface MagnitudeAwareAttentionOptions<Out extends Float32Array = Float32Array> extends ComposedOptions<Out> {
  /** Added to z where it divides: finite, from 0 on. Default: 1e-6, and 0 with scale 'paper'. */
  epsilon?: number | undefined;
  /** The scale: that of the authors' code, or that of the paper, which has no d^−½ and no 1/N. Default: 'code'. */
  scale?: 'code' | 'paper' | undefined;
}

export interface InjectiveLinearAttentionOptions<Out extends Float32Array = Float32Array> extends ComposedOptions<Out> {
  /** φ, which queries and keys go through. Default: 'identity'. */
  featureMap?: 'identity' | 'exp' | 'relu' | 'elu' | undefined;
  /** What queries and keys are multiplied by before φ: finite. The authors' exp has 0.2. Default: 1. */
  featureScale?: number | undefined;
}

/**
 * Magnitude-aware linear attention, MALA ("Rectifying Magnitude Neglect in Linear Attention", arXiv 2507.00698): linear
 * attention that keeps the length of φ(q). With φ = elu + 1, N keys and d = headDim:
 *
 *     z = φ(q) · mean φ(k) · d^−½      out = φ(q)·KV · (1 + 1/(z + ε)) − z · mean(v)      KV = φ(k)ᵀv · d^−½ / N
 *
 * as the authors' code has it (AddLinearAttention of github.com/qhfan/MALA, without its turn of φ(q) and φ(k) by RoPE
 * between z and KV). `scale: 'paper'`: z = φ(q) · Σ φ(k), KV = φ(k)ᵀv, as in the paper. Not causal. A z that
 * underflows to 0 gives mean(v). Computed in double; error as of {@link LinearAttentionState}.
 *
 * @param q Queries, [batch, heads, queries, headDim]. @param k Keys, [batch, kvHeads, keys, headDim].
 * @param v Values, [batch, kvHeads, keys, valueDim]. @param options `heads`, `headDim`, `epsilon`, `scale`, …
 * @returns [batch, heads, queries, valueDim]: `out`, or a new Float32Array. Without keys it is 0.
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) as attention does.
 * @example
 * import { magnitudeAwareAttention } from 'flash-softmax/attention';
 * const q = Float32Array.of(1, 0), k = Float32Array.of(1, 0, 0, 1), v = Float32Array.of(1, 2, 3, 4);
 * console.log(magnitudeAwareAttention(q, k, v, { heads: 1, headDim: 2 })[0].toFixed(4)); // → 1.5353
 */
export function magnitudeAwareAttention<Out extends Float32Array = NewFloat32Array>(
  q: Float32Array,
  k: Float32Array,
  v: Float32Array,
  options: MagnitudeAwareAttentionOptions<Out>,
): Returned<Out> {
  return runSteps(magnitudeAwareAttentionSteps('now', q, k, v, options)) as Returned<Out>;
}

export function magnitudeAwareAttentionSteps(
  form: Form,
  q: Float32Array,
  k: Float32Array,
  v: Float32Array,
  options: MagnitudeAwareAttentionOptions & AsyncOptions,
): Steps<Float32Array> {
  const own = composedOptions(options, ['epsilon', 'scale'], form);
  const { epsilon, scale } = own;
  const kernelForm = (headDim: number) => formOf({ form: 'magnitudeAware', epsilon, scale }, headDim);
  return linearSteps(form, [q, k, v], own, { features: featuresOf({ featureMap: 'elu' }), kernelForm });
}

/**
 * Injective linear attention, InLine ("Bridging the Divide: Reconsidering Softmax and Linear Attention", NeurIPS 2024):
 * weights that sum to 1 by subtraction, so that different queries have different weights. With N keys and s = d^−½:
 *
 *     out = φ(q)·KV · s + (1 − φ(q) · mean φ(k) · s) · mean(v)      KV = φ(k)ᵀv / N
 *
 * as the authors' code has it (github.com/LeapLabTHU/InLine, without its convolution of v); equation (5) of the paper
 * leaves s / N out. φ is the identity there, or e^(0.2 x): `featureMap: 'exp', featureScale: 0.2`. Not causal. Computed
 * in double; error as of {@link LinearAttentionState}.
 *
 * @param q Queries, [batch, heads, queries, headDim]. @param k Keys, [batch, kvHeads, keys, headDim].
 * @param v Values, [batch, kvHeads, keys, valueDim]. @param options `heads`, `headDim`, `featureMap`, …
 * @returns [batch, heads, queries, valueDim]: `out`, or a new Float32Array. Without keys it is 0.
 * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) as attention does.
 * @example
 * import { injectiveLinearAttention } from 'flash-softmax/attention';
 * const q = Float32Array.of(1, 0), k = Float32Array.of(1, 0, 0, 1), v = Float32Array.of(1, 2, 3, 4);
 * console.log(injectiveLinearAttention(q, k, v, { heads: 1, headDim: 2 })[0].toFixed(4)); // → 1.6464
 */
export function injectiveLinearAttention<Out extends Float32Array = NewFloat32Array>(
  q: Float32Array,
  k: Float32Array,
  v: Float32Array,
  options: InjectiveLinearAttentionOptions<Out>,
): Returned<Out> {
  return runSteps(injectiveLinearAttentionSteps('now', q, k, v, options)) as Returned<Out>;
}

export function injectiveLinearAttentionSteps(
  form: Form,
  q: Float32Array,
  k: Float32Array,
  v: Float32Array,
  options: InjectiveLinearAttentionOptions & AsyncOptions,
): Steps<Float32Array> {
  const own = composedOptions(options, FEATURE_NAMES, form);
  const { featureMap = 'identity', featureScale } = own;
  const kernelForm = (headDim: number) => formOf({ form: 'injective' }, headDim);
  return linearSteps(form, [q, k, v], own, { features: featuresOf({ featureMap, featureScale }), kernelForm });
}

interface Kind {
  readonly features: Features;
  kernelForm(headDim: number): KernelForm;
}

/** Sums all keys and values, then answers all queries. */
function linearSteps(
  form: Form,
  given: readonly [q: Float32Array, k: Float32Array, v: Float32Array],
  options: ComposedOptions & AsyncOptions,
  { features, kernelForm }: Kind,
): Steps<Float32Array> {
  const { sizes, arrays, out } = composedCall(given[0], given[1], given[2], options);
  const { batch, heads, kvHeads, headDim, valueDim, queries, keys } = sizes;
  const asked = kernelForm(headDim);
  const stateSizes = { batch, kvHeads, headDim, valueDim };
  const rows = (heads / kvHeads) * queries;
  return (function* (): Steps<Float32Array> {
    const copies = [privately(form, arrays.q, 'q'), privately(form, arrays.k, 'k'), privately(form, arrays.v, 'v')];
    const [q, k, v] = [yield* copies[0]!, yield* copies[1]!, yield* copies[2]!];
    const sums = allocate('Float64Array', stateLength(stateSizes), 'the state');
    const isDirect = form === 'now' && out !== undefined;
    const result = isDirect ? out : allocate('Float32Array', batch * kvHeads * rows * valueDim, 'out');
    const parts = { sizes: stateSizes, features, sums, tokens: keys };
    yield appendCall(parts, { k, v, tokens: keys }, ['k', 'v']);
    yield queryCall(parts, { q, queries: rows, out: result, form: asked }, ['q', 'out']);
    if (out === undefined || isDirect) return result;
    checkWhole({ view: out, name: 'out', length: result.length });
    copyInto(out, result);
    return out;
  })();
}
