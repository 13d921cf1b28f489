// Dot products of four bytes on WebAssembly. scalar_dots.h says what each function means.
#pragma once

namespace {

struct i32x16 {
  v128_t v[4];
};
struct u8x64 {
  v128_t v[4];
};

#define UNROLL_ROWS
constexpr bool kMayFuse = false;
SIMD_INLINE uint8_t flip_of(bool) { return 0; }

SIMD_INLINE i32x16 splat_i32(int32_t a) {
  const v128_t v = wasm_i32x4_splat(a);
  return {{v, v, v, v}};
}
SIMD_INLINE i32x16 load_i32(const int32_t* p) {
  i32x16 r;
  UNROLL for (int i = 0; i < 4; i++) r.v[i] = wasm_v128_load(p + 4 * i);
  return r;
}
SIMD_INLINE i32x16 add_i32(i32x16 x, i32x16 y) {
  i32x16 r;
  UNROLL for (int i = 0; i < 4; i++) r.v[i] = wasm_i32x4_add(x.v[i], y.v[i]);
  return r;
}
SIMD_INLINE f32x16 floats_of(i32x16 x) {
  f32x16 r;
  UNROLL for (int i = 0; i < 4; i++) r.v[i] = wasm_f32x4_convert_i32x4(x.v[i]);
  return r;
}
SIMD_INLINE u8x64 load_u8x64(const uint8_t* p) {
  u8x64 r;
  UNROLL for (int i = 0; i < 4; i++) r.v[i] = wasm_v128_load(p + 16 * i);
  return r;
}
SIMD_INLINE void store_u8x64(uint8_t* p, u8x64 x) {
  UNROLL for (int i = 0; i < 4; i++) wasm_v128_store(p + 16 * i, x.v[i]);
}
SIMD_INLINE u8x64 join(u8x16 a, u8x16 b, u8x16 c, u8x16 d) { return {{a.v, b.v, c.v, d.v}}; }
SIMD_INLINE u8x16 xor_all(u8x16 x, uint8_t bits) { return {wasm_v128_xor(x.v, wasm_u8x16_splat(bits))}; }
SIMD_INLINE void store_low_bytes(uint8_t* p, f32x16 x) {
  const v128_t low = wasm_i8x16_shuffle(x.v[0], x.v[1], 0, 4, 8, 12, 16, 20, 24, 28, 0, 4, 8, 12, 16, 20, 24, 28);
  const v128_t high = wasm_i8x16_shuffle(x.v[2], x.v[3], 0, 4, 8, 12, 16, 20, 24, 28, 0, 4, 8, 12, 16, 20, 24, 28);
  wasm_v128_store(p, wasm_i64x2_shuffle(low, high, 0, 2));
}

// Two bytes of each four, then the two others: a pair of products is at most 2 · 128 · 127, which 16 bits hold. The
// relaxed dot products would be one instruction, but V8 11.3 (Node 20) drops the third operand of the one that adds.
struct SignedDot {
  static ALWAYS v128_t by_pairs(v128_t x) {
    return wasm_i8x16_shuffle(x, x, 0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
  }
  // The products of bytes by pairs.
  static ALWAYS v128_t products(v128_t w, v128_t first, v128_t last) {
    const v128_t a = wasm_i16x8_extmul_low_i8x16(w, first), b = wasm_i16x8_extmul_high_i8x16(w, last);
    return wasm_i32x4_extadd_pairwise_i16x8(wasm_i16x8_add(a, b));
  }
  static ALWAYS i32x16 add(i32x16 sum, u8x64 w, const int8_t* x) {
    const v128_t first = wasm_v128_load16_splat(x), last = wasm_v128_load16_splat(x + 2);
    UNROLL for (int i = 0; i < 4; i++) sum.v[i] = wasm_i32x4_add(sum.v[i], products(by_pairs(w.v[i]), first, last));
    return sum;
  }
  static ALWAYS i32x16 of_row(u8x64 w, const int8_t* x) {
    i32x16 r;
    UNROLL for (int i = 0; i < 4; i++) {
      const v128_t all = by_pairs(wasm_v128_load(x + 16 * i));
      r.v[i] = products(by_pairs(w.v[i]), all, all);
    }
    return r;
  }
};
using SmallDot = SignedDot;
using FusedDot = SignedDot;

SIMD_INLINE v128_t add_turned(v128_t a, v128_t b) {
  return wasm_i32x4_add(wasm_i32x4_shuffle(a, b, 0, 2, 4, 6), wasm_i32x4_shuffle(a, b, 1, 3, 5, 7));
}
SIMD_INLINE void store_sums_of_4(int32_t* to, const i32x16* rows) {
  for (int r = 0; r < 16; r += 4) UNROLL for (int i = 0; i < 4; i++) {
      const v128_t first = add_turned(rows[r].v[i], rows[r + 1].v[i]);
      wasm_v128_store(to + 16 * i + r, add_turned(first, add_turned(rows[r + 2].v[i], rows[r + 3].v[i])));
    }
}

}  // namespace
#include "dot_rows.h"
