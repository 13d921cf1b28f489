/** logSumExp with weights: the logarithm of a row's weighted sum of exponentials, and its sign. */
import type { AsyncOptions } from '../call/abort.js';
import { copyInto, copyOf, kindOf, lengthOf } from '../call/arrays.js';
import { axisCall, type AxisCall, type AxisOperator } from '../call/axis.js';
import type { CompactOrder } from '../call/axes.js';
import { moved } from '../call/compact.js';
import { describe, outOfRange, trueLength, wrongType, wrongValue } from '../call/errors.js';
import { allocate } from '../call/allocate.js';
import { checkWhole } from '../call/memory.js';
import { AXIS_NAMES, namesWith, type AxesOptions, type Form } from '../call/options.js';
import type { Steps } from '../call/steps.js';
import type { LogitArray, NewFloat64Array } from '../call/types.js';
import { powerOfTwo } from '../math/extended.js';
import { doublesOf } from '../math/read.js';
import { logSumExpOfState } from './merge-exp-sums.js';
import {
  measured,
  nearSums,
  type Band,
  type MeasuredWeights,
  type SignedSums,
  type Source,
  type Weights,
} from './near-weights.js';

/** Weights as a caller gives them: a number for each element of x, or one row's for all rows. */
export type SumWeights = Float32Array | Float64Array | readonly number[];

export interface WeightedSumOptions<A extends LogitArray = LogitArray, Out = Float64Array> extends AxesOptions<A, Out> {
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

export const LOG_SUM_EXP_NAMES = /* @__PURE__ */ namesWith<AxesOptions, WeightedSumOptions>(AXIS_NAMES, {
  weights: true,
  sign: true,
});

const CHECKS: AxisOperator = { logits: 'x', result: 'row', names: LOG_SUM_EXP_NAMES, takesAxes: true };

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

function* steps(
  form: Form,
  call: AxisCall,
  weights: MeasuredWeights,
  wantsSign: boolean,
): Steps<Float64Array | SignedLogSums<Float64Array>> {
  const out = call.out as Float64Array;
  const caller = { view: out, name: 'out', length: lengthOf(out) };
  if (call.gather !== undefined) yield* call.gather();
  const ordered = call.order === undefined ? weights : yield* inOrder(weights, call.order, call.elements);
  const source = form === 'now' ? { ...call.args, type: call.type } : copied(call);
  let sums: SignedSums = emptySums(call.args.outer * call.args.inner);
  for (const { band, octaves } of call.elements > 0 ? bandsOf(ordered) : []) {
    sums = sumOf(sums, yield* nearSums(form, call, source, band), octaves);
  }
  const { mantissa, exponent, sign } = sums;
  if (form === 'later') checkWhole(caller);
  copyInto(out, logSumExpOfState({ mantissa, exponent }));
  return wantsSign ? { lse: out, sign } : out;
}

/** Weights in compact order. Weights of one row are in the order of all rows. */
function* inOrder(
  weights: MeasuredWeights,
  order: CompactOrder,
  elements: number,
): Generator<undefined, MeasuredWeights> {
  const { of: from } = weights;
  if (lengthOf(from) !== elements) return weights;
  const to = allocate(kindOf(from) as 'Float64Array', elements, 'weights');
  yield* moved([{ from, to, caller: { view: from, name: 'weights', length: elements } }], order, elements);
  return { ...weights, of: to };
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

const emptySums = (rows: number): SignedSums => ({
  mantissa: new Float64Array(rows),
  exponent: new Int32Array(rows),
  sign: new Float64Array(rows),
});

/** Weights by their size, each in a band of 2^900 and over a power of two: none is lost beside another then. */
function bandsOf(weights: MeasuredWeights): { band: Band; octaves: number }[] {
  if (weights.areNear) return [{ band: weights, octaves: 0 }];
  const band = (least: number, most: number, octaves: number) => {
    const of = Float64Array.from(weights.of, (w) => {
      const size = Math.abs(w);
      return size >= least && size < most ? w * 2 ** -octaves : 0;
    });
    return { band: { of, haveZero: true }, octaves };
  };
  return [band(2 ** 450, Infinity, 900), band(2 ** -450, 2 ** 450, 0), band(0, 2 ** -450, -900)];
}

/** a + b · 2^octaves, row by row. */
function sumOf(a: SignedSums, b: SignedSums, octaves: number): SignedSums {
  const sums = emptySums(a.mantissa.length);
  for (let r = 0; r < sums.mantissa.length; r++) {
    const [x, y] = [a.mantissa[r]! * (a.sign[r]! || 1), b.mantissa[r]! * (b.sign[r]! || 1)];
    const [i, j] = [a.exponent[r]!, b.exponent[r]! + octaves];
    const whole = x === 0 ? j : y === 0 ? i : Math.max(i, j);
    const sum = scaled(x, i - whole) + scaled(y, j - whole);
    sums.sign[r] = Math.sign(sum);
    sums.mantissa[r] = Math.abs(sum);
    sums.exponent[r] = Number.isFinite(sum) && sum !== 0 ? whole : 0;
  }
  return sums;
}

/** a · 2^n for n ≤ 0. */
const scaled = (a: number, n: number): number =>
  !Number.isFinite(a) ? a : a === 0 || n < -2000 ? 0 : a * powerOfTwo(Math.ceil(n / 2)) * powerOfTwo(Math.floor(n / 2));
