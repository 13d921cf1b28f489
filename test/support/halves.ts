/** float16 and bfloat16 by their definitions: the value of bits, and the bits nearest to a value. */
import type { Floats } from './cases.js';

const formats = { f16: { fraction: 10, bias: 15 }, bf16: { fraction: 7, bias: 127 } } as const;
export type HalfName = keyof typeof formats;
export const dtypes = { f16: 'float16', bf16: 'bfloat16' } as const;

/** The value of some bits, by the definition. */
export function valueOf(type: HalfName, bits: number): number {
  const { fraction, bias } = formats[type];
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits & 0x7fff) >> fraction;
  const rest = (bits & ((1 << fraction) - 1)) / 2 ** fraction;
  if (exponent === 2 * bias + 1) return rest ? NaN : sign * Infinity;
  return sign * (exponent === 0 ? rest * 2 ** (1 - bias) : (1 + rest) * 2 ** (exponent - bias));
}

const tables = Object.fromEntries(
  Object.keys(formats).map((type) => [
    type,
    Float64Array.from({ length: 65536 }, (_, bits) => valueOf(type as HalfName, bits)),
  ]),
) as Record<HalfName, Float64Array>;

/** The bits nearest to a value, found by bisection; a tie goes to the even one. */
function nearest(type: HalfName, value: number): number {
  const { fraction, bias } = formats[type];
  const infinite = (2 * bias + 1) << fraction;
  if (Number.isNaN(value)) return infinite | (1 << (fraction - 1));
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  const values = tables[type];
  const at = (bits: number) => (bits === infinite ? 2 ** (bias + 1) : values[bits]!); // ∞ stands for the next value
  let [low, high] = [0, infinite];
  if (size >= at(infinite)) return sign | infinite;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (at(middle) <= size) low = middle;
    else high = middle;
  }
  const [below, above] = [size - at(low), at(high) - size];
  return sign | (below < above || (below === above && !(low & 1)) ? low : high);
}

export function floatsOf(type: HalfName, x: Uint16Array): Float32Array {
  const floats = new Float32Array(x.length);
  for (let i = 0; i < x.length; i++) floats[i] = tables[type][x[i]!]!;
  return floats;
}

export function halvesOf(type: HalfName, x: Floats): Uint16Array {
  const halves = new Uint16Array(x.length);
  for (let i = 0; i < x.length; i++) halves[i] = nearest(type, x[i]!);
  return halves;
}
