/** What the attention functions that are composed in double share: their sizes, their heads, and their results. */
import type { AsyncOptions } from '../call/abort.js';
import { copyInto, isDetached, lengthOf, newArray } from '../call/arrays.js';
import { apart } from '../call/checks.js';
import { wrongType, wrongValue } from '../call/errors.js';
import { checkWhole } from '../call/memory.js';
import { checkOptions, FORM_OPTIONS, type Form } from '../call/options.js';
import { privately, type Steps } from '../call/steps.js';
import { isFloat32Array, type NewFloat32Array } from '../call/types.js';
import { exp } from '../math/exp.js';
import { dimension, floats, headsOf } from './sizes.js';

/** Sizes and results of a call on q, k and v, which are [batch, heads, positions, dim]. */
export interface ComposedOptions<Out extends Float32Array = Float32Array> {
  /** Sequences. Default: 1. */
  batch?: number | undefined;
  /** Query heads. */
  heads: number;
  /** Key/value heads, of which each serves heads / kvHeads query heads in a row. Default: heads. */
  kvHeads?: number | undefined;
  /** Numbers of a query and of a key. */
  headDim: number;
  /** Where the output goes: an array of its length, apart from all inputs. Default: a new array. */
  out?: Out | undefined;
}

export const COMPOSED_NAMES = ['batch', 'heads', 'kvHeads', 'headDim', 'out'] as const;

export interface Sizes {
  readonly batch: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly queries: number;
  readonly keys: number;
  readonly valueDim: number;
}

/** Numbers of one head, in double: queries and keys are rows of headDim, values and results rows of valueDim. */
export interface Head {
  readonly q: Float64Array;
  readonly k: Float64Array;
  readonly v: Float64Array;
  readonly out: Float64Array;
}

/** Checks options and names; returns a copy, so that getters run once, and before any length is taken. */
export function composedOptions<O extends object>(options: O, names: readonly string[], form: Form): O {
  checkOptions(options, [...COMPOSED_NAMES, ...names, ...FORM_OPTIONS[form]], true);
  return { ...options };
}

export interface ComposedCall {
  readonly sizes: Sizes;
  readonly arrays: Readonly<Record<'q' | 'k' | 'v', Float32Array>>;
  readonly out: Float32Array | undefined;
}

/** The sizes of a call, checked. k is q itself for a function that has no keys of its own. */
export function composedCall(
  q: Float32Array,
  k: Float32Array,
  v: Float32Array,
  options: ComposedOptions & AsyncOptions,
): ComposedCall {
  const { batch, heads, kvHeads, headDim } = headsOf(options);
  floats(q, 'q');
  floats(k, 'k');
  floats(v, 'v');
  const queries = dimension(undefined, 'queries', q, 'q', { batch, heads, headDim });
  const keys = dimension(undefined, 'keys', k, 'k', { batch, kvHeads, headDim });
  if (keys === 0 && lengthOf(v) > 0) throw wrongValue('no elements, as there are no keys,', 'v', String(lengthOf(v)));
  const valueDim = keys === 0 ? headDim : dimension(undefined, 'valueDim', v, 'v', { batch, kvHeads, keys });
  const { out } = options;
  if (out !== undefined) {
    if (!isFloat32Array(out) || isDetached(out)) throw wrongType('a Float32Array', 'out', out);
    const length = batch * heads * queries * valueDim;
    if (lengthOf(out) !== length) throw wrongValue(`${length} elements`, 'out', String(lengthOf(out)));
    apart(out, 'out', q, 'q');
    apart(out, 'out', k, 'k');
    apart(out, 'out', v, 'v');
  }
  return { sizes: { batch, heads, kvHeads, headDim, queries, keys, valueDim }, arrays: { q, k, v }, out };
}

/** Computes head after head, and writes the output when all are done. */
export function* eachHead(
  form: Form,
  { sizes, arrays, out }: ComposedCall,
  attend: (head: Head, sizes: Sizes) => Steps<void>,
): Steps<Float32Array> {
  const { batch, heads, kvHeads, headDim, queries, keys, valueDim } = sizes;
  const [q, k, v] = [
    yield* privately(form, arrays.q, 'q'),
    yield* privately(form, arrays.k, 'k'),
    yield* privately(form, arrays.v, 'v'),
  ];
  const result = newArray('Float32Array', batch * heads * queries * valueDim) as NewFloat32Array;
  for (let h = 0; h < batch * heads; h++) {
    const kv = Math.floor(h / heads) * kvHeads + Math.floor(((h % heads) * kvHeads) / heads);
    const part = (x: Float32Array, at: number, n: number) => Float64Array.from({ length: n }, (_, i) => x[at * n + i]!);
    const head = {
      q: part(q, h, queries * headDim),
      k: part(k, kv, keys * headDim),
      v: part(v, kv, keys * valueDim),
      out: new Float64Array(queries * valueDim),
    };
    yield* attend(head, sizes);
    copyInto(result, head.out, h * queries * valueDim);
    yield undefined;
  }
  if (out === undefined) return result;
  checkWhole({ view: out, name: 'out', length: result.length });
  copyInto(out, result);
  return out;
}

/** Σ a[i] b[i] of two rows. */
export function dot(a: Float64Array, i: number, b: Float64Array, j: number, n: number): number {
  let sum = 0;
  for (let d = 0; d < n; d++) sum += a[i * n + d]! * b[j * n + d]!;
  return sum;
}

/** A function that adds w times row j of one array to row m of another, rows of n numbers. */
export function rowAdder(out: Float64Array, v: Float64Array, n: number): (m: number, j: number, w: number) => void {
  return (m, j, w) => {
    for (let d = 0; d < n; d++) out[m * n + d]! += w * v[j * n + d]!;
  };
}

/** How many keys a query sees: all, or with `causal` those up to its own position, the last query being at the last. */
export const seenBy = (m: number, { queries, keys }: Sizes, causal: boolean): number =>
  causal ? Math.max(0, keys - queries + m + 1) : keys;

/** Products of a query and a key between two turns of the event loop. */
const PIECE = 2 ** 14;

/** e^t for t ≤ 0; 0 far below, and NaN for NaN. */
export const expBelow = (t: number): number => (t < -700 ? 0 : t === t ? exp(t) : NaN);

/** Calls a task for each query, with turns. */
export function* eachQuery({ queries, keys }: Sizes, task: (m: number) => void): Steps<void> {
  for (let m = 0, since = 0; m < queries; m++) {
    task(m);
    since += keys;
    if (since < PIECE) continue;
    since = 0;
    yield undefined;
  }
}

/** The length of a row, relative to its largest number. */
export function lengthOfRow(x: Float64Array, m: number, n: number): number {
  let [most, sum] = [0, 0];
  for (let d = 0; d < n; d++) most = Math.max(most, Math.abs(x[m * n + d]!));
  if (most === 0) return 0;
  for (let d = 0; d < n; d++) sum += (x[m * n + d]! / most) ** 2;
  return most * Math.sqrt(sum);
}

/** Divides a row; 0 stays 0. */
export function divideRow(x: Float64Array, m: number, n: number, divisor: number): void {
  for (let d = 0; divisor !== 0 && d < n; d++) x[m * n + d]! /= divisor;
}
