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
import { block, cutInto, cutOf, type Cut } from './blocks.js';
import { copyIn, copyOut } from './copies.js';
import type { KernelParameters, Parameter } from './parameters.js';
import { areInPlace, isOverwritten, isTooLong, lengths, place, type Values } from './places.js';
import { isShareable } from './modules.js';
import { helpersIn, runBlock, share, sharedWork, type SharedCall } from './pool.js';
import { hasRegions, regionOf } from './regions.js';
import { REPORT, work, type Ready, type Space } from './space.js';

const enum Answer {
  done = 0,
  refused = 1,
}

/** Bytes of copies from which on a call is cut into blocks, and of a block. */
const BLOCK_BYTES = 2 ** 20;
/** Blocks that threads share are larger by this factor: fewer times do threads wait for copies. */
const MORE_SHARED = 32;
/** Bytes of the first array from which on threads share a call in place: others take some microseconds to wake up. */
const SHARED_BYTES = 2 ** 18;
/** Blocks for each thread: one that begins late does fewer. */
const SHARES = 4;

/** Throws what the kernel's check of its contract found. */
function refuse(space: Space): never {
  const [op, name, expected] = new Uint32Array(space.buffer, REPORT, 3);
  const [least, received] = new Float64Array(space.buffer, REPORT + 16, 2);
  const message =
    name === 0
      ? `Expected ${space.text(expected!)} for ${space.text(op!)} but received something else`
      : `Expected ${least} elements for ${space.text(name!)} of ${space.text(op!)} but received ${received}`;
  throw Object.assign(new RangeError(message), { code: 'ERR_INVALID_ARG_VALUE' });
}

/** A kernel with its number among those of this thread, and the sizes of its calls. */
interface Numbered extends KernelParameters {
  readonly number: number;
  /** The positions of its arrays, first those that stay from call to call: slabs, and the weights of a head. */
  readonly arrays: readonly number[];
  readonly blockBytes: number;
  readonly sharedBytes: number;
}

/** What a kernel lacks that has answered so. Throws what it refuses. */
function missingOf(space: Space, answer: number): number {
  if (answer === Answer.refused) refuse(space);
  return answer === Answer.done ? 0 : space.all<Float64Array>('Float64Array')[REPORT / 8 + 4]!;
}

/** Runs a call in a memory. Returns the bytes of memory that it lacks there, of which it has written nothing then. */
function runIn(space: Space, kernel: Numbered, values: Values): number {
  const { parameters, blockBytes } = kernel;
  const end = place(space, parameters, values);
  if (end - space.top > blockBytes && kernel.rows >= 0) {
    const other = space === work() ? sharedFor(kernel, values) : undefined;
    if (other !== undefined) return runIn(other, kernel, values);
    const most = blockBytes * (space.areas > 0 ? MORE_SHARED : 1);
    const cut = cutOf(kernel, values, most, 1 + helpersIn(space));
    if (cut !== undefined) {
      const rows = values[kernel.rows] as number;
      for (let from = 0; from < rows; from += cut.rows) run(kernel, block(kernel, values, cut, from), space);
      return 0;
    }
  }
  if (isTooLong || !space.reach(end)) return end - space.top;
  const ready = space.kernel(kernel.number, kernel.module, kernel.kernel);
  if (!areInPlace) copyIn(space, parameters, values);
  return runPlaced(space, ready, end, kernel, values);
}

/** The memory that threads share, for a call of many rows that they can share. */
const sharedFor = (kernel: Numbered, values: Values): Space | undefined =>
  (values[kernel.rows] as number) > 1 && isShareable(kernel.module) ? sharedWork() : undefined;

