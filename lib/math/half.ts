/** float16 and bfloat16: their bits to float32 and back. */

const float = new Float32Array(1);
const word = new Uint32Array(float.buffer);

export interface Half {
  /** The value of 16 bits, exact in float32. */
  toFloat(bits: number): number;
  /** The bits of the nearest value, ties to even. */
  toBits(value: number): number;
}

export const float16: Half = {
  toFloat(bits) {
    // Moved to the bits of a float32, they have their value times 2^-112.
    word[0] = ((bits & 0x8000) << 16) | ((bits & 0x7fff) << 13);
    const value = float[0]! * 2 ** 112;
    if ((bits & 0x7c00) !== 0x7c00) return value;
    return bits & 0x3ff ? NaN : value * Infinity;
  },
  toBits(value) {
    float[0] = value;
    const bits = word[0]!;
    const sign = (bits >>> 16) & 0x8000;
    const magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000) return sign | 0x7e00 | ((magnitude >> 13) & 0x3ff); // a quiet NaN
    if (magnitude >= 0x477ff000) return sign | 0x7c00; // from 65520 on: Infinity
    if (magnitude < 0x38800000) {
      float[0] = Math.abs(float[0]!) + 0.5; // the last place of ½ is 2^-24, the step of subnormal halves
      return sign | (word[0]! & 0x7ff);
    }
    return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >> 13) & 1)) >> 13);
  },
};

export const bfloat16: Half = {
  toFloat(bits) {
    word[0] = bits << 16;
    return float[0]!;
  },
  toBits(value) {
    float[0] = value;
    const bits = word[0]!;
    return (value !== value ? bits | 0x400000 : bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
  },
};
