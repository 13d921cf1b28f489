/** Copies arrays of callers to the places of the call that runs, and results back. */
import { copyInto, viewOf } from '../../call/arrays.js';
import { lengthOf } from './lengths.js';
import type { Parameter } from './parameters.js';
import { addresses, copies, Copy, lengths, slabs, type Values } from './places.js';
import type { Space } from './space.js';

type Numbers = { [index: number]: number };

/** Up to this length a loop is faster than a copy by views. */
const SHORT = 64;

function copyTo(space: Space, { kind, bytes }: Parameter, view: ArrayBufferView, at: number, length: number): void {
  const all = space.all<ArrayBufferView & Numbers>(kind);
  const from = at / bytes;
  if (length > SHORT) copyInto(all, view, from);
  else for (let i = 0; i < length; i++) all[from + i] = (view as unknown as Numbers)[i]!;
}

function copyBack(space: Space, { kind, bytes }: Parameter, view: ArrayBufferView, at: number, length: number): void {
  const all = space.all<ArrayBufferView & Numbers>(kind);
  const from = at / bytes;
  if (length > SHORT) copyInto(view, viewOf(all, from, from + length));
  else for (let i = 0; i < length; i++) (view as unknown as Numbers)[i] = all[from + i]!;
}

/** Copies what a kernel reads, and results of which it may leave elements. */
export function copyIn(space: Space, parameters: readonly Parameter[], values: Values): void {
  for (let i = 0; i < parameters.length; i++) {
    const parameter = parameters[i]!;
    if (parameter.form === 'slabs') copySlabs(space, parameter, i);
    else if (copies[i] === Copy.own && parameter.form === 'array' && parameter.isCopiedIn)
      copyTo(space, parameter, values[i] as ArrayBufferView, addresses[i]!, lengths[i]!);
  }
}

function copySlabs(space: Space, parameter: Parameter, i: number): void {
  const list = space.all<Uint32Array>('Uint32Array');
  const from = addresses[i]! / 4;
  slabs[i]!.forEach(({ view, length, at, isCopied }, k) => {
    if (isCopied) copyTo(space, parameter, view!, at, length);
    list[from + 2 * k] = at;
    list[from + 2 * k + 1] = length;
  });
}

/** Copies results to the caller's arrays: no more than the kernel may have written. */
export function copyOut(space: Space, parameters: readonly Parameter[], values: Values): void {
  for (let i = 0; i < parameters.length; i++) {
    const parameter = parameters[i]!;
    if (!parameter.isWritten) continue;
    if (parameter.form === 'slabs')
      for (const { view, length, at, isCopied } of slabs[i]!) {
        if (isCopied) copyBack(space, parameter, view!, at, length);
      }
    else if (copies[i] !== Copy.none) {
      const length = lengthOf(parameter, values) ?? lengths[i]!;
      copyBack(space, parameter, values[i] as ArrayBufferView, addresses[i]!, length);
    }
  }
}
