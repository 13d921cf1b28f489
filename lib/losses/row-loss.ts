/** The calls of losses of rows: their options, checks and reductions. */
import type { KernelArray } from '../backend/backend.js';
import { backendFor } from '../backend/choice.js';
import { CROSS_ENTROPY, ROW_LOSS } from '../backend/operators.js';
import type { AsyncOptions } from '../call/abort.js';
import { lengthOf } from '../call/arrays.js';
import { axisCall, type AxisCall, type AxisOperator } from '../call/axis.js';
import { callOf, type Call } from '../call/call.js';
import { apart, bitsOf, isLike } from '../call/checks.js';
import { outOfRange, trueLength, wrongType, wrongValue } from '../call/errors.js';
import { AXIS_NAMES, optionNames, readable, type AxisOptions, type Form } from '../call/options.js';
import { isFloat32Array, isFloat64Array, isUint16Array, type ElementType, type LogitArray } from '../call/types.js';
import { crossEntropyKernels } from '../js/losses/cross-entropy.js';
import { rowLossKernels } from '../js/losses/row-loss.js';
import { gradientFor } from './gradient.js';
import { reducerOf, reductionOf, totalOf, type Reduction } from './reduce.js';
import { indicesOf, positionsOf, type Targets } from './targets.js';

export type { LossOf, Reduction } from './reduce.js';

export interface LossOptions<
  A extends LogitArray = LogitArray,
  Out = Float64Array,
  R extends Reduction = Reduction,
> extends AxisOptions<A, Out> {
  /** Where the gradient of the losses by the logits goes, if that is wanted: as x, x itself or apart from it. */
  gradient?: A | undefined;
  /** A row with this target does not count: its loss and its gradient are 0. Default: −100. */
  ignoreIndex?: number | undefined;
  /**
   * 'sum' returns the sum of the losses, 'mean' their sum over the sum of the weights of what is not ignored (the rows,
   * with soft targets), NaN if that is 0. `out` gets what each row adds to it, `gradient` the gradient of it. Default:
   * 'none'.
   */
  reduction?: R | undefined;
}

/** The options of all losses together; each function checks the names of its own. */
interface AllOptions extends LossOptions {
  readonly weight?: unknown;
  readonly labelSmoothing?: unknown;
  readonly lsePenalty?: unknown;
  readonly scale?: unknown;
  readonly tau?: unknown;
  readonly gamma?: unknown;
}

/** The kinds of losses, as native/softmax/log_loss_terms.h numbers them. */
export const PLAIN = 0;
export const COMP_SUM = 1;
export const FOCAL = 2;
export type LossKind = typeof PLAIN | typeof COMP_SUM | typeof FOCAL;

const COMMON = { ...AXIS_NAMES.now, gradient: true, ignoreIndex: true, reduction: true } as const;

/** A finite number from `least` to `most`. */
export function numberIn(value: unknown, name: string, least: number, most = Infinity): number {
  if (typeof value !== 'number') throw wrongType('a number', name, value);
  if (Number.isFinite(value) && value >= least && value <= most) return value;
  const expected = most < Infinity ? ` from ${least} to ${most}` : least > -Infinity ? ` from ${least}` : '';
  throw outOfRange(`a finite number${expected}`, name, value);
}

/** A copy of class weights, each read once; null without any. */
export function weightsOf(weight: unknown): Float64Array | null {
  if (weight === undefined) return null;
  if (!Array.isArray(weight) && !isFloat32Array(weight) && !isFloat64Array(weight))
    throw wrongType('a Float64Array, a Float32Array or an array of numbers', 'weight', weight);
  const list: ArrayLike<unknown> = weight as ArrayLike<unknown>;
  const copy = new Float64Array(Array.isArray(weight) ? weight.length : trueLength(weight as Float64Array, 'weight'));
  for (let i = 0; i < copy.length; i++) copy[i] = numberIn(list[i], 'weight', 0);
  return copy;
}

/** Reads each option once. */
function readTerms(options: Partial<AllOptions>) {
  const { gradient, ignoreIndex, reduction, weight, labelSmoothing, lsePenalty, scale, tau, gamma } = options;
  const weights: unknown = Array.isArray(weight) ? Array.from(weight as readonly unknown[]) : weight;
  return { gradient, ignoreIndex, reduction, weight: weights, labelSmoothing, lsePenalty, scale, tau, gamma };
}

