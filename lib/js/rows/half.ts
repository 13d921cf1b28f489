/**
 * Half types: their values as float32, exactly, and back, to the nearest with ties to even; and what makes kernels of a
 * half type from those of float32.
 */
import { viewOf } from '../../call/arrays.js';
import type { BackendOf } from '../../backend/backend.js';
import type { Positional } from '../../backend/operators.js';

const float = new Float32Array(1);
const word = new Uint32Array(float.buffer);

export interface Half {
  toFloat(bits: number): number;
  toBits(value: number): number;
}

export const float16: Half = {
  toFloat(bits) {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 0x3ff;
    if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
    return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
  },
  toBits(value) {
    float[0] = value;
    const all = word[0]!;
    const sign = (all >>> 16) & 0x8000;
    const rest = all & 0x7fffffff;
    if (rest > 0x7f800000) return sign | 0x7e00 | ((rest >> 13) & 0x3ff);
    if (rest >= 0x477ff000) return sign | 0x7c00; // 65520 and above
    if (rest < 0x38800000) {
      float[0] = Math.abs(float[0]!) + 0.5; // 2^-24 is the last place of ½
      return sign | (word[0]! & 0x7ff);
    }
    return sign | ((rest - 0x38000000 + 0xfff + ((rest >> 13) & 1)) >> 13);
  },
};

export const bfloat16: Half = {
  toFloat(bits) {
    word[0] = bits << 16;
    return float[0]!;
  },
  toBits(value) {
    float[0] = value;
    const all = word[0]!;
    return (value !== value ? all | 0x400000 : all + 0x7fff + ((all >>> 16) & 1)) >>> 16;
  },
};

/** Of a half type: the kernel with results of its own type, and the one with float32 results if there is one. */
interface OfHalf {
  readonly same: unknown;
  readonly wide?: unknown;
}

type HalfKernelsOf<O extends string> = Pick<
  BackendOf<O>,
  Extract<keyof BackendOf<O>, `${O}_${'f16' | 'bf16'}${'' | '_f32'}`>
>;

/** An operator's kernels for both half types, each made from how the type's numbers are read and written. */
export function halfKernels<O extends string>(operator: O, make: (half: Half) => OfHalf): HalfKernelsOf<O> {
  const named = Object.entries({ f16: float16, bf16: bfloat16 }).flatMap(([type, half]) => {
    const { same, wide } = make(half);
    return [[`${operator}_${type}`, same], ...(wide ? [[`${operator}_${type}_f32`, wide]] : [])];
  });
  return Object.fromEntries(named) as HalfKernelsOf<O>;
}

/** Without an iterator of the array's own. */
export const widened = (x: Uint16Array, { toFloat }: Half): Float32Array => Float32Array.from(viewOf(x), toFloat);

export const narrow = (from: Float32Array, to: Uint16Array, { toBits }: Half): void =>
  from.forEach((value, i) => (to[i] = toBits(value)));

/** Arguments that end in a bias, with that as float32. */
export function withFloatBias(args: readonly unknown[], half: Half): unknown[] {
  const bias = args[args.length - 1] as Uint16Array | null;
  return [...args.slice(0, -1), bias && widened(bias, half)];
}

/** For kernels of x, …, bias whose results are doubles. */
export const ofRows =
  (kernel: unknown) =>
  (half: Half): OfHalf => ({ same: floatsOf(kernel as Positional, half) });

/** For kernels of x, out, …, bias that give a number for each element. */
export const ofElements =
  (kernel: unknown) =>
  (half: Half): OfHalf => {
    const wide = floatsOf(kernel as Positional, half);
    const same = (x: Uint16Array, out: Uint16Array, ...args: unknown[]) => {
      const y = widened(x, half);
      const rest = withFloatBias(args, half);
      (kernel as Positional)(y, y, ...rest);
      narrow(y, out, half);
    };
    return { same, wide };
  };

/** The kernel, given x and a bias as half floats. */
const floatsOf =
  (kernel: Positional, half: Half) =>
  (x: Uint16Array, ...args: unknown[]) => {
    const rest = withFloatBias(args, half);
    kernel(widened(x, half), ...rest);
  };
