/**
 * Kernels of WebAssembly modules as functions with the interface of the native binding. A call
 *
 * 1. reads its arguments: kinds, true lengths, numbers;
 * 2. gives each array a place: where it lies, if that is the memory of the call, or else a copy in it;
 * 3. runs the kernel, which first checks the contract of operators.def against the true lengths;
 * 4. copies results back.
 *
 * No code of the caller runs in between, and nothing of the caller's is written before 4.
 */
import { bufferOf, byteOffsetOf, copyInto, viewOf } from '../../call/arrays.js';
import { outOfMemory } from '../../call/errors.js';
import type { Positional } from '../operator.js';
import { call, MOST, read } from './arguments.js';
import type { KernelParameters, Parameter } from './parameters.js';
import { regionOf } from './regions.js';
import { work, type Instance, type Space } from './space.js';

const enum Answer {
  done = 0,
  refused = 1,
}

/** Copies begin at whole lines of the cache. */
const lines = (bytes: number): number => Math.ceil(bytes / 64) * 64;

/** Arrays of more elements than that are an error of memory: kernels count bytes of their own memory in 32 bits. */
const MOST_ELEMENTS = 2 ** 28;

/** Up to this length a loop is faster than a copy by views. */
const SHORT = 24;

/** Of the call that runs: the address of each array, and whether it is a copy; the addresses of slabs. */
const places = new Float64Array(MOST);
const isCopied = new Uint8Array(MOST);
const slabPlaces = new Map<number, number[]>();

type Values = readonly unknown[];
type Numbers = { [index: number]: number };

const liesIn = (space: Space, view: ArrayBufferView): boolean => bufferOf(view) === space.buffer;

/** The position of an earlier array that is the same memory; −1: none. */
function sameAs(values: Values, parameters: readonly Parameter[], at: number): number {
  const view = values[at] as ArrayBufferView;
  for (let i = 0; i < at; i++) {
    const other = values[i];
    if (parameters[i]!.form !== 'array' || other === null || call.lengths[i] !== call.lengths[at]) continue;
    if (other === view) return i;
    const each = other as ArrayBufferView;
    if (
      parameters[i]!.kind === parameters[at]!.kind &&
      byteOffsetOf(each) === byteOffsetOf(view) &&
      bufferOf(each) === bufferOf(view)
    )
      return i;
  }
  return -1;
}

/** Gives each array its place. Returns the end of all places. */
function place(space: Space, parameters: readonly Parameter[], values: Values): number {
  let end = lines(space.top);
  const next = (view: ArrayBufferView, bytes: number): number => {
    if (liesIn(space, view)) return byteOffsetOf(view);
    const at = end;
    end += lines(bytes);
    return at;
  };
  for (let i = 0; i < parameters.length; i++) {
    const { form, bytes } = parameters[i]!;
    const length = call.lengths[i]!;
    if (form === 'array' && length >= 0) {
      const view = values[i] as ArrayBufferView;
      isCopied[i] = Number(!liesIn(space, view));
      const same = isCopied[i] === 0 ? -1 : sameAs(values, parameters, i);
      places[i] = same >= 0 ? places[same]! : next(view, length * bytes);
    } else if (form === 'slabs') {
      places[i] = end;
      end += lines(8 * length);
      const slabs = values[i] as ArrayBufferView[];
      slabPlaces.set(
        i,
        call.slabs.get(i)!.map((each, k) => (each === 0 ? end : next(slabs[k]!, each * bytes))),
      );
    }
  }
  return end;
}

function copyIn(space: Space, { kind, bytes }: Parameter, view: ArrayBufferView, at: number, length: number): void {
  if (length === 0 || liesIn(space, view)) return;
  const all = space.all<ArrayBufferView & Numbers>(kind);
  const from = at / bytes;
  if (length > SHORT) copyInto(all, view, from);
  else for (let i = 0; i < length; i++) all[from + i] = (view as unknown as Numbers)[i]!;
}

function copyOut(space: Space, { kind, bytes }: Parameter, view: ArrayBufferView, at: number, length: number): void {
  if (length === 0 || liesIn(space, view)) return;
  const all = space.all<ArrayBufferView & Numbers>(kind);
  const from = at / bytes;
  if (length > SHORT) copyInto(view, viewOf(all, from, from + length));
  else for (let i = 0; i < length; i++) (view as unknown as Numbers)[i] = all[from + i]!;
}