function runPlaced(space: Space, ready: Ready, end: number, kernel: Numbered, values: Values): number {
  const cut = space.areas > 0 ? sharesOf(space, kernel, values) : undefined;
  if (cut !== undefined)
    return runShared({ space, ready, end, kernel, cut, rows: values[kernel.rows] as number }, values);
  const answer = ready.run(end, space.bytes, Number(space.grows));
  if (space.grows) space.refresh();
  const missing = missingOf(space, answer);
  if (missing === 0 && !areInPlace) copyOut(space, kernel.parameters, values);
  return missing;
}

/** The blocks of a call that threads share; undefined: this thread does it alone. */
function sharesOf(space: Space, kernel: Numbered, values: Values): Cut | undefined {
  if (lengths[0]! * kernel.parameters[0]!.bytes < kernel.sharedBytes) return undefined;
  const helpers = helpersIn(space);
  return helpers > 0 ? cutInto(kernel, values, SHARES * (1 + helpers)) : undefined;
}

/** Runs a call on all threads. A block that one of them could not do is done here, where its error is found. */
function runShared(call: SharedCall & { kernel: Numbered }, values: Values): number {
  const { space, kernel, cut } = call;
  const undone = share(call);
  if (undone.isLost && isOverwritten(kernel.parameters)) {
    if (areInPlace) throw lostThread(kernel.kernel, undone.rows[0]!);
    run(kernel, values, work()); // the caller's arrays are as they were
    return 0;
  }
  const lacking = undone.rows.filter((from) => {
    const missing = missingOf(space, runBlock(call, from));
    if (missing > 0 && space.grows) throw outOfMemory(missing, kernel.kernel);
    return missing > 0;
  });
  if (!areInPlace) copyOut(space, kernel.parameters, values);
  for (const from of lacking) run(kernel, block(kernel, values, cut, from), work());
  return 0;
}

/** The error for rows that a thread has left half-written, where these were the input. */
function lostThread(kernel: string, row: number): Error & { code: string } {
  const message = `Expected all threads to finish ${kernel} but one ended: rows from ${row} on may be lost in place`;
  return Object.assign(new Error(message), { code: 'ERR_THREAD_ENDED' });
}

/** The memory in which the first array of a call lies that is in one, or the one that arrays are copied into. */
function homeOf({ parameters, arrays, module }: Numbered, values: Values): Space {
  for (let k = 0; hasRegions && k < arrays.length; k++) {
    const i = arrays[k]!;
    const region = parameters[i]!.form === 'slabs' ? regionOfSlabs(values[i]) : regionOf(values[i]);
    if (region !== undefined) return !region.isShared || isShareable(module) ? region : work();
  }
  return work();
}

function regionOfSlabs(slabs: unknown): Space | undefined {
  for (let i = 0; Array.isArray(slabs) && i < slabs.length; i++) {
    const region = regionOf(slabs[i]);
    if (region !== undefined) return region;
  }
  return undefined;
}

/** The positions of arrays, first those that are largest, as they stay from call to call. */
function arraysOf({ parameters }: KernelParameters): number[] {
  const rank = ({ name, form }: Parameter): number => (form === 'slabs' ? 0 : name === 'weights' ? 1 : 2);
  const positions = parameters.flatMap(({ form }, i) => (form === 'array' || form === 'slabs' ? [i] : []));
  return positions.sort((a, b) => rank(parameters[a]!) - rank(parameters[b]!));
}

function run(kernel: Numbered, values: Values, home = homeOf(kernel, values)): void {
  let missing = runIn(home, kernel, values);
  if (missing > 0 && home !== work()) missing = runIn(work(), kernel, values);
  if (missing > 0) throw outOfMemory(missing, kernel.kernel);
}

let count = 0;

/** A kernel as a function. Its module is read at the first call. */
export function functionOf(
  parameters: KernelParameters,
  blockBytes = BLOCK_BYTES,
  sharedBytes = SHARED_BYTES,
): Positional {
  const kernel = { ...parameters, number: count++, arrays: arraysOf(parameters), blockBytes, sharedBytes };
  return (...values) => run(kernel, values);
}
