/**
 * Calls of native kernels on arrays that V8 keeps in its heap, those of up to 64 bytes. Node-API has V8 move such an
 * array out for good, in 0.3 µs and more for its garbage collector: longer than a short row takes. So the small arrays
 * that were made for a call are copied to kept memory, and back.
 */
import type { AnyOperator, Positional } from '../backend/operators.js';
import { byteLengthOf, kindOf, lengthOf, newArray, type ArrayKind } from './arrays.js';

const MOST_IN_HEAP = 64;

export type SmallArray = ArrayBufferView & Record<number, number>;
type Arguments = Readonly<Record<string, unknown>>;

/** The kept arrays of each kind, by their length and by their place in a call. */
const kept = new Map<string, SmallArray[]>();

/** An array out of the heap, as long as `array`, for the small array number `at` of a call. It has any content. */
export function outOfHeap(array: ArrayBufferView, at: number): SmallArray {
  const kind = kindOf(array) as ArrayKind;
  const length = lengthOf(array);
  const index = at * (MOST_IN_HEAP + 1) + length;
  let arrays = kept.get(kind);
  if (arrays === undefined) kept.set(kind, (arrays = []));
  return (arrays[index] ??= newArray(kind, length) as unknown as SmallArray);
}

export function copySmall(from: SmallArray, to: SmallArray): void {
  const length = lengthOf(from);
  for (let i = 0; i < length; i++) to[i] = from[i]!;
}

export const isInHeap = (array: ArrayBufferView): boolean => byteLengthOf(array) <= MOST_IN_HEAP;

/** Runs a kernel at once. */
export function runOutOfHeap(
  operator: AnyOperator,
  kernel: Positional,
  { args, own }: { readonly args: Arguments; readonly own: readonly string[] },
): void {
  const small = own.filter((name) => ArrayBuffer.isView(args[name]) && isInHeap(args[name]));
  if (small.length === 0) return void operator.call(kernel, args);
  const moved: Record<string, unknown> = { ...args };
  small.forEach((name, i) => {
    const array = args[name] as SmallArray;
    copySmall(array, (moved[name] = outOfHeap(array, i)));
  });
  operator.call(kernel, moved);
  for (const name of small)
    if (operator.outputs.includes(name)) copySmall(moved[name] as SmallArray, args[name] as SmallArray);
}
