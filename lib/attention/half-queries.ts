/** Queries and outputs of halves for calls on a cache, whose kernels take floats: both are small beside the cache. */
import { kindOf, lengthOf, overlap, type ArrayKind } from '../call/arrays.js';
import { elementTypeOf } from '../call/axis.js';
import { isLike } from '../call/checks.js';
import { wrongType, wrongValue } from '../call/errors.js';
import { checkWhole } from '../call/memory.js';
import { isFloat32Array, type LogitArray } from '../call/types.js';
import { narrow } from '../js/rows/half.js';
import { bfloat16, float16, type Half } from '../math/half.js';
import { allocate } from '../call/allocate.js';
import { attached } from './sizes.js';
import { kernelArray } from './typed-results.js';
import { widenInto } from './types.js';

/** Queries as floats; those of halves are a copy, and `half` is their type. */
export interface FloatQueries {
  readonly floats: Float32Array;
  readonly half: Half | undefined;
}

/** Checks the kind of the queries, and widens halves. */
export function floatQueries(q: LogitArray, dtype: unknown): FloatQueries {
  const type = elementTypeOf(q, dtype, 'q');
  if (type === 'f64') throw wrongType('a Float32Array, a Float16Array, or a Uint16Array with a dtype,', 'q', q);
  if (type === 'f32') return { floats: q as Float32Array, half: undefined };
  const bits = kernelArray(attached(q, kindOf(q)!, 'q')) as unknown as Uint16Array;
  const half = type === 'f16' ? float16 : bfloat16;
  const floats = allocate('Float32Array', lengthOf(bits), 'q');
  widenInto(floats, bits, half);
  return { floats, half };
}

type Result = LogitArray | { readonly out: LogitArray; readonly lse?: Float64Array };

/** An output of halves: what the kernel has written as floats is rounded into it at the end. */
export interface HalfOutput {
  /** Throws if the caller's array was detached or resized since. */
  check(): void;
  /** The result of the call, from its result in floats. */
  finish(result: Result): Result;
}

/** The checked or allocated output of halves; undefined if the output is floats. `inputs` are the call's arrays. */
export function halfOutput(
  q: LogitArray,
  { half }: FloatQueries,
  out: LogitArray | undefined,
  length: number,
  inputs: Readonly<Record<string, unknown>>,
): HalfOutput | undefined {
  if (half === undefined || isFloat32Array(out)) return undefined;
  if (out !== undefined) {
    if (!isLike(out, q)) throw wrongType(`a ${kindOf(q)}, as q is, or a Float32Array`, 'out', out);
    attached(out, kindOf(out)!, 'out');
    if (lengthOf(out) !== length) throw wrongValue(`${length} elements`, 'out', String(lengthOf(out)));
    for (const [name, x] of Object.entries(inputs)) {
      if (ArrayBuffer.isView(x) && overlap(out, x)) throw wrongValue(`memory apart from ${name}`, 'out', 'an overlap');
    }
  }
  const target = out ?? (allocate(kindOf(q) as ArrayKind, length, 'out') as unknown as LogitArray);
  return {
    check: () => checkWhole({ view: target, name: 'out', length }),
    finish(result) {
      const isBoth = !ArrayBuffer.isView(result);
      narrow(
        (isBoth ? result.out : result) as Float32Array,
        kernelArray(target) as unknown as Uint16Array,
        half === bfloat16,
      );
      return isBoth ? { ...result, out: target } : target;
    },
  };
}
