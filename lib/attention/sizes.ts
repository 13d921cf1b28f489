/** Checks of the arrays of attention: their kinds, and lengths that fit the sizes of a call. */
import { wrongType, wrongValue } from '../call/errors.js';
import { isDetached, lengthOf } from '../call/arrays.js';
import { count } from '../call/checks.js';
import { types } from '../call/types.js';
import type { MaskOptions } from './options.js';

/** Checks that a value is a Float32Array that has its memory. */
export function floats(value: unknown, name: string): Float32Array {
  if (!types.isFloat32Array(value)) throw wrongType('a Float32Array', name, value);
  return attached(value, 'Float32Array', name);
}

/** The numbers of a call that its arrays do not tell. */
export function headsOf(
  options: Readonly<Record<'heads' | 'headDim', number>> & { batch?: unknown; kvHeads?: unknown },
) {
  const batch = options.batch === undefined ? 1 : count(options.batch, 'batch');
  const heads = count(options.heads, 'heads');
  const kvHeads = options.kvHeads === undefined ? heads : count(options.kvHeads, 'kvHeads');
  if (heads % kvHeads !== 0) throw wrongValue(`a divisor of heads = ${heads}`, 'kvHeads', String(kvHeads));
  return { batch, heads, kvHeads, headDim: count(options.headDim, 'headDim') };
}

/** Refuses a detached array. */
export function attached<A extends ArrayBufferView>(array: A, kind: string, name: string): A {
  if (isDetached(array)) throw wrongType(`a ${kind} that is not detached`, name, array);
  return array;
}

/** As {@link floats}; beside float64 inputs a Float64Array will do, too. */
export function reals<A extends Float32Array | Float64Array>(value: A, name: string, isDouble: boolean): A {
  if (isDouble && !types.isFloat32Array(value) && !types.isFloat64Array(value)) {
    throw wrongType('a Float32Array or Float64Array', name, value);
  }
  return isDouble ? attached(value, 'array', name) : (floats(value, name) as A);
}

/** Checks an array with one entry for each head. */
export function perHead<A extends Float32Array | Float64Array>(
  values: A,
  heads: number,
  name: string,
  isDouble = false,
): A {
  const length = lengthOf(reals(values, name, isDouble));
  if (length !== heads) throw wrongValue(`${heads} elements, one a head,`, name, String(length));
  return values;
}

/** A dimension that is given, or follows from an array's length and the other dimensions. Messages name it. */
export function dimension(
  given: unknown,
  name: string,
  array: ArrayBufferView,
  arrayName: string,
  others: Readonly<Record<string, number>>,
): number {
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

/** The dimensions of scores. */
export type ScoreSizes = Readonly<Record<'batch' | 'heads' | 'queries' | 'keys', number>>;

/** The shapes that a mask or bias can have: which dimensions have entries of their own. */
const MASK_SHAPES = [
  { shape: '[batch, heads, queries, keys]', hasBatch: true, hasHeads: true, hasQueries: true },
  { shape: '[batch, queries, keys]', hasBatch: true, hasHeads: false, hasQueries: true },
  { shape: '[heads, queries, keys]', hasBatch: false, hasHeads: true, hasQueries: true },
  { shape: '[queries, keys]', hasBatch: false, hasHeads: false, hasQueries: true },
  { shape: '[batch, keys]', hasBatch: true, hasHeads: false, hasQueries: false },
  { shape: '[keys]', hasBatch: false, hasHeads: false, hasQueries: false },
] as const;

/** The distances, in entries, between sequences, heads and queries; 0 where they share entries. */
type Strides = readonly [batch: number, head: number, query: number];

/** The strides of a mask or bias, from its length. */
function stridesOf(length: number, name: string, { batch, heads, queries, keys }: ScoreSizes): Strides {
  const found = new Map<string, { shape: string; strides: Strides }>();
  for (const { shape, hasBatch, hasHeads, hasQueries } of MASK_SHAPES) {
    const sequence = (hasHeads ? heads : 1) * (hasQueries ? queries : 1) * keys;
    if (length !== (hasBatch ? batch : 1) * sequence) continue;
    const strides: Strides = [
      hasBatch && batch > 1 ? sequence : 0,
      hasHeads && heads > 1 ? queries * keys : 0,
      hasQueries && queries > 1 ? keys : 0,
    ];
    if (!found.has(String(strides))) found.set(String(strides), { shape, strides });
  }
  const [first, second] = [...found.values()];
  const sizes = `batch = ${batch}, heads = ${heads}, queries = ${queries}, keys = ${keys}`;
  if (first === undefined) {
    const shapes = MASK_SHAPES.map(({ shape }) => shape).join(' or ');
    throw wrongValue(`elements for ${shapes} with ${sizes}`, name, String(length));
  }
  if (second !== undefined) {
    const both = `${first.shape} and ${second.shape}`;
    const expected = `all of [batch, heads, queries, keys], as ${both} have the same length with ${sizes},`;
    throw wrongValue(expected, name, String(length));
  }
  return first.strides;
}

const NO_STRIDES: Strides = [0, 0, 0];

/** The checked mask and bias, and their strides by the names that a call's shape has for them. */
export function masksOf<Bias extends Float32Array | Float64Array>(
  { mask, bias }: Omit<MaskOptions, 'bias'> & { bias?: Bias | undefined },
  sizes: ScoreSizes,
  isDouble = false,
) {
  if (mask !== undefined && !types.isUint8Array(mask)) throw wrongType('a Uint8Array', 'mask', mask);
  if (mask !== undefined) attached(mask, 'Uint8Array', 'mask');
  if (bias !== undefined) reals(bias, 'bias', isDouble);
  const maskStrides = mask === undefined ? NO_STRIDES : stridesOf(lengthOf(mask), 'mask', sizes);
  const biasStrides = bias === undefined ? NO_STRIDES : stridesOf(lengthOf(bias), 'bias', sizes);
  const [maskBatch, maskHead, maskQuery] = maskStrides;
  const [biasBatch, biasHead, biasQuery] = biasStrides;
  const strides = { maskBatch, maskHead, maskQuery, biasBatch, biasHead, biasQuery };
  return { mask: mask ?? null, bias: bias ?? null, strides };
}
