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

namespace {

constexpr size_t kPart = 512;     // keys whose sums are floats
constexpr size_t kTogether = 8;   // rows that go through a tile together
constexpr double kHeadroom = 8;   // octaves
constexpr double kNear = 40;      // octaves below the largest score, in which rounding of a score would show
constexpr float kLarge = 8;       // scores up to this size, in octaves, are exact enough as floats
constexpr size_t kFewKeys = 32;   // of so few the largest may be small by chance, and off by the size of what cancelled in it

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
      if (!sees(key + i)) all &= ~(1u << i);
    return all;
  }
  // Of a key in [from, to).
  bool sees(size_t key) const { return (!mask || mask[key]) && (!bias || bias[key] != -infinity<float>()); }
  // The first key from `key` on that it sees; `to` if there is none.
  size_t next(size_t key) const {
    while (key < to && !sees(key)) key++;
    return key < to ? key : to;
  }
};

// A row's sums so far: of the part, with the exponent e; of all parts before it.
struct RowSum {
  double e, mantissa, exponent;
  bool plain = false;           // scores may stay as they are
  bool begun, any;              // the part has an exponent; there was a part
  float most, near, base, low;  // for plain weights: those of scores from -kLarge to `most` stay in range with this exponent, and so on

  // The exponent of the part from now on. A part whose first scores are not large begins with 0, whatever they are.
  void set(double exponent, bool is_begun) {
    using X = ExpTraits<float>;
    e = exponent, begun = is_begun;
    bool usual = plain && e < 4096 && e > -4096;  // else no score is plain
    double octave = (usual ? e : 0) + X::kBias;  // of an unusual row, keys that it does not see pass here alone: their weight is 0
    most = usual && e < 64 ? (float)(e + kHeadroom < kLarge ? e + kHeadroom : kLarge) : -infinity<float>();
    near = usual ? (float)(e - kNear) : -infinity<float>();
    base = (float)(2 + (X::kTop - 8 * octave) * X::kUlp), low = (float)(octave - (X::kTop - 16) / 8.);
  }
};

SIMD_INLINE f32x16 scaled_weights(f32x16 w, const float* scales) { return scales ? mul(w, load(scales + kTile)) : w; }

// Rows of a block, and memory for `room` of them, a multiple of kTogether. They go through a part of the keys kStep at a time, so
// that the nearest cache has all that a step's rows are and sum up to.
struct Rows {
  static constexpr size_t kStep = 32;
  const Scoring& s;
  const Reading& reading;
  size_t count;
  Row1* row;
  RowSum* sum;
  size_t *inner_from, *inner_to;  // keys that all rows of a group see, which begins at a multiple of four
  float* q;                       // scaled, [depth][rows of the group], see q_of
  double* total;                  // [rows][width], of those rows that have any
  size_t totals;                  // rows that it has room for: those of the block, or of a step
  float* acc;                     // of the part, [rows of the step][width]
  float* sums;                    // of the part, [rows of the step][16]
  float* w;                       // [kTogether][16]

  static size_t bytes(const Scoring& s, size_t room, size_t totals) {
    return (room + 2 * kTogether) * s.depth * sizeof(float) + totals * s.width * sizeof(double) + room * (sizeof(Row1) + sizeof(RowSum) + 2 * sizeof(size_t)) +
           (kStep * (s.width + kTile) + kTogether * kTile) * sizeof(float) + 64;
  }
  Rows(const Scoring& s, const Reading& reading, size_t room, size_t totals, void* memory) : s(s), reading(reading), count(0), totals(totals) {
    w = (float*)(((uintptr_t)memory + 63) & ~(uintptr_t)63), sums = w + kTogether * kTile, acc = sums + kStep * kTile;
    total = (double*)(acc + kStep * s.width), q = (float*)(total + totals * s.width);
    sum = (RowSum*)(q + (room + 2 * kTogether) * s.depth), row = (Row1*)(sum + room), inner_from = (size_t*)(row + room), inner_to = inner_from + room;
  }
  // Rows of the next group of those that are left: 8, 4, 2 or 1. A group of three has its first row twice.
  static size_t group(size_t left) { return left >= 8 ? 8 : left >= 3 ? 4 : left; }
  float* acc_of(size_t i) const { return acc + i % kStep * s.width; }
  float* sums_of(size_t i) const { return sums + i % kStep * kTile; }
  double* total_of(size_t i) const { return total + i % totals * s.width; }
  // Two groups of eight rows lie side by side, as sixteen rows are transposed at a time; what is left behind them, by itself.
  size_t eights() const { return count / 8 * 8; }
  float* q_of(size_t i) const { return i < eights() ? q + i / 16 * 16 * s.depth + i % 16 : q + (i + eights() % 16) * s.depth; }

