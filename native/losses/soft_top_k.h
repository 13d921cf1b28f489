// soft_top_k (arXiv 2310.10636): p_i = σ(α (x_i + t)) with the t for which Σ p = k, and its gradient.
//
// With z_i = α (x_i − r) + s, r an element of the row, s is the root of A(s) = B(s), where
//
//   A = Σ_{z ≤ 0} σ(z) + max(m − k, 0)      B = Σ_{z > 0} σ(−z) + max(k − m, 0)      m: how many z are above 0
//
// so that no 1 − σ loses the small terms, also between k logits and the others where these lie far apart.
//
// 1. Count the finite logits of every row; write nothing if one row has no more than k.
// 2. Newton's method on ln A − ln B, which is nearly linear, inside a bracket that each step shrinks; r is the largest.
// 3. Where s is large, r becomes the element nearest to the root, and step 2 is repeated.   4. Write σ(z).
#pragma once
#include "loss_rows.h"

namespace {

// What rows cannot be: fewer finite logits than a soft top-k needs.
enum { kRowIsFine = 0, kRowIsTooShort = 1, kRowIsNaN = 2 };

template <class T> struct SoftTopK : LossRows<T> {
  using Base = LossRows<T>;
  using Base::kParts, Base::rows, Base::W;
  using Lanes = typename Base::Lanes;
  using Tile = typename Base::Tile;
  using Memory = NoMemory;
  T* out;
  int32_t* status;
  double k, alpha;

  // |s| from which its rounding would show in results.
  static constexpr double kFar = sizeof(T) == 4 ? 64 : 2;

  SoftTopK(const Base& base, T* out, int32_t* status, double k, double alpha)
      : Base(base), out(out), status(status), k(k), alpha(alpha) {}

  struct Roots {
    Lanes reference, s, low, high;  // low ≤ the root ≤ high
    Lanes least, count;
    uint32_t open;  // rows whose root is not found yet
  };
  // The sums at s, for each row: A, B, and their derivatives' sizes.
  struct Sums {
    Lanes below, above, slope_below, slope_above, over;
  };
  ALWAYS f64x8 place_of(const Roots& r, Two<f64x8> z, size_t p) const {
    const f64x8 d = add(sub(z.x, r.reference.part(p)), z.low);
    return fma(splat(alpha), d, r.s.part(p));
  }
  // exp(−|z|), 0 far below; a NaN stays.
  static ALWAYS f64x8 exp_of_distance(const ExpVector<double>& e, f64x8 z) {
    f64x8 t;
    const f64x8 q = exp_below<true>(e, sub(splat(0.), size_of(z)), t);
    return mul(q, splat(pow2(-ExpTraits<double>::kBias) / ExpTraits<double>::kG));
  }
  void merge_plain(const f64x8* lanes, Lanes& to) const {
    for (size_t p = 0; p < kParts; p++) store(to.v + 8 * p, lanes[p]);
    for (size_t i = 1; !rows.across() && i < W; i++) to.v[0] += to.v[i];
  }
  void evaluate(const Tile& t, const Roots& r, Sums& to) const {
    const ExpScale<double> scale = ExpScale<double>::of(1);
    const ExpVector<double> e(scale, 0);
    const f64x8 zero = splat(0.), one = splat(1.);
    f64x8 below[kParts], above[kParts], slope_below[kParts], slope_above[kParts], over[kParts];
    for (size_t p = 0; p < kParts; p++) below[p] = above[p] = slope_below[p] = slope_above[p] = over[p] = zero;
    this->each(t, [&](size_t, Two<f64x8>* x, uint32_t) ALWAYS_LAMBDA {
      UNROLL for (size_t p = 0; p < kParts; p++) {
        const f64x8 z = place_of(r, x[p], p), exp = exp_of_distance(e, z), q = div(exp, add(one, exp));
        const f64x8 slope = sub(q, mul(q, q));
        const uint32_t positive = lanes_above(z, zero);
        below[p] = add(below[p], select_bits(zero, q, positive));
        above[p] = add(above[p], select_bits(q, zero, positive));
        slope_below[p] = add(slope_below[p], select_bits(zero, slope, positive));
        slope_above[p] = add(slope_above[p], select_bits(slope, zero, positive));
        over[p] = add(over[p], select_bits(one, zero, positive));
      }
    });
    merge_plain(below, to.below);
    merge_plain(above, to.above);
    merge_plain(slope_below, to.slope_below);
    merge_plain(slope_above, to.slope_above);
    merge_plain(over, to.over);
  }
  // ln(a / b) of positive numbers.
  static double log_of_ratio(double a, double b) {
    const Pair log = a >= b ? log1p_pair((a - b) / b, 0) : log1p_pair((b - a) / a, 0);
    return a >= b ? log.hi + log.lo : -(log.hi + log.lo);
  }
  // One step of row i: shrinks the bracket, and moves s by Newton's step or into the bracket's middle.
  void step(Roots& r, const Sums& sums, size_t i) const {
    const double m = sums.over.v[i], a = sums.below.v[i] + (m > k ? m - k : 0),
                 b = sums.above.v[i] + (k > m ? k - m : 0), s = r.s.v[i];
    if (a == b) return void(r.open &= ~(1u << i));
    (a > b ? r.high : r.low).v[i] = s;
    const double low = r.low.v[i], high = r.high.v[i];
    double next = low + (high - low) / 2;
    if (a > 0x1p-1000 && b > 0x1p-1000) {
      const double newton = s - log_of_ratio(a, b) / (sums.slope_below.v[i] / a + sums.slope_above.v[i] / b);
      if (newton > low && newton < high) next = newton;
    }
    const double moved = next < s ? s - next : next - s, size = next < 0 ? -next : next;
    if (moved <= 0x1p-51 * (size < 1 ? 1 : size) || next == low || next == high) r.open &= ~(1u << i);
    r.s.v[i] = next;
  }
  void solve(const Tile& t, Roots& r) const {
    const size_t used = this->used(t);
    Sums sums;
    // A bisection of all doubles takes 1,100 steps. Newton's method needs 3 to 8.
    for (int steps = 0; r.open && steps < 1200 && !this->run.stopped(); steps++) {
      evaluate(t, r, sums);
      for (size_t i = 0; i < used; i++)
        if (r.open >> i & 1) step(r, sums, i);
      if (!rows.across()) spread(r);
    }
  }
  // Gives all lanes of a single row its root.
  void spread(Roots& r) const {
    for (size_t i = 1; i < W; i++) {
      r.s.v[i] = r.s.v[0];
      r.reference.v[i] = r.reference.v[0];
    }
  }
  // The element of each row nearest to its root becomes the reference, where s has lost the places behind the point.
  SELDOM void move_references(const Tile& t, Roots& r) const {
    Lanes nearest, element;
    for (size_t i = 0; i < W; i++) nearest.v[i] = infinity<double>();
    this->each(t, [&](size_t, Two<f64x8>* x, uint32_t) {
      double z[W], of[W];
      for (size_t p = 0; p < kParts; p++) {
        store(z + 8 * p, place_of(r, x[p], p));
        store(of + 8 * p, x[p].x);
      }
      for (size_t i = 0; i < W; i++) {
        const double size = z[i] < 0 ? -z[i] : z[i];
        if (!(size < nearest.v[i])) continue;
        nearest.v[i] = size;
        element.v[i] = of[i];
      }
    });
    for (size_t i = 1; !rows.across() && i < W; i++) {
      if (!(nearest.v[i] < nearest.v[0])) continue;
      nearest.v[0] = nearest.v[i];
      element.v[0] = element.v[i];
    }
    for (size_t i = 0; i < this->used(t); i++) {
      const double s = r.s.v[i], size = s < 0 ? -s : s;
      if (size < kFar || !(nearest.v[i] < infinity<double>())) continue;
      const double moved = alpha * (element.v[i] - r.reference.v[i]) + s, reach = size * 0x1p-48 + 1;
      r.reference.v[i] = element.v[i];
      r.s.v[i] = moved;
      r.low.v[i] = moved - reach;
      r.high.v[i] = moved + reach;
      r.open |= 1u << i;
    }
    if (!rows.across()) spread(r);
  }
  // The largest, the least and the number of a row's logits above −∞.
  void survey(const Tile& t, Roots& r) const {
    const f64x8 bottom = splat(-infinity<double>());
    f64x8 most[kParts], least[kParts], count[kParts], total[kParts];
    for (size_t p = 0; p < kParts; p++) {
      most[p] = least[p] = bottom;
      count[p] = total[p] = splat(0.);
    }
    this->each(t, [&](size_t, Two<f64x8>* x, uint32_t visible) ALWAYS_LAMBDA {
      UNROLL for (size_t p = 0; p < kParts; p++) {
        const f64x8 z = add(x[p].x, x[p].low);
        const uint32_t some = visible >> 8 * p & lanes_above(z, bottom);
        most[p] = max_skip_nan(most[p], z);
        least[p] = max_skip_nan(least[p], select_bits(sub(splat(0.), z), bottom, some));
        count[p] = add(count[p], select_bits(splat(1.), splat(0.), some));
        total[p] = add(total[p], select_bits(splat(not_a_number<double>()), splat(0.), nan_lanes(z)));
      }
    });
    this->merge_largest(most, r.reference);
    this->merge_largest(least, r.least);
    merge_plain(count, r.count);
    Lanes is_nan;
    merge_plain(total, is_nan);
    for (size_t i = 0; i < this->used(t); i++)
      if (is_nan.v[i] != is_nan.v[i]) r.reference.v[i] = infinity<double>();
  }
  // Step 1 of the tile.
  void judge(size_t i) const {
    Tile t;
    Roots r;
    this->place(t, i);
    survey(t, r);
    const size_t row = this->first_row(i);
    for (size_t j = 0; j < this->used(t); j++) {
      const bool is_nan = r.reference.v[j] == infinity<double>();
      status[row + j] = is_nan ? kRowIsNaN : k < r.count.v[j] ? kRowIsFine : kRowIsTooShort;
    }
  }
  void row(const Run&, Memory&, size_t i) const {
    Tile t;
    Roots r;
    this->place(t, i);
    survey(t, r);
    const size_t used = this->used(t), row = this->first_row(i);
    uint32_t nan = 0;
    bool is_far = false;
    r.open = 0;
    for (size_t j = 0; j < W; j++) {
      if (j >= used) r.s.v[j] = r.reference.v[j] = 0;
      else if (status[row + j] == kRowIsNaN) {
        nan |= 1u << j;
        r.s.v[j] = r.reference.v[j] = 0;
      } else {
        const double spread = alpha * (r.reference.v[j] + r.least.v[j]), start = log_of_ratio(k, r.count.v[j] - k);
        r.low.v[j] = r.s.v[j] = start;
        r.high.v[j] = start + (spread < 0x1p1000 ? spread : 0x1p1000) * (1 + 0x1p-50) + 0x1p-40;
        r.low.v[j] -= 0x1p-40 + 0x1p-50 * (start < 0 ? -start : start);
        r.open |= 1u << j;
      }
    }
    if (!rows.across()) {
      spread(r);
      if (nan) nan = (1u << W) - 1;
    }
    solve(t, r);
    for (size_t j = 0; j < used; j++) is_far |= r.s.v[j] > kFar || r.s.v[j] < -kFar;
    if (is_far) {
      move_references(t, r);
      solve(t, r);
    }
    write_all(t, r, nan);
  }
  void write_all(const Tile& t, const Roots& r, uint32_t nan) const {
    const ExpScale<double> scale = ExpScale<double>::of(1);
    const ExpVector<double> e(scale, 0);
    const f64x8 zero = splat(0.), one = splat(1.);
    this->each(t, [&](size_t v, Two<f64x8>* x, uint32_t visible) ALWAYS_LAMBDA {
      f64x8 y[kParts];
      UNROLL for (size_t p = 0; p < kParts; p++) {
        const f64x8 z = place_of(r, x[p], p), exp = exp_of_distance(e, z);
        y[p] = div(select_bits(one, exp, lanes_above(z, zero)), add(one, exp));
        if (nan)
          y[p] = select_bits(select_bits(splat(not_a_number<double>()), zero, visible >> 8 * p), y[p], nan >> 8 * p);
      }
      this->write(out, t, v, y);
    });
  }
};

// Step 1, of all tiles.
template <class T> struct SoftTopKJudge : LossRows<T> {
  using Memory = NoMemory;
  const SoftTopK<T>& work;
  explicit SoftTopKJudge(const SoftTopK<T>& work) : LossRows<T>(work), work(work) {}
  void row(const Run&, Memory&, size_t i) const { work.judge(i); }
};
static bool all_fine(const int32_t* status, size_t rows) {
  for (size_t i = 0; i < rows; i++)
    if (status[i] == kRowIsTooShort) return false;
  return true;
}

// Which step a call takes: halves judge all rows before they write one.
template <class T> void soft_top_k_floats(const Run& run, const T* x, T* out, int32_t* status, double k, double alpha,
                                          const LogitRows<T>& rows, bool judges, bool writes) {
  const ExpScale<double> scale = ExpScale<double>::of(1);
  const SoftTopK<T> work({run, x, rows, scale}, out, status, k, alpha);
  if (judges) LossRows<T>::share(SoftTopKJudge<T>(work));
  if (writes && all_fine(status, rows.extent.rows())) LossRows<T>::share(work);
}
template <class X, class Y> void soft_top_k(const Run& run, const Stored<X>* x, Stored<Y>* out, int32_t* status,
                                            double k, double alpha, const UnscaledRows<Stored<X>>& rows) {
  if constexpr (kIsHalf<X>) {
    const HalfCall call(kFormat<X>, run, rows.logits());
    auto step = [&](HalfResult to, bool judges) {
      in_floats(call, x, nullptr, to,
                [&](const Run& r, size_t o, size_t n, const float* in, const float*, float* result) {
                  soft_top_k_floats<float>(r, in, result, status + call.row_index(o), k, alpha, call.part(o, n), judges,
                                           !judges);
                });
    };
    step({}, true);
    if (all_fine(status, rows.extent.rows())) step(out, false);
  } else soft_top_k_floats<X>(run, x, out, status, k, alpha, rows.logits(), true, true);
}

}  // namespace
