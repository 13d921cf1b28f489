// stableMax of contiguous rows without a bias, and its logarithm for floats. stable_max.h computes all other rows.
//
// Floats: r = 1 / (1 - min(z, 0)) is a float quotient, and one step in double makes s of it for both signs of z:
//
//   s = r + r (1 + (z - 1) r)      z < 0: Newton's step, to 2^-46      z ≥ 0: r = 1, so that s = 1 + z
//
// Doubles: s = (1 + max(z, 0)) / (1 + max(-z, 0)).
#pragma once
#include "../rows/half_rows.h"
#include "../rows/share_rows.h"
#include "../softmax/log_rows.h"

namespace {

template <class T> struct StableMax;

// 1 / c and ln c for the centres c = 1 + (2 j + 1) / 16 of the eighths of [1, 2).
alignas(64) const double kInverseCentres[8] = {
    16. / 17, 16. / 19, 16. / 21, 16. / 23, 16. / 25, 16. / 27, 16. / 29, 16. / 31,
};
alignas(64) const double kLogCentres[8] = {
    0x1.f0a30c01162a6p-5, 0x1.5ff3070a793d4p-3, 0x1.1675cababa60ep-2, 0x1.739d7f6bbd007p-2,
    0x1.c8ff7c79a9a22p-2, 0x1.0be72e4252a83p-1, 0x1.307d7334f10bep-1, 0x1.52a2d265bc5abp-1,
};
// ln x of positive normal numbers, for results that are rounded to float. Max error: 2^-40 + 2^-52 |ln x|.
SIMD_INLINE f64x8 log_for_float(f64x8 x) {
  const f64x8 m = mantissas_of(x), octaves = octaves_of(x);
  const f64x8 eighth = add(sub(m, splat(0.0625)), splat(0x1.8p49));  // its low bits are floor(8 m)
  const f64x8 r = fma(m, lookup8(kInverseCentres, eighth), splat(-1.));
  f64x8 p = splat(-1. / 8);
  UNROLL for (int k = 7; k >= 2; k--) p = fma(p, r, splat((k & 1 ? 1. : -1.) / k));
  return fma(octaves, splat(0x1.62e42fefa39efp-1), add(lookup8(kLogCentres, eighth), fma(mul(r, r), p, r)));
}

template <class T> struct StableMaxRows {
  using V = typename ExpTraits<T>::Vector;
  static constexpr size_t W = ExpTraits<T>::kLanes, kParts = W / 8;
  static constexpr bool kIsFloat = sizeof(T) == 4;
  const StableMax<T>& s;
  using Memory = typename StableMax<T>::Memory;

  static bool may_have(const StableMax<T>& s) {
    return !s.rows.across() && !s.rows.extras.bias.data && (kIsFloat || !s.wants_log);
  }

  struct PartSum {
    double sum, rest;
  };
  struct Row {
    const StableMax<T>& s;
    const T* x;
    T* out;
    size_t mask_at;
    PartSum* parts;
    PartSum total;
    bool is_streaming;
    double above = 0, below = 0;  // of StableMax::Slopes
  };

  // s of a vector.
  static ALWAYS void terms(f32x16 z, f64x8* t) {
    const f32x16 zero = splat(0.f), one = splat(1.f);
    const f32x16 r = div(one, add(one, max_skip_nan(zero, sub(zero, z))));
    f64x8 wide[2], wide_r[2];
    widen(max_keep_nan(splat(-largest<float>()), z), wide);  // s(-∞) = 0 by r = 0
    widen(r, wide_r);
    UNROLL for (size_t p = 0; p < 2; p++) {
      const f64x8 missing = fma(sub(wide[p], splat(1.)), wide_r[p], splat(1.));
      t[p] = fma(wide_r[p], missing, wide_r[p]);
    }
  }
  static ALWAYS void terms(f64x8 z, f64x8* t) { t[0] = quotient(z, splat(1.)); }
  // Floats of a loss: s, rounded as StableMax::terms rounds it.
  static ALWAYS void exact_terms(f32x16 z, f64x8* t) {
    const f64x8 zero = splat(0.), one = splat(1.);
    widen(z, t);
    UNROLL for (size_t p = 0; p < 2; p++) {
      const f64x8 share = div(one, add(one, max_skip_nan(zero, sub(zero, t[p]))));
      t[p] = add(share, max_keep_nan(zero, t[p]));
    }
  }
  static ALWAYS void exact_terms(f64x8 z, f64x8* t) { terms(z, t); }
  // s · factor.
  static ALWAYS f64x8 quotient(f64x8 z, f64x8 factor) {
    const f64x8 zero = splat(0.), size = add(splat(1.), max_skip_nan(zero, sub(zero, z)));
    return div(fma(factor, max_keep_nan(zero, z), factor), size);
  }
  // Elements [c, c + n): -∞ where masked or outside.
  static ALWAYS V read(const Row& row, size_t c, size_t n) {
    const V z = n < W ? load_n(row.x + c, n, -infinity<T>()) : load(row.x + c);
    return row.s.rows.extras.has_mask() ? without_masked(row, z, c, n) : z;
  }
  static NEVER_INLINE V without_masked(const Row& row, V z, size_t c, size_t n) {
    const Mask& mask = row.s.rows.extras.mask;
    return select_bits(z, splat(-infinity<T>()), mask_lanes(mask.data, mask.layout, row.mask_at + c, n < W ? n : W));
  }

  // The sum of two rows' worth of lanes, in a fixed order of pairs.
  static ALWAYS PartSum reduced(f64x8 sum, f64x8 rest) {
    double a[8], b[8];
    store(a, sum);
    store(b, rest);
    for (size_t half = 4; half > 0; half /= 2) {
      UNROLL for (size_t i = 0; i < half; i++) {
        double low;
        two_sum(a[i], a[i + half], a[i], low);
        b[i] += b[i + half] + low;
      }
    }
    return {a[0], b[0]};
  }
  // Floats: plain sums are exact enough for quotients. The logarithm of a large term needs the rest of the sum.
  template <bool kPairs, bool kExact = false> static void add_up(void* self, size_t part) {
    const Row& row = *(const Row*)self;
    if (row.s.run.stopped()) return;
    const size_t end = Parts{row.s.rows.cols}.end(part);
    VectorTotal<double> total[kParts];
    for (size_t c = part * kSuper; c < end; c += W) {
      f64x8 t[kParts];
      kExact ? exact_terms(read(row, c, end - c), t) : terms(read(row, c, end - c), t);
      UNROLL for (size_t p = 0; p < kParts; p++) {
        if (kPairs) total[p].add_pair(t[p], splat(0.));
        else total[p].sum = add(total[p].sum, t[p]);
      }
    }
    if (kParts == 2) total[0].add_pair(total[kParts - 1].sum, total[kParts - 1].rest);
    row.parts[part] = reduced(total[0].sum, total[0].rest);
  }

  // s / Σ of a vector, or ln(s / Σ).
  static ALWAYS f32x16 result(const Row& row, f32x16 z, f64x8 factor) {
    f64x8 t[2], y[2];
    terms(z, t);
    uint32_t large = 0;
    UNROLL for (size_t p = 0; p < 2; p++) {
      y[p] = mul(t[p], factor);
      if (!row.s.wants_log) continue;
      large |= lanes_above(y[p], splat(0.5)) << 8 * p;
      y[p] = log_for_float(max_keep_nan(splat(0x1p-900), y[p]));
    }
    if (!row.s.wants_log) return narrow(y[0], y[1]);
    if (large) with_largest(row, t, y, large);
    return add(narrow(y[0], y[1]), sub(z, max_keep_nan(splat(-largest<float>()), z)));  // ln 0 = -∞
  }
  static ALWAYS f64x8 result(const Row&, f64x8 z, f64x8 factor) { return quotient(z, factor); }
  // Terms above half of Σ: -log1p((Σ - s) / s).
  static SELDOM void with_largest(const Row& row, const f64x8* t, f64x8* y, uint32_t large) {
    double terms[16], logs[16];
    for (size_t p = 0; p < 2; p++) {
      store(terms + 8 * p, t[p]);
      store(logs + 8 * p, y[p]);
    }
    for (; large; large &= large - 1) {
      const size_t i = lowest_bit(large);
      const Pair log = log1p_pair(((row.total.sum - terms[i]) + row.total.rest) / terms[i], 0);
      logs[i] = 0 - (log.hi + log.lo);  // ln 1 is 0 and not -0
    }
    for (size_t p = 0; p < 2; p++) y[p] = load(logs + 8 * p);
  }
  static void write(void* self, size_t part) {
    const Row& row = *(const Row*)self;
    if (row.s.run.stopped()) return;
    const size_t end = Parts{row.s.rows.cols}.end(part);
    const f64x8 factor = splat(1 / row.total.sum);
    size_t c = part * kSuper;
    if (const size_t past = (uintptr_t)(row.out + c) & 63; row.is_streaming && past) {  // up to a whole cache line
      const size_t head = (64 - past) / sizeof(T), n = head < end - c ? head : end - c;
      store_n(row.out + c, result(row, read(row, c, n), factor), n);
      c += n;
    }
    for (; c < end; c += W) {
      const size_t n = end - c;
      const V y = result(row, read(row, c, n), factor);
      if (n < W) store_n(row.out + c, y, n);
      else if (row.is_streaming) stream(row.out + c, y);
      else store(row.out + c, y);
    }
    if (row.is_streaming) stream_end();
  }

  // The gradient of a loss: logits from 0 share a number.
  static void write_slopes(void* self, size_t part) {
    const Row& row = *(const Row*)self;
    if (row.s.run.stopped()) return;
    const f64x8 zero = splat(0.), above = splat(row.above), below = splat(row.below);
    for (size_t end = Parts{row.s.rows.cols}.end(part), c = part * kSuper; c < end; c += W) {
      const size_t n = end - c;
      const V z = read(row, c, n);
      f64x8 x[kParts], t[kParts];
      widen(z, x);
      terms(z, t);
      UNROLL for (size_t p = 0; p < kParts; p++)
          t[p] = select_bits(mul(t[p], mul(t[p], below)), above, lanes_above(zero, x[p]));
      n < W ? store_n(row.out + c, narrowed(t, T()), n) : store(row.out + c, narrowed(t, T()));
    }
  }
  // The losses of row i, whose sum is known, and its gradient.
  NEVER_INLINE void write_loss(const Run& r, Row& row, size_t i) const {
    typename StableMax<T>::Tile t = {s, {}, nullptr, {}, {}, {}};
    typename StableMax<T>::Slopes slopes;
    t.m.first = i * s.rows.cols;
    t.m.n = 1;
    for (size_t j = 0; j < W; j++) {
      t.unit[j] = t.numerator[j] = t.factor[j] = 1;
      t.m.sum[j] = row.total.sum;
      t.m.rest[j] = row.total.rest;
    }
    s.find_losses(t, slopes, i);
    if (!s.out) return;
    row.above = slopes.ignored ? 0 : slopes.above[0];
    row.below = slopes.ignored ? 0 : slopes.below[0];
    Parts{s.rows.cols}.each(r, write_slopes, &row);
    s.write_at_targets(t, i);
  }

  // Row i of the call. Returns false if stable_max.h must compute it: nothing is written then.
  bool compute(const Run& r, size_t i, PartSum* sums) const {
    const size_t cols = s.rows.cols, bytes = s.outer * cols * sizeof(T);
    const Parts parts = {cols};
    const T* x = s.rows.x + i * cols;
    T* out = s.out + i * cols;
    const size_t mask_at = s.rows.extras.shared_mask() ? 0 : i * cols;
    Row row = {s, x, out, mask_at, sums, {0, 0}, bytes >= r.plan.stream_bytes && x != out};
    if (s.loss) parts.each(r, add_up<true, /*kExact=*/true>, &row);
    else parts.each(r, kIsFloat && !s.wants_log ? add_up<!kIsFloat> : add_up<true>, &row);
    for (size_t p = 0; p < parts.count(); p++) {
      double low;
      two_sum(row.total.sum, sums[p].sum, row.total.sum, low);
      row.total.rest += low + sums[p].rest;
    }
    // A double row may have logits that need a unit of their own.
    if (!(row.total.sum >= (kIsFloat ? 0x1p-200 : 1) && row.total.sum < infinity<double>())) return false;
    two_sum(row.total.sum, row.total.rest, row.total.sum, row.total.rest);
    if (s.loss) write_loss(r, row, i);
    else parts.each(r, write, &row);
    return true;
  }
  void row(const Run& alone, Memory& memory, size_t i) const {
    PartSum sum;
    if (!compute(alone, i, &sum)) s.tile(alone, i, &memory.lanes);
  }
};

}  // namespace