  void begin() {
    for (size_t r = count; r % kTogether; r++) sum[r].plain = false;
    for (size_t i = 0; i < eights(); i += 16) scale_rows(i, eights() - i < 16 ? 8 : 16);
    for (size_t i = 0, n; i < count; i += n) {
      n = group(count - i);
      if (i + n > count) row[count] = row[i];
      for (size_t r = 0; n < 8 && r < n; r++) scale_row(row[i + r].q, q_of(i) + r, n);
      size_t from = 0, to = (size_t)-1;
      for (size_t r = i; r < i + n; r++) {
        const Row1& x = row[r];
        from = x.from > from ? x.from : from, to = x.mask || x.bias ? 0 : x.to < to ? x.to : to;
        sum[r].mantissa = sum[r].exponent = 0, sum[r].any = false, sum[r].plain = x.plain && s.plain();
      }
      inner_from[i / 4] = from, inner_to[i / 4] = to;
    }
  }
  // Sixteen of a query's numbers, or n, scaled.
  ALWAYS f32x16 scaled(const float* from, size_t n) const {
    f64x8 factor = splat(s.scale);
    f32x16 x = n < kTile ? load_n(from, n, 0) : load(from);
    return narrow(mul(low_f64(x), factor), mul(high_f64(x), factor));
  }
  // Queries `stride` apart, in columns.
  void scale_row(const float* from, float* to, size_t stride) const {
    for (size_t d = 0; d < s.depth; d += kTile) {
      size_t n = s.depth - d < kTile ? s.depth - d : kTile;
      float numbers[kTile];
      store(numbers, scaled(from + d, n));
      for (size_t i = 0; i < n; i++) to[(d + i) * stride] = numbers[i];
    }
  }
  void scale_rows(size_t i, size_t n) const {
    float numbers[16 * kTile], columns[16 * kTile];
    for (size_t r = n; r < 16; r++) store(numbers + r * kTile, splat(0.f));
    for (size_t d = 0; d < s.depth; d += kTile) {
      size_t left = s.depth - d < kTile ? s.depth - d : kTile;
      for (size_t r = 0; r < n; r++) store(numbers + r * kTile, scaled(row[i + r].q + d, left));
      float* to = q_of(i) + d * 16;
      transpose16(numbers, kTile, left < kTile ? columns : to);
      for (size_t at = 0; left < kTile && at < left * 16; at += kTile) store(to + at, load(columns + at));
    }
  }
  // A part, of the rows of a step.
  void begin_part(size_t i, size_t end) {
    for (; i < end; i += kTogether) {
      for (size_t r = i; r < i + kTogether; r++) sum[r].set(0, false);
      for (size_t at = 0; at < kTogether * s.width; at += kTile) store(acc_of(i) + at, splat(0.f));
      for (size_t at = 0; at < kTogether * kTile; at += kTile) store(sums_of(i) + at, splat(0.f));
    }
  }
  void end_part(size_t i, size_t end) {
    for (; i < end; i++) fold(sum[i], total_of(i), part_sum(i), sum[i].e, acc_of(i), s.width);
  }
  // Keys that none of the rows sees, in front and behind.
  size_t from(size_t i, size_t end) const { size_t k = (size_t)-1; for (; i < end; i++) k = row[i].from < k ? row[i].from : k; return k; }
  size_t to(size_t i, size_t end) const { size_t k = 0; for (; i < end; i++) k = row[i].to > k ? row[i].to : k; return k; }

