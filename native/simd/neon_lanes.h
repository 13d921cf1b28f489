// A part of neon.h: reductions, transposition, numbers that are stored as half floats or bytes, and tables.
#pragma once

namespace {

// Reductions. The order of the additions is part of the result: the two halves first, then their halves, down to one
// lane.
SIMD_INLINE f64x8 low_f64(f32x16 x) {
  return {{vcvt_f64_f32(vget_low_f32(x.v[0])), vcvt_high_f64_f32(x.v[0]), vcvt_f64_f32(vget_low_f32(x.v[1])),
           vcvt_high_f64_f32(x.v[1])}};
}
SIMD_INLINE f64x8 high_f64(f32x16 x) {
  return {{vcvt_f64_f32(vget_low_f32(x.v[2])), vcvt_high_f64_f32(x.v[2]), vcvt_f64_f32(vget_low_f32(x.v[3])),
           vcvt_high_f64_f32(x.v[3])}};
}
SIMD_INLINE f32x16 narrow(f64x8 x, f64x8 y) {
  return {{vcvt_high_f32_f64(vcvt_f32_f64(x.v[0]), x.v[1]), vcvt_high_f32_f64(vcvt_f32_f64(x.v[2]), x.v[3]),
           vcvt_high_f32_f64(vcvt_f32_f64(y.v[0]), y.v[1]), vcvt_high_f32_f64(vcvt_f32_f64(y.v[2]), y.v[3])}};
}
SIMD_INLINE double reduce_add(f64x8 x) {
  float64x2_t a = vaddq_f64(x.v[0], x.v[2]), b = vaddq_f64(x.v[1], x.v[3]);
  a = vaddq_f64(a, b);
  return vgetq_lane_f64(a, 0) + vgetq_lane_f64(a, 1);
}
SIMD_INLINE float reduce_max(f32x16 x) {
  return vmaxnmvq_f32(vmaxnmq_f32(vmaxnmq_f32(x.v[0], x.v[1]), vmaxnmq_f32(x.v[2], x.v[3])));
}
SIMD_INLINE double reduce_max(f64x8 x) {
  return vmaxnmvq_f64(vmaxnmq_f64(vmaxnmq_f64(x.v[0], x.v[1]), vmaxnmq_f64(x.v[2], x.v[3])));
}

// Transposes sixteen rows of sixteen floats, `stride` apart, into sixteen adjacent rows.
SIMD_INLINE void transpose4(const float* rows, size_t stride, float* out) {
  float32x4x2_t a = vtrnq_f32(vld1q_f32(rows), vld1q_f32(rows + stride)),
                b = vtrnq_f32(vld1q_f32(rows + 2 * stride), vld1q_f32(rows + 3 * stride));
  UNROLL
  for (int i = 0; i < 2; i++) {
    vst1q_f32(out + 16 * i, vcombine_f32(vget_low_f32(a.val[i]), vget_low_f32(b.val[i])));
    vst1q_f32(out + 16 * (i + 2), vcombine_f32(vget_high_f32(a.val[i]), vget_high_f32(b.val[i])));
  }
}
SIMD_INLINE void transpose16(const float* rows, size_t stride, float* out) {
  UNROLL
  for (size_t i = 0; i < 16; i += 4) UNROLL
  for (size_t j = 0; j < 16; j += 4) transpose4(rows + i * stride + j, stride, out + 16 * j + i);
}

// Sixteen half floats or signed bytes in memory: `half` is float16, `brain` is bfloat16. Stores round to nearest, ties
// to even.
SIMD_INLINE f32x16 load_half(const uint16_t* p) {
  f32x16 r;
  EACH(vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p + 4 * i))));
}
SIMD_INLINE void store_half(uint16_t* p, f32x16 x) {
  UNROLL for (int i = 0; i < 4; i++) vst1_u16(p + 4 * i, vreinterpret_u16_f16(vcvt_f16_f32(x.v[i])));
}
SIMD_INLINE f32x16 load_brain(const uint16_t* p) {
  f32x16 r;
  EACH(vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p + 4 * i), 16)));
}
SIMD_INLINE void store_brain(uint16_t* p, f32x16 x) {
  UNROLL for (int i = 0; i < 4; i++) {
    uint32x4_t u = u32(x.v[i]), odd = vandq_u32(vshrq_n_u32(u, 16), vdupq_n_u32(1));
    uint32x4_t r = vaddq_u32(u, vaddq_u32(odd, vdupq_n_u32(0x7FFF)));
    r = vbslq_u32(vceqq_f32(x.v[i], x.v[i]), r, vorrq_u32(u, vdupq_n_u32(0x400000)));
    vst1_u16(p + 4 * i, vshrn_n_u32(r, 16));
  }
}
SIMD_INLINE f32x16 load_bytes(const int8_t* p) {
  int16x8_t low = vmovl_s8(vld1_s8(p)), high = vmovl_s8(vld1_s8(p + 8));
  return {{vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))), vcvtq_f32_s32(vmovl_high_s16(low)),
           vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))), vcvtq_f32_s32(vmovl_high_s16(high))}};
}

#undef EACH

// Tables of eight numbers. 32 bytes hold eight floats: lane index k becomes the bytes 4k, 4k+1, 4k+2, 4k+3.
// GCC makes a pair of known registers anew before each use, unless an empty statement may have changed it.
SIMD_INLINE uint8x16x2_t byte_table(const float* table) {
#if defined(__GNUC__) && !defined(__clang__)
  uint8x16x2_t t = vld1q_u8_x2((const uint8_t*)table);
  asm("" : "+w"(t));
  return t;
#else
  return {{vreinterpretq_u8_f32(vld1q_f32(table)), vreinterpretq_u8_f32(vld1q_f32(table + 4))}};
#endif
}
SIMD_INLINE f32x16 lookup8(const float* table, f32x16 index) {
  const uint8x16x2_t t = byte_table(table);
  f32x16 r;
  UNROLL for (int i = 0; i < 4; i++) {
    uint32x4_t k = vandq_u32(u32(index.v[i]), vdupq_n_u32(7));
    uint32x4_t b = vmlaq_u32(vdupq_n_u32(0x03020100), k, vdupq_n_u32(0x04040404));
    r.v[i] = vreinterpretq_f32_u8(vqtbl2q_u8(t, vreinterpretq_u8_u32(b)));
  }
  return r;
}
SIMD_INLINE f64x8 lookup8(const double* table, f64x8 index) {
  f64x8 r;
  UNROLL for (int i = 0; i < 4; i++) {
    float64x2_t low = vdupq_n_f64(table[vgetq_lane_u64(u64(index.v[i]), 0) & 7]);
    r.v[i] = vsetq_lane_f64(table[vgetq_lane_u64(u64(index.v[i]), 1) & 7], low, 1);
  }
  return r;
}

}  // namespace
