/** logSoftmaxBackward: the gradient of logSoftmax. */
import type { KernelArray } from '../backend/backend.js';
import { backendFor } from '../backend/choice.js';
import { counts } from '../backend/masks.js';
import { NORMALIZE } from '../backend/operators.js';
import type { AsyncOptions } from '../call/abort.js';
import { copyOf, lengthOf } from '../call/arrays.js';
import { axisCall, type AxisArguments, type AxisCall, type AxisOperator } from '../call/axis.js';
import { callOf } from '../call/call.js';
import { likeArray, sameOrApart } from '../call/checks.js';
import { wrongType } from '../call/errors.js';
import { checkWhole } from '../call/memory.js';
import { AXIS_NAMES, type Form } from '../call/options.js';
import { runSteps, type Steps } from '../call/steps.js';
import type { KindOf, LogitArray, NewResult, OptionsFor, ResultOf, Returned } from '../call/types.js';
import { normalizeKernels } from '../js/softmax/normalize.js';
import { doublesOf, writerOf } from '../math/read.js';
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
  return runSteps(logSoftmaxBackwardSteps('now', y, dy, ...rest));
}

const CHECKS: AxisOperator = { logits: 'y', result: 'element', names: AXIS_NAMES };

export function logSoftmaxBackwardSteps<A extends LogitArray, Out extends ResultOf<A> = NewResult<A>>(
  form: Form,
  y: A,
  dy: KindOf<A>,
  ...[options]: OptionsFor<A, SoftmaxBackwardOptions<KindOf<A>, Out> & AsyncOptions>
): Steps<Returned<Out>> {
  const call = axisCall(CHECKS, form, y, options);
  if (call.args.bias !== null) throw wrongType('no bias, which y has in it already,', 'options', 'bias');
  const slopes = likeArray(dy, y, 'dy', 'y');
  sameOrApart(call.args.out, 'out', slopes, 'dy');
  return steps(form, call, slopes) as Steps<Returned<Out>>;
}

/** The caller's arrays are copied before the first turn of the event loop. */
function* steps(form: Form, call: AxisCall, slopes: KernelArray): Steps<LogitArray> {
  const { args, elements, type, out } = call;
  const { x, outer, cols, inner } = args;
  const caller = { view: out as never, name: 'out', length: lengthOf(out) };
  const dy = doublesOf(slopes, type);
  const mask = args.mask === null ? null : form === 'now' ? args.mask : copyOf(args.mask);
  const terms = type === 'f64' ? new Float64Array(elements) : new Float32Array(elements);
  const rows = outer * inner;
  // exp(y) / 1, for sums of 1 · 2^0.
  yield callOf(NORMALIZE, {
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
      maskLayout: args.maskLayout,
      bias: null,
    },
    own: ['out', 'mantissa', 'exponent'],
    names: { x: 'y' },
    work: elements,
    finish: () => terms,
  });
  if (form === 'later') checkWhole(caller);
  writeResults({ ...args, mask }, terms, dy, writerOf(args.out, type.endsWith('_f32') ? 'f32' : type));
  return out;
}

/** Writes (dy − exp(y) · Σ dy) / T. */
function writeResults(
  { outer, cols, inner, temperature, mask, maskLayout }: AxisArguments,
  terms: Float32Array | Float64Array,
  dy: Float64Array,
  write: (i: number, slope: number) => void,
): void {
  for (let row = 0; row < outer * inner; row++) {
    const start = Math.floor(row / inner) * cols * inner + (row % inner);
    let sum = 0;
    for (let c = 0, at = start; c < cols; c++, at += inner)
      if (mask === null || counts(mask, maskLayout, at, c)) sum += dy[at]!;
    for (let c = 0, at = start; c < cols; c++, at += inner) {
      const isVisible = mask === null || counts(mask, maskLayout, at, c);
      write(at, isVisible ? (dy[at]! - (sum === 0 ? 0 : terms[at]! * sum)) / temperature : 0);
    }
  }
}
