// taylor_softmax: p = T(z) / Σ T(z), z = (x + bias) / temperature, T the Taylor polynomial of exp of an even order n,
//
//   T(z) = Σ_{k ≤ n} z^k / k!      T(−∞) = 0
//
// which is positive. 1. Add up T in doubles that carry their roundings along.   2. Write T / Σ.
//
// A row whose sum overflows is read in a smaller unit u, a power of two: u^n T(z) = Σ (u z)^k u^(n−k) / k!.
#pragma once
#include "loss_rows.h"

namespace {

template <class T> struct TaylorSoftmax : LossRows<T> {
  using Base = LossRows<T>;
  using Base::kParts, Base::rows, Base::W;
  using Lanes = typename Base::Lanes;
  using Tile = typename Base::Tile;
  using Memory = NoMemory;
  T* out;
  size_t order;
  double temperature;

  TaylorSoftmax(const Base& base, T* out, size_t order, double temperature)
      : Base(base), out(out), order(order), temperature(temperature) {}

  // Of each row: u, what its logits are multiplied by, and what that is divided by, so that u z is the quotient. Where
  // z itself overflows, a logit times its unit is near 1.
  struct Units {
    Lanes u, logit, divisor;
    Units(double temperature) {
      for (size_t i = 0; i < W; i++) {
        u.v[i] = logit.v[i] = 1;
        divisor.v[i] = temperature;
      }
    }
  };
  // u^n T(z), by Horner's scheme from the highest power down; 0 for a logit of −∞. A z that overflows is another thing.
  template <bool kScaled> ALWAYS f64x8 term(Two<f64x8> z, const Units& units, size_t p) const {
    const f64x8 scaled = value<kScaled>(z, units, p), u = units.u.part(p);
    f64x8 r = splat(1.), power = u;
    for (size_t k = order; k > 0; k--) {
      r = fma(mul(scaled, splat(1. / (double)k)), r, kScaled ? power : splat(1.));
      if (kScaled) power = mul(power, u);
    }
    return zero_below(r, z.x, splat(-largest<double>()));
  }
  template <bool kScaled> ALWAYS f64x8 value(Two<f64x8> z, const Units& units, size_t p) const {
    const f64x8 by = units.logit.part(p);
    if (kScaled) return div(add(mul(z.x, by), mul(z.low, by)), units.divisor.part(p));
    const f64x8 x = add(z.x, z.low);
    return temperature == 1 ? x : div(x, splat(temperature));
  }
  template <bool kScaled> void add_up(const Tile& t, const Units& units, Lanes& sum, Lanes& rest) const {
    VectorTotal<double> total[kParts];
    this->each(t, [&](size_t, Two<f64x8>* z, uint32_t) ALWAYS_LAMBDA {
      UNROLL for (size_t p = 0; p < kParts; p++) total[p].add_pair(term<kScaled>(z[p], units, p), splat(0.));
    });
    this->merge(total, sum, rest);
  }
  template <bool kScaled> void divide(const Tile& t, const Units& units, const Lanes& sum, uint32_t nan) const {
    this->each(t, [&](size_t v, Two<f64x8>* z, uint32_t visible) ALWAYS_LAMBDA {
      f64x8 y[kParts];
      UNROLL for (size_t p = 0; p < kParts; p++) {
        y[p] = div(term<kScaled>(z[p], units, p), sum.part(p));
        if (nan) y[p] = select_bits(splat(not_a_number<double>()), y[p], (visible & nan) >> 8 * p);
      }
      this->write(out, t, v, y);
    });
  }
  // Gives the rows whose sum overflows, though no logit is +∞, units in which the largest |z|^n is about 2^900: small
  // terms keep their bits then.
  SELDOM bool find_units(const Tile& t, const Lanes& sum, Units& units) const {
    f64x8 most[kParts];
    for (f64x8& each : most) each = splat(0.);
    this->each(t, [&](size_t, Two<f64x8>* z, uint32_t visible) {
      for (size_t p = 0; p < kParts; p++) {
        const f64x8 size = zero_below(size_of(z[p].x), z[p].x, splat(-largest<double>()));  // −∞ has no part
        most[p] = max_skip_nan(most[p], select_bits(size, splat(0.), visible >> 8 * p));
      }
    });
    Lanes size;
    this->merge_largest(most, size);
    const int octaves = temperature < 0x1p-1000 ? exponent_of(temperature * 0x1p100) - 100 : exponent_of(temperature);
    const double half = pow2(octaves / 2), rest = pow2(octaves - octaves / 2);
    bool found = false;
    for (size_t i = 0; i < W; i++) {
      if (!(sum.v[i] == infinity<double>() && size.v[i] < infinity<double>())) continue;
      const int size_octaves = exponent_of(size.v[i]), beyond = size_octaves > 1000 ? size_octaves - 1000 : 0;
      const double most_z = pow2(900 / (int)order - beyond);
      units.logit.v[i] = power_within(-size_octaves);
      units.u.v[i] = units.logit.v[i] * half * most_z * rest;
      units.divisor.v[i] = temperature / half / rest / most_z;
      found = true;
    }
    return found;
  }
  void row(const Run&, Memory&, size_t i) const {
    Tile t;
    Lanes sum, rest;
    Units units(temperature);
    this->place(t, i);
    add_up<false>(t, units, sum, rest);
    bool overflows = false, is_scaled = false;
    for (double each : sum.v) overflows |= each == infinity<double>();
    if (overflows) is_scaled = find_units(t, sum, units);
    if (is_scaled) add_up<true>(t, units, sum, rest);
    uint32_t nan = 0;
    for (size_t j = 0; j < W; j++) {
      if (sum.v[j] > 0 && sum.v[j] < infinity<double>()) continue;
      // Nothing but −∞ is no fault where a mask was given.
      if (sum.v[j] != 0 || !rows.extras.has_mask()) nan |= 1u << j;
      sum.v[j] = 1;
    }
    is_scaled ? divide<true>(t, units, sum, nan) : divide<false>(t, units, sum, nan);
  }
};

template <class T>
void taylor_softmax_floats(const Run& run, const T* x, T* out, size_t order, const LogitRows<T>& rows) {
  if (rows.extent.elements() == 0) return;
  const ExpScale<double> scale = ExpScale<double>::of(1);
  LossRows<T>::share(TaylorSoftmax<T>({run, x, rows, scale}, out, order, rows.temperature));
}
template <class X, class Y> void taylor_softmax(const Run& run, const Stored<X>* x, Stored<Y>* out, size_t order,
                                                const LogitRows<Stored<X>>& rows) {
  if constexpr (kIsHalf<X>) {
    const HalfCall call(kFormat<X>, run, rows);
    in_floats(call, x, nullptr, out,
              [&](const Run& r, size_t o, size_t n, const float* in, const float*, float* result) {
                taylor_softmax_floats<float>(r, in, result, order, call.part(o, n));
              });
  } else taylor_softmax_floats<X>(run, x, out, order, rows);
}

}  // namespace
