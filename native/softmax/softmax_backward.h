// The gradient of softmax: from y = softmax(x / T) and dy, what a loss changes with y, to what it changes with x:
//
//   dx = y (dy − Σ y dy) / T
//
// The sum is one of doubles, which hold a product of floats, and carries what it rounds along; dx is rounded once. Rows, tiles
// and parts are those of log_sum.h.
#pragma once
#include "../rows/buffer.h"
#include "../rows/half_rows.h"
#include "../rows/share_rows.h"
#include "log_sum.h"

namespace {

template <class T> struct Backward {
  static constexpr size_t W = ExpTraits<T>::kLanes, kParts = W / 8, kVectors = kSuper / W, kChains = 4;
  static constexpr bool kExact = sizeof(T) == 4;  // products are
  const Run& run;
  const T *y, *dy;
  T* out;
  size_t outer, cols, inner;
  double inverse;  // 1 / T, of a temperature that scale1 · scale2 = 2^-n brings near 1
  double scale1, scale2;
  Extras<T> extras;

  // Some neighbouring rows, or one, and its sums: a lane each, of each part.
  struct Tile {
    const Backward& s;
    size_t first, n;
    struct Sums { double sum[W], rest[W]; } *parts, total;
    bool usual = true;  // no factor of a result is far away, and none can be a NaN
    bool is_zero = false;  // dy is
    bool moved = false;
    // If `moved`: dy of each lane is multiplied by it, as sums and differences would overflow or be subnormal.
    double by[W] = {};
    // Whether no result can be a NaN: all products are finite, and so is what is left of dy.
    bool ordinary() const {
      bool all = true;
      for (double s : total.sum) all &= s < 1e290 && s > -1e290;
      return all;
    }
    bool has_tiny_sums() const {
      bool some = false;
      for (size_t i = 0; i < n; i++) some |= is_tiny(total.sum[i]);
      return some;
    }
    static bool is_tiny(double s) { return s < 0x1p-900 && s > -0x1p-900; }
    void move_all(double factor) {
      moved = true;
      for (double& each : by) each = factor;
    }
  };

  bool across() const { return inner > 1; }
  size_t tiles() const { return across() ? (inner + W - 1) / W : 1; }
  size_t vectors() const { return across() ? cols : (cols + W - 1) / W; }
  size_t parts() const { return across() ? 1 : (vectors() + kVectors - 1) / kVectors; }
  size_t end(size_t part) const { return part + 1 < parts() ? (part + 1) * kVectors : vectors(); }

  ALWAYS size_t width(const Tile& t, size_t v) const { return across() ? t.n : cols - v * W < W ? cols - v * W : W; }
  // Vector v of both arrays, 0 where masked; `lanes` are those that are not. Returns how many elements it has.
  template <bool kFar> ALWAYS size_t read(const Tile& t, size_t v, size_t& i, f64x8* a, f64x8* b, uint32_t& lanes) const {
    size_t n = width(t, v), column = across() ? v : v * W;
    i = t.first + (across() ? v * inner : v * W);
    widen(n == W ? load(y + i) : load_n(y + i, n, (T)0), a), widen(n == W ? load(dy + i) : load_n(dy + i, n, (T)0), b);
    if (!kExact && kFar && t.moved) b[0] = mul(b[0], load(t.by));
    if (!extras.has_mask()) return n;
    lanes = extras.lanes(i, column, n, across());
    UNROLL for (size_t p = 0; p < kParts; p++) a[p] = select_bits(a[p], splat(0.), lanes >> 8 * p), b[p] = select_bits(b[p], splat(0.), lanes >> 8 * p);
    return n;
  }
  static void add_up(void* self, size_t part) {
    Tile& t = *(Tile*)self;
    if (t.s.run.stopped()) return;
    kExact || !t.moved ? add_up<false>(t, part) : add_up<!kExact>(t, part);
  }
  template <bool kFar> static void add_up(Tile& t, size_t part) {
    Total<double> total[kParts];
    size_t v = part * kVectors, to = t.s.end(part), i;
    uint32_t lanes = 0;
    f64x8 a[kParts], b[kParts];
    while (kExact && v < to) {
      f64x8 sums[kChains][kParts];
      for (auto& chain : sums) for (f64x8& s : chain) s = splat(0.);
      for (size_t stop = to - v < 64 ? to : v + 64; v < stop;) {
        for (size_t c = 0; c < kChains && v < stop; c++, v++) {
          t.s.template read<kFar>(t, v, i, a, b, lanes);
          UNROLL for (size_t p = 0; p < kParts; p++) sums[c][p] = fma(a[p], b[p], sums[c][p]);
        }
      }
      UNROLL for (size_t p = 0; p < kParts; p++) total[p].add_both(add(add(sums[0][p], sums[1][p]), add(sums[2][p], sums[3][p])), splat(0.));
    }
    for (; v < to; v++) {
      t.s.template read<kFar>(t, v, i, a, b, lanes);
      UNROLL for (size_t p = 0; p < kParts; p++) {
        f64x8 product = mul(a[p], b[p]);
        total[p].add_both(product, fma(a[p], b[p], sub(splat(0.), product)));
      }
    }
    UNROLL for (size_t p = 0; p < kParts; p++) store(t.parts[part].sum + 8 * p, total[p].a), store(t.parts[part].rest + 8 * p, total[p].rest);
  }
  // Processors differ in the NaN that they make of 0 · ∞.
  static ALWAYS f64x8 one_nan(f64x8 v) {
    f64x8 most = splat(infinity<double>());
    return select_bits(v, splat(not_a_number<double>()), lanes_above(most, v) | lanes_above(v, sub(splat(0.), most)));
  }
  static void write(void* self, size_t part) {
    const Tile& t = *(const Tile*)self;
    if (t.s.run.stopped()) return;
    if (t.is_zero) return t.s.write_zeros(t, part);
    if (!t.usual) return t.s.template write<true, !kExact>(t, part);
    // A subnormal product rounded once more is off by half a unit times 1 / T besides.
    t.s.inverse > 2 ? t.s.template write<false, !kExact>(t, part) : t.s.template write<false, false>(t, part);
  }
  // y · 0
  void write_zeros(const Tile& t, size_t part) const {
    for (size_t v = part * kVectors; v < end(part); v++) {
      size_t i = t.first + (across() ? v * inner : v * W), n = width(t, v);
      f64x8 a[kParts];
      widen(n == W ? load(y + i) : load_n(y + i, n, (T)0), a);
      uint32_t lanes = !extras.has_mask() ? ~0u : extras.lanes(i, across() ? v : v * W, n, across());
      UNROLL for (size_t p = 0; p < kParts; p++) a[p] = select_bits(mul(a[p], splat(0.)), splat(0.), lanes >> 8 * p);
      n == W ? store(out + i, narrowed(a, T())) : store_n(out + i, narrowed(a, T()), n);
    }
  }
  // a · d / T for any T. The powers of two go to the factors, or to their product: one of the two ways stays within doubles.
  NEVER_INLINE f64x8 quotient(const Tile& t, f64x8 a, f64x8 d) const {
    const f64x8 first = splat(scale1), second = t.moved ? div(splat(scale2), load(t.by)) : splat(scale2);
    const f64x8 factor = splat(inverse), most = splat(infinity<double>());
    f64x8 late = mul(mul(mul(mul(a, d), factor), first), second);
    const f64x8 one = splat(1.), zero = splat(0.);
    const f64x8 later = sub(zero, max_keep_nan(sub(zero, one), sub(zero, second)));  // what is less than 1: last
    f64x8 early = mul(mul(mul(mul(a, first), mul(d, max_keep_nan(one, second))), factor), later);
    f64x8 better = scale1 > 1 ? early : late, other = scale1 > 1 ? late : early;
    return one_nan(select_bits(better, other, lanes_above(most, better) & lanes_above(better, sub(splat(0.), most))));
  }
  // y · left / T of the lanes where it is below 2^-960: a product that is subnormal is not multiplied again.
  // `d` is left · by.
  SELDOM f64x8 subnormal(const Tile& t, f64x8 r, f64x8 a, f64x8 d, uint32_t lanes) const {
    const f64x8 zero = splat(0.);
    lanes &= lanes_above(a, zero) | lanes_above(zero, a);
    f64x8 product = mul(mul(mul(a, splat(0x1p100)), mul(d, splat(0x1p100))), splat(inverse));
    return select_bits(mul(product, t.moved ? div(splat(0x1p-200), load(t.by)) : splat(0x1p-200)), r, lanes);
  }
  template <bool kOdd, bool kMayBeSmall> void write(const Tile& t, size_t part) const {
    const f64x8 factor = splat(inverse), tiny = splat(0x1p-960), minus = splat(-0x1p-960);
    f64x8 sum[kParts], rest[kParts];
    UNROLL for (size_t p = 0; p < kParts; p++) sum[p] = load(t.total.sum + 8 * p), rest[p] = load(t.total.rest + 8 * p);
    for (size_t v = part * kVectors; v < end(part); v++) {
      size_t i;
      f64x8 a[kParts], b[kParts];
      uint32_t lanes = 0;
      size_t n = read<kOdd>(t, v, i, a, b, lanes);
      UNROLL for (size_t p = 0; p < kParts; p++) {
        Two<f64x8> d = {sub(b[p], sum[p]), splat(0.)};
        if (!kExact) d = two_sum(b[p], sub(splat(0.), sum[p]));
        if (kOdd && !kExact) d.low = zero_unless_finite(d.low);
        f64x8 left = kExact ? sub(d.x, rest[p]) : add(d.x, sub(d.low, rest[p]));
        f64x8 r = kOdd ? quotient(t, a[p], left) : mul(mul(a[p], left), factor);
        if (kMayBeSmall && scale1 == 1) {
          uint32_t small = lanes_above(tiny, r) & lanes_above(r, minus);
          if (small) r = subnormal(t, r, a[p], left, small);
        }
        a[p] = r;
        if (extras.has_mask()) a[p] = select_bits(a[p], splat(0.), lanes >> 8 * p);
      }
      n == W ? store(out + i, narrowed(a, T())) : store_n(out + i, narrowed(a, T()), n);
    }
  }
  static ALWAYS f64x8 zero_unless_finite(f64x8 v) {
    f64x8 most = splat(infinity<double>());
    return select_bits(v, splat(0.), lanes_above(most, v) & lanes_above(v, sub(splat(0.), most)));
  }
  ALWAYS void each_part(const Run& r, Tile& t, void (*task)(void*, size_t)) const { parts() < 2 ? task(&t, 0) : r.parallel(parts(), task, &t); }
  void tile(const Run& r, Tile& t) const {
    if (!kExact && scale1 > 1) t.move_all(0x1p128);
    sum_tile(r, t);
    bool ordinary = t.ordinary();
    if (!ordinary) sum_large(r, t);
    if (!kExact && scale1 == 1 && t.has_tiny_sums()) sum_tiny(r, t);
    t.usual = ordinary && scale1 == 1 && !t.moved;
    each_part(r, t, write);
  }
  // Rows whose sum may overflow once more, of less.
  SELDOM void sum_large(const Run& r, Tile& t) const {
    if (!kExact) {
      if (!t.moved) t.move_all(1);
      for (size_t i = 0; i < W; i++) if (!(t.total.sum[i] < 1e290 && t.total.sum[i] > -1e290)) t.by[i] = 0x1p-64;
      sum_tile(r, t);
    }
    for (size_t i = 0; i < W; i++) if (t.total.sum[i] - t.total.sum[i] != 0) t.total.rest[i] = 0;  // ∞ has left ∞ − ∞ there
  }
  // Whether dy is 0 throughout, as it is of rows that do not count.
  bool has_no_slope(const Tile& t) const {
    f64x8 seen = splat(0.), b[kParts];
    for (size_t v = 0; v < vectors(); v++) {
      size_t i = t.first + (across() ? v * inner : v * W), n = width(t, v);
      widen(n == W ? load(dy + i) : load_n(dy + i, n, (T)0), b);
      seen = or_bits(seen, b[0], b[0]);
    }
    return !any_bits(seen, ~(uint64_t)0 >> 1);
  }
  // Rows whose dy are all tiny, and some not 0, once more, of more: the products of the others do not matter beside dy.
  SELDOM void sum_tiny(const Run& r, Tile& t) const {
    t.is_zero = has_no_slope(t);
    if (t.is_zero) return;
    f64x8 most = splat(0.), a[kParts], b[kParts];
    double size[8];
    uint32_t lanes = 0, some = 0;
    for (size_t v = 0, i; v < vectors(); v++) {
      read<false>(t, v, i, a, b, lanes);
      most = max_keep_nan(most, max_keep_nan(b[0], sub(splat(0.), b[0])));
    }
    store(size, across() ? most : splat(reduce_max(most)));
    for (size_t i = 0; i < 8; i++) {
      bool is_small = Tile::is_tiny(t.total.sum[i]) && size[i] > 0 && size[i] < 0x1p-800;
      some |= (uint32_t)is_small << i;
    }
    if (!some) return;
    if (!t.moved) t.move_all(1);
    for (size_t i = 0; i < 8; i++) if (some >> i & 1) t.by[i] = 0x1p128;
    sum_tile(r, t);
  }
  ALWAYS void sum_tile(const Run& r, Tile& t) const {
    each_part(r, t, add_up);
    t.total = {};
    for (size_t p = 0; p < parts(); p++) {
      for (size_t i = 0, to = 0; i < W; i++, to += across()) {
        double rest;
        two_sum(t.total.sum[to], t.parts[p].sum[i], t.total.sum[to], rest);
        t.total.rest[to] += rest + t.parts[p].rest[i];
      }
    }
    if (!across()) for (size_t i = 1; i < W; i++) t.total.sum[i] = t.total.sum[0], t.total.rest[i] = t.total.rest[0];
  }
  struct Memory {
    typename Tile::Sums sums;
    explicit Memory(const Run&) {}
  };
  void row(const Run& alone, Memory& memory, size_t i) const {
    size_t at = i % tiles() * W, n = inner - at < W ? inner - at : W;
    Tile t{*this, i / tiles() * cols * inner + at, n, &memory.sums, {}};
    tile(alone, t);
  }
  void go() const {
    Run r = for_bytes(run, outer * cols * inner * sizeof(T));
    if (across() || cols <= kSuper) return share_rows(r, outer * tiles(), cols * (across() ? W : 1), *this);
    static_assert(sizeof(typename Tile::Sums) <= kReserveOfPart);
    LongRow memory(run, parts() * sizeof(typename Tile::Sums));
    for (size_t o = 0; o < outer && !run.stopped(); o++) {
      Tile t{*this, o * cols, 1, (typename Tile::Sums*)memory.data, {}};
      tile(r, t);
    }
  }
};

template <class T>
void softmax_backward_floats(const Run& run, const T* y, const T* dy, T* out, const MaskedRows& rows) {
  const Extent& e = rows.extent;
  if (e.elements() == 0) return;
  const ExpScale<double> scale = ExpScale<double>::of_call(rows.temperature);
  Extras<T> extras(rows.mask, {nullptr, 0});
  Backward<T>{run, y, dy, out, e.outer, e.cols, e.inner, 1 / scale.temperature, scale.scale1, scale.scale2, extras}
      .go();
}
void softmax_backward_halves(const HalfCall& call, const uint16_t* y, const uint16_t* dy, HalfResult to) {
  in_floats(call, y, dy, to,
            [&](const Run& r, size_t o, size_t n, const float* in, const float* other, float* result) {
              softmax_backward_floats<float>(r, in, other, result, call.part(o, n));
            });
}
template <class X, class Y>
void softmax_backward(const Run& run, const Stored<X>* y, const Stored<X>* dy, Stored<Y>* out, const MaskedRows& rows) {
  if constexpr (kIsHalf<X>) softmax_backward_halves(HalfCall(kFormat<X>, run, rows), y, dy, out);
  else softmax_backward_floats(run, y, dy, out, rows);
}

}  // namespace
