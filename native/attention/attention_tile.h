// Attention on one tile: sixteen keys of one key/value head, and query rows that share it.
//
// Keys lie transposed in a tile, [depth][16], a key a lane: a score is a chain of fmas with the query's numbers broadcast,
// and no lane is ever added to another. Values lie as rows behind them, so that a cache is read as one stream of bytes: on
// its own that brought 85 % of a core's read bandwidth, where two interleaved streams with prefetching brought 55.
#pragma once
#include "../math/formats.h"
#include "../rows/logits.h"

namespace {

constexpr size_t kTile = 16;  // keys, a lane each

// A tile as it lies in memory: keys [depth][16], values as sixteen rows `stride` apart, padded to whole vectors. `scales`:
// sixteen of the keys and sixteen of the values, or null.
struct Tile {
  const void *k, *v;
  size_t stride;
  const float* scales;
};

// z[r] = Σ_d q[d][r] · k[d] for R of the kRows rows in q, in two chains: of even d and of odd d.
template <class E, int R, int kRows> SIMD_INLINE void some_scores(const typename E::T* k, const float* q, size_t depth, f32x16* z) {
  f32x16 a[R], b[R];
  UNROLL
  for (int r = 0; r < R; r++) a[r] = b[r] = splat(0.f);
  auto step = [&](size_t d, f32x16* s) ALWAYS_LAMBDA {
    f32x16 x = E::load(k + d * kTile);
    UNROLL
    for (int r = 0; r < R; r++) s[r] = fma(x, splat(q[d * kRows + r]), s[r]);
  };
  size_t d = 0;
  for (; d + 4 <= depth; d += 4) step(d, a), step(d + 1, b), step(d + 2, a), step(d + 3, b);
  for (; d + 2 <= depth; d += 2) step(d, a), step(d + 1, b);
  if (d < depth) step(d, a);
  UNROLL
  for (int r = 0; r < R; r++) z[r] = add(a[r], b[r]);
}
template <class E, int R> void scores(const void* k, const float* q, size_t depth, float* z) {
  constexpr int kPass = kVectors < 32 && R > 2 ? 2 : R;  // what registers hold
  for (int r = 0; r < R; r += kPass) {
    f32x16 some[kPass];
    some_scores<E, kPass, R == 8 ? 16 : R>((const typename E::T*)k, q + r, depth, some);
    UNROLL
    for (int i = 0; i < kPass; i++) store(z + (r + i) * kTile, some[i]);
  }
}

// acc[r] += Σ_key w[r][key] · v[key] for J vectors, a tile's sixteen first summed by themselves.
template <class E, int R, int J> SIMD_INLINE void some_values(const typename E::T* v, size_t stride, const float* w, float* acc, size_t width) {
  f32x16 s[R][J];
  UNROLL
  for (int r = 0; r < R; r++)
    UNROLL
    for (int j = 0; j < J; j++) s[r][j] = splat(0.f);
  for (size_t key = 0; key < kTile; key++) {
    f32x16 weight[R];
    UNROLL
    for (int r = 0; r < R; r++) weight[r] = splat(w[r * kTile + key]);
    UNROLL
    for (int j = 0; j < J; j++) {
      f32x16 x = E::load(v + key * stride + kTile * j);
      KEEP(x);
      UNROLL
      for (int r = 0; r < R; r++) s[r][j] = fma(x, weight[r], s[r][j]);
    }
  }
  UNROLL
  for (int r = 0; r < R; r++)
    UNROLL
    for (int j = 0; j < J; j++) store(acc + r * width + kTile * j, add(load(acc + r * width + kTile * j), s[r][j]));
}
template <class E, int R> void values(const void* from, size_t stride, const float* w, float* acc, size_t width) {
  const typename E::T* v = (const typename E::T*)from;
  // Where floats are few to a read, they are read in their order. Else four rows share what was read, and converted.
  constexpr bool kInOrder = sizeof(typename E::T) == 4 && R < 8;
  constexpr int J = kVectors >= 32 && kInOrder ? 8 : 4, kMost = kVectors < 32 ? 1 : kInOrder ? 2 : 4, kPass = R < kMost ? R : kMost;
  for (int r = 0; r < R; r += kPass) {
    size_t at = 0;
    for (; at + J * kTile <= width; at += J * kTile) some_values<E, kPass, J>(v + at, stride, w + r * kTile, acc + r * width + at, width);
    for (; J > 4 && at + 4 * kTile <= width; at += 4 * kTile) some_values<E, kPass, 4>(v + at, stride, w + r * kTile, acc + r * width + at, width);
    for (; at < width; at += kTile) some_values<E, kPass, 1>(v + at, stride, w + r * kTile, acc + r * width + at, width);
  }
}
// The same of one row, of the keys whose bit is set alone: what the others hold does not matter.
template <class E> void values_of_lanes(const void* from, size_t stride, const float* w, uint32_t lanes, float* acc, size_t width) {
  const typename E::T* v = (const typename E::T*)from;
  for (size_t at = 0; at < width; at += kTile) {
    f32x16 s = splat(0.f);
    for (size_t key = 0; key < kTile; key++)
      if (lanes >> key & 1) s = fma(E::load(v + key * stride + at), splat(w[key]), s);
    store(acc + at, add(load(acc + at), s));
  }
}

// The scores of one row with no rounding to speak of, for those that are large.
template <class E> void exact_scores(const void* k, const float* q, size_t depth, double* z) {
  f64x8 low = splat(0.), high = low;
  for (size_t d = 0; d < depth; d++) {
    f32x16 x = E::load((const typename E::T*)k + d * kTile);
    f64x8 y = splat((double)q[d]);
    low = fma(low_f64(x), y, low), high = fma(high_f64(x), y, high);
  }
  store(z, low), store(z + 8, high);
}

// A value as floats, `width` of them in whole vectors.
template <class E> void value(const void* from, size_t width, float* out) {
  for (size_t at = 0; at < width; at += kTile) store(out + at, E::load((const typename E::T*)from + at));
}

// All that depends on how keys and values are stored, of 1, 2, 4 and 8 rows together.
struct Reading {
  size_t bytes;  // of a number
  void (*scores[4])(const void* k, const float* q, size_t depth, float* z);
  void (*values[4])(const void* v, size_t stride, const float* w, float* acc, size_t width);
  void (*values_of_lanes)(const void* v, size_t stride, const float* w, uint32_t lanes, float* acc, size_t width);
  void (*exact_scores)(const void* k, const float* q, size_t depth, double* z);
  void (*value)(const void* v, size_t width, float* out);
};
template <class E> constexpr Reading kReading = {
    sizeof(typename E::T), {scores<E, 1>, scores<E, 2>, scores<E, 4>, scores<E, 8>}, {values<E, 1>, values<E, 2>, values<E, 4>, values<E, 8>},
    values_of_lanes<E>, exact_scores<E>, value<E>,
};

// tanh(x) = sign(x) · (1 − E) / (1 + E), E = exp(−2|x|). Max error: about 1e-16, which is much of a small x, as of a score
// below a large softcap: below 2^-10 it is x − x³/3 + 2x⁵/15, to 2^-52 of x. A NaN stays one.
SIMD_INLINE f64x8 tanh_f64(f64x8 x) {
  f64x8 zero = splat(0.), size = max_keep_nan(sub(zero, x), x), t;
  const ExpVector<double> e(ExpScale<double>::of(1), ExpTraits<double>::kBias);
  f64x8 q = mul(exp_below<true>(e, mul(size, splat(-2.)), t), splat(1 / ExpTraits<double>::kG));
  f64x8 y = div(sub(splat(1.), q), add(splat(1.), q)), square = mul(x, x);
  f64x8 small = fma(mul(x, square), fma(square, splat(2. / 15), splat(-1. / 3)), x);
  return select_bits(small, select_bits(sub(zero, y), y, lanes_above(zero, x)), lanes_above(splat(0x1p-10), size));
}
SELDOM static double tanh_one(double x) {
  double y[8];
  store(y, tanh_f64(splat(x)));
  return y[0];
}

// Sixteen rows of floats, `stride` apart, the first n of them there and the others 0, as `depth` rows of sixteen.
SIMD_INLINE void transpose(const float* rows, size_t stride, size_t n, size_t depth, float* out) {
  size_t d = 0;
  for (; n == kTile && d + 16 <= depth; d += 16) transpose16(rows + d, stride, out + d * kTile);
  for (; d < depth; d++)
    for (size_t i = 0; i < kTile; i++) out[d * kTile + i] = i < n ? rows[i * stride + d] : 0;
}

}  // namespace