/** Checks the options of losses. */
function termsOf(kind: LossKind, options: ReturnType<typeof readTerms>) {
  const { gradient, ignoreIndex = -100, reduction = 'none', weight, labelSmoothing = 0, lsePenalty = 0 } = options;
  const { scale = 1, tau, gamma = 2 } = options;
  const parameter = kind === COMP_SUM ? tau : kind === FOCAL ? gamma : 0;
  return {
    gradient,
    ignoreIndex,
    reduction: reductionOf(reduction),
    weight: weightsOf(weight),
    smoothing: numberIn(labelSmoothing, 'labelSmoothing', 0, 1),
    penalty: numberIn(lsePenalty, 'lsePenalty', 0),
    scale: numberIn(scale, 'scale', -Infinity),
    parameter: numberIn(parameter, kind === COMP_SUM ? 'tau' : 'gamma', kind === FOCAL ? 0 : -Infinity),
  };
}

/** Whether targets are probabilities: as the logits, and of 16 bits only where there is one for each logit. */
const isSoft = (targets: unknown, logits: LogitArray): targets is LogitArray =>
  isLike(targets, logits) &&
  (!isUint16Array(targets) || lengthOf(targets) === lengthOf(logits as Uint16Array)) &&
  !Array.isArray(targets);

function softOf(targets: LogitArray, elements: number): KernelArray {
  const given = trueLength(targets, 'targets');
  if (given !== elements) throw wrongValue(`${elements} elements, as in logits,`, 'targets', String(given));
  return bitsOf(targets);
}

/** Makes the calls of a kind of loss, whose options are the common ones and those of `names`. */
export function lossCalls(kind: LossKind, names: Readonly<Record<string, true>>) {
  const checks: AxisOperator = {
    logits: 'logits',
    result: 'row',
    names: optionNames({ ...COMMON, ...names } as Readonly<Record<keyof AllOptions, true>>),
  };
  return (
    form: Form,
    logits: LogitArray,
    targets: Targets | LogitArray,
    options: AllOptions & AsyncOptions = {},
  ): Call<Float64Array | number> => {
    // All that could run a caller's code is read before axisCall takes lengths.
    const raw = readTerms(readable(options));
    const hasSoft = kind === PLAIN && isSoft(targets, logits);
    const indices = hasSoft ? null : indicesOf(targets as Targets);
    const call = axisCall(checks, form, logits, options);
    const terms = termsOf(kind, raw);
    return callWith(kind, terms, call, { logits, indices, soft: hasSoft ? targets : null });
  };
}

interface Given {
  readonly logits: LogitArray;
  readonly indices: Targets | null;
  readonly soft: LogitArray | null;
}

function callWith(
  kind: LossKind,
  terms: ReturnType<typeof termsOf>,
  call: AxisCall,
  { logits, indices, soft: given }: Given,
): Call<Float64Array | number> {
  const { args, elements, out, isOutNew } = call;
  const { x, outer, cols, inner, temperature, mask, maskLayout, bias } = args;
  const { weight, smoothing, penalty: lsePenalty, reduction, ignoreIndex, parameter } = terms;
  const loss = out as Float64Array;
  const rows = outer * inner;
  const targets = indices === null ? new Int32Array(rows) : positionsOf(indices, rows, cols, ignoreIndex);
  if (weight !== null && weight.length !== cols)
    throw wrongValue(`${cols} elements, one a class,`, 'weight', String(weight.length));
  const soft = given === null ? null : softOf(given, elements);
  const gradient = gradientFor(terms.gradient, logits, call);
  if (gradient !== null) apart(gradient, 'gradient', given, 'targets');
  if (given !== null) apart(loss, 'out', given, 'targets');
  const total = reduction === 'mean' ? totalOf(targets, soft === null ? weight : null) : 1;
  const { factor: scale, result } = reducerOf(reduction, total, terms.scale);
  const finish = (): Float64Array | number => result(loss);
  const names = { x: 'logits', loss: 'out', soft: 'targets' } as const;
  const isPlain = kind === PLAIN && weight === null && smoothing === 0 && lsePenalty === 0 && soft === null;
  if (isPlain && scale === 1) {
    return callOf(CROSS_ENTROPY, {
      backend: backendFor(elements, crossEntropyKernels),
      type: call.type as ElementType,
      args: { x, targets, loss, gradient, outer, cols, inner, temperature, mask, maskLayout, bias },
      own: isOutNew ? ['targets', 'loss'] : ['targets'],
      names: { x: names.x, loss: names.loss },
      work: elements,
      finish,
    });
  }
  const numbers = { kind, parameter, smoothing, lsePenalty, scale };
  const rest = { outer, cols, inner, temperature, mask, maskLayout, bias };
  const own = isOutNew ? (['targets', 'weight', 'loss'] as const) : (['targets', 'weight'] as const);
  return callOf(ROW_LOSS, {
    backend: backendFor(elements, rowLossKernels),
    type: call.type as ElementType,
    args: { x, targets, soft, weight, given: null, loss, gradient, ...numbers, ...rest },
    own: weight === null ? own.filter((name) => name !== 'weight') : own,
    names,
    work: elements,
    finish,
  });
}
