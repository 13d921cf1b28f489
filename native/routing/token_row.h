// One token's logits, one an expert: read as floats in whole vectors, and their exponentials in double.
//
// Distances from the largest logit are at most 0, so that one exponent serves every token.
#pragma once
#include "../math/formats.h"
#include "../rows/buffer.h"
#include "../rows/scan.h"

namespace {

// How scores come from logits, and what weights are relative to, numbered as in lib/routing/options.ts.
enum { kSoftmaxScore = 0, kSigmoidScore = 1 };
enum { kPlainWeights = 0, kWeightsOverSum = 1, kWeightsOverLogits = 2 };
// Why a token has no route.
enum { kIsRouted = 0, kTokenHasNaN = 1, kTokenIsInfinite = 2, kTokenHasTooFew = 3 };

// Below this logit a sigmoid is the exponential itself, to the last bit of a double.
constexpr float kSigmoidIsExp = -600;
// An exponential of distance 0.
constexpr double kOne = ExpTraits<double>::kG * 0x1p513;
static_assert(ExpTraits<double>::kBias == 513, "the power of two in kOne");

SIMD_INLINE size_t whole_vectors(size_t n) { return (n + 15) / 16 * 16; }
SIMD_INLINE ExpVector<double> unit_exp() { return ExpVector<double>(ExpScale<double>::of(1), 0); }

// Whether a token's logits are read where they are: floats in whole vectors.
template <class X> bool is_read_in_place(size_t n) { return sizeof(Stored<X>) == 4 && n % 16 == 0; }
// Returns a token's logits with −∞ behind them, up to a whole vector: in `floats`, or where they are.
template <class X> const float* read_token(const Stored<X>* x, size_t n, float* floats) {
  if constexpr (sizeof *x == 4) {
    if (is_read_in_place<X>(n)) return x;
  }
  if constexpr (sizeof *x == 4) COPY(floats, x, n * sizeof *x);
  else to_floats<X>(x, floats, n);
  for (size_t i = n; i < whole_vectors(n); i++) floats[i] = -infinity<float>();
  return floats;
}
// The same in memory that grows. Null without it.
template <class X> const float* read_token(const Stored<X>* x, size_t n, Buffer<float>& memory) {
  float* floats = is_read_in_place<X>(n) ? nullptr : memory.need(whole_vectors(n));
  return floats || is_read_in_place<X>(n) ? read_token<X>(x, n, floats) : nullptr;
}
template <class X> void write_token(const float* from, Stored<X>* to, size_t n) {
  if constexpr (sizeof *to == 4) COPY(to, from, n * sizeof *to);
  else from_floats<X>(from, to, n);
}

// The findings of one reading: the largest logit of each lane and of all, and whether a logit is NaN.
struct TokenScan {
  f32x16 lane_tops;
  float top;
  bool has_nan;
};
SIMD_INLINE TokenScan scan_token(const float* x, size_t n) {
  const f32x16 bottom = splat(-infinity<float>()), high = splat(infinity<float>());
  f32x16 a = bottom, b = bottom, non_finite = splat(0.f);
  size_t i = 0;
  for (; i + 32 <= n; i += 32) {
    f32x16 v = load(x + i), w = load(x + i + 16);
    a = max_skip_nan(a, v);
    b = max_skip_nan(b, w);
    non_finite = or_bits(non_finite, zero_below(v, v, high), zero_below(w, w, high));
  }
  for (; i < n; i += 16) {
    f32x16 v = load(x + i);
    a = max_skip_nan(a, v);
    non_finite = or_bits(non_finite, zero_below(v, v, high), non_finite);
  }
  f32x16 tops = max_skip_nan(a, b);
  TokenScan scan = {tops, reduce_max(tops), false};
  if (any_bits(non_finite, 0xFFFFFFFF)) scan.has_nan = has_nan<float>(Plain<float>{x}, 0, n);
  return scan;
}
// Returns what keeps a token of this scan from being routed. Sigmoids of +∞ are 1; no other weights have a limit there.
SIMD_INLINE int32_t status_of(const TokenScan& scan, int32_t score, int32_t normalize) {
  if (scan.has_nan) return kTokenHasNaN;
  bool is_bounded = score == kSigmoidScore && normalize != kWeightsOverLogits;
  return scan.top == infinity<float>() && !is_bounded ? kTokenIsInfinite : kIsRouted;
}

// Σ exp(x − reference) over a token, in units of kOne. sum 0: there is no logit above −∞.
struct TokenSum {
  double sum = 0, reference = 0;
};
// Sums a whole number of vectors whose largest logit `top` is finite. Max error: 1.4 · 2⁻²⁴.
SIMD_INLINE TokenSum sum_exponentials(const float* x, size_t n, float top) {
  using X = ExpTraits<float>;
  f64x8 low = splat(0.), high = low;
  double octave = nearest((double)top * kLog2E);
  if (8 * kLog2E * (top < 0 ? -top : top) <= X::kLimit) {
    // All terms are relative to the octave of the largest. What lies below the window counts as next to nothing.
    const ExpVector<float> e(ExpScale<float>::of(1), octave);
    for (size_t i = 0; i < n; i += 16) {
      f32x16 bits, q = exp_inside<true>(e, raise_to(e.low, load(x + i)), bits);
      low = add(low, low_f64(q));
      high = add(high, high_f64(q));
    }
    constexpr double kFloatOne = X::kG * 0x1p33;
    static_assert(X::kBias == 33, "the power of two in kFloatOne");
    return {reduce_add(add(low, high)) * (kOne / kFloatOne), octave * 0x1.62e42fefa39efp-1};
  }
  const ExpVector<double> e = unit_exp();
  const f64x8 t = splat((double)top);
  for (size_t i = 0; i < n; i += 16) {
    f32x16 v = load(x + i);
    low = add(low, exp_for_float(e, sub(low_f64(v), t)));
    high = add(high, exp_for_float(e, sub(high_f64(v), t)));
  }
  return {reduce_add(add(low, high)), (double)top};
}
// Writes exp(x − top) in units of kOne, and returns their sum. Max error of a term: some units of the last place.
static NEVER_INLINE double write_exponentials(const float* x, size_t n, double top, double* terms) {
  const ExpVector<double> e = unit_exp();
  const f64x8 t = splat(top);
  f64x8 low = splat(0.), high = low, bits;
  for (size_t i = 0; i < n; i += 16) {
    f32x16 v = load(x + i);
    f64x8 a = exp_below<true>(e, sub(low_f64(v), t), bits), b = exp_below<true>(e, sub(high_f64(v), t), bits);
    store(terms + i, a);
    store(terms + i + 8, b);
    low = add(low, a);
    high = add(high, b);
  }
  return reduce_add(add(low, high));
}

// σ(x) and σ(−x).
struct Sigmoids {
  f64x8 score, complement;
};
SIMD_INLINE Sigmoids sigmoids_of(const ExpVector<double>& e, f64x8 x) {
  const f64x8 zero = splat(0.), one = splat(1.);
  uint32_t negative = lanes_above(zero, x);
  f64x8 bits, size = select_bits(x, sub(zero, x), negative);  // −|x|
  f64x8 term = mul(exp_below<true>(e, size, bits), splat(1 / kOne));
  f64x8 large = div(one, add(one, term)), small = mul(term, large);
  return {select_bits(small, large, negative), select_bits(large, small, negative)};
}
// Writes σ(x), and σ(−x) unless `complements` is null. Returns the sum of σ(x).
static NEVER_INLINE double write_sigmoids(const float* x, size_t n, double* scores, double* complements) {
  const ExpVector<double> e = unit_exp();
  f64x8 sum = splat(0.);
  for (size_t i = 0; i < n; i += 16) {
    f32x16 v = load(x + i);
    Sigmoids low = sigmoids_of(e, low_f64(v)), high = sigmoids_of(e, high_f64(v));
    store(scores + i, low.score);
    store(scores + i + 8, high.score);
    if (complements) {
      store(complements + i, low.complement);
      store(complements + i + 8, high.complement);
    }
    sum = add(sum, add(low.score, high.score));
  }
  return reduce_add(sum);
}

}  // namespace
