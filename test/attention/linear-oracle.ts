/**
 * Linear attention of one head in BigInt fixed point, by its definition: all pairs of a query and a key, no state. It
 * shares nothing with the kernels.
 */
import { exponential, fixed } from '../support/exact.js';

const BITS = 1400n;
const ONE = 1n << BITS;
const mul = (a: bigint, b: bigint): bigint => (a * b) >> BITS;
const div = (a: bigint, b: bigint): bigint => (a << BITS) / b;
const abs = (a: bigint): bigint => (a < 0n ? -a : a);

export type Map = 'elu' | 'identity' | 'exp' | 'relu';
export type OracleForm = 'normalized' | 'sum' | 'magnitudeAware' | 'paper' | 'injective';

function feature(map: Map, x: number): bigint {
  const z = fixed(x);
  if (map === 'identity') return z;
  if (map === 'relu') return z < 0n ? 0n : z;
  if (map === 'elu' && z > 0n) return z + ONE;
  return z > 0n ? div(ONE, exponential(-z)) : exponential(z);
}

export interface OracleHead {
  readonly q: Float32Array;
  readonly k: Float32Array;
  readonly v: Float32Array;
  readonly headDim: number;
  readonly valueDim: number;
  readonly map: Map;
  readonly form: OracleForm;
  readonly epsilon: number;
  readonly featureScale?: number;
}

/** Each result, and the sum of the absolute values of its terms, as a double. */
export interface Exact {
  readonly value: bigint;
  readonly size: number;
}

export function linearOracle(head: OracleHead): Exact[] {
  const { headDim, valueDim, map, form, featureScale = 1 } = head;
  const phi = (x: Float32Array) => Array.from(x, (each) => feature(map, each * featureScale));
  const [q, k, v] = [phi(head.q), phi(head.k), Array.from(head.v, fixed)];
  const keys = BigInt(k.length / headDim);
  const s = fixed(1 / Math.sqrt(headDim));
  const epsilon = fixed(head.epsilon);
  const out: Exact[] = [];
  for (let m = 0; m < q.length / headDim; m++) {
    const weights: bigint[] = [];
    const sizes: bigint[] = [];
    for (let n = 0; n < Number(keys); n++) {
      let [sum, size] = [0n, 0n];
      for (let d = 0; d < headDim; d++) {
        const term = mul(q[m * headDim + d]!, k[n * headDim + d]!);
        sum += term;
        size += abs(term);
      }
      weights.push(sum);
      sizes.push(size);
    }
    const z = weights.reduce((a, b) => a + b, 0n);
    const zSize = sizes.reduce((a, b) => a + b, 0n);
    const scaled = mul(z, s) / keys;
    let [a, b, bSize] = [ONE, 0n, 0n];
    if (form === 'normalized') a = div(ONE, z + epsilon);
    if (form === 'magnitudeAware') [a, b] = [mul(s, ONE + div(ONE, scaled + epsilon)) / keys, -scaled / keys];
    if (form === 'paper') [a, b] = [ONE + div(ONE, z + epsilon), -z / keys];
    if (form === 'injective') [a, b] = [s / keys, (ONE - scaled) / keys];
    bSize = form === 'injective' ? (ONE + mul(zSize, s) / keys) / keys : abs(b);
    const divisor = form === 'magnitudeAware' ? scaled + epsilon : z + epsilon;
    const divides = form !== 'sum' && form !== 'injective' && divisor !== 0n;
    const ratio = divides ? div(form === 'magnitudeAware' ? mul(zSize, s) / keys : zSize, abs(divisor)) : ONE;
    const stretch = ratio > ONE ? ratio : ONE;
    for (let j = 0; j < valueDim; j++) {
      let [value, size] = [0n, 0n];
      for (let n = 0; n < Number(keys); n++) {
        const each = v[n * valueDim + j]!;
        value += mul(a, mul(weights[n]!, each)) + mul(b, each);
        size += mul(abs(a), mul(sizes[n]!, abs(each))) + mul(bSize, abs(each));
      }
      out.push({ value, size: numberOf(mul(size, stretch)) });
    }
  }
  return out;
}

/** A fixed number as a double. */
export function numberOf(x: bigint): number {
  return Number(x >> (BITS - 200n)) / 2 ** 200;
}
