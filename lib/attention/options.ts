/** What the calls of attention check alike: sizes, scores' options, where results go. */
import { describe, outOfRange, wrongType, wrongValue } from '../call/arguments.js';
import { elementsOf, isDetached, lengthOf, overlap } from '../call/arrays.js';
import { checkOptions, count, positive } from '../call/options.js';
import { types, type NewFloat32Array } from '../call/types.js';
import type { SequenceId } from './kv-types.js';
import { allocate } from './memory.js';

const { isFloat32Array, isFloat64Array } = types;

/** Options about scores, and the results; the same for all calls. */
export interface ScoreOptions {
  /** How heads and positions lie: 'bhsd' [batch, heads, positions, dim], 'bshd' [batch, positions, heads, dim]. Default: 'bhsd'. */
  layout?: 'bhsd' | 'bshd' | undefined;
  /** What q · k is multiplied by. Default: 1/√headDim. */
  scale?: number | undefined;
  /** Each query sees its own position and those before it alone; the last query is at the last position. */
  causal?: boolean | undefined;
  /**
   * How far a query sees: its own position and window − 1 before it; without `causal` as many behind it. A positive integer.
   * Default: everything.
   */
  window?: number | undefined;
  /** Scores become softcap · tanh(score / softcap) (Gemma 2): > 0. Default: they stay. */
  softcap?: number | undefined;
  /**
   * A score loses slope · distance of the positions (Press et al., arXiv 2108.12409). `true`: the slopes of that paper
   * ({@link alibiSlopes}); or a slope for each query head. Default: none.
   */
  alibi?: boolean | Float32Array | undefined;
}

/** Which keys count, and what is added to scores. */
export interface MaskOptions {
  /**
   * Which keys count, a byte each, any but 0 counts: [batch, heads, queries, keys]; or less, for what is the same: [queries, keys],
   * [batch, keys], [batch, queries, keys], [heads, queries, keys] or [keys]. A length that two of these have, with different
   * meanings, is an error. A masked key and its value, NaN included, do not matter. Over a cache, `batch` are the sequences, and
   * `keys` the length of the longest; what lies behind the keys of a shorter one does not matter.
   */
  mask?: Uint8Array | undefined;
  /** Added to the scores, after scale and softcap; −Infinity masks. Its shapes are those of `mask`. */
  bias?: Float32Array | undefined;
}

/** Results, and what is no part of a partial result. */
export interface ResultOptions<Out extends Float32Array = Float32Array> {
  /** A score for each query head that takes part in its softmax with a value of 0 (attention sinks, as in gpt-oss). Default: none. */
  sinks?: Float32Array | undefined;
  /** Where the output goes: as long as that, apart from all inputs. Default: a new array. */
  out?: Out | undefined;
  /**
   * log Σ exp(score) of each query row is wanted too, in a new array (true) or in this one: [batch, heads, queries],
   * whatever the layout is. Default: it is not.
   */
  lse?: boolean | Float64Array | undefined;
}

export const SCORE_OPTIONS = ['layout', 'scale', 'causal', 'window', 'softcap', 'alibi'] as const;
export const MASK_OPTIONS = ['mask', 'bias'] as const;
export const RESULT_OPTIONS = ['sinks', 'out', 'lse'] as const;

/** What callers call the arguments of kernels. */
export const SCORE_NAMES = { slopes: 'alibi' } as const;
/** A call that is not for a state. */
export const NO_STATE = { sums: null, mantissa: null, exponent: null } as const;

/** Checks option names; returns a copy, so that getters run once, and before any length is taken. */
export function copyOptions<O extends object>(options: O, names: readonly string[], isNeeded = false): O {
  checkOptions(options, names, isNeeded);
  const copy: Record<string, unknown> = {};
  for (const name of names) {
    const value = (options as Record<string, unknown> | undefined)?.[name];
    if (value !== undefined) copy[name] = value;
  }
  return copy as O;
}

/** A copy of the sequences of a call. */
export function idsOf(sequences: unknown): SequenceId[] {
  if (typeof sequences === 'number') return [sequences];
  if (!Array.isArray(sequences)) throw wrongType('a sequence or an array of them', 'sequences', sequences);
  const ids = elementsOf(sequences) as SequenceId[];
  if (ids.length === 0) throw wrongValue('one sequence at least', 'sequences', 'none');
  return ids;
}

