/** logSumExp with weights: the logarithm of a row's weighted sum of exponentials, and its sign. */
import { MASK_BYTES, MASK_ROW_BYTES, NO_EXPONENT } from '../backend/backend.js';
import { backend } from '../backend/choice.js';
import { counts } from '../backend/masks.js';
import { EXP_SUM } from '../backend/operators.js';
import type { AsyncOptions } from '../call/abort.js';
import { copyInto, copyOf, kindOf, lengthOf } from '../call/arrays.js';
import { axisCall, type AxisCall, type AxisOperator } from '../call/axis.js';
import { callOf, type Call } from '../call/call.js';
import { describe, outOfRange, trueLength, wrongType, wrongValue } from '../call/errors.js';
import { checkWhole } from '../call/memory.js';
import { AXIS_NAMES, namesWith, type AxisOptions, type Form } from '../call/options.js';
import type { Steps } from '../call/steps.js';
import type { LogitArray, NewFloat64Array } from '../call/types.js';
import { expSumKernels } from '../js/softmax/exp-sum.js';
import { ln } from '../math/log.js';
import { powerOfTwo } from '../math/extended.js';
import { doublesOf } from '../math/read.js';
import { logSumExpOfState } from './merge-exp-sums.js';
import {
  measured,
  nearSums,
  type MeasuredWeights,
  type SignedSums,
  type Source,
  type Weights,
} from './near-weights.js';

/** Weights as a caller gives them: a number for each element of x, or one row's for all rows. */
export type SumWeights = Float32Array | Float64Array | readonly number[];

export interface WeightedSumOptions<A extends LogitArray = LogitArray, Out = Float64Array> extends AxisOptions<A, Out> {
  /** Finite numbers, negative ones too: as long as `x`, or as a row. A weight of 0 drops its element. Default: 1. */
  weights?: SumWeights | undefined;
  /** Whether the sign of each sum is wanted. Default: false. */
  sign?: boolean | undefined;
}

/** Sums of either sign. */
export interface SignedLogSums<Out = NewFloat64Array> {
  /** log |Σ| of each row; −∞ where the sum is 0. */
  readonly lse: Out;
  /** 1, −1, or 0 where the sum is 0; NaN where lse is. */
  readonly sign: NewFloat64Array;
}

export const LOG_SUM_EXP_NAMES = /* @__PURE__ */ namesWith<AxisOptions, WeightedSumOptions>(AXIS_NAMES, {
  weights: true,
  sign: true,
});

const CHECKS: AxisOperator = { logits: 'x', result: 'row', names: LOG_SUM_EXP_NAMES };

/** Whether a call of logSumExp needs these steps. No getter runs. */
export const isWeighted = (options: object | undefined): options is WeightedSumOptions =>
  typeof options === 'object' && options !== null && ('weights' in options || 'sign' in options);

/** The steps of a call with `weights` or `sign`. */
export function weightedSteps(
  form: Form,
  logits: LogitArray,
  options: WeightedSumOptions & AsyncOptions,
): Steps<Float64Array | SignedLogSums<Float64Array>> {
  // A copy: all that could run a caller's code is read before axisCall takes lengths.
  const given = { ...options };
  const { weights, sign = false } = given;
  if (typeof sign !== 'boolean') throw wrongType('a boolean', 'sign', sign);
  const list: unknown = Array.isArray(weights) ? Array.from(weights as readonly number[]) : weights;
  const call = axisCall(CHECKS, form, logits, given);
  return steps(form, call, weightsOf(form, list, call), sign);
}

/** A weight for each element, or for each column: a caller's array only where no turn of the event loop follows. */
function weightsOf(form: Form, list: unknown, { args, elements }: AxisCall): MeasuredWeights {
  if (list === undefined) return measured(new Float64Array(args.cols).fill(1));
  const isTyped = ['Float32Array', 'Float64Array'].includes(kindOf(list) ?? '');
  if (!isTyped && !Array.isArray(list)) throw wrongType('a Float64Array, Float32Array or an array', 'weights', list);
  const length = isTyped ? trueLength(list as Float64Array, 'weights') : (list as readonly unknown[]).length;
  const { cols } = args;
  if (length !== elements && length !== cols)
    throw wrongValue(`${elements} elements, or ${cols} for all rows,`, 'weights', String(length));
  if (isTyped) {
    const typed = measured(list as Weights);
    if (typed.bad >= 0) throw outOfRange('finite numbers', 'weights', describe(typed.of[typed.bad]));
    return form === 'now' ? typed : { ...typed, of: copyOf(typed.of) as Weights };
  }
  const weights = new Float64Array(length);
  for (let i = 0; i < length; i++) {
    const weight = (list as readonly unknown[])[i];
    if (typeof weight !== 'number') throw wrongType('numbers', 'weights', weight);
    if (!Number.isFinite(weight)) throw outOfRange('finite numbers', 'weights', describe(weight));
    weights[i] = weight;
  }
  return measured(weights);
}

const hasNegative = (weights: Weights): boolean => {
  for (let i = 0, n = lengthOf(weights); i < n; i++) if (weights[i]! < 0) return true;
  return false;
};

/** The elements of one sign, as logits with a bias. */
interface Side {
  readonly mask: Uint8Array;
  readonly maskLayout: number;
  readonly mantissa: Float64Array;
  readonly exponent: Int32Array;
}