/** Copies arrays to their places, and writes the slots that the kernel reads. */
function fill(space: Space, { slots }: Instance, parameters: readonly Parameter[], values: Values): void {
  const numbers = space.all<Float64Array>('Float64Array');
  for (let i = 0, slot = slots / 8; i < parameters.length; i++, slot += 2) {
    const parameter = parameters[i]!;
    const length = call.lengths[i]!;
    if (parameter.form === 'array') {
      if (length > 0 && isCopied[i] === 1) copyIn(space, parameter, values[i] as ArrayBufferView, places[i]!, length);
      numbers[slot] = length >= 0 ? places[i]! : 0;
      numbers[slot + 1] = length;
    } else if (parameter.form === 'slabs') {
      const list = space.all<Uint32Array>('Uint32Array');
      slabPlaces.get(i)!.forEach((at, k) => {
        const each = call.slabs.get(i)![k]!;
        copyIn(space, parameter, (values[i] as ArrayBufferView[])[k]!, at, each);
        list[places[i]! / 4 + 2 * k] = at;
        list[places[i]! / 4 + 2 * k + 1] = each;
      });
      numbers[slot] = places[i]!;
      numbers[slot + 1] = length;
    } else numbers[slot] = values[i] as number;
  }
}

function copyResults(space: Space, parameters: readonly Parameter[], values: Values): void {
  for (let i = 0; i < parameters.length; i++) {
    const parameter = parameters[i]!;
    if (!parameter.isWritten) continue;
    if (parameter.form === 'array') {
      const length = call.lengths[i]!;
      if (length > 0 && isCopied[i] === 1) copyOut(space, parameter, values[i] as ArrayBufferView, places[i]!, length);
    } else {
      const lengths = call.slabs.get(i)!;
      const slabs = values[i] as ArrayBufferView[];
      slabPlaces.get(i)!.forEach((at, k) => copyOut(space, parameter, slabs[k]!, at, lengths[k]!));
    }
  }
}

/** Throws what the kernel's check of its contract found. */
function refuse(space: Space, { report }: Instance): never {
  const [op, name, expected] = new Uint32Array(space.buffer, report, 3);
  const [least, received] = new Float64Array(space.buffer, report + 16, 2);
  const message =
    name === 0
      ? `Expected ${space.text(expected!)} for ${space.text(op!)} but received something else`
      : `Expected ${least} elements for ${space.text(name!)} of ${space.text(op!)} but received ${received}`;
  throw Object.assign(new RangeError(message), { code: 'ERR_INVALID_ARG_VALUE' });
}

/** Whether an array is longer than kernels may take. */
function isTooLong(parameters: readonly Parameter[]): boolean {
  for (let i = 0; i < parameters.length; i++) {
    const { form } = parameters[i]!;
    if (form === 'array' && call.lengths[i]! >= MOST_ELEMENTS) return true;
    if (form === 'slabs' && call.slabs.get(i)!.some((length) => length >= MOST_ELEMENTS)) return true;
  }
  return false;
}

/** Runs a call in a memory. Returns the bytes of memory that it lacks there, of which it has written nothing then. */
function runIn(space: Space, { module, kernel, parameters }: KernelParameters, values: Values): number {
  const end = place(space, parameters, values);
  if (isTooLong(parameters) || !space.reach(end)) return end - space.top;
  const instance = space.instance(module);
  fill(space, instance, parameters, values);
  const answer = instance.exports[kernel]!(end, space.bytes, Number(space.grows));
  if (space.grows) space.refresh();
  if (answer === Answer.refused) refuse(space, instance);
  if (answer !== Answer.done) return space.all<Float64Array>('Float64Array')[instance.report / 8 + 4]!;
  copyResults(space, parameters, values);
  return 0;
}

/** The memory in which the first array of a call lies that is in one, or the one that arrays are copied into. */
function homeOf(parameters: readonly Parameter[], values: Values): Space {
  for (let i = 0; i < parameters.length; i++) {
    if (parameters[i]!.form !== 'array' || values[i] === null) continue;
    const region = regionOf(values[i] as ArrayBufferView);
    if (region !== undefined) return region;
  }
  return work();
}

/** A kernel as a function. Its module is read at the first call. */
export function functionOf(kernel: KernelParameters): Positional {
  const { parameters } = kernel;
  return (...values) => {
    read(parameters, values);
    const home = homeOf(parameters, values);
    let missing = runIn(home, kernel, values);
    if (missing > 0 && home !== work()) missing = runIn(work(), kernel, values);
    if (missing > 0) throw outOfMemory(missing, kernel.kernel);
  };
}
