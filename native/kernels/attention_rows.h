// Attention of a block of query rows that share a key/value head, tile by tile: weights, their sum, and the weighted values.
//
// All exponentials are powers of two, 2^(z − e), with z = score · log2(e) and e an integer of the row's own, raised when z
// passes it by more than kHeadroom, which is seldom: no maximum has to be known first, and nothing is summed twice. Weights
// and sums are floats within a part of the keys (kPart), doubles beyond; parts are folded in order, whoever computed them.
//
// A float score is off by 2^-24 of its size and some, and its weight by as much as the score. So scores that are large, and
// near enough to the largest to have weight, are computed again in double; so are all that something is done to.
#pragma once
#include "attention_tile.h"
#include "../math/log.h"
#include "state.h"

namespace {

constexpr size_t kPart = 512;     // keys whose sums are floats
constexpr size_t kTogether = 8;   // rows that go through a tile together
constexpr double kHeadroom = 8;   // octaves
constexpr double kNear = 40;      // octaves below the largest score, in which rounding of a score would show
constexpr float kLarge = 8;       // scores up to this size, in octaves, are exact enough as floats
constexpr size_t kFewKeys = 32;   // of so few the largest may be small by chance, and off by the size of what cancelled in it
constexpr double kLog2E = 0x1.71547652b82fep+0;

// What is the same for all rows of a call.
struct Scoring {
  size_t depth, width;     // of a key; of a value, in floats of whole vectors
  double scale;            // · log2(e)
  double softcap;          // in octaves; 0: none
  bool plain() const { return softcap == 0; }
};

// A query row: where it is, what is done to its scores, and which keys [from, to) it sees if its mask agrees.
struct Row1 {
  const float* q;
  double slope;            // ALiBi, in octaves a position; 0: none
  double position;         // of the query, on the scale of the first key's 0
  const uint8_t* mask;     // a byte a key, or null
  const float* bias;       // a float a key, or null
  size_t from, to;
  bool exact;              // scores are computed in double, however small
  bool plain;              // they are not, and stay as they are

  // The keys of a tile that it sees, as bits.
  uint32_t lanes(size_t key) const {
    if (to <= key || from >= key + kTile) return 0;
    size_t low = from > key ? from - key : 0, high = to < key + kTile ? to - key : kTile;
    uint32_t all = ((2u << (high - 1)) - 1) & ~((1u << low) - 1);
    for (size_t i = low; (mask || bias) && i < high; i++)
      if ((mask && !mask[key + i]) || (bias && bias[key + i] == -infinity<float>())) all &= ~(1u << i);
    return all;
  }
};

// A row's sums so far: of the part, with the exponent e; of all parts before it.
struct RowSum {
  double e, mantissa, exponent;
  bool begun, any;              // the part has an exponent; there was a part
  float most, near, base, low;  // for plain weights: scores up to `most` need no larger exponent, and so on

  // The exponent of the part from now on.
  void set(double exponent, bool is_begun) {
    using X = ExpTraits<float>;
    e = exponent, begun = is_begun;
    bool usual = begun && e < 4096 && e > -4096;  // else no score is plain
    double octave = e + X::kBias;
    most = usual ? (float)(e + kHeadroom < kLarge ? e + kHeadroom : kLarge) : -infinity<float>();
    near = usual ? (float)(e - kNear) : -infinity<float>();
    base = (float)(2 + (X::kTop - 8 * octave) * X::kUlp), low = (float)(octave - (X::kTop - 16) / 8.);
  }
};

SIMD_INLINE f32x16 scaled_weights(f32x16 w, const float* scales) { return scales ? mul(w, load(scales + kTile)) : w; }

// Rows of a block, with memory for them: `Rows` has no more than kRows.
struct Rows {
  static constexpr size_t kRows = 128;
  const Scoring& s;
  size_t count;
  Row1 row[kRows];
  RowSum sum[kRows];
  size_t inner_from[kRows / 4], inner_to[kRows / 4];  // keys that all rows of a group see, which begins at a multiple of four
  float* q;                // groups of rows, [depth][rows of the group], scaled
  float* acc;              // [rows][width] of the part
  float* sums;             // [rows][16]
  double* total;           // [rows][width]
  float* w;                // [kTogether][16]

  static size_t bytes(const Scoring& s) { return kRows * ((s.depth + 3 * s.width) * sizeof(float) + kTile * sizeof(float)) + kTogether * kTile * sizeof(float) + 2 * 64; }
  Rows(const Scoring& s, void* memory) : s(s), count(0) {
    uintptr_t at = ((uintptr_t)memory + 63) & ~(uintptr_t)63;
    total = (double*)at, acc = (float*)(total + kRows * s.width), q = acc + kRows * s.width, sums = q + kRows * s.depth, w = sums + kRows * kTile;
  }
  // Rows of the next group of those that are left: 8, 4, 2 or 1. A group of three has its first row twice.
  static size_t group(size_t left) { return left >= 8 ? 8 : left >= 3 ? 4 : left; }