/** 1 for the layout in which positions come first. */
export function layoutFlag(layout: unknown, positionsFirst: string, headsFirst: string): 0 | 1 {
  if (typeof layout !== 'string') throw wrongType(`'${headsFirst}' or '${positionsFirst}'`, 'layout', layout);
  if (layout !== positionsFirst && layout !== headsFirst) throw wrongValue(`'${headsFirst}' or '${positionsFirst}'`, 'layout', describe(layout));
  return layout === positionsFirst ? 1 : 0;
}

export function floats(value: unknown, name: string): Float32Array {
  if (!isFloat32Array(value)) throw wrongType('a Float32Array', name, value);
  return attached(value, 'Float32Array', name);
}

/** Refuses an array whose memory is gone. */
export function attached<A extends ArrayBufferView>(array: A, kind: string, name: string): A {
  if (isDetached(array)) throw wrongType(`a ${kind} that is not detached`, name, array);
  return array;
}

/** A dimension that may be given, and else follows from an array's length; the message names it. */
export function dimension(given: unknown, name: string, array: Float32Array, arrayName: string, others: Readonly<Record<string, number>>): number {
  const product = Object.values(others).reduce((a, b) => a * b, 1);
  const text = `${Object.keys(others).join(' · ')} = ${Object.values(others).join(' · ')}`;
  const length = lengthOf(array);
  const n = given === undefined ? length / product : count(given, name, 0);
  if (!Number.isInteger(n)) throw wrongValue(`a multiple of ${text} elements, for ${name},`, arrayName, String(length));
  if (n * product !== length) {
    const expected = `${name} · ${text.replace(' = ', ` = ${n} · `)} = ${n * product} elements`;
    throw wrongValue(expected, arrayName, String(length));
  }
  return n;
}

/** The slopes of ALiBi: 2^(−8/n), 2^(−16/n), …, for n heads if that is a power of two; else those between follow from 2n. */
export function alibiSlopes(heads: number): NewFloat32Array {
  count(heads, 'heads');
  const power = 2 ** Math.floor(Math.log2(heads));
  const slopes = allocate('Float32Array', heads, 'slopes');
  for (let i = 0; i < power; i++) slopes[i] = 2 ** ((-8 * (i + 1)) / power);
  for (let i = power; i < heads; i++) slopes[i] = 2 ** ((-8 * (2 * (i - power) + 1)) / (2 * power));
  return slopes;
}

export interface Scores {
  readonly positionsFirst: 0 | 1;
  readonly scale: number;
  readonly causal: 0 | 1;
  readonly window: number;
  readonly softcap: number;
  readonly alibi: Float32Array | true | null;
}

/** Reads and checks the options about scores, whatever the sizes are. */
export function scoresOf(options: ScoreOptions, causalDefault: boolean): Scores {
  const { layout = 'bhsd', scale, causal = causalDefault, window, softcap, alibi = false } = options;
  const positionsFirst = layoutFlag(layout, 'bshd', 'bhsd');
  if (scale !== undefined && typeof scale !== 'number') throw wrongType('a number', 'scale', scale);
  if (scale !== undefined && !Number.isFinite(scale)) throw outOfRange('a finite number', 'scale', scale);
  if (typeof causal !== 'boolean') throw wrongType('a boolean', 'causal', causal);
  if (typeof alibi !== 'boolean' && !isFloat32Array(alibi)) throw wrongType('a boolean or a Float32Array', 'alibi', alibi);
  return {
    positionsFirst, scale: scale ?? NaN, causal: causal ? 1 : 0, window: window === undefined ? 0 : count(window, 'window'), softcap: softcap === undefined ? 0 : capOf(positive(softcap, 'softcap')),
    alibi: alibi === false ? null : alibi,
  };
}

/** What kernels take for a softcap: 0, which is none, for one that is beyond all scores. */
const capOf = (softcap: number): number => (softcap < 2 ** 1000 ? softcap : 0);

/** Something for each head. */
export function perHead(values: Float32Array, heads: number, name: string): Float32Array {
  const length = lengthOf(floats(values, name));
  if (length !== heads) throw wrongValue(`${heads} elements, one a head,`, name, String(length));
  return values;
}

export function slopesOf(alibi: Float32Array | true | null, heads: number): Float32Array | null {
  return alibi === true ? alibiSlopes(heads) : alibi && perHead(alibi, heads, 'alibi');
}

