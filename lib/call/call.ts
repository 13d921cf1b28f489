/** A call that passed all checks, ready to be run: at once, or by lib/promises.ts off the event loop. */
import type { AxisCall, LogitArray } from './arguments.js';
import type { BackendOf, Kernels } from '../backend/backend.js';
import type {
  AnyOperator,
  Operator,
  OperatorArguments,
  OperatorOf,
  OperatorTypes,
  Positional,
} from '../backend/operators.js';
import { backendFor } from '../backend/choice.js';

type NamesOf<O extends Operator> = Extract<keyof OperatorArguments[O], string>;

interface CallParts<O extends Operator, R> {
  readonly backend: BackendOf<never>;
  readonly type: OperatorTypes[O];
  readonly args: OperatorArguments[O];
  /**
   * The arrays that were made for this call and that nobody else knows. All others are the caller's, who may write, transfer
   * or shrink them while a job runs: a job copies those.
   */
  readonly own: readonly NamesOf<O>[];
  /** What the caller calls arguments that have another name here. */
  readonly names?: { readonly [N in NamesOf<O>]?: string };
  /** About how many exponentials it takes. */
  readonly work: number;
  /** For a job: keeps what the arguments belong to, the pages of a cache, until the function that it returns is called. */
  hold?(): () => void;
  /** What is made of the arguments when the kernel has run. */
  finish(): R;
}

export interface Call<R> {
  readonly backend: BackendOf<never>;
  readonly operator: AnyOperator;
  readonly kernel: keyof Kernels;
  readonly args: Readonly<Record<string, unknown>>;
  readonly own: readonly string[];
  readonly names?: Readonly<Record<string, string | undefined>> | undefined;
  readonly work: number;
  readonly hold?: (() => () => void) | undefined;
  finish(): R;
}

/** Without a spread or a rest of properties, which take microseconds: more than the kernel of a short row. */
export function callOf<O extends Operator, R>(operator: OperatorOf<O>, parts: CallParts<O, R>): Call<R> {
  const { backend, type, args, own, names, work, hold, finish } = parts;
  return { backend, operator, kernel: kernelNamed(operator, type), args, own, names, work, hold, finish };
}

const kernelNames = new Map<AnyOperator, Map<string, keyof Kernels>>();

/** operator_type; each name is put together once. */
function kernelNamed(operator: AnyOperator, type: string): keyof Kernels {
  let names = kernelNames.get(operator);
  if (names === undefined) kernelNames.set(operator, (names = new Map()));
  let name = names.get(type);
  if (name === undefined) names.set(type, (name = `${operator.name}_${type}` as keyof Kernels));
  return name;
}

/** An operator of one array that gives another, from its checked arguments. */
export function elementCall<O extends 'softmax' | 'log_softmax'>(
  operator: OperatorOf<'softmax'> | OperatorOf<'log_softmax'>,
  js: BackendOf<O>,
  call: AxisCall,
): Call<LogitArray> {
  const { x, elements, out, kernelOut, isOutNew, kernel, outer, cols, inner, temperature, mask, maskLayout, bias } =
    call;
  return callOf(operator, {
    backend: backendFor(elements, js),
    type: kernel,
    args: { x, out: kernelOut, outer, cols, inner, temperature, mask, maskLayout, bias },
    own: isOutNew ? ['out'] : [],
    work: elements,
    finish: () => out,
  });
}

export function runNow<R>({ backend, operator, kernel, args, finish }: Call<R>): R {
  operator.call(kernelOf(backend, kernel), args);
  return finish();
}

export const kernelOf = (backend: BackendOf<never>, kernel: keyof Kernels): Positional =>
  (backend as unknown as Readonly<Record<string, Positional>>)[kernel]!;

const collect: Positional = (...values) => values;

/** Arguments in the order in which kernels take them. */
export const inOrder = (operator: AnyOperator, args: Readonly<Record<string, unknown>>): unknown[] =>
  operator.call(collect, args) as unknown[];
