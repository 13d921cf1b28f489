// The formats of stored numbers. Kernels of all formats read and write sixteen numbers at a time as floats.
#pragma once
#include <stddef.h>

#include "storage.h"

namespace {

template <class X> struct Format;
template <> struct Format<float> {
  using T = float;
  static ALWAYS f32x16 load(const float* p) { return ::load(p); }
  static ALWAYS void store(float* p, f32x16 v) { ::store(p, v); }
};
template <> struct Format<F16> {
  using T = uint16_t;
  static ALWAYS f32x16 load(const uint16_t* p) { return load_half(p); }
  static ALWAYS void store(uint16_t* p, f32x16 v) { store_half(p, v); }
};
template <> struct Format<BF16> {
  using T = uint16_t;
  static ALWAYS f32x16 load(const uint16_t* p) { return load_brain(p); }
  static ALWAYS void store(uint16_t* p, f32x16 v) { store_brain(p, v); }
};
template <> struct Format<I8> {  // append writes bytes, as each token has a scale
  using T = int8_t;
  static ALWAYS f32x16 load(const int8_t* p) { return load_bytes(p); }
};

template <class X> void to_floats(const uint16_t* from, float* to, size_t n) {
  size_t i = 0;
  for (; i + 16 <= n; i += 16) store(to + i, Format<X>::load(from + i));
  uint16_t last[16] = {};
  COPY(last, from + i, (n - i) * sizeof *from);
  if (i < n) store_n(to + i, Format<X>::load(last), n - i);
}
template <class X> void from_floats(const float* from, uint16_t* to, size_t n) {
  size_t i = 0;
  for (; i + 16 <= n; i += 16) Format<X>::store(to + i, load(from + i));
  uint16_t last[16];
  if (i < n) Format<X>::store(last, load_n(from + i, n - i, 0));
  COPY(to + i, last, (n - i) * sizeof *to);
}

// A vector as doubles, and doubles as a vector.
SIMD_INLINE void widen(f32x16 v, f64x8* wide) { wide[0] = low_f64(v), wide[1] = high_f64(v); }
SIMD_INLINE void widen(f64x8 v, f64x8* wide) { wide[0] = v; }
SIMD_INLINE f32x16 narrowed(const f64x8* wide, float) { return narrow(wide[0], wide[1]); }
SIMD_INLINE f64x8 narrowed(const f64x8* wide, double) { return wide[0]; }

}  // namespace
