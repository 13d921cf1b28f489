/** logSoftmaxBackward: the gradient of logSoftmax. */
import { backendFor } from '../backend/choice.js';
import { NORMALIZE } from '../backend/operators.js';
import type { AsyncOptions } from '../call/abort.js';
import { kindOf, lengthOf } from '../call/arrays.js';
import { axisCall, type AxisCall, type AxisOperator } from '../call/axis.js';
import { callOf, runNow, type Call } from '../call/call.js';
import { likeArray, sameOrApart } from '../call/checks.js';
import { wrongType } from '../call/errors.js';
import { AXIS_NAMES, type Form } from '../call/options.js';
import type { KindOf, LogitArray, NewResult, OptionsFor, ResultOf, Returned } from '../call/types.js';
import { normalizeKernels } from '../js/softmax/normalize.js';
import { bfloat16, float16 } from '../math/half.js';
import { counts } from '../backend/masks.js';
import type { SoftmaxBackwardOptions } from '../softmax/softmax-backward.js';

/**
 * From y = logSoftmax(x) and the gradient dy of something by y, its gradient by x:
 *
 *     dx[i] = (dy[i] − exp(y[i]) · Σⱼ dy[j]) / temperature
 *
 * The sum is taken in double. Masked positions give 0, and their dy, NaN included, does not matter. float32 results are
 * within 3 ULP of the larger of dy[i] and exp(y[i]) · Σ dy.
 *
 * @param y What logSoftmax gave for the same options. Not written, unless `out`.
 * @param dy As y. Not written, unless `out`.
 * @param rest `options`:
 *   `cols`, `shape`, `axis`, `temperature`, `mask`, `maskFormat`, `out`, `dtype`, as softmaxBackward has them.
 * @returns `out`, or a new array of the type and length of `y`. Half types: computed from float32, rounded once.
 * @throws TypeError, RangeError as softmaxBackward does.
 */
export function logSoftmaxBackward<A extends LogitArray, Out extends ResultOf<A> = NewResult<A>>(
  y: A,
  dy: KindOf<A>,
  ...rest: OptionsFor<A, SoftmaxBackwardOptions<KindOf<A>, Out>>
): Returned<Out> {
  return runNow(logSoftmaxBackwardCall('now', y, dy, ...rest));
}

const CHECKS: AxisOperator = { logits: 'y', result: 'element', names: AXIS_NAMES };

export function logSoftmaxBackwardCall<A extends LogitArray, Out extends ResultOf<A> = NewResult<A>>(
  form: Form,
  y: A,
  dy: KindOf<A>,
  ...[options]: OptionsFor<A, SoftmaxBackwardOptions<KindOf<A>, Out> & AsyncOptions>
): Call<Returned<Out>> {
  const call = axisCall(CHECKS, form, y, options);
  const { args, elements, type, out } = call;
  const { x, outer, cols, inner, mask, maskLayout, bias } = args;
  if (bias !== null) throw wrongType('no bias, which y has in it already,', 'options', 'bias');
  const slopes = likeArray(dy, y, 'dy', 'y');
  sameOrApart(args.out, 'out', slopes, 'dy');
  const isDouble = type === 'f64';
  const rows = outer * inner;
  const given = doublesOf(dy, type, elements); // a job may not see what becomes of dy
  const terms = isDouble ? new Float64Array(elements) : new Float32Array(elements);
  // exp(y) / 1, for sums of 1 · 2^0.
  return callOf(NORMALIZE, {
    backend: backendFor(elements, normalizeKernels),
    type: type === 'f16' ? 'f16_f32' : type === 'bf16' ? 'bf16_f32' : type,
    args: {
      x,
      out: terms,
      mantissa: new Float64Array(rows).fill(1),
      exponent: new Int32Array(rows),
      outer,
      cols,
      inner,
      temperature: 1,
      mask,
      maskLayout,
      bias: null,
    },
    own: ['out', 'mantissa', 'exponent'],
    names: { x: 'y' },
    work: elements,
    finish: () => {
      writeResults(call, terms, given);
      return out as Returned<Out>;
    },
  });
}

const halfOf = (type: string) => (type[0] === 'b' ? bfloat16 : float16);

/** A copy of an array as doubles. */
function doublesOf(array: LogitArray, type: string, elements: number): Float64Array {
  const copy = new Float64Array(elements);
  const source = array as ArrayLike<number>;
  const half = kindOf(array) === 'Uint16Array' ? halfOf(type) : null;
  for (let i = 0; i < elements; i++) copy[i] = half === null ? source[i]! : half.toFloat(source[i]!);
  return copy;
}

/** Writes (dy − exp(y) · Σ dy) / T. */
function writeResults({ args, type, out }: AxisCall, terms: Float32Array | Float64Array, dy: Float64Array): void {
  const { outer, cols, inner, temperature, mask, maskLayout } = args;
  const half = kindOf(out) === 'Uint16Array' ? halfOf(type) : null;
  const results = out as unknown as number[];
  const elements = lengthOf(terms);
  for (let row = 0; row < outer * inner; row++) {
    const start = Math.floor(row / inner) * cols * inner + (row % inner);
    let sum = 0;
    for (let c = 0, at = start; c < cols; c++, at += inner)
      if (mask === null || counts(mask, maskLayout, at, c)) sum += dy[at]!;
    for (let c = 0, at = start; c < cols && at < elements; c++, at += inner) {
      const isVisible = mask === null || counts(mask, maskLayout, at, c);
      const slope = isVisible ? (dy[at]! - (sum === 0 ? 0 : terms[at]! * sum)) / temperature : 0;
      results[at] = half === null ? slope : half.toBits(slope);
    }
  }
}
