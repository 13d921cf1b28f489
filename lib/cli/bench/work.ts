/** What `bench` can measure: the shape of a piece of work, and how shapes are written. */
import { UsageError } from '../command.js';
import { float16, bfloat16 } from '../../math/half.js';
import { fill } from '../rows.js';

export type DType = 'float32' | 'float16' | 'bfloat16' | 'float64';
export type Numbers = Float32Array | Float64Array | Uint16Array;
export type Shape = readonly number[];

/** One piece of work on arrays that are ready. */
export interface Task {
  /** What a time is divided by for nanoseconds an element. */
  readonly elements: number;
  /** The work as a program writes it; it runs on the backend in force. */
  readonly run: () => void;
  /** The same as a plain loop in JavaScript, if that ends within seconds. */
  readonly loop: (() => void) | undefined;
  /** What is read or written at the least: the time of its copy is the yardstick. */
  readonly moved: readonly Numbers[];
  /** The rows that packages of others get. */
  readonly rows?: { readonly x: Float32Array; readonly cols: number };
}

export interface Work {
  readonly name: string;
  readonly summary: string;
  /** The names of a shape's numbers. */
  readonly axes: readonly string[];
  /** What the first numbers are where a shape leaves them out. */
  readonly first: Shape;
  readonly shapes: string;
  /** The first one is the default. */
  readonly dtypes: readonly DType[];
  /** Whether its times are told as nanoseconds an element, not as microseconds a call. */
  readonly isByElement: boolean;
  prepare(shape: Shape, dtype: DType): Task;
}

/** The most numbers of a shape's product. */
const MOST = 2 ** 28;
const UNITS: Readonly<Record<string, number>> = { '': 1, k: 2 ** 10, m: 2 ** 20 };

/** Shapes such as 1k,4096x1000: the numbers of a work's axes, of which the first may be left out. */
export function shapesOf({ axes, first, shapes: otherwise }: Work, text = otherwise): Shape[] {
  return text.split(',').map((one) => {
    const numbers = one.split('x').map((part) => {
      const [, digits, unit] = /^(\d+)([km]?)$/i.exec(part) ?? [];
      return digits === undefined ? 0 : Number(digits) * UNITS[unit!.toLowerCase()]!;
    });
    const missing = axes.length - numbers.length;
    const shape = [...first.slice(0, Math.max(0, missing)), ...numbers];
    const product = shape.reduce((all, n) => all * n, 1);
    if (shape.length === axes.length && product >= 1 && product <= MOST) return shape;
    throw new UsageError(
      `Expected shapes ${axes.join('x')} of up to 256M numbers for --shape, as in ${otherwise}, but received '${one}'`,
    );
  });
}

/** 4,096 × 1,000; a shape that leaves out nothing but ones is a length. */
export function shapeText({ first }: Work, shape: Shape): string {
  const from = first.findIndex((usual, i) => shape[i] !== usual);
  return shape
    .slice(from < 0 ? first.length : from)
    .map((n) => n.toLocaleString('en-US'))
    .join(' × ');
}

/** An array of `length` numbers N(0, deviation²) of a type; halves as their bits. */
export function normal(length: number, dtype: DType, deviation = 1): Numbers {
  const block = fill(new Float32Array(Math.min(length, 2 ** 20)), 'N(0,1)', 1).map((x) => x * deviation);
  const x = emptyOf(length, dtype);
  const half = { float16, bfloat16 }[dtype as 'float16'];
  const part: ArrayLike<number> = half ? Uint16Array.from(block, (value) => half.toBits(value)) : block;
  for (let at = 0; at < length; at += block.length) {
    const left = Math.min(block.length, length - at);
    x.set(left < block.length ? Array.from(part).slice(0, left) : part, at);
  }
  return x;
}

export function emptyOf(length: number, dtype: DType): Numbers {
  if (dtype === 'float64') return new Float64Array(length);
  return dtype === 'float32' ? new Float32Array(length) : new Uint16Array(length);
}

/** The option that says what the bits of a Uint16Array are. */
export const dtypeOption = (dtype: DType): { dtype?: 'float16' | 'bfloat16' } =>
  dtype === 'float16' || dtype === 'bfloat16' ? { dtype } : {};

/** Plain loops that would take more than seconds are left out: more steps than this. */
const MOST_STEPS = 2 ** 31;
export const unlessLong = (steps: number, loop: () => void): (() => void) | undefined =>
  steps <= MOST_STEPS ? loop : undefined;