  void begin() {
    for (size_t i = 0; i < count; i++)
      for (size_t d = 0; d < s.depth; d += 16) prefetch(row[i].q + d);
    for (size_t i = 0, n; i < count; i += n) {
      n = group(count - i);
      if (i + n > count) row[count] = row[i];
      for (size_t r = 0; r < n; r++) scale_row(row[i + r].q, q + i * s.depth + r, n);
      size_t from = 0, to = (size_t)-1;
      for (size_t r = i; r < i + n; r++) {
        const Row1& x = row[r];
        from = x.from > from ? x.from : from, to = x.mask || x.bias ? 0 : x.to < to ? x.to : to;
      }
      inner_from[i / 4] = from, inner_to[i / 4] = to;
      for (size_t r = i; r < i + n; r++) sum[r].mantissa = sum[r].exponent = 0, sum[r].any = false;
    }
    for (size_t i = 0; i < count * s.width; i++) total[i] = 0;
  }
  // A query's numbers, scaled, `stride` apart.
  void scale_row(const float* from, float* to, size_t stride) const {
    f64x8 factor = splat(s.scale);
    for (size_t d = 0; d < s.depth; d += kTile) {
      size_t n = s.depth - d < kTile ? s.depth - d : kTile;
      f32x16 x = n < kTile ? load_n(from + d, n, 0) : load(from + d);
      float scaled[kTile];
      store(scaled, narrow(mul(low_f64(x), factor), mul(high_f64(x), factor)));
      for (size_t i = 0; i < n; i++) to[(d + i) * stride] = scaled[i];
    }
  }
  void begin_part() {
    size_t n = (count + kTogether - 1) / kTogether * kTogether;
    for (size_t i = 0; i < n; i++) sum[i].set(0, false);
    for (size_t i = 0; i < n * s.width; i++) acc[i] = 0;
    for (size_t i = 0; i < n * kTile; i++) sums[i] = 0;
  }
  // Keys that none of the rows sees, in front and behind.
  size_t from() const { size_t k = (size_t)-1; for (size_t i = 0; i < count; i++) k = row[i].from < k ? row[i].from : k; return k; }
  size_t to() const { size_t k = 0; for (size_t i = 0; i < count; i++) k = row[i].to > k ? row[i].to : k; return k; }

  // The tile of keys from `key` on.
  template <class E> void tile(const Tile<E>& t, size_t key) {
    for (size_t i = 0, n; i < count; i += n) {
      n = group(count - i);
      n == 8 ? one<E, 8>(t, key, i) : n == 4 ? one<E, 4>(t, key, i) : n == 2 ? one<E, 2>(t, key, i) : one<E, 1>(t, key, i);
    }
  }
  template <class E, int R> ALWAYS void one(const Tile<E>& t, size_t key, size_t i) {
    uint32_t lanes[R], all = 0xFFFF, some = 0;
    bool inside = key >= inner_from[i / 4] && key + kTile <= inner_to[i / 4];
    for (int r = 0; !inside && r < R; r++) lanes[r] = row[i + r].lanes(key), all &= lanes[r], some |= lanes[r];
    if (!inside && !some) return;
    f32x16 z[R];
    scores<E, R>(t.k, q + i * s.depth, s.depth, z);
    weigh<E, R>(t, key, i, z, inside || all == 0xFFFF ? kAll : lanes);
  }
  // Scores to weights, and the values with these. `lanes`: what each row sees of the tile; kAll: everything.
  static constexpr const uint32_t* kAll = nullptr;
  template <class E, int R> ALWAYS void weigh(const Tile<E>& t, size_t key, size_t i, const f32x16* z, const uint32_t* lanes) {
    for (int r = 0; r < R; r++) {
      f32x16 x = t.scales ? mul(z[r], load(t.scales)) : z[r], weights;
      uint32_t seen = lanes ? lanes[r] : 0xFFFF;
      if (!plain_weights(i + r, x, seen, weights)) weights = any_weights<E>(t, i + r, key, x, seen);
      float* of_row = sums + (i + r) * kTile;
      store(of_row, add(load(of_row), weights));
      store(w + r * kTile, scaled_weights(weights, t.scales));
    }
    if (!lanes) return values<E, R>(t.v, t.stride, w, acc + i * s.width, s.width);
    for (int r = 0; r < R; r++)
      if (i + r < count) values_of_lanes<E>(t.v, t.stride, w + r * kTile, lanes[r], acc + (i + r) * s.width, s.width);
  }

  // Weights of scores as they are, if none is above the row's exponent, or large and not far below.
  ALWAYS bool plain_weights(size_t r, f32x16 z, uint32_t lanes, f32x16& weights) {
    const RowSum& m = sum[r];
    f32x16 x = lanes == 0xFFFF ? z : select_bits(z, splat(-infinity<float>()), lanes);
    if (lanes_outside(x, splat(-kLarge), splat(m.most)) & lanes) {
      if (m.near == -infinity<float>() || any_nan(x) || lanes_above(x, splat((float)(m.e + kHeadroom)))) return false;
      if ((lanes_above(x, splat(kLarge)) | lanes_above(splat(-kLarge), x)) & lanes & lanes_above(x, splat(m.near))) return false;
    }
    if (!row[r].plain || !s.plain()) return false;
    ExpVector<float> e(base_two(), ExpTraits<float>::kBias);
    e.base = splat(m.base), e.low = splat(m.low);
    f32x16 t;
    weights = exp_below<false>(e, x, t);
    return true;
  }
  static ALWAYS ExpScale<float> base_two() { return ExpScale<float>::of(kLog2E); }

