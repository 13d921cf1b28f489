// The weights with which sampling counts tokens: exp((z − top) / T), rounded to multiples of a power of two.
//
// Sums of such weights are exact integers. They do not depend on the order of addition, on the threads, or on which
// other tokens were considered. lib/sampling/weights.ts has the same steps, operation by operation, without fma: a
// filter keeps the same tokens, and a draw gives the same token, on every backend.
#pragma once
#include "../math/exp.h"
#include "../rows/items.h"

namespace {

// bits(2^(j/8)) − j at the third bit below the exponent: see add_shifted.
alignas(64) const uint64_t kRoots[8] = {
    0x3FF0000000000000ull,
    0x3FF172B83C7D517Bull - (1ull << 49),
    0x3FF306FE0A31B715ull - (2ull << 49),
    0x3FF4BFDAD5362A27ull - (3ull << 49),
    0x3FF6A09E667F3BCDull - (4ull << 49),
    0x3FF8ACE5422AA0DBull - (5ull << 49),
    0x3FFAE89F995AD3ADull - (6ull << 49),
    0x3FFD5818DCFBA487ull - (7ull << 49),
};
// (2^(r/8) − 1) / r for |r| ≤ ½, interpolated at the Chebyshev nodes. Max error: 6 · 10^-13 of the weight.
constexpr double kExactTerms[5] = {0x1.62e42fefa39eep-4, 0x1.ebfbdfdeef54p-9, 0x1.c6b08d664f334p-14,
                                   0x1.3b310637ccccdp-19, 0x1.5d8cfd4cccccdp-25};
// The same function with one term less. Max error: 2^-32.4 of the weight.
constexpr double kApproximateTerms[4] = {0x1.62e42fd9cadf1p-4, 0x1.ebfbdfee13f05p-9, 0x1.c6bb79cc3b6aep-14,
                                         0x1.3b2fc32a37098p-19};

// Returns 8 log2(e) / T, at most 2^1000: a temperature beyond that acts as 0.
SIMD_INLINE double eighths_per_logit(double temperature) {
  double eighths = 8 * 0x1.71547652b82fep+0 / temperature;
  return eighths < 0x1p1000 ? eighths : 0x1p1000;
}

// The weights of a row's tokens. `top` is the row's largest logit; its weight is 1.
struct TokenWeights {
  double top, eighths, integer_of_one = 0x1p46;  // eighths of octaves in a logit of 1; a weight of 1 as an integer

  // The weights of n tokens sum to at most 2^62.
  TokenWeights(double top, double eighths, size_t n) : top(top), eighths(eighths) {
    while ((double)n * integer_of_one > 0x1p62) integer_of_one /= 2;
  }
  // Returns weights before rounding; 2^-64 for all lower logits. Max error: that of kExactTerms.
  ALWAYS f64x8 exact(f64x8 z) const {
    const f64x8 shifter = splat(0x1.8p52);
    f64x8 s = max_keep_nan(splat(-512.), mul(sub(z, splat(top)), splat(eighths)));
    f64x8 t = add(s, shifter), r = sub(s, sub(t, shifter));
    f64x8 p = splat(kExactTerms[4]);
    UNROLL for (int i = 3; i >= 0; i--) p = add(mul(p, r), splat(kExactTerms[i]));
    return mul(add_shifted(lookup8((const double*)kRoots, t), t), add(mul(p, r), splat(1.)));
  }
  // Returns weights by fewer, fused steps, for logits at most 520 eighths below `top`. Max error: 2^-32 of the weight.
  ALWAYS f64x8 approximate(f64x8 z) const {
    const f64x8 shifter = splat(0x1.8p52), steep = splat(eighths);
    f64x8 d = sub(z, splat(top)), t = fma(d, steep, shifter), r = fma(d, steep, sub(shifter, t));
    f64x8 p = splat(kApproximateTerms[3]), root = add_shifted(lookup8((const double*)kRoots, t), t);
    UNROLL for (int i = 2; i >= 0; i--) p = fma(p, r, splat(kApproximateTerms[i]));
    return fma(root, mul(p, r), root);
  }
  // Rounds weights to multiples of 1 / integer_of_one.
  ALWAYS f64x8 round(f64x8 w) const {
    f64x8 rounding = splat(0x1.8p52 / integer_of_one);
    return sub(add(w, rounding), rounding);
  }
  ALWAYS double round(double w) const {
    double rounding = 0x1.8p52 / integer_of_one;
    return (w + rounding) - rounding;
  }
  ALWAYS f64x8 rounded(f64x8 z) const { return round(exact(z)); }
  // Returns a rounded weight, or a sum of them, as an integer.
  ALWAYS uint64_t to_integer(double w) const { return (uint64_t)(int64_t)(w * integer_of_one); }
  // Rounds weights and returns them as integers in the lanes of a vector: the lower bits of the sum that `round` makes.
  ALWAYS f64x8 to_integers(f64x8 w) const {
    double rounding = 0x1.8p52 / integer_of_one, less;
    uint64_t bits;
    COPY(&bits, &rounding, 8);
    bits = 0 - bits;
    COPY(&less, &bits, 8);
    return add_integers(add(w, splat(rounding)), splat(less));
  }
  // Returns how far a logit is from the top, in eighths of octaves: from -512 to 0.
  ALWAYS double distance(double z) const {
    double s = (z - top) * eighths;
    return s > -512 ? s : -512;
  }
};

// Returns the sum of integers in the lanes of a vector.
SIMD_INLINE uint64_t sum_integers(f64x8 v) {
  double s[8];
  store(s, v);
  uint64_t integers[8], sum = 0;
  COPY(integers, s, sizeof s);
  for (uint64_t each : integers) sum += each;
  return sum;
}

// Sets the rounded weights of items.
static void weigh_items(const TokenWeights& weights, Item* items, size_t n) {
  for (size_t i = 0; i < n; i += 8) {
    double z[8], w[8];
    size_t left = n - i < 8 ? n - i : 8;
    for (size_t j = 0; j < 8; j++) z[j] = items[i + (j < left ? j : 0)].z;
    store(w, weights.rounded(load(z)));
    for (size_t j = 0; j < left; j++) items[i + j].weight = w[j];
  }
}

}  // namespace
