/** The types of operators and of their kernels, from the table native/operators.def. */
import type { NamedParameters, OrderedParameters } from './parameters.js';
import type { OperatorTypes } from './types.js';

export type Operator = keyof OperatorTypes;

/** A kernel as a function of any values, for code that treats all kernels alike. */
export type Positional = (...values: unknown[]) => unknown;

/** An operator for code that treats all operators alike. */
export interface AnyOperator {
  readonly name: Operator;
  /** Its kernels are called name_type. */
  readonly types: readonly string[];
  /** Its parameters, in the order of its kernels. */
  readonly parameters: readonly string[];
  /** Arrays that kernels read, and arrays that they write. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Arrays whose elements have the type of the logits, and arrays whose elements have the type of the results. */
  readonly logits: readonly string[];
  readonly results: readonly string[];
  /** The output that may be an input itself, and that input. */
  readonly inPlace: readonly [output: string, input: string] | null;
  /** Calls a kernel with its arguments in order. */
  call(kernel: Positional, a: Readonly<Record<string, unknown>>): unknown;
}

export interface OperatorOf<O extends Operator> extends AnyOperator {
  readonly name: O;
  call(kernel: Positional, a: OperatorArguments[O]): unknown;
}

/** The names of the types that an operator has kernels for. */
export type TypeOf<O extends Operator> = Extract<keyof OperatorTypes[O], string>;

/** The arrays of an operator's logits (x) or results (y), of any type that it has kernels for. */
type AnyArray<O extends Operator, Side extends 'x' | 'y'> = {
  [T in TypeOf<O>]: OperatorTypes[O][T] extends Record<Side, infer A> ? A : never;
}[TypeOf<O>];

/** The arguments of each operator by name. */
export type OperatorArguments = { [O in Operator]: NamedParameters<AnyArray<O, 'x'>, AnyArray<O, 'y'>>[O] };

/** A kernel of an operator whose logits are in an X, and whose results go into a Y. */
export type Kernel<O extends Operator, X, Y = X> = (...args: OrderedParameters<X, Y>[O]) => void;

/** An operator's kernel for a type by name, such as 'f32'. */
export type KernelOf<O extends Operator, T extends TypeOf<O>> = OperatorTypes[O][T] extends { x: infer X; y: infer Y }
  ? Kernel<O, X, Y>
  : never;

type NamesOf<O extends Operator> = O extends Operator ? { [T in TypeOf<O>]: [O, T, `${O}_${T}`] }[TypeOf<O>] : never;

/** The kernels of operators, by name: operator_type. */
export type KernelsOf<O extends Operator> = {
  readonly [Name in NamesOf<O> as Name[2]]: KernelOf<Name[0], Extract<Name[1], TypeOf<Name[0]>>>;
};

/** The operators that need no more than softmax: a number for each element, from logits and the options of an axis. */
export type ElementOperator = {
  [O in Operator]: OperatorArguments['softmax'] extends OperatorArguments[O] ? O : never;
}[Operator];
