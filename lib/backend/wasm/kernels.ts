/**
 * Kernels of WebAssembly modules as functions with the interface of the native binding. A call
 *
 * 1. reads its arguments, and gives each array a place: where it lies, if that is the memory of the call, or else one
 *    for a copy;
 * 2. copies what the kernel reads;
 * 3. runs the kernel, which first checks the contract of operators.def against the true lengths;
 * 4. copies results back.
 *
 * No code of the caller runs in between, and nothing of the caller's is written before 4. A call of many rows does this
 * for a block of rows after another, when the lengths of its arrays have been checked (blocks.ts).
 */
import { outOfMemory } from '../../call/errors.js';
import type { Positional } from '../operator.js';
import { block, cutOf } from './blocks.js';
import { copyIn, copyOut } from './copies.js';
import type { KernelParameters } from './parameters.js';
import { areInPlace, isTooLong, place, type Values } from './places.js';
import { hasRegions, regionOf } from './regions.js';
import { work, type Ready, type Space } from './space.js';

const enum Answer {
  done = 0,
  refused = 1,
}

/** Bytes of copies from which on a call is cut into blocks, and of a block. */
const BLOCK_BYTES = 2 ** 20;

/** Throws what the kernel's check of its contract found. */
function refuse(space: Space, report: number): never {
  const [op, name, expected] = new Uint32Array(space.buffer, report, 3);
  const [least, received] = new Float64Array(space.buffer, report + 16, 2);
  const message =
    name === 0
      ? `Expected ${space.text(expected!)} for ${space.text(op!)} but received something else`
      : `Expected ${least} elements for ${space.text(name!)} of ${space.text(op!)} but received ${received}`;
  throw Object.assign(new RangeError(message), { code: 'ERR_INVALID_ARG_VALUE' });
}

/** A kernel with its number among those of this thread, and the bytes of a block. */
interface Numbered extends KernelParameters {
  readonly number: number;
  readonly blockBytes: number;
}

/** Runs a call in a memory. Returns the bytes of memory that it lacks there, of which it has written nothing then. */
function runIn(space: Space, kernel: Numbered, values: Values): number {
  const { parameters, blockBytes } = kernel;
  const ready = space.kernel(kernel.number, kernel.module, kernel.kernel);
  const end = place(space, ready.slots, parameters, values);
  if (end - space.top > blockBytes) {
    const cut = cutOf(kernel, values, blockBytes);
    if (cut !== undefined) {
      const rows = values[kernel.rows] as number;
      for (let from = 0; from < rows; from += cut.rows) run(kernel, block(kernel, values, cut, from));
      return 0;
    }
  }
  if (isTooLong || !space.reach(end)) return end - space.top;
  return runPlaced(space, ready, end, kernel, values);
}

function runPlaced(space: Space, ready: Ready, end: number, { parameters }: Numbered, values: Values): number {
  if (!areInPlace) copyIn(space, parameters, values);
  const answer = ready.run(end, space.bytes, Number(space.grows));
  if (space.grows) space.refresh();
  if (answer === Answer.refused) refuse(space, ready.report);
  if (answer !== Answer.done) return space.all<Float64Array>('Float64Array')[ready.report / 8 + 4]!;
  if (!areInPlace) copyOut(space, parameters, values);
  return 0;
}

/** The memory in which the first array of a call lies that is in one, or the one that arrays are copied into. */
function homeOf({ parameters }: KernelParameters, values: Values): Space {
  for (let i = 0; hasRegions && i < parameters.length; i++) {
    if (parameters[i]!.form !== 'array') continue;
    const region = regionOf(values[i]);
    if (region !== undefined) return region;
  }
  return work();
}

function run(kernel: Numbered, values: Values): void {
  const home = homeOf(kernel, values);
  let missing = runIn(home, kernel, values);
  if (missing > 0 && home !== work()) missing = runIn(work(), kernel, values);
  if (missing > 0) throw outOfMemory(missing, kernel.kernel);
}

let count = 0;

/** A kernel as a function. Its module is read at the first call. */
export function functionOf(parameters: KernelParameters, blockBytes = BLOCK_BYTES): Positional {
  const kernel = { ...parameters, number: count++, blockBytes };
  return (...values) => run(kernel, values);
}
