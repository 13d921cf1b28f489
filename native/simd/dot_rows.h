// Sixty-four columns of a row of weights as bytes, from vectors of sixteen, for instruction sets whose registers do not
// hold sixty-four; and sixteen rows side by side.
#pragma once

namespace {

// Two runs of 32 bytes, each xor-ed with `flip`.
SIMD_INLINE u8x64 bytes_of_row(const uint8_t* first, const uint8_t* second, uint8_t flip) {
  return join(xor_all(load_u8(first), flip), xor_all(load_u8(first + 16), flip), xor_all(load_u8(second), flip),
              xor_all(load_u8(second + 16), flip));
}
// The low nibbles of sixteen bytes, then their high ones; and those of another sixteen.
SIMD_INLINE u8x64 nibbles_by_16(const uint8_t* first, const uint8_t* second) {
  const u8x16 a = load_u8(first), b = load_u8(second);
  return join(bits_of<0, 4>(a), bits_of<4, 4>(a), bits_of<0, 4>(b), bits_of<4, 4>(b));
}
// The low nibbles of 32 bytes, then their high ones.
SIMD_INLINE u8x64 nibbles_by_32(const uint8_t* p) {
  const u8x16 a = load_u8(p), b = load_u8(p + 16);
  return join(bits_of<0, 4>(a), bits_of<0, 4>(b), bits_of<4, 4>(a), bits_of<4, 4>(b));
}
// The nibbles of 32 bytes, the low one of each byte first.
SIMD_INLINE u8x64 nibbles_by_1(const uint8_t* p) {
  const u8x16 a = load_u8(p), b = load_u8(p + 16), high_a = bits_of<4, 4>(a), high_b = bits_of<4, 4>(b);
  const u8x16 low_a = bits_of<0, 4>(a), low_b = bits_of<0, 4>(b);
  return join(zip_first(low_a, high_a), zip_last(low_a, high_a), zip_first(low_b, high_b), zip_last(low_b, high_b));
}
// 64 of the 128 columns of half a block of q6_K, with 32 added: those of low nibbles, or of high ones.
template <bool kIsHigh> SIMD_INLINE u8x64 six_bits_of_row(const uint8_t* low, const uint8_t* upper) {
  constexpr int kNibble = kIsHigh ? 4 : 0;
  const u8x16 a = load_u8(upper), b = load_u8(upper + 16);
  return join(join_nibbles(bits_of<kNibble, 4>(load_u8(low)), bits_of<kNibble, 2>(a)),
              join_nibbles(bits_of<kNibble, 4>(load_u8(low + 16)), bits_of<kNibble, 2>(b)),
              join_nibbles(bits_of<kNibble, 4>(load_u8(low + 32)), bits_of<kNibble + 2, 2>(a)),
              join_nibbles(bits_of<kNibble, 4>(load_u8(low + 48)), bits_of<kNibble + 2, 2>(b)));
}
// Writes sixteen rows of 64 columns as [columns / 4, row, 4]. `to` is a multiple of 64.
SIMD_INLINE void store_side_by_side(uint8_t* to, const u8x64* rows) {
  alignas(64) uint8_t memory[16][64];
  for (int r = 0; r < 16; r++) store_u8x64(memory[r], rows[r]);
  transpose16((const float*)memory, 16, (float*)to);
}

}  // namespace
