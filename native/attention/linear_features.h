// Linear attention: the feature maps φ, and how a state lies in memory.
//
// A state of one key/value head is a row of doubles: S = Σ φ(k)·vᵀ [depth][value_depth], z = Σ φ(k) [depth], then
// Σ v [value_depth]. φ is computed in double, max error 2 ULP, so that two states add without further loss.
#pragma once
#include "../math/exp.h"
#include "../math/sum.h"
#include "../rows/run.h"

namespace {

// Numbered as in lib/attention/linear-options.ts. kElu is elu(x) + 1: e^x up to 0, x + 1 above.
enum { kElu = 0, kIdentity = 1, kExp = 2, kRelu = 3 };

// Doubles that stand beside one another in a call, in whole vectors.
SIMD_INLINE size_t feature_vectors(size_t n) { return (n + 7) / 8 * 8; }
SIMD_INLINE size_t least(size_t a, size_t b) { return a < b ? a : b; }

// The state of one head.
template <class T> struct HeadState {
  T *products, *features, *values;
  static size_t length(const LinearSizes& s) { return s.depth * s.value_depth + s.depth + s.value_depth; }
  HeadState(T* all, const LinearSizes& s, size_t head)
      : products(all + head * length(s)),
        features(products + s.depth * s.value_depth),
        values(features + s.depth) {}
};

// e^z in double, ∞ above the range, 0 below 2^-1020. e^0 is 1.
struct Exponential {
  static constexpr int kShift = 2;  // q stays two octaves lower, so that no finite e^z overflows on its way
  const ExpScale<double> scale = ExpScale<double>::of(1);
  const ExpVector<double> vector{scale, (double)(ExpTraits<double>::kBias + kShift)};
  const double high = 4 / ExpTraits<double>::kG;
  const double low = FUSED_F64(-high, ExpTraits<double>::kG / 4, 1.0) * high;

  ALWAYS f64x8 of(f64x8 z) const {
    const uint32_t above = lanes_above(z, splat(0x1.62e42fefa39efp+9));
    f64x8 t;
    const f64x8 q = exp_below<true>(vector, select_bits(splat(0.), z, above), t);
    return select_bits(splat(infinity<double>()), fma(q, splat(high), mul(q, splat(low))), above);
  }
};

// φ of `rows` rows of n floats, `stride` apart, as rows of feature_vectors(n) doubles, 0 behind n.
static NEVER_INLINE void map_features(const FeatureMap& map, const float* x, size_t rows, size_t stride, size_t n,
                                      double* out) {
  const Exponential exponential;
  const f64x8 zero = splat(0.), scale = splat(map.scale);
  for (size_t r = 0; r < rows; r++, x += stride) {
    for (size_t i = 0; i < n; i += 8, out += 8) {
      const size_t used = least(n - i, 8);
      const f64x8 z = mul(low_f64(load_n(x + i, used, 0)), scale);
      f64x8 y = z;
      if (map.kind == kExp) y = exponential.of(z);
      if (map.kind == kElu) y = select_bits(exponential.of(z), add(z, splat(1.)), lanes_above(zero, z));
      if (map.kind == kRelu) y = select_bits(zero, z, lanes_above(zero, z));
      store(out, first_n(y, used));
    }
  }
}

}  // namespace
