/** A call that passed all checks, ready to be run: at once, or by lib/promises.ts off the event loop. */
import type { AxisCall, LogitArray } from './arguments.js';
import type { Backend, Kernels } from './backend/backend.js';
import { backendFor } from './backend/select.js';

export interface Call<R> {
  readonly backend: Backend;
  readonly kernel: keyof Kernels;
  readonly args: readonly unknown[];
  /** Which arguments are the caller's arrays, under which names; all others are new. */
  readonly theirs: Readonly<Record<string, number>>;
  /** Which arguments the kernel writes; all of each. */
  readonly results: readonly number[];
  /** About how many exponentials it takes. Default: the length of the first argument, x. */
  readonly work?: number;
  /** The first argument, x, may be the first result as well. */
  readonly inPlace?: boolean;
  /** What is made of them when the kernel has run. */
  finish(): R;
}

/** An operator of one array that gives another, from its checked arguments. */
export function elementCall(operator: 'softmax' | 'log_softmax', { x, out, kernelOut, isOutNew, kernel, outer, cols, inner, temperature, mask, maskLayout, bias }: AxisCall): Call<LogitArray> {
  return {
    backend: backendFor(x.length),
    kernel: `${operator}_${kernel}`,
    args: [x, kernelOut, outer, cols, inner, temperature, mask, maskLayout, bias],
    theirs: { x: 0, mask: 6, bias: 8, ...(isOutNew ? undefined : { out: 1 }) },
    results: [1],
    inPlace: x.BYTES_PER_ELEMENT === kernelOut.BYTES_PER_ELEMENT,
    finish: () => out,
  };
}

export function runNow<R>({ backend, kernel, args, finish }: Call<R>): R {
  (backend[kernel] as (...args: readonly unknown[]) => void)(...args);
  return finish();
}
