// StableMax (Prieto et al., arXiv 2501.04697): p = s(z) / Σ s(z) with z = x + bias, and its logarithm.
//
//   s(z) = z + 1 for z ≥ 0      s(z) = 1 / (1 - z) for z < 0      s(-∞) = 0
//
// 1. Add up s in doubles that carry their roundings along.   2. Write s / Σ or ln(s / Σ), rounded once for float rows.
//
// A row whose sum overflows is read in a smaller unit u, a power of two: with z' = u z, u s = z' + u or u² / (u - z').
// So is a row with logits near the lower end of the range, or below it: s / u = 1 / (u - z') is no subnormal.
#pragma once
#include "stable_max_rows.h"

namespace {

// What a loss adds to a call: its targets, its losses, and what multiplies them and their gradient.
struct StableMaxLoss {
  const int32_t* targets;
  double* losses;
  double scale;
};

template <class T> struct StableMax {
  static constexpr size_t W = ExpTraits<T>::kLanes, kParts = W / 8, kVectors = kSuper / W;
  const Run& run;
  LogRows<T> rows;
  size_t outer;
  T* out;
  bool wants_log;
  const StableMaxLoss* loss = nullptr;  // `out` is its gradient then, or null

  struct Memory {
    LaneReadings<T> lanes;
    explicit Memory(const Run&) {}
  };
  // W neighbouring rows, or one: its sums in `m`, and for each row its unit and two powers of two: the numerator
  // of the terms of negative logits, and the factor of the other terms.
  // The gradient of W rows: `above` for logits from 0, s² · below for others, and the gradient at the target.
  struct Slopes {
    double above[W], below[W], at_target[W];
    uint32_t ignored = 0;  // rows whose gradient is 0 throughout
  };
  struct Tile {
    const StableMax& s;
    MeasuredTile<T> m;
    LaneReadings<T>* lanes;  // one a part
    double unit[W], numerator[W], factor[W];
    bool is_scaled = false;  // some unit is not 1
    uint32_t nan = 0;        // rows that are NaN throughout
    const Slopes* slopes = nullptr;
  };
  // Terms of eight elements: s, and |z'| + u, in the rows' units.
  struct Terms {
    f64x8 s, size;
    uint32_t negative;
  };
  size_t tiles() const { return rows.across() ? (rows.inner + W - 1) / W : 1; }
  Parts parts() const { return {rows.across() ? 1 : rows.cols}; }
  size_t end(size_t part) const { return part + 1 < parts().count() ? (part + 1) * kVectors : rows.vectors(); }

  static ALWAYS Terms terms(const Tile& t, Two<f64x8> z, size_t p) {
    const f64x8 zero = splat(0.), u = load(t.unit + 8 * p), x = add(z.x, z.low);
    const uint32_t negative = lanes_above(zero, x);
    const f64x8 size = select_bits(sub(u, x), mul(add(x, u), load(t.factor + 8 * p)), negative);
    return {select_bits(div(load(t.numerator + 8 * p), size), size, negative), size, negative};
  }
  // Vector v of a tile, in the rows' units; -∞ where masked. Returns the lanes that are not masked.
  ALWAYS uint32_t read(const Tile& t, size_t v, Two<f64x8>* z) const {
    const bool is_large = kRegisters == 4 || rows.extras.bias.data;  // large code, out of line
    const uint32_t visible =
        is_large ? rows.read_out_of_line(t.m, v, z) : rows.template read</*kExactDistance=*/true>(t.m, v, z);
    if (sizeof(T) == 8 && t.is_scaled) read_scaled(t, v, z, visible);
    return visible;
  }
  // As `read`, from x and bias that are scaled before they are added: their sum may overflow.
  SELDOM void read_scaled(const Tile& t, size_t v, Two<f64x8>* z, uint32_t visible) const {
    const size_t i = t.m.first + v * rows.stride(), n = rows.width(t.m, v), column = rows.across() ? v : v * W;
    const Slice<const T>& bias = rows.extras.bias;
    const bool is_shared = bias.length == rows.cols;
    T a[W] = {}, b[W] = {};
    for (size_t j = 0; j < n; j++) {
      a[j] = rows.x[i + j];
      if (bias.data) b[j] = bias.data[is_shared ? column + (rows.across() ? 0 : j) : i + j];
    }
    f64x8 x[kParts], y[kParts];
    widen(load(a), x);
    widen(load(b), y);
    for (size_t p = 0; p < kParts; p++) {
      const f64x8 u = load(t.unit + 8 * p);
      const Two<f64x8> sum = exact_sum(mul(x[p], u), mul(y[p], u));
      z[p].x = select_bits(sum.x, splat(-infinity<double>()), visible >> 8 * p);
      z[p].low = select_bits(sum.low, splat(0.), visible >> 8 * p);
    }
  }

  static void add_up(void* self, size_t part) {
    Tile& t = *(Tile*)self;
    if (t.s.run.stopped()) return;
    VectorTotal<double> total[kParts];
    for (size_t v = part * kVectors; v < t.s.end(part); v++) {
      Two<f64x8> z[kParts];
      t.s.read(t, v, z);
      UNROLL for (size_t p = 0; p < kParts; p++) total[p].add_pair(terms(t, z[p], p).s, splat(0.));
    }
    UNROLL for (size_t p = 0; p < kParts; p++) {
      store(t.lanes[part].sum + 8 * p, total[p].sum);
      store(t.lanes[part].rest + 8 * p, total[p].rest);
    }
  }
  // The sums of a tile's rows: of all parts and, in a row, of all lanes, which then all have the row's sum.
  void sum(const Run& r, Tile& t) const {
    parts().each(r, add_up, &t);
    MeasuredTile<T>& m = t.m;
    for (size_t i = 0; i < W; i++) m.sum[i] = m.rest[i] = 0;
    for (size_t p = 0; p < parts().count(); p++) {
      for (size_t i = 0, to = 0; i < W; i++, to += rows.across()) {
        double rest;
        two_sum(m.sum[to], t.lanes[p].sum[i], m.sum[to], rest);
        m.rest[to] += rest + t.lanes[p].rest[i];
      }
    }
    for (size_t i = 1; !rows.across() && i < W; i++) {
      m.sum[i] = m.sum[0];
      m.rest[i] = m.rest[0];
    }
    for (size_t i = 0; i < W; i++)
      if (is_usual(m.sum[i])) two_sum(m.sum[i], m.rest[i], m.sum[i], m.rest[i]);
  }
  static bool is_usual(double sum) { return sum > 0 && sum < infinity<double>(); }

  // ln(s / Σ). A term above half of Σ: -log1p((Σ - s) / s). A quotient that may be subnormal: from two logarithms.
  NEVER_INLINE f64x8 log_of_quotient(const Tile& t, const Terms& e, f64x8 q, f64x8 sum, size_t p) const {
    const f64x8 tiny = splat(0x1p-900), zero = splat(0.), numerator = load(t.numerator + 8 * p);
    const uint32_t small = lanes_above(tiny, q), large = lanes_above(q, splat(0.5));
    f64x8 y = log_of(max_keep_nan(tiny, q));
    if (small) {
      const f64x8 of_size = log_of(max_keep_nan(tiny, e.size)), of_sum = log_of(sum);
      const f64x8 below = sub(sub(log_of(numerator), of_size), of_sum);
      y = select_bits(select_bits(below, sub(of_size, of_sum), e.negative), y, small);
      y = select_bits(y, splat(-infinity<double>()), lanes_above(splat(infinity<double>()), e.size));
    }
    return large ? with_largest(t, e.s, y, large, p) : add(y, zero);
  }
  static SELDOM f64x8 with_largest(const Tile& t, f64x8 s, f64x8 y, uint32_t large, size_t p) {
    double terms[8], logs[8];
    store(terms, s);
    store(logs, y);
    for (; large; large &= large - 1) {
      const size_t i = lowest_bit(large), row = 8 * p + i;
      const Pair log = log1p_pair(((t.m.sum[row] - terms[i]) + t.m.rest[row]) / terms[i], 0);
      logs[i] = 0 - (log.hi + log.lo);  // ln 1 is 0 and not -0
    }
    return load(logs);
  }
  static void write(void* self, size_t part) {
    const Tile& t = *(const Tile*)self;
    const StableMax& s = t.s;
    if (s.run.stopped()) return;
    for (size_t v = part * kVectors; v < s.end(part); v++) {
      Two<f64x8> z[kParts];
      f64x8 y[kParts];
      const uint32_t visible = s.read(t, v, z);
      UNROLL for (size_t p = 0; p < kParts; p++) {
        const Terms e = terms(t, z[p], p);
        const f64x8 sum = load(t.m.sum + 8 * p), q = div(e.s, sum);
        y[p] = s.wants_log ? s.log_of_quotient(t, e, q, sum, p) : t.slopes ? slope(*t.slopes, e, p) : q;
        if (t.nan) y[p] = select_bits(splat(not_a_number<double>()), y[p], (visible & t.nan) >> 8 * p);
      }
      const size_t n = s.rows.width(t.m, v);
      T* at = s.out + t.m.first + v * s.rows.stride();
      n == W ? store(at, narrowed(y, T())) : store_n(at, narrowed(y, T()), n);
    }
  }
  // stable_max_loss.h
  static NEVER_INLINE f64x8 slope(const Slopes& slopes, const Terms& e, size_t p);
  void find_losses(Tile& t, Slopes& slopes, size_t row) const;
  void write_at_targets(const Tile& t, size_t row) const;

  // Whether a logit or a bias of a tile is finite and at or below -2^1000.
  SELDOM bool has_far_logit(const Tile& t) const {
    const Slice<const T>& bias = rows.extras.bias;
    const bool is_shared = bias.length == rows.cols;
    auto is_far = [](double x) { return x <= -0x1p1000 && x > -infinity<double>(); };
    for (size_t v = 0; v < rows.vectors(); v++) {
      const size_t i = t.m.first + v * rows.stride(), column = rows.across() ? v : v * W;
      for (size_t j = 0; j < rows.width(t.m, v); j++) {
        const size_t at = is_shared ? column + (rows.across() ? 0 : j) : i + j;
        if (is_far((double)rows.x[i + j]) || (bias.data && is_far((double)bias.data[at]))) return true;
      }
    }
    return false;
  }
  // Chooses the unit of each row from its sum in the unit 1.
  SELDOM void choose_units(Tile& t) const {
    const bool is_far = has_far_logit(t);
    for (size_t j = 0; j < W; j++) {
      if (!is_far && t.m.sum[j] < infinity<double>()) continue;
      const bool is_small = t.m.sum[j] < 0x1p900;
      t.unit[j] = 0x1p-64;
      t.numerator[j] = is_small ? 1 : 0x1p-128;
      t.factor[j] = is_small ? 0x1p128 : 1;
      t.is_scaled = true;
    }
  }
  void tile(const Run& r, size_t i, LaneReadings<T>* lanes) const {
    Tile t = {*this, {}, lanes, {}, {}, {}};
    const size_t at = i % tiles() * W;
    t.m.first = i / tiles() * rows.cols * rows.inner + at;
    t.m.n = !rows.across() ? 1 : rows.inner - at < W ? rows.inner - at : W;
    for (size_t j = 0; j < W; j++) t.unit[j] = t.numerator[j] = t.factor[j] = 1;
    sum(r, t);
    bool is_unusual = rows.extras.bias.data != nullptr;
    for (size_t j = 0; j < t.m.n; j++) is_unusual |= !(t.m.sum[j] >= 1 && t.m.sum[j] < infinity<double>());
    if (sizeof(T) == 8 && is_unusual) choose_units(t);
    if (t.is_scaled) sum(r, t);
    for (size_t j = 0; j < W; j++) {
      if (is_usual(t.m.sum[j])) continue;
      // Nothing but -∞ is no fault where a mask was given.
      if (t.m.sum[j] != 0 || !rows.extras.has_mask()) t.nan |= 1u << j;
      t.m.sum[j] = 1;
      t.m.rest[j] = 0;
    }
    if (!loss) return parts().each(r, write, &t);
    const size_t row = i / tiles() * rows.inner + at;
    Slopes slopes;
    find_losses(t, slopes, row);
    if (!out) return;
    parts().each(r, write, &t);
    write_at_targets(t, row);
  }
  void row(const Run& alone, Memory& memory, size_t i) const { tile(alone, i, &memory.lanes); }
  void go() const {
    Run r = for_bytes(run, outer * rows.cols * rows.inner * sizeof(T));
    const StableMaxRows<T> contiguous = {*this};
    const bool is_contiguous = contiguous.may_have(*this);
    if (parts().count() < 2) {
      if (is_contiguous) return share_rows(r, outer, rows.cols, contiguous);
      return share_rows(r, outer * tiles(), rows.cols * (rows.across() ? W : 1), *this);
    }
    LongRow memory(run, parts().count() * sizeof(LaneReadings<T>));
    for (size_t o = 0; o < outer && !run.stopped(); o++) {
      if (is_contiguous && contiguous.compute(r, o, (typename StableMaxRows<T>::PartSum*)memory.data)) continue;
      tile(r, o, (LaneReadings<T>*)memory.data);
    }
  }
};

template <class T, bool kLog> void stable_max_floats(const Run& run, const T* x, T* out, const LogitRows<T>& rows) {
  const Extent& e = rows.extent;
  if (e.elements() == 0) return;
  const ExpScale<double> scale = ExpScale<double>::of(1);
  StableMax<T>{run, {x, e.cols, e.inner, scale, Extras<T>(rows), 1}, e.outer, out, kLog}.go();
}

template <class X, class Y>
void stable_max(const Run& run, const Stored<X>* x, Stored<Y>* out, const UnscaledRows<Stored<X>>& rows) {
  [[maybe_unused]] constexpr auto* kernel = stable_max_floats<float, false>;
  if constexpr (kIsHalf<X>) map_halves(HalfCall(kFormat<X>, run, rows.logits()), x, out, kernel);
  else stable_max_floats<X, false>(run, x, out, rows.logits());
}
template <class X, class Y>
void log_stable_max(const Run& run, const Stored<X>* x, Stored<Y>* out, const UnscaledRows<Stored<X>>& rows) {
  [[maybe_unused]] constexpr auto* kernel = stable_max_floats<float, true>;
  if constexpr (kIsHalf<X>) map_halves(HalfCall(kFormat<X>, run, rows.logits()), x, out, kernel);
  else stable_max_floats<X, true>(run, x, out, rows.logits());
}

}  // namespace
