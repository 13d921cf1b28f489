// The weights of scores that are not raw, and the sums of a part: members of QueryBlock (attention_block.h).
//
// adjusted_weights computes large and changed scores in double, and raises the row's exponent where they need it.
// fold adds a finished part to the sums of the parts before it.
#pragma once
#include "attention_block.h"

namespace {

// Returns the weights of any scores of row r, from doubles where a float would not do. A score of +∞ weighs +∞.
// `exact` has the row's products in double, or is null.
f32x16 QueryBlock::adjusted_weights(const Tile& tile, size_t r, size_t key, f32x16 z, uint32_t lanes,
                                    const double* exact) {
  const Query& query = queries[r];
  QuerySum& sum = sums[r];
  f32x16 x = select_bits(z, splat(0.f), lanes);
  uint32_t large = lanes_above(x, splat(kLargestRaw)) | lanes_above(splat(-kLargestRaw), x);
  if (scoring.is_uncapped() && query.has_raw_scores && sum.is_begun && sum.part_exponent < 0x1p20 &&
      sum.part_exponent > -0x1p20)
    large &= lanes_above(x, splat((float)(sum.part_exponent - kNear)));
  if (query.wants_exact) large = lanes;
  f64x8 y[2] = {low_f64(x), high_f64(x)};
  double scores[kTile];
  if (large || any_nan(x)) {
    if (!exact) {
      functions.score_exactly(tile.keys, &query.q, 1, scoring.depth, scores);
      exact = scores;
    }
    f32x16 scales = tile.scales ? load(tile.scales) : splat(1.f);
    y[0] = mul(load(exact), mul(low_f64(scales), splat(scoring.scale)));
    y[1] = mul(load(exact + 8), mul(high_f64(scales), splat(scoring.scale)));
  }
  for (size_t i = 0; i < 2 && !scoring.is_uncapped(); i++) y[i] = cap(y[i]);
  if (query.slope != 0 || query.bias) add_slope_and_bias(query, key, lanes, y);
  f64x8 infinite = splat(infinity<double>()), highest = splat(-infinity<double>());
  uint32_t above[2];
  for (size_t i = 0; i < 2; i++) {
    y[i] = select_bits(y[i], splat(-infinity<double>()), lanes >> 8 * i & 0xFF);
    above[i] = lanes_above(y[i], splat(0x1.fffffffffffffp+1023));
    highest = max_skip_nan(highest, select_bits(splat(-infinity<double>()), y[i], above[i]));
  }
  double largest = reduce_max(highest);
  if (largest > -infinity<double>() && (!sum.is_begun || largest > sum.part_exponent + kHeadroom))
    raise_exponent(r, largest);
  f64x8 rest[2];
  for (size_t i = 0; i < 2; i++) {
    f64x8 d = sub(y[i], splat(sum.part_exponent));
    rest[i] = select_bits(sub(splat(0.), infinite), d, lanes_above(splat(-1000.), d));
  }
  f32x16 high = narrow(rest[0], rest[1]), t;
  f32x16 low = narrow(zero_nan(sub(rest[0], low_f64(high))), zero_nan(sub(rest[1], high_f64(high))));
  f32x16 row_weights =
      exp_below<false>(ExpVector<float>(base_two(), ExpTraits<float>::kBias), Two<f32x16>{high, low}, t);
  return select_bits(splat(infinity<float>()), row_weights, above[0] | above[1] << 8);
}
// Adds the slope's share and the bias to the scores of visible keys, of which `key` is the first.
void QueryBlock::add_slope_and_bias(const Query& query, size_t key, uint32_t lanes, f64x8* y) {
  double scores[kTile];
  for (size_t i = 0; i < 2; i++) store(scores + 8 * i, y[i]);
  for (; lanes; lanes &= lanes - 1) {
    size_t i = lowest_bit(lanes);
    if (query.slope != 0) scores[i] -= query.slope * distance(query.position, (double)(key + i));
    if (query.bias) scores[i] += query.bias[key + i] * kLog2E;
  }
  for (size_t i = 0; i < 2; i++) y[i] = load(scores + 8 * i);
}
inline double QueryBlock::distance(double a, double b) { return a > b ? a - b : b - a; }
// Returns softcap · tanh(z / softcap).
inline f64x8 QueryBlock::cap(f64x8 z) const {
  double inverse = scoring.softcap > 0x1p-1020 ? 1 / scoring.softcap : 0x1p1020;  // always finite
  return mul(tanh_f64(mul(z, splat(inverse))), splat(scoring.softcap));
}

// Raises a row's exponent to a new largest score. The part's sums are scaled by an exact power of two.
void QueryBlock::raise_exponent(size_t r, double largest) {
  QuerySum& sum = sums[r];
  double exponent = largest < 0x1p51 && largest > -0x1p51 ? nearest(largest) : largest;
  if (sum.is_begun) {
    f32x16 factor = splat((float)(exponent - sum.part_exponent > 140 ? 0 : pow2((int)(sum.part_exponent - exponent))));
    for (float* x = part_values_of(r); x < part_values_of(r) + scoring.width; x += kTile)
      store(x, mul(load(x), factor));
    store(part_weights_of(r), mul(load(part_weights_of(r)), factor));
  }
  sum.set_exponent(exponent, true);
}

// Returns the sum of a row's weights in the current part. NaN and +∞ stay.
inline double QueryBlock::part_sum(size_t r) const {
  f32x16 x = load(part_weights_of(r));
  return reduce_add(add(low_f64(x), high_f64(x)));
}
// Adds a part's weights and weighted values to the sums of the parts before it.
inline void QueryBlock::fold(QuerySum& sum, double* totals, double part_sum, double part_exponent,
                             const float* part_values, size_t width) {
  if (part_sum == 0) return;  // no key has weight
  double highest = sum.has_parts && sum.exponent > part_exponent ? sum.exponent : part_exponent;
  double old_factor = sum.has_parts ? power(sum.exponent - highest, sum.mantissa) : 0;
  double part_factor = power(part_exponent - highest, part_sum);
  auto add_to = [&](double* total, f64x8 x) ALWAYS_LAMBDA {
    store(total, fma(x, splat(part_factor), sum.has_parts ? mul(load(total), splat(old_factor)) : splat(0.)));
  };
  for (size_t c = 0; c < width; c += kTile) {
    f32x16 x = load(part_values + c);
    add_to(totals + c, low_f64(x));
    add_to(totals + c + 8, high_f64(x));
  }
  sum.mantissa = FUSED_F64(part_sum, part_factor, sum.mantissa * old_factor);
  sum.exponent = highest;
  sum.has_parts = true;
}
// Returns the factor 2^n, n ≤ 0, for a number. The factor is 1 for an infinite number or a NaN, which stay.
inline double QueryBlock::power(double n, double number) {
  return number - number != 0 ? 1 : n < -1000 ? 0 : pow2((int)n);
}

}  // namespace
