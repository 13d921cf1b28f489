// Reads a row of any stored type as floats or doubles, with its mask and bias.
#pragma once
#include "../math/formats.h"
#include "buffer.h"
#include "logits.h"

namespace {

// Reads logits stored as X as the type that selection computes with: halves as floats, a row at a time.
template <class X> struct LogitReader {
  using Float = Stored<X>;
  static const Float* read(const Float* x, size_t, Buffer<Float>&) { return x; }
};
template <class X> struct HalfLogitReader {
  using Float = float;
  // Returns null without memory.
  static const float* read(const uint16_t* x, size_t n, Buffer<float>& memory) {
    float* floats = memory.need(n);
    if (floats) to_floats<X>(x, floats, n);
    return floats;
  }
};
template <> struct LogitReader<F16> : HalfLogitReader<F16> {};
template <> struct LogitReader<BF16> : HalfLogitReader<BF16> {};

// Memory for reading rows. Doubles are read where they lie: `unused` stays empty.
struct RowMemory {
  Buffer<float> floats, float_bias, float_tops;
  Buffer<double> doubles, unused, double_tops;
  explicit RowMemory(const Run& run)
      : floats(run), float_bias(run), float_tops(run), doubles(run), unused(run), double_tops(run) {}
  Buffer<float>& logits(float) { return floats; }
  Buffer<double>& logits(double) { return unused; }
  Buffer<float>& group_tops(float) { return float_tops; }
  Buffer<double>& group_tops(double) { return double_tops; }
  Buffer<float>& bias(float) { return float_bias; }
  Buffer<double>& bias(double) { return unused; }
};
// Returns a row of doubles with its bias added and −∞ where it is masked; null without memory. If a sum of two finite
// numbers overflows, it returns quarters of the row and sets is_quartered: distances of such sums may overflow as well.
template <class X, bool kQuarter = false>
const double* apply_mask_and_bias(RowMemory& memory, const Extras<Stored<X>>& extras,
                                  const typename LogitReader<X>::Float* logits, size_t cols, size_t index,
                                  bool& is_quartered) {
  using T = typename LogitReader<X>::Float;
  constexpr size_t W = ExpTraits<T>::kLanes, kWide = W / 8;
  double* out = memory.doubles.need(cols);
  bool is_shared = extras.bias.length == cols;
  const T* bias = extras.bias.data
                      ? LogitReader<X>::read(extras.bias.data + (is_shared ? 0 : index * cols), cols, memory.bias(T()))
                      : nullptr;
  if (!out || (extras.bias.data && !bias)) return nullptr;
  size_t mask_at = extras.shared_mask() ? 0 : index * cols;
  uint32_t overflows = 0;
  for (size_t i = 0; i < cols; i += W) {
    size_t left = cols - i < W ? cols - i : W;
    f64x8 z[kWide], b[kWide];
    uint32_t lanes = !extras.has_mask() ? 0xFFFF : mask_lanes(extras.mask.data, extras.mask.layout, mask_at + i, left);
    widen(left < W ? load_n(logits + i, left, (T)0) : load(logits + i), z);
    if (kQuarter) UNROLL for (size_t p = 0; p < kWide; p++) z[p] = mul(z[p], splat(0.25));
    if (bias) {
      widen(left < W ? load_n(bias + i, left, (T)0) : load(bias + i), b);
      if (sizeof(T) == 8 && !kQuarter) overflows |= overflowing(z[0], b[0]) & lanes;
      UNROLL for (size_t p = 0; p < kWide; p++) z[p] = add(z[p], kQuarter ? mul(b[p], splat(0.25)) : b[p]);
    }
    for (size_t p = 0; p < kWide && 8 * p < left; p++) {
      f64x8 v = select_bits(z[p], splat(-infinity<double>()), lanes >> 8 * p & 0xFF);
      left - 8 * p < 8 ? store_n(out + i + 8 * p, v, left - 8 * p) : store(out + i + 8 * p, v);
    }
  }
  is_quartered = kQuarter;
  if constexpr (sizeof(T) == 8 && !kQuarter)
    if (overflows) return apply_mask_and_bias<X, true>(memory, extras, logits, cols, index, is_quartered);
  return out;
}

}  // namespace
