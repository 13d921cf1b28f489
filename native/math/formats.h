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

template <class X> constexpr bool kIsBrain = false;
template <> constexpr bool kIsBrain<BF16> = true;

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

// The conversions of a half type, for code that is the same for both types.
struct HalfFormat {
  void (*widen)(const uint16_t*, float*, size_t);
  void (*narrow)(const float*, uint16_t*, size_t);
  bool is_brain;
};
template <class X> constexpr HalfFormat kFormat = {to_floats<X>, from_floats<X>, kIsBrain<X>};

// One number.
SIMD_INLINE float float_of_brain(uint16_t h) {
  const uint32_t bits = (uint32_t)h << 16;
  float x;
  COPY(&x, &bits, sizeof x);
  return x;
}
SIMD_INLINE float float_of_half(uint16_t h) {
  uint32_t bits = (uint32_t)(h & 0x8000) << 16 | (uint32_t)(h & 0x7FFF) << 13;
  if ((h & 0x7C00) == 0x7C00) bits |= 0x7F800000;
  float x;
  COPY(&x, &bits, sizeof x);
  return x * 0x1p112f;  // the biases of the two exponents differ by 112
}

// Halves in memory that are read and written as floats: what `const float*` and `float*` are to floats. The functions
// below have overloads for pointers in simd/ and rows/logits.h.
//
//   HalvesOf     of one format, for the innermost loops
//   AnyHalves    of either format, for all else: a branch for each vector
template <class X, class U> struct HalvesOf {
  U* p;
  ALWAYS HalvesOf operator+(size_t i) const { return {p + i}; }
};
template <class U> struct AnyHalves {
  U* p;
  const HalfFormat* format;
  ALWAYS AnyHalves operator+(size_t i) const { return {p + i, format}; }
  ALWAYS explicit operator bool() const { return p != nullptr; }
  ALWAYS float operator[](size_t i) const { return format->is_brain ? float_of_brain(p[i]) : float_of_half(p[i]); }
};
template <class X, class U> SIMD_INLINE f32x16 load(HalvesOf<X, U> x) { return Format<X>::load(x.p); }
template <class X> SIMD_INLINE void store(HalvesOf<X, uint16_t> y, f32x16 v) { Format<X>::store(y.p, v); }
template <class X> SIMD_INLINE void store_n(HalvesOf<X, uint16_t> y, f32x16 v, size_t n) {
  float floats[16];
  store(floats, v);
  from_floats<X>(floats, y.p, n);
}
template <class U> NEVER_INLINE f32x16 load_n(AnyHalves<U> x, size_t n, float rest) {
  float floats[16];
  store(floats, splat(rest));
  x.format->widen(x.p, floats, n);
  return load(floats);
}
template <class U> SIMD_INLINE f32x16 load(AnyHalves<U> x) {
  return x.format->is_brain ? Format<BF16>::load(x.p) : Format<F16>::load(x.p);
}
SIMD_INLINE void store_n(AnyHalves<uint16_t> y, f32x16 v, size_t n) {
  float floats[16];
  store(floats, v);
  y.format->narrow(floats, y.p, n);
}
SIMD_INLINE void store(AnyHalves<uint16_t> y, f32x16 v) {
  y.format->is_brain ? Format<BF16>::store(y.p, v) : Format<F16>::store(y.p, v);
}

// Writes one element.
SIMD_INLINE void write_at(AnyHalves<uint16_t> y, size_t i, float value) { y.format->narrow(&value, y.p + i, 1); }

// Calls body(x, y) with pointers whose format is known when it is compiled. Both arrays have one format.
template <class T, class U, class Body>
SIMD_INLINE auto in_known_format(AnyHalves<T> x, AnyHalves<U> y, const Body& body) {
  if (x.format->is_brain) return body(HalvesOf<BF16, T>{x.p}, HalvesOf<BF16, U>{y.p});
  return body(HalvesOf<F16, T>{x.p}, HalvesOf<F16, U>{y.p});
}
// The same pointer for code that is large or rarely runs.
template <class X, class U> SIMD_INLINE AnyHalves<U> of_any_format(HalvesOf<X, U> x) { return {x.p, &kFormat<X>}; }
template <class U> SIMD_INLINE AnyHalves<U> of_any_format(AnyHalves<U> x) { return x; }

// A vector as doubles, and doubles as a vector.
SIMD_INLINE void widen(f32x16 v, f64x8* wide) { wide[0] = low_f64(v), wide[1] = high_f64(v); }
SIMD_INLINE void widen(f64x8 v, f64x8* wide) { wide[0] = v; }
SIMD_INLINE f32x16 narrowed(const f64x8* wide, float) { return narrow(wide[0], wide[1]); }
SIMD_INLINE f64x8 narrowed(const f64x8* wide, double) { return wide[0]; }

}  // namespace
