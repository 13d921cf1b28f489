// The weights that sampling counts with: 2^(8 log2(e) (z − max) / T / 8), rounded to a multiple of 2^-bits, so that sums of
// them are exact integers and do not depend on the order in which, or by how many threads, or over which set of candidates
// they are added up. The steps are those of lib/js/sampling/weights.ts, operation by operation, without fma: a filter keeps the
// same tokens and a draw gives the same one on every backend.
#pragma once
#include "../math/exp.h"
#include "../selection/items.h"

namespace {

// bits(2^(j/8)) − j at the third bit below the exponent: see add_shifted.
alignas(64) const uint64_t kRoots[8] = {
    0x3FF0000000000000ull,                         0x3FF172B83C7D517Bull - (1ull << 49), 0x3FF306FE0A31B715ull - (2ull << 49),
    0x3FF4BFDAD5362A27ull - (3ull << 49),          0x3FF6A09E667F3BCDull - (4ull << 49), 0x3FF8ACE5422AA0DBull - (5ull << 49),
    0x3FFAE89F995AD3ADull - (6ull << 49),          0x3FFD5818DCFBA487ull - (7ull << 49),
};
// (2^(r/8) − 1) / r for |r| ≤ ½, interpolated at the Chebyshev nodes: 6 · 10^-13 of the weight.
constexpr double kQ[5] = {0x1.62e42fefa39eep-4, 0x1.ebfbdfdeef54p-9, 0x1.c6b08d664f334p-14, 0x1.3b310637ccccdp-19, 0x1.5d8cfd4cccccdp-25};
// The same with a term less: 2^-32.4 of the weight.
constexpr double kQuick[4] = {0x1.62e42fd9cadf1p-4, 0x1.ebfbdfee13f05p-9, 0x1.c6bb79cc3b6aep-14, 0x1.3b2fc32a37098p-19};

// 8 log2(e) / T; so far a temperature is near enough to zero or to infinity.
SIMD_INLINE double eighths_of(double temperature) {
  double scale = 8 * 0x1.71547652b82fep+0 / temperature;
  return scale < 0x1p1000 ? scale : 0x1p1000;
}

struct Weigher {
  double top, scale, unit = 0x1p46;  // a weight of 1 in integers

  Weigher(double top, double scale, size_t n) : top(top), scale(scale) {
    while ((double)n * unit > 0x1p62) unit /= 2;
  }
  // 2^(…), not rounded yet; 2^-64 for all that lies lower.
  ALWAYS f64x8 exactly(f64x8 z) const {
    const f64x8 shifter = splat(0x1.8p52);
    f64x8 s = max_keep_nan(splat(-512.), mul(sub(z, splat(top)), splat(scale)));
    f64x8 t = add(s, shifter), r = sub(s, sub(t, shifter));
    f64x8 p = splat(kQ[4]);
    UNROLL for (int i = 3; i >= 0; i--) p = add(mul(p, r), splat(kQ[i]));
    return mul(add_shifted(lookup8((const double*)kRoots, t), t), add(mul(p, r), splat(1.)));
  }
  // By fewer steps, and fused: off by 2^-32 of it. Not for what lies deeper than 520 eighths.
  ALWAYS f64x8 nearly(f64x8 z) const {
    const f64x8 shifter = splat(0x1.8p52), steep = splat(scale);
    f64x8 d = sub(z, splat(top)), t = fma(d, steep, shifter), r = fma(d, steep, sub(shifter, t));
    f64x8 p = splat(kQuick[3]), root = add_shifted(lookup8((const double*)kRoots, t), t);
    UNROLL for (int i = 2; i >= 0; i--) p = fma(p, r, splat(kQuick[i]));
    return fma(root, mul(p, r), root);
  }
  ALWAYS f64x8 rounded(f64x8 w) const {
    f64x8 rounding = splat(0x1.8p52 / unit);
    return sub(add(w, rounding), rounding);
  }
  ALWAYS double rounded(double w) const {
    double rounding = 0x1.8p52 / unit;
    return (w + rounding) - rounding;
  }
  ALWAYS f64x8 of(f64x8 z) const { return rounded(exactly(z)); }
  ALWAYS uint64_t integer(double w) const { return (uint64_t)(int64_t)(w * unit); }
  // Rounded, as integers in the lanes of a vector: the lower bits of what `rounded` makes on its way.
  ALWAYS f64x8 integers(f64x8 w) const {
    double rounding = 0x1.8p52 / unit, less;
    uint64_t bits;
    COPY(&bits, &rounding, 8);
    bits = 0 - bits;
    COPY(&less, &bits, 8);
    return add_integers(add(w, splat(rounding)), splat(less));
  }
  // How far a logit is below the largest, in eighths of octaves.
  ALWAYS double distance(double z) const {
    double s = (z - top) * scale;
    return s > -512 ? s : -512;
  }
};

SIMD_INLINE uint64_t sum_integers(f64x8 v) {
  double s[8];
  store(s, v);
  uint64_t integers[8], sum = 0;
  COPY(integers, s, sizeof s);
  for (uint64_t each : integers) sum += each;
  return sum;
}

// The weights of items, rounded.
static void weigh_items(const Weigher& weigher, Item* items, size_t n) {
  for (size_t i = 0; i < n; i += 8) {
    double z[8], w[8];
    size_t left = n - i < 8 ? n - i : 8;
    for (size_t j = 0; j < 8; j++) z[j] = items[i + (j < left ? j : 0)].z;
    store(w, weigher.of(load(z)));
    for (size_t j = 0; j < left; j++) items[i + j].weight = w[j];
  }
}

}  // namespace