function* steps(
  form: Form,
  call: AxisCall,
  weights: MeasuredWeights,
  wantsSign: boolean,
): Steps<Float64Array | SignedLogSums<Float64Array>> {
  const out = call.out as Float64Array;
  const caller = { view: out, name: 'out', length: lengthOf(out) };
  const source = form === 'now' ? { ...call.args, type: call.type } : copied(call);
  let sums: SignedSums | undefined;
  if (call.elements > 0 && weights.areNear) sums = yield* nearSums(form, call, source, weights);
  if (sums === undefined) sums = yield* farSums(call, source, weights.of);
  const { mantissa, exponent, sign } = sums;
  if (form === 'later') checkWhole(caller);
  copyInto(out, logSumExpOfState({ mantissa, exponent }));
  return wantsSign ? { lse: out, sign } : out;
}

/** What a promise reads: copies that no one else can write. */
function copied({ args: { x, bias, mask }, type }: AxisCall): Source {
  return {
    x: doublesOf(x, type),
    bias: bias === null ? null : doublesOf(bias, type),
    mask: mask === null ? null : copyOf(mask),
    type: 'f64',
  };
}

/** Each row's sums of positive and of negative weights, which are biases in all but name, and their difference. */
function* farSums(call: AxisCall, source: Source, weights: Weights): Steps<SignedSums> {
  const { x, bias, type } = source;
  const { outer, inner } = call.args;
  const z = doublesOf(x, type);
  const shift = shiftOf(bias === null ? null : doublesOf(bias, type), weights, call);
  const side = (isPositive: boolean): Side => ({
    ...maskOf(weights, isPositive, { ...call, args: { ...call.args, mask: source.mask } }),
    mantissa: new Float64Array(outer * inner),
    exponent: new Int32Array(outer * inner),
  });
  const [above, below] = [side(true), side(false)];
  yield sumCall(z, shift, above, call);
  if (hasNegative(weights)) yield sumCall(z, shift, below, call);
  return differenceOf(above, below);
}

/** bias + T ln |w|, which multiplies an exponential by |w|: a number for each column where all rows have the same. */
function shiftOf(bias: Float64Array | null, weights: Weights, { args, elements }: AxisCall): Float64Array {
  const { cols, inner, temperature } = args;
  const logs = new Float64Array(lengthOf(weights));
  for (let i = 0; i < logs.length; i++) {
    const size = Math.abs(weights[i]!);
    logs[i] = size === 0 || size === 1 ? 0 : temperature * ln(size);
  }
  if (bias === null) return logs;
  const shift = new Float64Array(elements);
  for (let i = 0; i < elements; i++) {
    const column = Math.floor(i / inner) % cols;
    shift[i] = bias[bias.length === elements ? i : column]! + logs[logs.length === elements ? i : column]!;
  }
  return shift;
}

function maskOf(weights: Weights, isPositive: boolean, { args, elements }: AxisCall) {
  const { mask, maskLayout, cols, inner } = args;
  const sign = isPositive ? 1 : -1;
  if (mask === null) {
    const wanted = new Uint8Array(lengthOf(weights));
    for (let i = 0; i < wanted.length; i++) wanted[i] = weights[i]! * sign > 0 ? 1 : 0;
    return { mask: wanted, maskLayout: lengthOf(weights) === elements ? MASK_BYTES : MASK_ROW_BYTES };
  }
  const visible = new Uint8Array(elements);
  for (let i = 0; i < elements; i++) {
    const column = Math.floor(i / inner) % cols;
    const weight = weights[lengthOf(weights) === elements ? i : column]!;
    visible[i] = weight * sign > 0 && counts(mask, maskLayout, i, column) ? 1 : 0;
  }
  return { mask: visible, maskLayout: MASK_BYTES };
}

function sumCall(z: Float64Array, bias: Float64Array, side: Side, call: AxisCall): Call<void> {
  const { mask, maskLayout, mantissa, exponent } = side;
  const { outer, cols, inner, temperature } = call.args;
  return callOf(EXP_SUM, {
    backend: backend(expSumKernels),
    type: 'f64',
    args: { x: z, mantissa, exponent, outer, cols, inner, temperature, mask, maskLayout, bias },
    own: ['mantissa', 'exponent', 'mask'],
    work: call.elements,
    finish() {
      const beyond = exponent.indexOf(NO_EXPONENT);
      if (beyond >= 0) throw wrongValue('logits within 1.48e9 temperatures', `row ${beyond} of x`, 'larger ones');
    },
  });
}

/** above − below, as a size and a sign. */
function differenceOf(above: Side, below: Side) {
  const rows = above.mantissa.length;
  const [mantissa, exponent] = [new Float64Array(rows), new Int32Array(rows)];
  const sign = new Float64Array(rows);
  for (let r = 0; r < rows; r++) {
    const [a, b] = [above.mantissa[r]!, below.mantissa[r]!];
    const [i, j] = [above.exponent[r]!, below.exponent[r]!];
    const whole = a === 0 ? j : b === 0 ? i : Math.max(i, j);
    const difference = scaled(a, i - whole) - scaled(b, j - whole);
    sign[r] = Math.sign(difference);
    mantissa[r] = Math.abs(difference);
    exponent[r] = Number.isFinite(difference) && difference !== 0 ? whole : 0;
  }
  return { mantissa, exponent, sign };
}

/** a · 2^n for n ≤ 0. */
const scaled = (a: number, n: number): number => (a === 0 || n < -1000 ? 0 : a * powerOfTwo(n));
