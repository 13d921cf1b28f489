// Numbers of four and six bits from vectors of bytes, for instruction sets that cannot permute sixteen floats at once.
#pragma once

namespace {

// The 128 columns of half a block of q6_K, minus 32: 64 bytes of nibbles, 32 bytes of upper pairs.
SIMD_INLINE void six_bits(const uint8_t* low, const uint8_t* upper, u8x16* q) {
  UNROLL for (int i = 0; i < 2; i++) {
    const u8x16 a = load_u8(low + 16 * i), b = load_u8(low + 32 + 16 * i), pairs = load_u8(upper + 16 * i);
    q[i] = minus_32(join_nibbles(bits_of<0, 4>(a), bits_of<0, 2>(pairs)));
    q[2 + i] = minus_32(join_nibbles(bits_of<0, 4>(b), bits_of<2, 2>(pairs)));
    q[4 + i] = minus_32(join_nibbles(bits_of<4, 4>(a), bits_of<4, 2>(pairs)));
    q[6 + i] = minus_32(join_nibbles(bits_of<4, 4>(b), bits_of<6, 2>(pairs)));
  }
}
// What nibbles become: fma(nibble − zero, scale, offset).
struct NibbleMap {
  f32x16 zero, scale, offset;
};
SIMD_INLINE NibbleMap nibble_map(f32x16 zero, f32x16 scale, f32x16 offset) { return {zero, scale, offset}; }
SIMD_INLINE f32x16 low_nibbles(u8x16 x, const NibbleMap& map) {
  return fma(sub(floats_of(bits_of<0, 4>(x)), map.zero), map.scale, map.offset);
}
SIMD_INLINE f32x16 high_nibbles(u8x16 x, const NibbleMap& map) {
  return fma(sub(floats_of(bits_of<4, 4>(x)), map.zero), map.scale, map.offset);
}
// The nibbles of sixteen bytes, the low one of a byte first: of the first eight bytes, then of the others.
SIMD_INLINE void nibble_pairs(const uint8_t* p, const NibbleMap& a, const NibbleMap& b, f32x16* w) {
  const u8x16 q = load_u8(p);
  w[0] = low_nibbles(zip_first(q, bits_of<4, 4>(q)), a);
  w[1] = low_nibbles(zip_last(q, bits_of<4, 4>(q)), b);
}

}  // namespace