  // The tile of keys from `key` on.
  void tile(const Tile& t, size_t key, size_t i, size_t end) {
    for (size_t n; i < end; i += n) one(t, key, i, n = group(end - i));
  }
  void one(const Tile& t, size_t key, size_t i, size_t n) {
    uint32_t lanes[kTogether], all = 0xFFFF, some = 0;
    bool inside = key >= inner_from[i / 4] && key + kTile <= inner_to[i / 4];
    for (size_t r = 0; !inside && r < n; r++) lanes[r] = row[i + r].lanes(key), all &= lanes[r], some |= lanes[r];
    if (!inside && !some) return;
    size_t kind = lowest_bit(n);
    reading.scores[kind](t.k, q_of(i), s.depth, w);
    bool whole = inside || all == 0xFFFF;
    if (!whole || !calm(t.scales, i, n)) weigh(t, key, i, n, whole ? kAll : lanes);
    if (whole) return reading.values[kind](t.v, t.stride, w, acc_of(i), s.width);
    for (size_t r = 0; r < n && i + r < count; r++) reading.values_of_lanes(t.v, t.stride, w + r * kTile, lanes[r], acc_of(i + r), s.width);
  }
  static constexpr const uint32_t* kAll = nullptr;
  // The scores in w of n rows that see the whole tile become weights, if all are usual: whether they were.
  ALWAYS bool calm(const float* scales, size_t i, size_t n) {
    uint32_t outside = 0;
    for (size_t r = 0; r < n; r++) outside |= lanes_outside(score(scales, r), splat(-kLarge), splat(sum[i + r].most));
    if (outside) return false;
    ExpVector<float> e(base_two(), ExpTraits<float>::kBias);
    for (size_t r = 0; r < n; r++) sum[i + r].begun = true, put(scales, i, r, plain<true>(e, sum[i + r], score(scales, r)));
    return true;
  }
  ALWAYS f32x16 score(const float* scales, size_t r) const { return scales ? mul(load(w + r * kTile), load(scales)) : load(w + r * kTile); }
  ALWAYS void put(const float* scales, size_t i, size_t r, f32x16 weights) {
    float* of_row = sums_of(i + r);
    store(of_row, add(load(of_row), weights));
    store(w + r * kTile, scaled_weights(weights, scales));
  }
  template <bool kCalm> static ALWAYS f32x16 plain(ExpVector<float>& e, const RowSum& m, f32x16 x) {
    f32x16 t;
    e.base = splat(m.base), e.low = splat(m.low);
    return kCalm ? exp_inside<false>(e, x, t) : exp_below<false>(e, x, t);
  }
  // The same of any rows. `lanes`: what each sees of the tile; kAll: everything.
  NEVER_INLINE void weigh(const Tile& t, size_t key, size_t i, size_t n, const uint32_t* lanes) {
    ExpVector<float> e(base_two(), ExpTraits<float>::kBias);
    for (size_t r = 0; r < n; r++) {
      RowSum& m = sum[i + r];
      uint32_t seen = lanes ? lanes[r] : 0xFFFF;
      f32x16 z = score(t.scales, r), x = select_bits(z, splat(-infinity<float>()), seen);
      put(t.scales, i, r, is_plain(m, x, seen) ? plain<false>(e, m, x) : any_weights(t, i + r, key, z, seen));
    }
  }
  // None is above the row's exponent, or large and not far below.
  static ALWAYS bool is_plain(RowSum& m, f32x16 x, uint32_t lanes) {
    if (!(lanes_outside(x, splat(-kLarge), splat(m.most)) & lanes)) return m.begun |= lanes != 0, true;
    if (!m.begun || m.near == -infinity<float>() || any_nan(x) || lanes_above(x, splat((float)(m.e + kHeadroom)))) return false;
    return !((lanes_above(x, splat(kLarge)) | lanes_above(splat(-kLarge), x)) & lanes & lanes_above(x, splat(m.near)));
  }
  static ALWAYS ExpScale<float> base_two() { return ExpScale<float>::of(kLog2E); }

