// A part of wasm128.h: reductions, transposition, and numbers that are stored as half floats or bytes.
#pragma once

namespace {

// Reductions. The order of the additions is part of the result: the two halves first, then their halves, down to one
// lane.
SIMD_INLINE v128_t upper(v128_t x) { return wasm_i64x2_shuffle(x, x, 1, 1); }
SIMD_INLINE f64x8 low_f64(f32x16 x) {
  return {{wasm_f64x2_promote_low_f32x4(x.v[0]), wasm_f64x2_promote_low_f32x4(upper(x.v[0])),
           wasm_f64x2_promote_low_f32x4(x.v[1]), wasm_f64x2_promote_low_f32x4(upper(x.v[1]))}};
}
SIMD_INLINE f64x8 high_f64(f32x16 x) {
  return {{wasm_f64x2_promote_low_f32x4(x.v[2]), wasm_f64x2_promote_low_f32x4(upper(x.v[2])),
           wasm_f64x2_promote_low_f32x4(x.v[3]), wasm_f64x2_promote_low_f32x4(upper(x.v[3]))}};
}
SIMD_INLINE v128_t narrow_pair(v128_t x, v128_t y) {
  return wasm_i64x2_shuffle(wasm_f32x4_demote_f64x2_zero(x), wasm_f32x4_demote_f64x2_zero(y), 0, 2);
}
SIMD_INLINE f32x16 narrow(f64x8 x, f64x8 y) {
  return {{narrow_pair(x.v[0], x.v[1]), narrow_pair(x.v[2], x.v[3]), narrow_pair(y.v[0], y.v[1]),
           narrow_pair(y.v[2], y.v[3])}};
}
SIMD_INLINE double reduce_add(f64x8 x) {
  v128_t a = wasm_f64x2_add(x.v[0], x.v[2]), b = wasm_f64x2_add(x.v[1], x.v[3]);
  a = wasm_f64x2_add(a, b);
  return wasm_f64x2_extract_lane(a, 0) + wasm_f64x2_extract_lane(a, 1);
}
SIMD_INLINE float reduce_max(f32x16 x) {
  v128_t m = wasm_f32x4_pmax(wasm_f32x4_pmax(x.v[0], x.v[1]), wasm_f32x4_pmax(x.v[2], x.v[3]));
  m = wasm_f32x4_pmax(m, upper(m));
  return wasm_f32x4_extract_lane(wasm_f32x4_pmax(m, wasm_i32x4_shuffle(m, m, 1, 1, 1, 1)), 0);
}
SIMD_INLINE double reduce_max(f64x8 x) {
  v128_t m = wasm_f64x2_pmax(wasm_f64x2_pmax(x.v[0], x.v[1]), wasm_f64x2_pmax(x.v[2], x.v[3]));
  return wasm_f64x2_extract_lane(wasm_f64x2_pmax(m, upper(m)), 0);
}

// Transposes sixteen rows of sixteen floats, `stride` apart, into sixteen adjacent rows.
SIMD_INLINE void transpose4(const float* rows, size_t stride, float* out) {
  const v128_t r0 = wasm_v128_load(rows), r1 = wasm_v128_load(rows + stride);
  const v128_t r2 = wasm_v128_load(rows + 2 * stride), r3 = wasm_v128_load(rows + 3 * stride);
  const v128_t a = wasm_i32x4_shuffle(r0, r1, 0, 4, 1, 5), b = wasm_i32x4_shuffle(r0, r1, 2, 6, 3, 7);
  const v128_t c = wasm_i32x4_shuffle(r2, r3, 0, 4, 1, 5), d = wasm_i32x4_shuffle(r2, r3, 2, 6, 3, 7);
  wasm_v128_store(out, wasm_i64x2_shuffle(a, c, 0, 2));
  wasm_v128_store(out + 16, wasm_i64x2_shuffle(a, c, 1, 3));
  wasm_v128_store(out + 32, wasm_i64x2_shuffle(b, d, 0, 2));
  wasm_v128_store(out + 48, wasm_i64x2_shuffle(b, d, 1, 3));
}
NEVER_INLINE static void transpose16(const float* rows, size_t stride, float* out) {
  for (size_t i = 0; i < 16; i += 4)
    for (size_t j = 0; j < 16; j += 4) transpose4(rows + i * stride + j, stride, out + 16 * j + i);
}

// Sixteen half floats or signed bytes in memory: `half` is float16, `brain` is bfloat16. Stores round to nearest, ties
// to even. scalar.h has the same formulas for one element.
SIMD_INLINE v128_t every(uint32_t x) { return wasm_i32x4_splat((int32_t)x); }
SIMD_INLINE v128_t floats_of_halves(v128_t h) {
  const v128_t rest = wasm_v128_and(h, every(0x7FFF)), sign = wasm_i32x4_shl(wasm_v128_and(h, every(0x8000)), 16);
  const v128_t shifted = wasm_i32x4_shl(rest, 13), quiet = wasm_i32x4_gt(rest, every(0x7C00));
  const v128_t special = wasm_v128_or(wasm_v128_or(shifted, every(0x7F800000)), wasm_v128_and(quiet, every(1 << 22)));
  const v128_t small = wasm_f32x4_mul(wasm_f32x4_convert_i32x4(rest), wasm_f32x4_splat(0x1p-24f));
  v128_t y = wasm_i32x4_add(shifted, every(112u << 23));
  y = wasm_v128_bitselect(special, y, wasm_i32x4_ge(rest, every(0x7C00)));
  y = wasm_v128_bitselect(small, y, wasm_i32x4_lt(rest, every(0x0400)));
  return wasm_v128_or(y, sign);
}
SIMD_INLINE v128_t halves_of_floats(v128_t u) {
  const v128_t rest = wasm_v128_and(u, every(0x7FFFFFFF)), sign = wasm_v128_and(wasm_u32x4_shr(u, 16), every(0x8000));
  const v128_t kept = wasm_u32x4_shr(rest, 13);
  const v128_t nan = wasm_v128_or(every(0x7E00), wasm_v128_and(kept, every(0x3FF)));
  const v128_t small = wasm_v128_and(wasm_f32x4_add(rest, wasm_f32x4_splat(0.5f)), every(0x7FF));
  const v128_t even = wasm_v128_and(kept, every(1));
  v128_t y = wasm_u32x4_shr(wasm_i32x4_add(wasm_i32x4_add(rest, even), every(0xFFFu - (112u << 23))), 13);
  y = wasm_v128_bitselect(small, y, wasm_i32x4_lt(rest, every(0x38800000)));
  y = wasm_v128_bitselect(every(0x7C00), y, wasm_i32x4_ge(rest, every(0x477FF000)));
  y = wasm_v128_bitselect(nan, y, wasm_i32x4_gt(rest, every(0x7F800000)));
  return wasm_v128_or(y, sign);
}
NEVER_INLINE static f32x16 load_half(const uint16_t* p) {
  f32x16 r;
  EACH(floats_of_halves(wasm_u32x4_load16x4(p + 4 * i)));
}
NEVER_INLINE static void store_half(uint16_t* p, f32x16 x) {
  UNROLL for (int i = 0; i < 2; i++) wasm_v128_store(
      p + 8 * i, wasm_u16x8_narrow_i32x4(halves_of_floats(x.v[2 * i]), halves_of_floats(x.v[2 * i + 1])));
}
SIMD_INLINE f32x16 load_brain(const uint16_t* p) {
  f32x16 r;
  EACH(wasm_i32x4_shl(wasm_u32x4_load16x4(p + 4 * i), 16));
}
SIMD_INLINE v128_t brain_of(v128_t u) {
  const v128_t odd = wasm_v128_and(wasm_u32x4_shr(u, 16), every(1));
  const v128_t r = wasm_i32x4_add(u, wasm_i32x4_add(odd, every(0x7FFF)));
  return wasm_u32x4_shr(wasm_v128_bitselect(r, wasm_v128_or(u, every(0x400000)), wasm_f32x4_eq(u, u)), 16);
}
SIMD_INLINE void store_brain(uint16_t* p, f32x16 x) {
  UNROLL for (int i = 0; i < 2; i++)
      wasm_v128_store(p + 8 * i, wasm_u16x8_narrow_i32x4(brain_of(x.v[2 * i]), brain_of(x.v[2 * i + 1])));
}
SIMD_INLINE f32x16 load_bytes(const int8_t* p) {
  const v128_t low = wasm_i16x8_load8x8(p), high = wasm_i16x8_load8x8(p + 8);
  return {{wasm_f32x4_convert_i32x4(wasm_i32x4_extend_low_i16x8(low)),
           wasm_f32x4_convert_i32x4(wasm_i32x4_extend_high_i16x8(low)),
           wasm_f32x4_convert_i32x4(wasm_i32x4_extend_low_i16x8(high)),
           wasm_f32x4_convert_i32x4(wasm_i32x4_extend_high_i16x8(high))}};
}

#undef EACH

}  // namespace