/** Where the entries of a mask or bias are, by its length: how far apart those of sequences, heads and queries. */
function stridesOf(length: number, name: string, { batch, heads, queries, keys }: Readonly<Record<'batch' | 'heads' | 'queries' | 'keys', number>>): [batch: number, head: number, query: number] {
  const forms: Record<string, [boolean, boolean, boolean]> = {
    '[batch, heads, queries, keys]': [true, true, true],
    '[batch, queries, keys]': [true, false, true],
    '[heads, queries, keys]': [false, true, true],
    '[queries, keys]': [false, false, true],
    '[batch, keys]': [true, false, false],
    '[keys]': [false, false, false],
  };
  const found = new Map<string, [string, [number, number, number]]>();
  for (const [form, [b, h, q]] of Object.entries(forms)) {
    if (length !== (b ? batch : 1) * (h ? heads : 1) * (q ? queries : 1) * keys) continue;
    const [ofQuery, ofHead] = [q ? keys : 0, h ? queries * keys : 0];
    const all: [number, number, number] = [b && batch > 1 ? (h ? heads : 1) * (q ? queries : 1) * keys : 0, heads > 1 ? ofHead : 0, queries > 1 ? ofQuery : 0];
    if (!found.has(String(all))) found.set(String(all), [form, all]);
  }
  const [first, second] = [...found.values()];
  const sizes = `batch = ${batch}, heads = ${heads}, queries = ${queries}, keys = ${keys}`;
  if (first === undefined) throw wrongValue(`elements for ${Object.keys(forms).join(' or ')} with ${sizes}`, name, String(length));
  if (second !== undefined) throw wrongValue(`all of [batch, heads, queries, keys], as ${first[0]} and ${second[0]} have the same length with ${sizes},`, name, String(length));
  return first[1];
}

/** The checked mask and bias, and their strides as a call's shape has them. */
export function masksOf({ mask, bias }: MaskOptions, sizes: Readonly<Record<'batch' | 'heads' | 'queries' | 'keys', number>>) {
  if (mask !== undefined && !types.isUint8Array(mask)) throw wrongType('a Uint8Array', 'mask', mask);
  if (mask !== undefined) attached(mask, 'Uint8Array', 'mask');
  if (bias !== undefined) floats(bias, 'bias');
  const [maskBatch, maskHead, maskQuery] = mask === undefined ? [0, 0, 0] : stridesOf(lengthOf(mask), 'mask', sizes);
  const [biasBatch, biasHead, biasQuery] = bias === undefined ? [0, 0, 0] : stridesOf(lengthOf(bias), 'bias', sizes);
  return { mask: mask ?? null, bias: bias ?? null, strides: { maskBatch, maskHead, maskQuery, biasBatch, biasHead, biasQuery } };
}

/** Checks `out` and `lse`, or makes them, once all else has been checked. */
export function resultsOf(out: Float32Array | undefined, lse: boolean | Float64Array | undefined, rows: number, valueDim: number, inputs: Readonly<Record<string, ArrayBufferView | null>>) {
  const written: [string, ArrayBufferView][] = [];
  const elements = rows * valueDim;
  if (out !== undefined) {
    const length = lengthOf(floats(out, 'out'));
    if (length !== elements) {
      throw wrongValue(`${rows} rows of valueDim = ${valueDim}, ${elements} elements,`, 'out', String(length));
    }
    written.push(['out', out]);
  }
  if (lse !== undefined && typeof lse !== 'boolean') {
    if (!isFloat64Array(lse)) throw wrongType('a boolean or a Float64Array', 'lse', lse);
    const length = lengthOf(attached(lse, 'Float64Array', 'lse'));
    if (length !== rows) throw wrongValue(`${rows} elements, one a query row,`, 'lse', String(length));
    if (out !== undefined && overlap(lse, out)) throw wrongValue('memory apart from out', 'lse', 'an overlap');
    written.push(['lse', lse]);
  }
  for (const [name, array] of written) {
    for (const [inputName, input] of Object.entries(inputs)) {
      if (input === null || !overlap(array, input)) continue;
      throw wrongValue(`memory apart from ${inputName}`, name, 'an overlap');
    }
  }
  return {
    out: out ?? allocate('Float32Array', elements, 'out'),
    lse: lse === true ? allocate('Float64Array', rows, 'lse') : lse === false || lse === undefined ? null : lse,
    own: [...(out === undefined ? ['out' as const] : []), ...(typeof lse === 'object' ? [] : ['lse' as const])],
  };
}
