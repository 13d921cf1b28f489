/**
 * The options of the operators along an axis, and the checks of option names.
 *
 * A getter may do anything, detach a buffer too: each option is read once, and all of them before any length is taken.
 */
import type { AsyncOptions } from './abort.js';
import { wrongType } from './errors.js';
import type { LogitArray } from './types.js';

/** Options of every operator that works along one axis of a dense, row-major tensor of logits. */
export interface AxisOptions<A extends LogitArray = LogitArray, Out = A> {
  /** The length of a row, for rows that follow one another in `x`. Default: all of `x` is one row. */
  cols?: number | undefined;
  /** The dimensions of `x`, if rows do not follow one another, or there are more than two. Excludes `cols`. */
  shape?: readonly number[] | undefined;
  /** The axis of `shape` that rows run along; negative ones count from the end. Default: −1, the last. */
  axis?: number | undefined;
  /** What the logits are divided by: finite and > 0. It costs no accuracy. Default: 1. */
  temperature?: number | undefined;
  /**
   * Which positions count; the others have probability 0 and their logits, NaN included, do not matter. One entry for
   * each element of `x`, or for each position of a row and the same for all rows. With 'bits' also an Int32Array, the
   * words of grammars (xgrammar, llguidance): ⌈cols / 32⌉ a row, or of one row for all. Default: all of them.
   */
  mask?: Uint8Array | Int32Array | undefined;
  /**
   * 'bytes': an entry is a byte, any but 0 counts. 'bits': an entry is a bit, bit i & 7 of byte i >> 3 or, of an
   * Int32Array, bit i & 31 of word i >> 5. So few bits of bytes
   * that one row and all rows take the same number of bytes are an error, as nobody can tell. Default: 'bytes'.
   */
  maskFormat?: 'bytes' | 'bits' | undefined;
  /** Added to the logits before the temperature, exactly: as long as `x`, or as a row and the same for all rows. */
  bias?: A | undefined;
  /** Where results go: `x` itself where they are as long, or memory that it does not share. Default: a new array. */
  out?: Out | undefined;
  /**
   * What the bits of a Uint16Array are, in `x` and in all other arrays of logits. For a Uint16Array only, and needed
   * there.
   */
  dtype?: 'float16' | 'bfloat16' | undefined;
}

/** {@link AxisOptions} of the operators whose rows may run over several axes. */
export interface AxesOptions<A extends LogitArray = LogitArray, Out = A> extends Omit<AxisOptions<A, Out>, 'axis'> {
  /**
   * The axis of `shape` that rows run along, or a list of axes, [1, 3], over whose positions together each row runs;
   * negative ones count from the end. Axes with nothing between them (but sizes of 1) cost no more than one; others are
   * copied. The order of the list does not matter: a mask or bias of one row has the axes in the order of `shape`,
   * and results for each row have the remaining axes in that order. Default: −1, the last.
   */
  axis?: number | readonly number[] | undefined;
}

/** Options of an operator whose results are states of its own. */
export type ReductionOptions<A extends LogitArray = LogitArray> = Omit<AxisOptions<A>, 'out'>;

/** The form of a function: called now, or as a promise off the event loop, which takes a signal as well. */
export type Form = 'now' | 'later';

/** The options that each form has beside those of the function. */
export const FORM_OPTIONS = { now: [], later: ['signal'] } as const satisfies Record<Form, readonly string[]>;

type Names<O> = Readonly<Record<keyof O, true>>;

/** The names of a function's options in each of its forms. */
export interface OptionNames<O extends object = object> {
  readonly now: Names<O>;
  readonly later: Names<O & AsyncOptions>;
}

/** All names of the options O: TypeScript finds one that is missing, or that O does not have. */
export const optionNames = <O extends object>(names: Names<O>): OptionNames<O> => ({
  now: names,
  later: { ...names, signal: true },
});

/** The names of `base` and more: those of options O that extend the options B of `base`. */
export const namesWith = <B extends object, O extends B>(
  base: OptionNames<B>,
  more: Names<Omit<O, keyof B>>,
): OptionNames<O> => optionNames<O>({ ...base.now, ...more } as Names<O>);

/** The names of `base` but one. */
export const namesWithout = <B extends object, Absent extends keyof B>(
  base: OptionNames<B>,
  absent: Absent,
): OptionNames<Omit<B, Absent>> => {
  const { [absent]: _, ...names } = base.now;
  return optionNames<Omit<B, Absent>>(names);
};

export const AXIS_NAMES = /* @__PURE__ */ optionNames<AxisOptions>({
  cols: true,
  shape: true,
  axis: true,
  temperature: true,
  mask: true,
  maskFormat: true,
  bias: true,
  out: true,
  dtype: true,
});

/** The options of an operator whose logits no temperature scales. */
export type UnscaledOptions<A extends LogitArray = LogitArray, Out = A> = Omit<AxisOptions<A, Out>, 'temperature'>;

export const UNSCALED_NAMES = /* @__PURE__ */ namesWithout(AXIS_NAMES, 'temperature');

/** Refuses unknown names: a misspelt option would otherwise be ignored without a word. */
export function checkNames(options: object, names: Readonly<Record<string, true>>): void {
  checkObject(options);
  for (const name in options) {
    if (names[name] !== true && Object.hasOwn(options, name)) throw unknownName(name, Object.keys(names));
  }
}

/** As {@link checkNames}, with a list of names, for options that may be absent unless they are needed. */
export function checkOptions(options: unknown, names: readonly string[], isNeeded = false): void {
  if (options === undefined && !isNeeded) return;
  checkObject(options);
  for (const name of Object.keys(options)) if (!names.includes(name)) throw unknownName(name, names);
}

function checkObject(options: unknown): asserts options is object {
  if (typeof options === 'object' && options !== null && !Array.isArray(options)) return;
  throw wrongType('an object', 'options', options);
}

const unknownName = (name: string, names: readonly string[]) => wrongType(`only ${names.join(', ')}`, 'options', name);

/** Checks option names; returns a copy, so that getters run once, and before any length is taken. */
export function optionsOf<O extends object>(options: O | undefined, names: readonly string[]): O {
  checkOptions(options, names);
  return { ...options } as O;
}

/** Options to be read before they are checked: what is no object has none. */
export const readable = <O extends object>(options: O | undefined): Partial<O> =>
  typeof options === 'object' && options !== null ? options : {};
