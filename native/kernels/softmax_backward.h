// The gradient of softmax: from y = softmax(x / T) and dy, what a loss changes with y, to what it changes with x:
//
//   dx = y (dy − Σ y dy) / T
//
// The sum is one of doubles, which hold a product of floats, and carries what it rounds along; dx is rounded once. Rows, tiles
// and parts are those of log_sum.h.
#pragma once
#include "buffer.h"
#include "log_sum.h"

namespace {

template <class T> struct Backward {
  static constexpr size_t W = ExpTraits<T>::kLanes, kParts = W / 8, kVectors = kSuper / W, kChains = 4;
  static constexpr bool kExact = sizeof(T) == 4;  // products are
  const Run& run;
  const T *y, *dy;
  T* out;
  size_t outer, cols, inner;
  double inverse;  // 1 / T
  Extras<T> extras;
  size_t rows_a_task;

  // Some neighbouring rows, or one, and its sums: a lane each, of each part.
  struct Tile {
    const Backward& s;
    size_t first, n;
    struct Sums { double sum[W], rest[W]; } *parts, total;
    // Whether no result can be a NaN: all products are finite, and so is what is left of dy.
    bool ordinary() const {
      bool all = true;
      for (double s : total.sum) all &= s < 1e290 && s > -1e290;
      return all;
    }
  };

  bool across() const { return inner > 1; }
  size_t tiles() const { return across() ? (inner + W - 1) / W : 1; }
  size_t vectors() const { return across() ? cols : (cols + W - 1) / W; }
  size_t parts() const { return across() ? 1 : (vectors() + kVectors - 1) / kVectors; }
  size_t end(size_t part) const { return part + 1 < parts() ? (part + 1) * kVectors : vectors(); }

  // Vector v of both arrays, 0 where masked. Returns how many elements it has.
  ALWAYS size_t read(const Tile& t, size_t v, size_t& i, f64x8* a, f64x8* b) const {
    size_t n = across() ? t.n : cols - v * W < W ? cols - v * W : W, column = across() ? v : v * W;
    i = t.first + (across() ? v * inner : v * W);
    widen(n == W ? load(y + i) : load_n(y + i, n, (T)0), a), widen(n == W ? load(dy + i) : load_n(dy + i, n, (T)0), b);
    if (extras.layout == kNoMask) return n;
    uint32_t lanes = extras.lanes(i, column, n, across());
    UNROLL for (size_t p = 0; p < kParts; p++) a[p] = select_bits(a[p], splat(0.), lanes >> 8 * p), b[p] = select_bits(b[p], splat(0.), lanes >> 8 * p);
    return n;
  }
  static void add_up(void* self, size_t part) {
    Tile& t = *(Tile*)self;
    if (t.s.run.stopped()) return;
    Total<double> total[kParts];
    size_t v = part * kVectors, to = t.s.end(part), i;
    f64x8 a[kParts], b[kParts];
    while (kExact && v < to) {
      f64x8 sums[kChains][kParts];
      for (auto& chain : sums) for (f64x8& s : chain) s = splat(0.);
      for (size_t stop = to - v < 64 ? to : v + 64; v < stop;) {
        for (size_t c = 0; c < kChains && v < stop; c++, v++) {
          t.s.read(t, v, i, a, b);
          UNROLL for (size_t p = 0; p < kParts; p++) sums[c][p] = fma(a[p], b[p], sums[c][p]);
        }
      }
      UNROLL for (size_t p = 0; p < kParts; p++) total[p].add_both(add(add(sums[0][p], sums[1][p]), add(sums[2][p], sums[3][p])), splat(0.));
    }
    for (; v < to; v++) {
      t.s.read(t, v, i, a, b);
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
    t.ordinary() ? t.s.template write<false>(t, part) : t.s.template write<true>(t, part);
  }
  template <bool kOdd> void write(const Tile& t, size_t part) const {
    const f64x8 factor = splat(inverse);
    f64x8 sum[kParts], rest[kParts];
    UNROLL for (size_t p = 0; p < kParts; p++) sum[p] = load(t.total.sum + 8 * p), rest[p] = load(t.total.rest + 8 * p);
    for (size_t v = part * kVectors; v < end(part); v++) {
      size_t i;
      f64x8 a[kParts], b[kParts];
      size_t n = read(t, v, i, a, b);
      UNROLL for (size_t p = 0; p < kParts; p++) {
        Two<f64x8> d = {sub(b[p], sum[p]), splat(0.)};
        if (!kExact) d = two_sum(b[p], sub(splat(0.), sum[p]));
        a[p] = mul(mul(a[p], kExact ? sub(d.x, rest[p]) : add(d.x, sub(d.low, rest[p]))), factor);
        if (kOdd) a[p] = one_nan(a[p]);
      }
      n == W ? store(out + i, narrowed(a, T())) : store_n(out + i, narrowed(a, T()), n);
    }
  }
  void tile(const Run& r, Tile& t) const {
    auto each = [&](void (*task)(void*, size_t)) { parts() < 2 ? task(&t, 0) : r.parallel(parts(), task, &t); };
    each(add_up);
    t.total = {};
    for (size_t p = 0; p < parts(); p++) {
      for (size_t i = 0, to = 0; i < W; i++, to += across()) {
        double rest;
        two_sum(t.total.sum[to], t.parts[p].sum[i], t.total.sum[to], rest);
        t.total.rest[to] += rest + t.parts[p].rest[i];
      }
    }
    if (!across()) for (size_t i = 1; i < W; i++) t.total.sum[i] = t.total.sum[0], t.total.rest[i] = t.total.rest[0];
    each(write);
  }
  static void tiles_of_task(void* self, size_t task) {
    const Backward& s = *(const Backward*)self;
    Run alone = s.run;
    alone.parallel = serial, alone.threads = 1;
    typename Tile::Sums sums;
    size_t end = (task + 1) * s.rows_a_task, all = s.outer * s.tiles();
    for (size_t i = task * s.rows_a_task; i < all && i < end && !s.run.stopped(); i++) {
      size_t at = i % s.tiles() * W;
      Tile t{s, i / s.tiles() * s.cols * s.inner + at, s.inner - at < W ? s.inner - at : W, &sums, {}};
      s.tile(alone, t);
    }
  }
  void go() {
    Run r = run;
    if (outer * cols * inner * sizeof(T) < run.plan.parallel_bytes) r.parallel = serial, r.threads = 1;
    if (across() || cols <= kSuper) {
      rows_a_task = kSuper / 8 / (cols * (across() ? W : 1) + 1) + 1;
      r.parallel((outer * tiles() + rows_a_task - 1) / rows_a_task, tiles_of_task, this);
      return;
    }
    LongRow memory(run, parts() * sizeof(typename Tile::Sums));
    for (size_t o = 0; o < outer && !run.stopped(); o++) {
      Tile t{*this, o * cols, 1, (typename Tile::Sums*)memory.data, {}};
      tile(r, t);
    }
  }
};

SIMD_INLINE double inverse_of(double temperature) {  // a number, whatever the temperature: 0 · ∞ is none
  double inverse = 1 / temperature;
  return inverse < largest<double>() ? inverse : largest<double>();
}

#define BACKWARD_KERNEL(T, name) \
  void softmax_backward_##name(const Run& run, const T* y, const T* dy, T* out, size_t outer, size_t cols, size_t inner, double temperature, const uint8_t* mask, int32_t layout) { \
    if (outer * cols * inner != 0) Backward<T>{run, y, dy, out, outer, cols, inner, inverse_of(temperature), {mask, layout, {nullptr, 0}}, 1}.go(); \
  }
BACKWARD_KERNEL(float, f32)
BACKWARD_KERNEL(double, f64)
#undef BACKWARD_KERNEL

}  // namespace