  // Weights of any scores. Above, below and beyond all doubles nothing is lost but what has no weight.
  NEVER_INLINE f32x16 any_weights(const Tile& t, size_t r, size_t key, f32x16 z, uint32_t lanes) {
    const Row1& q = row[r];
    RowSum& m = sum[r];
    f32x16 infinite = splat(-infinity<float>()), x = select_bits(z, splat(0.f), lanes);
    uint32_t large = lanes_above(x, splat(kLarge)) | lanes_above(splat(-kLarge), x);
    if (s.plain() && q.plain && m.begun && m.e < 0x1p20 && m.e > -0x1p20) large &= lanes_above(x, splat((float)(m.e - kNear)));
    if (q.exact) large = lanes;
    f64x8 y[2] = {low_f64(x), high_f64(x)};
    double v[kTile];
    if (large || any_nan(x)) {
      reading.exact_scores(t.k, q.q, s.depth, v);
      f32x16 scales = t.scales ? load(t.scales) : splat(1.f);
      y[0] = mul(load(v), mul(low_f64(scales), splat(s.scale))), y[1] = mul(load(v + 8), mul(high_f64(scales), splat(s.scale)));
    }
    for (size_t i = 0; i < 2; i++) store(v + 8 * i, s.plain() ? y[i] : cap(y[i]));
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
  f64x8 cap(f64x8 z) const {
    double inverse = s.softcap > 0x1p-1020 ? 1 / s.softcap : 0x1p1020;  // which is finite
    return mul(tanh_f64(mul(z, splat(inverse))), splat(s.softcap));
  }

  // A larger exponent for the part's sums: an exact power of two.
  SELDOM void raise(size_t r, double top) {
    RowSum& m = sum[r];
    double e = top < 0x1p51 && top > -0x1p51 ? nearest(top) : top;
    if (m.begun) {
      f32x16 f = splat((float)(e - m.e > 140 ? 0 : pow2((int)(m.e - e))));
      for (float* x = acc_of(r); x < acc_of(r) + s.width; x += kTile) store(x, mul(load(x), f));
      store(sums_of(r), mul(load(sums_of(r)), f));
    }
    m.set(e, true);
  }

  // The sum of a part's weights, NaN and +∞ included.
  double part_sum(size_t r) const {
    f32x16 x = load(sums_of(r));
    return reduce_add(add(low_f64(x), high_f64(x)));
  }
  // A part's sums, added to what was before it.
  static void fold(RowSum& m, double* total, double sum, double e, const float* acc, size_t width) {
    if (sum == 0) return;  // no key with weight
    double top = m.any && m.exponent > e ? m.exponent : e, old = m.any ? power(m.exponent - top, m.mantissa) : 0, add_on = power(e - top, sum);
    auto add_to = [&](double* t, f64x8 x) ALWAYS_LAMBDA { store(t, fma(x, splat(add_on), m.any ? mul(load(t), splat(old)) : splat(0.))); };
    for (size_t at = 0; at < width; at += kTile) {
      f32x16 x = load(acc + at);
      add_to(total + at, low_f64(x)), add_to(total + at + 8, high_f64(x));
    }
    m.mantissa = FUSED_F64(sum, add_on, m.mantissa * old), m.exponent = top, m.any = true;
  }
  // 2^n for n ≤ 0, by which a number is multiplied: infinite ones stay.
  static double power(double n, double number) { return number - number != 0 ? 1 : n < -1000 ? 0 : pow2((int)n); }
};

}  // namespace
