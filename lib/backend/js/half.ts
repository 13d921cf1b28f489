/**
 * Half types: their values as float32, exactly, and back, to the nearest with ties to even; and the kernels of a half
 * type, which are those of float32 between the two.
 */
import { viewOf } from '../../arrays.js';
import type { FloatKernels, HalfKernels } from '../backend.js';

const float = new Float32Array(1);
const word = new Uint32Array(float.buffer);

interface Half {
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

export function halfKernels<Name extends 'f16' | 'bf16'>(name: Name, { toFloat, toBits }: Half, floats: FloatKernels): HalfKernels<Name> {
  const widened = (x: Uint16Array) => Float32Array.from(viewOf(x), toFloat); // without an iterator of the array's own
  const bias = (x: Uint16Array | null) => x && widened(x);
  const narrow = (from: Float32Array, to: Uint16Array) => from.forEach((value, i) => (to[i] = toBits(value)));

  const map = (kernel: FloatKernels['softmax_f32']): HalfKernels<'f16'>['softmax_f16'] =>
    (x, out, outer, cols, inner, temperature, mask, layout, b) => {
      const y = widened(x);
      kernel(y, y, outer, cols, inner, temperature, mask, layout, bias(b));
      narrow(y, out);
    };
  const mapWide = (kernel: FloatKernels['softmax_f32']): HalfKernels<'f16'>['softmax_f16_f32'] =>
    (x, out, outer, cols, inner, temperature, mask, layout, b) => kernel(widened(x), out, outer, cols, inner, temperature, mask, layout, bias(b));

  const kernels: HalfKernels<'f16'> = {
    softmax_f16: map(floats.softmax_f32),
    softmax_f16_f32: mapWide(floats.softmax_f32),
    log_softmax_f16: map(floats.log_softmax_f32),
    log_softmax_f16_f32: mapWide(floats.log_softmax_f32),
    log_sum_exp_f16: (x, out, outer, cols, inner, temperature, mask, layout, b) =>
      floats.log_sum_exp_f32(widened(x), out, outer, cols, inner, temperature, mask, layout, bias(b)),
    cross_entropy_f16(x, targets, loss, gradient, outer, cols, inner, temperature, mask, layout, b) {
      const y = widened(x);
      floats.cross_entropy_f32(y, targets, loss, gradient && y, outer, cols, inner, temperature, mask, layout, bias(b));
      if (gradient) narrow(y, gradient);
    },
    exp_sum_f16: (x, mantissa, exponent, outer, cols, inner, temperature, mask, layout, b) =>
      floats.exp_sum_f32(widened(x), mantissa, exponent, outer, cols, inner, temperature, mask, layout, bias(b)),
    normalize_f16(x, out, mantissa, exponent, outer, cols, inner, temperature, mask, layout, b) {
      const y = widened(x);
      floats.normalize_f32(y, y, mantissa, exponent, outer, cols, inner, temperature, mask, layout, bias(b));
      narrow(y, out);
    },
    normalize_f16_f32: (x, out, mantissa, exponent, outer, cols, inner, temperature, mask, layout, b) =>
      floats.normalize_f32(widened(x), out, mantissa, exponent, outer, cols, inner, temperature, mask, layout, bias(b)),
    softmax_backward_f16(y, dy, out, ...rest) {
      const x = widened(y);
      floats.softmax_backward_f32(x, widened(dy), x, ...rest);
      narrow(x, out);
    },
    softmax_backward_f16_f32: (y, dy, out, ...rest) => floats.softmax_backward_f32(widened(y), widened(dy), out, ...rest),
  };
  const named = Object.entries(kernels).map(([key, kernel]) => [key.replace('f16', name), kernel]);
  return Object.fromEntries(named) as HalfKernels<Name>;
}
