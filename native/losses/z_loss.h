// z_loss (de Brébisson & Vincent, arXiv 1604.08859), with z = (o − mean) / std over a row's visible logits:
//
//   L = softplus(a (b − z_c)) / a      ∂L/∂o_k = −σ(a (b − z_c)) · (δ_kc − 1/D − z_c z_k / D) / std
//
// 1. The mean, a pair of doubles.   2. Σ (o − mean)².   3. The loss, from the target's logit.   4. ∂ = A + B · d.
//
// Doubles whose squares leave the range are read in a unit u, a power of two: z stays, and ∂ is u times ∂(u o).
#pragma once
#include "../math/octaves.h"
#include "loss_rows.h"

namespace {

// exp(−t) for t ≥ 0.
SIMD_INLINE double exp_of_negative(double t) {
  const Octaves o = Octaves::of(-t, 0, 1);
  return o.whole < -1000 ? 0 : o.factor() * pow2((int)o.whole);
}

template <class T> struct ZLoss : LossRows<T> {
  using Base = LossRows<T>;
  using Base::kParts, Base::rows, Base::W;
  using Lanes = typename Base::Lanes;
  using Tile = typename Base::Tile;
  using Memory = NoMemory;
  const int32_t* targets;
  double a, b, *loss;
  T* gradient;

  ZLoss(const Base& base, const int32_t* targets, double a, double b, double* loss, T* gradient)
      : Base(base), targets(targets), a(a), b(b), loss(loss), gradient(gradient) {}

  // What a tile's rows are measured as. Distances are from the mean, hi + low, in the row's unit.
  struct Rows {
    Lanes unit, count, sum, rest, hi, low, squares, std;
    Lanes at_target;                       // its distance; −∞ where it is masked, and 0 in a row that does not count
    Lanes of_all, of_distance, of_target;  // ∂ = of_all + of_distance · d, less of_target at the target
    bool is_scaled = false;
  };
  ALWAYS f64x8 scaled(const Rows& r, f64x8 x, size_t p) const {
    return sizeof(T) == 8 && r.is_scaled ? mul(x, r.unit.part(p)) : x;
  }
  ALWAYS f64x8 distance(const Rows& r, Two<f64x8> z, size_t p) const {
    const f64x8 d = sub(scaled(r, z.x, p), r.hi.part(p));
    return add(d, sub(scaled(r, z.low, p), r.low.part(p)));
  }
  // The units of rows whose largest |o| is very large or very small.
  void find_units(const Tile& t, Rows& r) const {
    f64x8 most[kParts];
    for (f64x8& each : most) each = splat(0.);
    this->each(t, [&](size_t, Two<f64x8>* z, uint32_t visible) ALWAYS_LAMBDA {
      UNROLL for (size_t p = 0; p < kParts; p++) most[p] =
          max_skip_nan(most[p], select_bits(size_of(z[p].x), splat(0.), visible >> 8 * p));
    });
    Lanes size;
    this->merge_largest(most, size);
    for (size_t i = 0; i < W; i++) {
      if ((size.v[i] < 0x1p300 && size.v[i] > 0x1p-300) || size.v[i] == 0) continue;
      r.unit.v[i] = power_within(-exponent_of(size.v[i]));
      r.is_scaled = true;
    }
  }
  void find_mean(const Tile& t, Rows& r) const {
    VectorTotal<double> total[kParts];
    f64x8 count[kParts];
    for (f64x8& each : count) each = splat(0.);
    this->each(t, [&](size_t, Two<f64x8>* z, uint32_t visible) ALWAYS_LAMBDA {
      UNROLL for (size_t p = 0; p < kParts; p++) {
        const uint32_t lanes = visible >> 8 * p;
        total[p].add_pair(select_bits(scaled(r, z[p].x, p), splat(0.), lanes), scaled(r, z[p].low, p));
        count[p] = add(count[p], select_bits(splat(1.), splat(0.), lanes));
      }
    });
    this->merge(total, r.sum, r.rest);
    for (size_t p = 0; p < kParts; p++) store(r.count.v + 8 * p, count[p]);
    for (size_t i = 1; !rows.across() && i < W; i++) r.count.v[0] += r.count.v[i];
    for (size_t i = 0; i < W; i++) {
      if (!rows.across()) r.count.v[i] = r.count.v[0];
      const double n = r.count.v[i] > 0 ? r.count.v[i] : 1;
      r.hi.v[i] = r.sum.v[i] / n;
      r.low.v[i] = (FUSED_F64(-r.hi.v[i], n, r.sum.v[i]) + r.rest.v[i]) / n;
    }
  }
  void find_std(const Tile& t, Rows& r) const {
    VectorTotal<double> total[kParts];
    this->each(t, [&](size_t, Two<f64x8>* z, uint32_t visible) ALWAYS_LAMBDA {
      UNROLL for (size_t p = 0; p < kParts; p++) {
        const f64x8 d = distance(r, z[p], p);
        total[p].add_pair(select_bits(mul(d, d), splat(0.), visible >> 8 * p), splat(0.));
      }
    });
    this->merge(total, r.squares, r.std);
    for (size_t i = 0; i < W; i++) {
      const double std = SQUARE_ROOT(r.squares.v[i] / (r.count.v[i] > 0 ? r.count.v[i] : 1));
      const double noise = 0x1p-80 * (r.hi.v[i] < 0 ? -r.hi.v[i] : r.hi.v[i]);  // of the mean of equal logits
      r.std.v[i] = std < noise ? 0 : std;
    }
  }
  // The distance of row i's target.
  void find_target(const Tile& t, Rows& r, size_t i, int32_t target) const {
    if (target < 0) return void(r.at_target.v[i] = 0);
    const size_t c = (size_t)target, v = rows.across() ? c : c / W, lane = rows.across() ? i : c % W;
    Two<f64x8> z[kParts];
    const uint32_t visible = rows.read_out_of_line(t, v, z);
    double each[W];
    for (size_t p = 0; p < kParts; p++) store(each + 8 * p, distance(r, z[p], p));
    r.at_target.v[i] = visible >> lane & 1 ? each[lane] : -infinity<double>();
  }
  // The loss of a row, and the three numbers of its gradient.
  double finish(Rows& r, size_t i, int32_t target) const {
    const double n = r.count.v[i], std = r.std.v[i], d = r.at_target.v[i], unit = r.unit.v[i];
    r.of_all.v[i] = r.of_distance.v[i] = r.of_target.v[i] = 0;
    if (target < 0) return 0;
    const bool is_bad = n > 0 && std - std != 0;  // a NaN or an infinity
    if (is_bad) return r.of_all.v[i] = not_a_number<double>();
    if (d == -infinity<double>()) return infinity<double>();
    const double z = std > 0 ? d / std : 0, below = b - z, size = a * (below < 0 ? -below : below);
    const double e = exp_of_negative(size), sigma = (below < 0 ? e : 1) / (1 + e);
    const Pair log = log1p_pair(e, 0);
    if (std > 0) {
      r.of_target.v[i] = sigma / std * unit;
      r.of_all.v[i] = r.of_target.v[i] / n;
      r.of_distance.v[i] = r.of_all.v[i] * (z / std);
    }
    return same_nan((below > 0 ? below : 0) + (log.hi + log.lo) / a);
  }
  void write_gradient(const Tile& t, const Rows& r, size_t row) const {
    this->each(t, [&](size_t v, Two<f64x8>* z, uint32_t visible) ALWAYS_LAMBDA {
      f64x8 y[kParts];
      UNROLL for (size_t p = 0; p < kParts; p++) {
        const f64x8 d = distance(r, z[p], p), all = r.of_all.part(p);
        // A row that does not count is 0, whatever it holds.
        const uint32_t lanes = visible >> 8 * p & lanes_used(all);
        y[p] = select_bits(fma(r.of_distance.part(p), d, all), splat(0.), lanes);
      }
      this->write(gradient, t, v, y);
    });
    for (size_t i = 0; i < this->used(t); i++) {
      if (!(r.of_target.v[i] > 0)) continue;
      const size_t c = (size_t)targets[row + i], at = t.first + (rows.across() ? i + c * rows.inner : c);
      gradient[at] = (T)same_nan(FUSED_F64(r.of_distance.v[i], r.at_target.v[i], r.of_all.v[i]) - r.of_target.v[i]);
    }
  }
  // The lanes whose gradient is not 0 throughout: NaN counts.
  static ALWAYS uint32_t lanes_used(f64x8 all) { return lanes_above(all, splat(0.)) | nan_lanes(all); }

  void row(const Run&, Memory&, size_t i) const {
    Tile t;
    Rows r;
    this->place(t, i);
    for (double& each : r.unit.v) each = 1;
    if (sizeof(T) == 8) find_units(t, r);
    find_mean(t, r);
    find_std(t, r);
    const size_t row = this->first_row(i), used = this->used(t);
    for (size_t j = 0; j < used; j++) {
      find_target(t, r, j, targets[row + j]);
      loss[row + j] = finish(r, j, targets[row + j]);
    }
    for (size_t j = used; j < W; j++) {
      r.of_all.v[j] = r.of_all.v[0];
      r.of_distance.v[j] = r.of_distance.v[0];
      r.of_target.v[j] = 0;
    }
    if (gradient) write_gradient(t, r, row);
  }
};

template <class T> void z_loss_floats(const Run& run, const T* x, const int32_t* targets, double* loss, T* gradient,
                                      double a, double b, const LogitRows<T>& rows) {
  if (rows.extent.rows() == 0) return;
  const ExpScale<double> scale = ExpScale<double>::of(1);
  LossRows<T>::share(ZLoss<T>({run, x, rows, scale}, targets, a, b, loss, gradient));
}
template <class X, class Y> void z_loss(const Run& run, const Stored<X>* x, const int32_t* targets, double* loss,
                                        Stored<X>* gradient, double a, double b, const UnscaledRows<Stored<X>>& rows) {
  if constexpr (kIsHalf<X>) {
    const HalfCall call(kFormat<X>, run, rows.logits());
    for (size_t i = 0; rows.extent.cols == 0 && i < rows.extent.rows(); i++) loss[i] = 0;
    in_floats(call, x, nullptr, gradient,
              [&](const Run& r, size_t o, size_t n, const float* in, const float*, float* result) {
                const size_t row = call.row_index(o);
                z_loss_floats<float>(r, in, targets + row, loss + row, result, a, b, call.part(o, n));
              });
  } else z_loss_floats<X>(run, x, targets, loss, gradient, a, b, rows.logits());
}

}  // namespace
