// How a row's values are read. Plain: as they are. Logits: a bias is added, masked positions are −∞, the row's maximum
// is subtracted and the power of two of a far temperature is applied. All of it is exact: a second number carries the
// rounding error of each sum.
//
// A sum of two finite numbers may be too large for the type. `overflowing` finds such sums; x and bias are halved then.
#pragma once
#include "../math/exp.h"
#include "parameters.h"

namespace {

// mask_lanes: a bit for each of the n ≤ 16 mask entries from `at` on.
SIMD_INLINE uint32_t eight_bytes(const uint8_t* p) {
  uint64_t w;
  COPY(&w, p, 8);
  w = (((w & 0x7F7F7F7F7F7F7F7F) + 0x7F7F7F7F7F7F7F7F) | w) &
      0x8080808080808080;  // the upper bit of each byte: not zero
  return (uint32_t)((w >> 7) * 0x0102040810204080 >> 56);
}
NEVER_INLINE uint32_t few_bytes(const uint8_t* p, size_t n) {
  uint32_t lanes = 0;
  for (size_t i = 0; i < n; i++) lanes |= (uint32_t)(p[i] != 0) << i;
  return lanes;
}
SIMD_INLINE uint32_t mask_lanes(const uint8_t* mask, int32_t layout, size_t at, size_t n) {
  if (layout == kMaskBytes || layout == kMaskRowBytes) {
    if (n == 16) return eight_bytes(mask + at) | eight_bytes(mask + at + 8) << 8;
    return n == 8 ? eight_bytes(mask + at) : few_bytes(mask + at, n);
  }
  const uint8_t* p = mask + (at >> 3);
  size_t skip = at & 7;
  uint32_t bits = p[0];
  if (skip + n > 8) bits |= (uint32_t)p[1] << 8;
  if (skip + n > 16) bits |= (uint32_t)p[2] << 16;
  return bits >> skip & ((1u << n) - 1);
}

// Elements of type T where they lie. math/formats.h has the same functions for halves, and says what they do.
template <class T> SIMD_INLINE void write_at(T* y, size_t i, T value) { y[i] = value; }
template <class T> SIMD_INLINE T* of_any_format(T* x) { return x; }
template <class T, class U, class Body> SIMD_INLINE auto in_known_format(T* x, U* y, const Body& body) {
  return body(x, y);
}

// Source is a pointer to elements, or what stands for one where they are halves (formats.h).
template <class T, class Source = const T*> struct Plain {
  static constexpr bool kOneNumber = true;
  Source x;
  ALWAYS auto read(size_t i) const { return load(x + i); }
  ALWAYS auto at(size_t i) const { return read(i); }
  ALWAYS auto at(size_t i, size_t n) const { return any().at_end(i, n); }
  ALWAYS auto at_end(size_t i, size_t n) const { return load_n(x + i, n, x[i]); }  // other lanes: a value of the row
  ALWAYS double exactly(size_t i) const { return (double)x[i]; }
  ALWAYS auto any() const {
    auto same = of_any_format(x);
    return Plain<T, decltype(same)>{same};
  }
};

// a + b as two numbers. The second is 0 if the sum is infinite, and for some sums from kNearEnd on, where the steps of
// its error overflow.
template <class V> SIMD_INLINE Two<V> exact_sum(V a, V b) {
  Two<V> z = two_sum(a, b);
  return {z.x, zero_nan(z.low)};
}
template <class T> constexpr T kNearEnd = sizeof(T) == 4 ? (T)0x1p127 : (T)0x1p1023;
// z + minus. Cancellation may leave a lower part as large as the upper one, so they are added once more.
template <class V> SIMD_INLINE Two<V> difference(Two<V> z, V minus) {
  Two<V> d = exact_sum(z.x, minus);
  return exact_sum(d.x, add(d.low, z.low));
}

// z · k1 · k2. An infinite product has the second number 0.
template <class T, class V> SIMD_INLINE Two<V> scaled_by(Two<V> z, T k1, T k2) {
  V a = splat(k1), b = splat(k2), x = mul(mul(z.x, a), b);
  return {x, zero_below(zero_nan(mul(mul(z.low, a), b)), x, splat(-largest<T>()))};
}

// The lanes of finite numbers with |v| ≥ least.
template <class V, class T> SIMD_INLINE uint32_t finite_from(V v, T least) {
  const V most = splat(infinity<T>()), zero = splat((T)0), size = max_keep_nan(v, sub(zero, v));
  return lanes_above(most, size) & ~lanes_above(splat(least), size);
}
SIMD_INLINE f32x16 half_sum(f32x16 a, f32x16 b) { return add(mul(a, splat(0.5f)), mul(b, splat(0.5f))); }
SIMD_INLINE f64x8 half_sum(f64x8 a, f64x8 b) { return add(mul(a, splat(0.5)), mul(b, splat(0.5))); }
// The lanes of finite numbers whose sum overflows: half the sum is kNearEnd or more.
SIMD_INLINE uint32_t overflowing(f32x16 a, f32x16 b) { return finite_from(half_sum(a, b), kNearEnd<float>); }
SIMD_INLINE uint32_t overflowing(f64x8 a, f64x8 b) { return finite_from(half_sum(a, b), kNearEnd<double>); }

template <class T, class Source = const T*> struct Logits {
  using V = typename ExpTraits<T>::Vector;
  static constexpr size_t W = ExpTraits<T>::kLanes;
  static constexpr bool kOneNumber = false;
  Source x;
  const T* bias = nullptr;
  const uint8_t* mask = nullptr;
  int32_t layout = kNoMask;
  size_t mask_at = 0;  // the mask index of the row's first element
  // far: a value is (x + bias − shift − second) · scale1 · scale2. If the scales are below 1, x and bias are scaled
  // first, as their sums could overflow. halved: sums overflow, so that x and bias are halved, and differences
  // doubled.
  T shift = 0, second = 0, scale1 = 1, scale2 = 1;
  bool far = false, halved = false;

  ALWAYS Two<V> finish(V v, V b, uint32_t lanes) const {
    Two<V> z = {v, splat((T)0)};
    if (far) z = moved(v, b);
    else if (bias) z = exact_sum(v, b);
    if (mask) z = {select_bits(z.x, splat(-infinity<T>()), lanes), select_bits(z.low, splat((T)0), lanes)};
    return z;
  }
  NEVER_INLINE Two<V> moved(V v, V b) const {  // seldom
    const bool down = scale1 < 1;
    const V k1 = splat(down ? scale1 : halved ? (T)0.5 : (T)1), k2 = splat(down ? scale2 : (T)1);
    Two<V> z = {mul(mul(v, k1), k2), splat((T)0)};
    if (bias) z = exact_sum(z.x, mul(mul(b, k1), k2));
    if (shift != 0) z = difference(z, splat(-shift));
    if (second != 0) z = difference(z, splat(-second));
    if (down || (scale1 == 1 && !doubles())) return z;
    return scaled_by(z, doubles() ? 2 * scale1 : scale1, scale2);
  }
  // Halved values are doubled after the maximum has been subtracted.
  ALWAYS bool doubles() const { return halved && shift != 0; }
  // The two factors of a difference.
  Two<double> up() const {
    if (scale1 < 1) return {1, 1};
    return {(halved ? 2. : 1.) * scale1, scale2};
  }
  // Whether a visible sum of two finite numbers among elements [i, i + n) overflows.
  SELDOM bool overflows(size_t i, size_t n) const {
    uint32_t lanes = 0;
    for (size_t end = i + n; bias && i < end; i += W) {
      size_t left = end - i < W ? end - i : W;
      uint32_t visible = mask ? mask_lanes(mask, layout, mask_at + i, left) : (1u << left) - 1;
      lanes |= overflowing(load_n(x + i, left, (T)0), load_n(bias + i, left, (T)0)) & visible;
    }
    return lanes != 0;
  }
  // `read` is always inlined: use it only in the innermost loop; elsewhere call `at`.
  ALWAYS Two<V> read(size_t i) const {
    return finish(load(x + i), bias ? load(bias + i) : splat((T)0),
                  mask ? mask_lanes(mask, layout, mask_at + i, W) : 0);
  }
  NEVER_INLINE Two<V> at(size_t i) const { return read(i); }
  NEVER_INLINE Two<V> at(size_t i, size_t n) const {
    return finish(load_n(x + i, n, x[i]), bias ? load_n(bias + i, n, bias[i]) : splat((T)0),
                  mask ? mask_lanes(mask, layout, mask_at + i, n) : 0);
  }
  ALWAYS const Logits& any() const { return *this; }
  ALWAYS double exactly(size_t i) const {
    T high[W], low[W];
    Two<V> z = at(i, 1);
    store(high, z.x), store(low, z.low);
    return (double)high[0] + (double)low[0];
  }
};

// The mask and the bias of a call.
template <class T> struct Extras : MaskAndBias<T> {
  Extras(const Mask& mask, Slice<const T> bias) : MaskAndBias<T>{mask, bias} {}
  explicit Extras(const LogitRows<T>& rows) : Extras(rows.mask, rows.bias) {}
  explicit Extras(const MaskAndBias<T>& both) : MaskAndBias<T>(both) {}

  bool any() const { return has_mask() || this->bias.data; }
  bool has_mask() const { return this->mask.layout != kNoMask; }
  bool shared_mask() const { return this->mask.layout == kMaskRowBytes || this->mask.layout == kMaskRowBits; }
  // The unmasked lanes of elements [i, i + n): of columns from `column` on, or (across) of n rows in that column.
  NEVER_INLINE uint32_t lanes(size_t i, size_t column, size_t n, bool across) const {
    bool shared = shared_mask(), one = shared && across;
    uint32_t some = mask_lanes(this->mask.data, this->mask.layout, shared ? column : i, one ? 1 : n);
    return one && some ? (1u << n) - 1 : some;
  }
  template <class Source> Logits<T, Source> row(Source x, size_t index, size_t cols) const {
    const Slice<const T>& bias = this->bias;
    const T* own = bias.data && bias.length != cols ? bias.data + index * cols : bias.data;
    return {x, own, has_mask() ? this->mask.data : nullptr, this->mask.layout, shared_mask() ? 0 : index * cols};
  }
};

}  // namespace
