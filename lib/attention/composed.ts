/** What the attention functions that are composed in double share: their sizes, their heads, and their results. */
import type { AsyncOptions } from '../call/abort.js';
import { copyInto, isDetached, lengthOf, newArray, viewOf } from '../call/arrays.js';
import { apart } from '../call/checks.js';
import { wrongType, wrongValue } from '../call/errors.js';
import { checkWhole } from '../call/memory.js';
import { checkOptions, FORM_OPTIONS, type Form } from '../call/options.js';
import { privately, type Steps } from '../call/steps.js';
import { isFloat32Array, type NewFloat32Array } from '../call/types.js';
import { exp2 } from '../math/exp2.js';
import { LOG2_E } from '../math/powers.js';
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

/** The arrays of a call, for a promise as copies. */
export function* privateArrays(form: Form, arrays: ComposedCall['arrays']): Generator<undefined, typeof arrays> {
  const [q, k, v] = [privately(form, arrays.q, 'q'), privately(form, arrays.k, 'k'), privately(form, arrays.v, 'v')];
  return { q: yield* q, k: yield* k, v: yield* v };
}

/** Computes head after head, and writes the output when all are done. */
export function* eachHead(
  form: Form,
  { sizes, arrays, out }: ComposedCall,
  attend: (head: Head, sizes: Sizes) => Steps<void>,
): Steps<Float32Array> {
  const { batch, heads, kvHeads, headDim, queries, keys, valueDim } = sizes;
  const { q, k, v } = yield* privateArrays(form, arrays);
  const result = newArray('Float32Array', batch * heads * queries * valueDim) as NewFloat32Array;
  for (let h = 0; h < batch * heads; h++) {
    const kv = Math.floor(h / heads) * kvHeads + Math.floor(((h % heads) * kvHeads) / heads);
    const part = (x: Float32Array, at: number, n: number): Float64Array => {
      const numbers = new Float64Array(n);
      copyInto(numbers, viewOf(x, at * n, (at + 1) * n));
      return numbers;
    };
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

/** into[j] = Σ a[i, d] b[j, d] for as many rows of b as `into` has. Four sums at a time do not wait for one another. */
export function dots(a: Float64Array, i: number, b: Float64Array, into: Float64Array, dim: number): void {
  const at = i * dim;
  let j = 0;
  for (; j + 4 <= into.length; j += 4) {
    const k0 = j * dim;
    const [k1, k2, k3] = [k0 + dim, k0 + 2 * dim, k0 + 3 * dim];
    let s0 = 0;
    let s1 = 0;
    let s2 = 0;
    let s3 = 0;
    for (let d = 0; d < dim; d++) {
      const x = a[at + d]!;
      s0 += x * b[k0 + d]!;
      s1 += x * b[k1 + d]!;
      s2 += x * b[k2 + d]!;
      s3 += x * b[k3 + d]!;
    }
    into[j] = s0;
    into[j + 1] = s1;
    into[j + 2] = s2;
    into[j + 3] = s3;
  }
  for (; j < into.length; j++) {
    let sum = 0;
    for (let d = 0; d < dim; d++) sum += a[at + d]! * b[j * dim + d]!;
    into[j] = sum;
  }
}

/** out[m] += Σ w[j] v[j] over the weights, in their order. */
export function addRows(out: Float64Array, m: number, v: Float64Array, w: Float64Array, dim: number): void {
  const at = m * dim;
  let j = 0;
  for (; j + 4 <= w.length; j += 4) {
    const v0 = j * dim;
    const [v1, v2, v3] = [v0 + dim, v0 + 2 * dim, v0 + 3 * dim];
    const [w0, w1, w2, w3] = [w[j]!, w[j + 1]!, w[j + 2]!, w[j + 3]!];
    for (let d = 0; d < dim; d++) {
      out[at + d] = out[at + d]! + w0 * v[v0 + d]! + w1 * v[v1 + d]! + w2 * v[v2 + d]! + w3 * v[v3 + d]!;
    }
  }
  for (; j < w.length; j++) for (let d = 0; d < dim; d++) out[at + d]! += w[j]! * v[j * dim + d]!;
}

/** A function that adds w times row j of one array to row m of another, rows of n numbers. */
export function rowAdder(out: Float64Array, v: Float64Array, n: number): (m: number, j: number, w: number) => void {
  return (m, j, w) => {
    for (let d = 0; d < n; d++) out[m * n + d]! += w * v[j * n + d]!;
  };
}

/** How many keys a query sees: all, or with `causal` the keys up to its own position, as `causalOf` has it. */
export const seenBy = (m: number, { queries, keys }: Sizes, causal: 0 | 1 | 2): number =>
  causal === 0 ? keys : causal === 1 ? Math.max(0, keys - queries + m + 1) : Math.min(keys, m + 1);

/** Products of a query and a key between two turns of the event loop. */
const PIECE = 2 ** 14;

/** e^t for t ≤ 0; 0 far below, and NaN for NaN. Max error: (1 + |t|) · 2^-52 of the result. */
export const expBelow = (t: number): number => exp2(t * LOG2_E);

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
