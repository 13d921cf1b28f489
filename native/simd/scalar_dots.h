// Sixty-four bytes, of one row of weights or four of each of sixteen rows; sixteen integers that are dot products of
// four bytes each. The headers of this name define the same functions on each instruction set; all sums are exact.
#pragma once

namespace {

struct i32x16 {
  int32_t v[16];
};
struct u8x64 {
  u8x16 v[4];
};

// Stands before a loop over sixteen rows of 64 bytes: UNROLL where registers hold them.
#define UNROLL_ROWS
// Whether FusedDot is there on some processors (Run::has_fused_dots) and another class than SignedDot. What signed
// bytes of weights are xor-ed with for the products that a processor has: 0x80 makes b the unsigned b + 128.
constexpr bool kMayFuse = false;
SIMD_INLINE uint8_t flip_of(bool) { return 0; }

SIMD_INLINE i32x16 splat_i32(int32_t a) {
  i32x16 r;
  for (int32_t& each : r.v) each = a;
  return r;
}
SIMD_INLINE i32x16 load_i32(const int32_t* p) {
  i32x16 r;
  COPY(r.v, p, sizeof r.v);
  return r;
}
SIMD_INLINE i32x16 add_i32(i32x16 a, i32x16 b) {
  for (int i = 0; i < 16; i++) a.v[i] += b.v[i];
  return a;
}
SIMD_INLINE f32x16 floats_of(i32x16 a) {
  f32x16 r;
  for (int i = 0; i < 16; i++) r.v[i] = (float)a.v[i];
  return r;
}
// At a multiple of 64.
SIMD_INLINE u8x64 load_u8x64(const uint8_t* p) {
  u8x64 r;
  COPY(&r, p, sizeof r);
  return r;
}
SIMD_INLINE void store_u8x64(uint8_t* p, u8x64 x) { COPY(p, &x, sizeof x); }
SIMD_INLINE u8x64 join(u8x16 a, u8x16 b, u8x16 c, u8x16 d) { return {{a, b, c, d}}; }
SIMD_INLINE u8x16 xor_all(u8x16 x, uint8_t bits) {
  for (uint8_t& each : x.v) each ^= bits;
  return x;
}
// Writes the lowest byte of each lane's bits.
SIMD_INLINE void store_low_bytes(uint8_t* p, f32x16 a) {
  uint32_t bits[16];
  COPY(bits, a.v, sizeof bits);
  for (int i = 0; i < 16; i++) p[i] = (uint8_t)bits[i];
}

// add: to each lane of `sum`, the products of the row's four weights with the four signed bytes at x, none of them
// −128. of_row: the products of 64 columns of a row with 64 such bytes, four columns a lane. SignedDot and FusedDot
// take signed weights that are xor-ed with flip_of(…), SmallDot weights below 128.
struct SignedDot {
  static ALWAYS i32x16 add(i32x16 sum, u8x64 w, const int8_t* x) {
    for (int i = 0; i < 64; i++) sum.v[i / 4] += (int8_t)w.v[i / 16].v[i % 16] * x[i % 4];
    return sum;
  }
  static ALWAYS i32x16 of_row(u8x64 w, const int8_t* x) {
    i32x16 sum = splat_i32(0);
    for (int i = 0; i < 64; i++) sum.v[i / 4] += (int8_t)w.v[i / 16].v[i % 16] * x[i];
    return sum;
  }
};
using SmallDot = SignedDot;
using FusedDot = SignedDot;

// Of the lanes of sixteen rows, the sums of each four: [4, row].
SIMD_INLINE void store_sums_of_4(int32_t* to, const i32x16* rows) {
  for (int i = 0; i < 64; i++) {
    const int32_t* four = rows[i % 16].v + i / 16 * 4;
    to[i] = four[0] + four[1] + four[2] + four[3];
  }
}

}  // namespace
#include "dot_rows.h"
