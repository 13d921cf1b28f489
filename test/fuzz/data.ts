/** Rows of numbers: one kind for each way in which exponents, sums and comparisons fail. */
import { halvesOf, valueOf } from '../support/halves.js';
import type { Draw } from './draw.js';

export type ElementType = 'f32' | 'f64' | 'f16' | 'bf16';
export type Logits = Float32Array | Float64Array | Uint16Array;

/** The largest finite number, the smallest normal number, and the smallest number. */
const LIMITS = {
  f32: [3.4028234663852886e38, 2 ** -126, 2 ** -149],
  f64: [Number.MAX_VALUE, 2 ** -1022, Number.MIN_VALUE],
  f16: [65504, 2 ** -14, 2 ** -24],
  bf16: [3.3895313892515355e38, 2 ** -126, 2 ** -133],
} as const;

export const isHalf = (type: ElementType): type is 'f16' | 'bf16' => type === 'f16' || type === 'bf16';

type Values = (i: number, n: number) => number;

const kinds: Record<string, (draw: Draw, type: ElementType) => Values> = {
  normal: (draw) => {
    const size = draw.logUniform(1e-3, 1e3);
    return () => size * draw.normal();
  },
  'N(0,1)': (draw) => () => draw.normal(),
  'N(0,8)': (draw) => () => 8 * draw.normal(),
  constant: (draw, type) => {
    const value = draw.chance(0.5) ? 8 * draw.normal() : someSize(draw, type);
    return () => value;
  },
  'two values': (draw, type) => {
    const [a, b] = draw.chance(0.7)
      ? [8 * draw.normal(), 8 * draw.normal()]
      : [someSize(draw, type), someSize(draw, type)];
    const share = draw.uniform();
    return () => (draw.uniform() < share ? a : b);
  },
  integers: (draw) => {
    const most = draw.pick([1, 3, 20, 300]);
    return () => draw.between(-most, most);
  },
  'of any size': (draw, type) => () => someSize(draw, type),
  'up to the largest': (draw, type) => () => (2 * draw.uniform() - 1) * LIMITS[type][0],
  'largest and lowest': (draw, type) => () => draw.sign() * LIMITS[type][0],
  'lowest as a mask': (draw, type) => () => (draw.chance(0.7) ? -LIMITS[type][0] : draw.normal()),
  subnormal: (draw, type) => () => draw.sign() * draw.int(1000) * LIMITS[type][2],
  zeros: (draw) => () => draw.sign() * 0,
  '−∞ between': (draw) => {
    const share = draw.uniform();
    return () => (draw.uniform() < share ? -Infinity : 4 * draw.normal());
  },
  'all −∞': () => () => -Infinity,
  'a NaN': (draw) => (_, n) => (draw.uniform() * n < 1.5 ? NaN : draw.normal()),
  'a +∞': (draw) => (_, n) => (draw.uniform() * n < 1.5 ? Infinity : draw.chance(0.05) ? -Infinity : draw.normal()),
  rising: (draw) => {
    const [step, from] = [draw.sign() * draw.logUniform(1e-4, 2), draw.normal()];
    return (i) => from + i * step;
  },
  'down into the subnormals': (_, type) => (i, n) => (Math.log(LIMITS[type][2]) * 1.05 * i) / n,
  'one peak': (draw) => {
    const height = draw.pick([10, 40, 90, 200, 1000, 1e5]);
    const at = draw.uniform();
    return (i, n) => (i === Math.floor(at * n) ? height : draw.normal());
  },
  'copies among others': (draw) => {
    const [value, share] = [2 * draw.normal(), draw.pick([0.02, 0.1, 0.5])];
    return () => (draw.uniform() < share ? value : value - 3 - Math.abs(3 * draw.normal()));
  },
  'far from 0': (draw) => {
    const [at, spread] = [draw.sign() * draw.logUniform(1e3, 1e9), draw.pick([1, 8, 32])];
    return () => at + spread * draw.normal();
  },
  'steps of an ULP': (draw, type) => {
    const at = draw.sign() * draw.logUniform(1, 100);
    const ulp = 2 ** (Math.floor(Math.log2(Math.abs(at))) - { f32: 23, f64: 52, f16: 10, bf16: 7 }[type]);
    return () => at + draw.int(4) * ulp;
  },
};

/** A number of any exponent that the type has. */
function someSize(draw: Draw, type: ElementType): number {
  const [most, least] = LIMITS[type];
  return (
    draw.sign() *
    Math.min(most, draw.logUniform(1, 2) * 2 ** draw.between(Math.log2(least), Math.floor(Math.log2(most))))
  );
}

export const kindNames: readonly string[] = Object.keys(kinds);
/** Kinds without NaN, infinities and the ends of the range, for weights, queries and values. */
export const mildKinds: readonly string[] = [
  'normal',
  'N(0,1)',
  'N(0,8)',
  'constant',
  'two values',
  'integers',
  'zeros',
  'rising',
  'one peak',
  'copies among others',
];

/** n numbers of one kind, exactly as the type holds them. */
export function numbersOf(draw: Draw, type: ElementType, n: number, kind = draw.pick(kindNames)): Float64Array {
  const value = kinds[kind]!(draw, type);
  const numbers = new Float64Array(n);
  for (let i = 0; i < n; i++) numbers[i] = value(i, n);
  return valuesOf(type, logitsOf(type, numbers));
}

/** Numbers as an array of the type; half types as bits. */
export function logitsOf(type: ElementType, values: Float64Array): Logits {
  if (type === 'f32') return Float32Array.from(values);
  return type === 'f64' ? values.slice() : halvesOf(type, values);
}

/** The values of an array's elements. */
export function valuesOf(type: ElementType, x: Logits): Float64Array {
  return isHalf(type) ? Float64Array.from(x, (bits) => valueOf(type, bits)) : Float64Array.from(x);
}

/** Lengths around every size at which a kernel changes its method. */
const EDGES = [
  1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 511, 512, 513, 1023, 1024,
  1025, 4095, 4096, 4097,
];
const LONG_EDGES = [2 ** 14 - 1, 2 ** 14 + 1, 2 ** 15 - 1, 2 ** 15, 2 ** 15 + 1, 2 ** 16 + 1];
const LONGEST = [2 ** 18 - 1, 2 ** 18, 2 ** 18 + 1, 2 ** 18 + 1000];

/** The length of a row. Long ones are rare, as the oracle takes as long for one as for a thousand others. */
export function lengthOf(draw: Draw, limit: number): number {
  const one = draw.uniform();
  const n =
    one < 0.001
      ? draw.pick(LONGEST)
      : one < 0.01
        ? draw.pick(LONG_EDGES)
        : one < 0.5
          ? draw.pick(EDGES)
          : Math.floor(draw.logUniform(1, 1000));
  return n <= limit ? n : 1 + draw.int(limit);
}

/** Mostly 1 or near it; sometimes at the ends of the range of doubles. */
export function temperatureOf(draw: Draw): number {
  const one = draw.uniform();
  if (one < 0.4) return 1;
  if (one < 0.85) return draw.logUniform(0.01, 100);
  return one < 0.95
    ? draw.logUniform(1e-12, 1e12)
    : draw.pick([Number.MIN_VALUE, 1e-308, 1e-300, 1e-39, 1e-30, 1e30, 1e38, 1e300, Number.MAX_VALUE]);
}