  // Weights of any scores. Above, below and beyond all doubles nothing is lost but what has no weight.
  template <class E> NEVER_INLINE f32x16 any_weights(const Tile<E>& t, size_t r, size_t key, f32x16 z, uint32_t lanes) {
    const Row1& q = row[r];
    RowSum& m = sum[r];
    f32x16 infinite = splat(-infinity<float>()), x = select_bits(z, splat(0.f), lanes);
    uint32_t large = lanes_above(x, splat(kLarge)) | lanes_above(splat(-kLarge), x);
    if (s.plain() && q.plain && m.begun && m.e < 0x1p20 && m.e > -0x1p20) large &= lanes_above(x, splat((float)(m.e - kNear)));
    if (q.exact) large = lanes;
    Wide y = widen(x);
    if (large || any_nan(x)) {
      y = exact_scores<E>(t.k, q.q, s.depth);
      Wide scales = widen(t.scales ? load(t.scales) : splat(1.f));
      y = {mul(y.low, mul(scales.low, splat(s.scale))), mul(y.high, mul(scales.high, splat(s.scale)))};
    }
    if (!s.plain()) y = {cap(y.low), cap(y.high)};
    double v[kTile];
    store(v, y.low), store(v + 8, y.high);
    double top = -infinity<double>();
    for (size_t i = 0; i < kTile; i++) {
      if (!(lanes >> i & 1)) { v[i] = -infinity<double>(); continue; }
      if (q.slope != 0) v[i] -= q.slope * distance(q.position, (double)(key + i));
      if (q.bias) v[i] += q.bias[key + i] * kLog2E;
      if (v[i] > top && v[i] < infinity<double>()) top = v[i];
    }
    if (top > -infinity<double>() && (!m.begun || top > m.e + kHeadroom)) raise(r, top);
    uint32_t above = 0;
    float high[kTile], low[kTile];
    for (size_t i = 0; i < kTile; i++) {
      double d = v[i] - m.e;
      above |= (uint32_t)(v[i] == infinity<double>()) << i;
      high[i] = d < -1000 ? -infinity<float>() : (float)d;
      low[i] = d - d == 0 && d >= -1000 ? (float)(d - (double)high[i]) : 0;
    }
    f32x16 u, weights = exp_below<false>(ExpVector<float>(base_two(), ExpTraits<float>::kBias), Two<f32x16>{load(high), load(low)}, u);
    return select_bits(sub(splat(0.f), infinite), weights, above);
  }
  static double distance(double a, double b) { return a > b ? a - b : b - a; }
  f64x8 cap(f64x8 z) const { return mul(tanh_f64(mul(z, splat(1 / s.softcap))), splat(s.softcap)); }

  // A larger exponent for the part's sums: an exact power of two.
  void raise(size_t r, double top) {
    RowSum& m = sum[r];
    double e = top < 0x1p51 && top > -0x1p51 ? nearest(top) : top;
    if (m.begun) {
      f32x16 f = splat((float)(e - m.e > 140 ? 0 : pow2((int)(m.e - e))));
      for (size_t at = 0; at < s.width; at += kTile) store(acc + r * s.width + at, mul(load(acc + r * s.width + at), f));
      store(sums + r * kTile, mul(load(sums + r * kTile), f));
    }
    m.set(e, true);
  }

  // The sum of a part's weights, NaN and +∞ included.
  double part_sum(size_t r) const {
    f32x16 x = load(sums + r * kTile);
    return reduce_add(add(low_f64(x), high_f64(x)));
  }
  // A part's sums, added to what was before it.
  static void fold(RowSum& m, double* total, double sum, double e, const float* acc, size_t width) {
    if (sum == 0) return;  // no key with weight
    double top = m.any && m.exponent > e ? m.exponent : e, old = m.any ? power(m.exponent - top, m.mantissa) : 0, add_on = power(e - top, sum);
    for (size_t at = 0; at < width; at += kTile) {
      f32x16 x = load(acc + at);
      store(total + at, fma(low_f64(x), splat(add_on), mul(load(total + at), splat(old))));
      store(total + at + 8, fma(high_f64(x), splat(add_on), mul(load(total + at + 8), splat(old))));
    }
    m.mantissa = FUSED_F64(sum, add_on, m.mantissa * old), m.exponent = top, m.any = true;
  }
  // 2^n for n ≤ 0, by which a number is multiplied: infinite ones stay.
  static double power(double n, double number) { return number - number != 0 ? 1 : n < -1000 ? 0 : pow2((int)n); }
  void end_part() {
    for (size_t r = 0; r < count; r++) fold(sum[r], total + r * s.width, part_sum(r), sum[r].e, acc + r * s.width, s.width);
  }
};

}  // namespace
