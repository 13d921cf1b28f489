/** How many threads may share the work of one call. */
import { outOfRange, wrongType } from './call/errors.js';
import { native } from './backend/native.js';
import { choice } from './backend/choice.js';
import { MAX_THREADS } from './backend/settings.js';
import { wasm } from './backend/wasm/host.js';

/** Throws if `n` is no number of threads. */
export function checkThreads(n: unknown): void {
  const expected = `an integer from 1 to ${MAX_THREADS}`;
  if (typeof n !== 'number') throw wrongType(expected, 'the number of threads', n);
  if (!(Number.isInteger(n) && n >= 1 && n <= MAX_THREADS)) throw outOfRange(expected, 'the number of threads', n);
}

/**
 * Sets how many threads may share the work of one call, the caller's included; 1: nothing is shared. It holds for the
 * whole process, all of its worker threads included, from the next call on. At first it is what FLASH_SOFTMAX_THREADS
 * says, or else `os.availableParallelism()`. Results are the same to the bit with any number.
 *
 * The threads are the package's own and start with the first call that is large enough
 * (`capabilities().plan.parallelBytes`). While one call has them, a call from another worker thread does its work
 * alone. WebAssembly has up to 16 threads for each JavaScript thread that asks for them, from 1 on, where memory can be
 * shared; in a browser ask `init` of flash-softmax/wasm. The JavaScript backend uses none.
 *
 * @returns The number until now; 1 where there are no threads.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) if `n` is not a number, RangeError (ERR_OUT_OF_RANGE) if it is not an
 *   integer from 1 to 1024.
 * @example
 * import { capabilities, setThreads } from 'flash-softmax';
 * setThreads(1); // nothing runs beside the calling thread
 * console.log(capabilities().threads); // → 1
 */
export function setThreads(n: number): number {
  checkThreads(n);
  if (choice().name === 'wasm') return wasm().threads!(n);
  const { addon } = native();
  if (addon === null) return 1;
  const before = addon.threads();
  addon.threads(n);
  return before;
}
