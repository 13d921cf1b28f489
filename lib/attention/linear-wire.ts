/** The wire form of a state of linear attention. */
import { allocate } from '../call/allocate.js';
import { count } from '../call/checks.js';
import { outOfRange, wrongValue } from '../call/errors.js';
import type { NewFloat64Array, NewUint8Array } from '../call/types.js';
import { wireHeader, wireView, withOrigin, type StateOrigin } from '../call/wire.js';
import { FEATURE_MAPS, IDENTITY, type Features } from './linear-options.js';

/** Sizes of a state: sequences, key/value heads, and the numbers of a key and of a value. */
export interface StateSizes {
  readonly batch: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly valueDim: number;
}

/** All that a state is made of. */
export interface LinearParts {
  readonly sizes: StateSizes;
  readonly features: Features;
  readonly sums: NewFloat64Array;
  readonly tokens: number;
}

/** flash-softmax, linear attention. */
const MAGIC = 'FSLA';
const HEADER = 40;

/** Numbers of the state of one head: S, Σ φ(k) and Σ v. */
export const headLength = ({ headDim, valueDim }: StateSizes): number => headDim * valueDim + headDim + valueDim;

/** Numbers of a whole state. */
export const stateLength = (sizes: StateSizes): number => sizes.batch * sizes.kvHeads * headLength(sizes);

/** A size that the wire form has room for. */
export function size(value: unknown, name: string): number {
  const n = count(value, name);
  if (n >= 2 ** 32) throw outOfRange('a size below 2^32', name, n);
  return n;
}

/** A number of tokens that a double holds exactly. */
export function tokensOf(n: number): number {
  if (!Number.isSafeInteger(n)) throw outOfRange('at most 2^53 − 1 tokens', 'the state', n);
  return n;
}

export function toWire({ sizes, features, sums, tokens }: LinearParts, origin?: StateOrigin): NewUint8Array {
  const bytes = new Uint8Array(HEADER + 8 * sums.length);
  const view = new DataView(bytes.buffer);
  bytes.set([...wireHeader(MAGIC), features.feature]);
  Object.values({
    batch: sizes.batch,
    kvHeads: sizes.kvHeads,
    headDim: sizes.headDim,
    valueDim: sizes.valueDim,
  }).forEach((size, i) => view.setUint32(8 + 4 * i, size, true));
  view.setFloat64(24, features.featureScale, true);
  view.setFloat64(32, tokens, true);
  for (let i = 0; i < sums.length; i++) view.setFloat64(HEADER + 8 * i, sums[i]!, true);
  return withOrigin(bytes, MAGIC, origin);
}

/** Reads untrusted bytes. Throws as fromBytes says. */
export function fromWire(bytes: unknown): LinearParts & { readonly origin: StateOrigin | undefined } {
  const { view, origin } = wireView(bytes, MAGIC, HEADER, true);
  const [feature, ...reserved] = [view.getUint8(5), view.getUint8(6), view.getUint8(7)] as const;
  if (feature >= FEATURE_MAPS.length || reserved.some((byte) => byte !== 0)) {
    throw wrongValue('a feature map of this version', 'bytes', [feature, ...reserved].join(', '));
  }
  const size = (i: number) => view.getUint32(8 + 4 * i, true);
  const sizes = { batch: size(0), kvHeads: size(1), headDim: size(2), valueDim: size(3) };
  if (Object.values(sizes).some((each) => each === 0)) {
    throw wrongValue('sizes from 1 on', 'bytes', Object.values(sizes).join(', '));
  }
  const length = HEADER + 8 * stateLength(sizes);
  if (view.byteLength !== length) {
    throw wrongValue(`${length} bytes for sizes ${Object.values(sizes).join(', ')}`, 'bytes', String(view.byteLength));
  }
  const featureScale = view.getFloat64(24, true);
  if (!Number.isFinite(featureScale)) throw wrongValue('a finite featureScale', 'bytes', String(featureScale));
  const tokens = view.getFloat64(32, true);
  if (!(Number.isSafeInteger(tokens) && tokens >= 0 && !Object.is(tokens, -0))) {
    throw wrongValue('a whole number of tokens', 'bytes', String(tokens));
  }
  const sums = allocate('Float64Array', stateLength(sizes), 'the state');
  for (let i = 0; i < sums.length; i++) sums[i] = view.getFloat64(HEADER + 8 * i, true);
  const parts = { sizes, features: { feature, featureScale }, sums, tokens };
  checkSums(parts);
  return { ...parts, origin };
}

/** Refuses sums that no tokens have: of no token but 0, and negative sums of a φ that is nowhere negative. */
function checkSums({ sizes, features, sums, tokens }: LinearParts): void {
  const { headDim, valueDim } = sizes;
  if (tokens === 0 && sums.some((sum) => sum !== 0)) throw wrongValue('sums of 0 without tokens', 'bytes', 'others');
  if (features.feature === IDENTITY) return;
  for (let at = headDim * valueDim; at < sums.length; at += headLength(sizes)) {
    const negative = sums.subarray(at, at + headDim).find((sum) => sum < 0);
    if (negative !== undefined) throw wrongValue('Σ φ(k) from 0 on', 'bytes', String(negative));
  }
}
