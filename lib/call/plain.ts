/**
 * Functions of logits that run at once. Calls on rows of floats, one after another in x, with no other options than
 * `cols`, `temperature` and `out`, run without the objects of a call: these take longer than a short row. A call that
 * is not so plain, or wrong, goes the way of all calls (axis.ts, call.ts), which finds the error.
 */
import { MASK_NONE, type BackendOf } from '../backend/backend.js';
import { backendFor } from '../backend/choice.js';
import type { AnyOperator, ElementOperator, OperatorOf, Positional } from '../backend/operators.js';
import { byteOffsetOf, kindOf, lengthOf, overlap } from './arrays.js';
import { allocate } from './allocate.js';
import { checkedCall, readOptions, type AxisOperator, type ReadOptions } from './axis.js';
import { copySmall, isInHeap, outOfHeap, type SmallArray } from './heap.js';
import { elementCall, elementChecks, runNow, type Call } from './call.js';
import type { AxesOptions, OptionNames } from './options.js';
import type { KindOf, LogitArray, NewResult, OptionsFor, ResultOf, Returned } from './types.js';

type Options = AxesOptions<LogitArray, LogitArray>;

/** A function of logits that gives a number for each element. Absent are the options that it lacks. */
type ElementFunction<Absent extends keyof AxesOptions> = <A extends LogitArray, Out extends ResultOf<A> = NewResult<A>>(
  x: A,
  ...rest: OptionsFor<A, Omit<AxesOptions<KindOf<A>, Out>, Absent>>
) => Returned<Out>;

/** The function of an operator of logits that gives a number for each element. */
export function elementFunction<Absent extends keyof AxesOptions = never>(
  operator: OperatorOf<ElementOperator>,
  js: BackendOf<never>,
  names: OptionNames,
): ElementFunction<Absent> {
  const checks = elementChecks(names);
  const callOf = (x: LogitArray, given: ReadOptions) => elementCall(operator, js, checkedCall(checks, 'now', x, given));
  return plainFunction(operator, js, checks, callOf) as ElementFunction<Absent>;
}

/** The function of an operator of rows. `callOf` makes the call of any arguments. */
export function plainFunction(
  operator: AnyOperator,
  js: BackendOf<never>,
  checks: AxisOperator,
  callOf: (x: LogitArray, options: ReadOptions) => Call<LogitArray>,
): (x: LogitArray, options: Options | undefined) => LogitArray {
  const isRow = checks.result === 'row';
  const isScaled = operator.parameters.includes('temperature');
  const [twins, kernels] = [kernelsByType(operator.name), kernelsByType(operator.name)];

  return (x, options) => {
    const given = readOptions(options, checks.names?.now);
    const { temperature, out } = given;
    const kind = plainKind(x, given);
    const elements = kind === undefined ? 0 : lengthOf(x);
    const cols = given.cols === undefined ? elements : given.cols;
    const outer = typeof cols === 'number' ? elements / cols : 0;
    const size = isRow ? outer : elements;
    const outKind = isRow ? 'Float64Array' : kind!;
    // No elements, no array, or a wrong length of rows: no outer size is a whole number above 0.
    if (!(Number.isInteger(outer) && outer > 0 && Number.isInteger(cols)) || !isOut(out, outKind, size, x, isRow))
      return runNow(callOf(x, given));

    const results = out ?? (allocate(outKind, size, 'out') as LogitArray);
    const backend = backendFor(elements, js);
    if (backend === js || backend.name === 'wasm') {
      const kernel = (backend === js ? twins : kernels)(backend, kind!);
      const [inner, mask, maskLayout, bias] = [1, null, MASK_NONE, null];
      operator.call(kernel, { x, out: results, outer, cols, inner, temperature, mask, maskLayout, bias });
      return results;
    }
    const kernel = kernels(backend, kind!);
    const target = out === undefined && isInHeap(results) ? outOfHeap(results, 0) : results;
    if (isScaled) kernel(x, target, outer, cols, 1, temperature);
    else kernel(x, target, outer, cols, 1); // the others are null
    if (target !== results) copySmall(target as SmallArray, results as SmallArray);
    return results;
  };
}

/** The kind of an array of floats, if the options are plain. */
function plainKind(x: LogitArray, given: ReadOptions): 'Float32Array' | 'Float64Array' | undefined {
  const { shape, axis, temperature, mask, bias, dtype } = given;
  const kind = kindOf(x);
  if (kind !== 'Float32Array' && kind !== 'Float64Array') return undefined;
  if (!(typeof temperature === 'number' && temperature > 0 && temperature < Infinity)) return undefined;
  const isPlain =
    shape === undefined && axis === undefined && mask === undefined && bias === undefined && dtype === undefined;
  return isPlain ? kind : undefined;
}

/** Whether results may go into `out`: it has their kind and number, and is x itself or apart from x. */
function isOut(out: LogitArray | undefined, kind: string, size: number, x: LogitArray, isRow: boolean): boolean {
  if (out === undefined) return true;
  if (kindOf(out) !== kind || lengthOf(out) !== size) return false;
  // Arrays of one kind, length and offset are the same memory or apart, and in others `overlap` looks at buffers.
  return (!isRow && byteOffsetOf(out) === byteOffsetOf(x)) || !overlap(out, x);
}

/** Finds the kernels of floats and doubles in a backend. A look-up by name takes as long as all checks. */
function kernelsByType(name: string): (backend: BackendOf<never>, kind: string) => Positional {
  let found: BackendOf<never> | undefined;
  let floats: Positional;
  let doubles: Positional;
  return (backend, kind) => {
    if (backend !== found) {
      const all = backend as unknown as Readonly<Record<string, Positional>>;
      found = backend;
      floats = all[`${name}_f32`]!;
      doubles = all[`${name}_f64`]!;
    }
    return kind === 'Float32Array' ? floats : doubles;
  };
}
