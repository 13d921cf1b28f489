/** A call that has passed all checks: its operator, and its arguments by name. It runs now, or off the event loop. */
import type { BackendName, BackendOf, Kernels } from '../backend/backend.js';
import { backendFor } from '../backend/choice.js';
import type { AnyOperator, ElementOperator, Operator, OperatorArguments } from '../backend/operators.js';
import type { OperatorOf, Positional, TypeOf } from '../backend/operators.js';
import type { AsyncOptions } from './abort.js';
import { runOutOfHeap } from './heap.js';
import { axisCall, type AxisCall, type AxisOperator } from './axis.js';
import type { AxesOptions, Form, OptionNames } from './options.js';
import type { LogitArray, NewResult, KindOf, OptionsFor, ResultOf, Returned } from './types.js';

type NamesOf<O extends Operator> = Extract<keyof OperatorArguments[O], string>;

interface CallParts<O extends Operator, R> {
  readonly backend: BackendOf<never>;
  readonly type: TypeOf<O>;
  readonly args: OperatorArguments[O];
  /** The arrays that were made for this call. All others are the caller's, and a job works on copies of these. */
  readonly own: readonly NamesOf<O>[];
  /** The names that callers know arguments by, where these are others. */
  readonly names?: { readonly [N in NamesOf<O>]?: string };
  /** The number of exponentials, roughly. */
  readonly work: number;
  /** For a job: keeps the pages of a cache, until the function that it returns is called. */
  hold?(): () => void;
  /** Fills `own` arrays from the caller's before the kernel runs, with a turn for others at each yield. */
  before?(): Generator<undefined, void>;
  /** Throws what the kernel found wrong: it has written `own` arrays alone then, and so does a job. */
  check?(): void;
  /** Fills the caller's arrays from `own` ones when all checks have passed. */
  after?(): Generator<undefined, void>;
  /** Makes the result from the arguments when the kernel has run. */
  finish(): R;
}

export interface Call<R> {
  readonly operator: AnyOperator;
  readonly parts: {
    readonly backend: BackendOf<never>;
    readonly type: string;
    readonly args: Readonly<Record<string, unknown>>;
    readonly own: readonly string[];
    readonly names?: Readonly<Record<string, string | undefined>>;
    readonly work: number;
    hold?(): () => void;
    before?(): Generator<undefined, void>;
    check?(): void;
    after?(): Generator<undefined, void>;
    finish(): R;
  };
}

export const callOf = <O extends Operator, R>(operator: OperatorOf<O>, parts: CallParts<O, R>): Call<R> => ({
  operator,
  parts,
});

const kernelNames: Record<string, Record<string, keyof Kernels>> = {};

/** The name of a call's kernel, operator_type; each name is put together once. */
export const kernelNameOf = ({ operator: { name }, parts: { type } }: Call<unknown>): keyof Kernels =>
  ((kernelNames[name] ??= {})[type] ??= `${name}_${type}` as keyof Kernels);

/** Makes the checked call of a function of logits, in either form. Absent are the options that the function lacks. */
export type ElementCall<Absent extends keyof AxesOptions = never> = <
  A extends LogitArray,
  Out extends ResultOf<A> = NewResult<A>,
>(
  form: Form,
  x: A,
  ...rest: OptionsFor<A, Omit<AxesOptions<KindOf<A>, Out>, Absent> & AsyncOptions>
) => Call<Returned<Out>>;

/** The calls of an operator of logits that gives a number for each element. */
export function elementCalls<Absent extends keyof AxesOptions = never>(
  operator: OperatorOf<ElementOperator>,
  js: BackendOf<never>,
  names: OptionNames,
): ElementCall<Absent> {
  const checks = elementChecks(names);
  const build = (form: Form, logits: LogitArray, options?: AxesOptions<LogitArray, LogitArray>): Call<LogitArray> =>
    elementCall(operator, js, axisCall(checks, form, logits, options));
  return build as ElementCall<Absent>;
}

/** What the checks of such an operator must know. */
export const elementChecks = (names: OptionNames): AxisOperator => ({
  logits: 'x',
  result: 'element',
  names,
  takesAxes: true,
});

/** The call of such an operator, from its checked logits and options. */
export function elementCall(
  operator: OperatorOf<ElementOperator>,
  js: BackendOf<never>,
  call: AxisCall,
): Call<LogitArray> {
  const { args, elements, type, out, own, gather, scatter } = call;
  return callOf(operator, {
    backend: backendFor(elements, js),
    type,
    args,
    own,
    work: elements,
    ...(gather && scatter && { before: gather, after: scatter }),
    finish: () => out,
  });
}

export function runNow<R>(call: Call<R>): R {
  const { parts } = call;
  if (parts.before !== undefined) drain(parts.before());
  const kernel = kernelOf(call);
  if (runsInHeap(parts.backend.name)) call.operator.call(kernel, parts.args);
  else runOutOfHeap(call.operator, kernel, parts);
  parts.check?.();
  if (parts.after !== undefined) drain(parts.after());
  return parts.finish();
}

const runsInHeap = (name: BackendName): boolean => name === 'js' || name === 'wasm';

function drain(steps: Generator<undefined, void>): void {
  while (!steps.next().done);
}

export const kernelOf = (call: Call<unknown>): Positional =>
  (call.parts.backend as unknown as Readonly<Record<string, Positional>>)[kernelNameOf(call)]!;

const collect: Positional = (...values) => values;

/** Arguments in the order in which kernels take them. */
export const inOrder = (operator: AnyOperator, args: Readonly<Record<string, unknown>>): unknown[] =>
  operator.call(collect, args) as unknown[];
