// Rows of softmax_backward of any length: the gradient by x, from dy, the gradient by y:
//
//   dx = y (dy − Σ y dy) / T         y = softmax(x / T)
//   dx = (dy − exp(y) Σ dy) / T      y = logSoftmax(x / T), for is_log
//
//   1. A tile is one row, or along an axis that is not the last W rows side by side: log_rows.h has the same tiles.
//   2. sum_part sums y dy of each lane in doubles. A double holds a product of two floats exactly; the product of two
//      doubles is the sum of two, and rounding errors are carried along.
//   3. Rows whose sum overflows, or is tiny, are summed again with a scaled dy.
//   4. write_part computes dx in double, and rounds it once, subnormal results included; log_backward.h for is_log.
#pragma once
#include "../rows/buffer.h"
#include "../rows/half_rows.h"
#include "../rows/share_rows.h"
#include "backward_tile.h"

namespace {

template <class T> struct SoftmaxBackward {
  static constexpr size_t W = ExpTraits<T>::kLanes, kParts = W / 8, kVectors = kSuper / W, kChains = 4;
  static constexpr bool kExactProducts = sizeof(T) == 4;
  const Run& run;
  const T *y, *dy;
  T* out;
  size_t outer, cols, inner;
  double inverse;  // 1 / T, T being brought near 1 by scale1 · scale2 = 2^-n
  double scale1, scale2;
  Extras<T> extras;
  bool is_log;

  using Tile = BackwardTile<T>;

  bool across() const { return inner > 1; }
  size_t tiles() const { return across() ? (inner + W - 1) / W : 1; }
  size_t vectors() const { return across() ? cols : (cols + W - 1) / W; }
  size_t parts() const { return across() ? 1 : (vectors() + kVectors - 1) / kVectors; }
  size_t end(size_t part) const { return part + 1 < parts() ? (part + 1) * kVectors : vectors(); }

  ALWAYS size_t width(const Tile& t, size_t v) const { return across() ? t.n : cols - v * W < W ? cols - v * W : W; }
  // Reads vector v of y and dy, 0 where masked, and its visible lanes. Returns its number of elements.
  template <bool kMayBeScaled>
  ALWAYS size_t read(const Tile& t, size_t v, size_t& i, f64x8* a, f64x8* b, uint32_t& lanes) const {
    size_t n = width(t, v), column = across() ? v : v * W;
    i = t.first + (across() ? v * inner : v * W);
    widen(n == W ? load(y + i) : load_n(y + i, n, (T)0), a);
    widen(n == W ? load(dy + i) : load_n(dy + i, n, (T)0), b);
    if (!kExactProducts && kMayBeScaled && t.is_scaled) b[0] = mul(b[0], load(t.dy_factor));
    if (!extras.has_mask()) return n;
    lanes = extras.lanes(i, column, n, across());
    UNROLL
    for (size_t p = 0; p < kParts; p++) {
      a[p] = select_bits(a[p], splat(0.), lanes >> 8 * p);
      b[p] = select_bits(b[p], splat(0.), lanes >> 8 * p);
    }
    return n;
  }

  // ---- Step 2: Σ y dy of each lane of a part.
  static void sum_part(void* self, size_t part) {
    Tile& t = *(Tile*)self;
    if (t.s.run.stopped()) return;
    kExactProducts || !t.is_scaled ? sum_part<false>(t, part) : sum_part<!kExactProducts>(t, part);
  }
  template <bool kMayBeScaled> static void sum_part(Tile& t, size_t part) {
    VectorTotal<double> total[kParts];
    size_t v = part * kVectors, to = t.s.end(part), i;
    uint32_t lanes = 0;
    f64x8 a[kParts], b[kParts];
    while (kExactProducts && v < to) {
      f64x8 sums[kChains][kParts];
      for (auto& chain : sums)
        for (f64x8& s : chain) s = splat(0.);
      for (size_t stop = to - v < 64 ? to : v + 64; v < stop;) {
        for (size_t c = 0; c < kChains && v < stop; c++, v++) {
          t.s.template read<kMayBeScaled>(t, v, i, a, b, lanes);
          UNROLL
          for (size_t p = 0; p < kParts; p++) sums[c][p] = fma(t.s.is_log ? splat(1.) : a[p], b[p], sums[c][p]);
        }
      }
      UNROLL
      for (size_t p = 0; p < kParts; p++)
        total[p].add_pair(add(add(sums[0][p], sums[1][p]), add(sums[2][p], sums[3][p])), splat(0.));
    }
    for (; v < to; v++) {
      t.s.template read<kMayBeScaled>(t, v, i, a, b, lanes);
      UNROLL
      for (size_t p = 0; p < kParts; p++) {
        if (t.s.is_log) a[p] = splat(1.);
        f64x8 product = mul(a[p], b[p]);
        total[p].add_pair(product, fma(a[p], b[p], sub(splat(0.), product)));
      }
    }
    UNROLL
    for (size_t p = 0; p < kParts; p++) {
      store(t.parts[part].sum + 8 * p, total[p].sum);
      store(t.parts[part].rest + 8 * p, total[p].rest);
    }
  }

  // ---- Step 4: the results of a part.

  static void write_part(void* self, size_t part) {
    const Tile& t = *(const Tile*)self;
    if (t.s.run.stopped()) return;
    if (t.s.is_log) return t.s.write_log_part(t, part);
    if (t.is_zero) return t.s.write_zeros(t, part);
    if (!t.is_usual) return t.s.template write_part<true, !kExactProducts>(t, part);
    // A subnormal product that is multiplied by 1 / T is off by half a unit times 1 / T.
    t.s.inverse > 2 ? t.s.template write_part<false, !kExactProducts>(t, part)
                    : t.s.template write_part<false, false>(t, part);
  }
  NEVER_INLINE void write_log_part(const Tile& t, size_t part) const;  // log_backward.h
  // Writes y · 0.
  void write_zeros(const Tile& t, size_t part) const {
    for (size_t v = part * kVectors; v < end(part); v++) {
      size_t i = t.first + (across() ? v * inner : v * W), n = width(t, v);
      f64x8 a[kParts];
      widen(n == W ? load(y + i) : load_n(y + i, n, (T)0), a);
      uint32_t lanes = !extras.has_mask() ? ~0u : extras.lanes(i, across() ? v : v * W, n, across());
      UNROLL
      for (size_t p = 0; p < kParts; p++) a[p] = select_bits(mul(a[p], splat(0.)), splat(0.), lanes >> 8 * p);
      n == W ? store(out + i, narrowed(a, T())) : store_n(out + i, narrowed(a, T()), n);
    }
  }
  // Returns a · d / T for any T. Powers of two multiply the factors (early) or their product (late): one of these
  // results stays within the range of doubles.
  NEVER_INLINE f64x8 quotient(const Tile& t, f64x8 a, f64x8 d) const {
    const f64x8 first = splat(scale1), second = t.is_scaled ? div(splat(scale2), load(t.dy_factor)) : splat(scale2);
    const f64x8 factor = splat(inverse), most = splat(infinity<double>());
    f64x8 late = mul(mul(mul(mul(a, d), factor), first), second);
    const f64x8 one = splat(1.), zero = splat(0.);
    const f64x8 last = sub(zero, max_keep_nan(sub(zero, one), sub(zero, second)));  // a factor below 1 comes last
    f64x8 early = mul(mul(mul(mul(a, first), mul(d, max_keep_nan(one, second))), factor), last);
    f64x8 first_choice = scale1 > 1 ? early : late, second_choice = scale1 > 1 ? late : early;
    uint32_t finite = lanes_above(most, first_choice) & lanes_above(first_choice, sub(splat(0.), most));
    return one_nan(select_bits(first_choice, second_choice, finite));
  }
  // Returns r, with a · d / (T · dy_factor) in `lanes` where a is not 0. It multiplies no subnormal product, which has
  // lost bits.
  SELDOM f64x8 with_subnormals(const Tile& t, f64x8 r, f64x8 a, f64x8 d, uint32_t lanes) const {
    const f64x8 zero = splat(0.);
    lanes &= lanes_above(a, zero) | lanes_above(zero, a);
    f64x8 product = mul(mul(mul(a, splat(0x1p100)), mul(d, splat(0x1p100))), splat(inverse));
    return select_bits(mul(product, t.is_scaled ? div(splat(0x1p-200), load(t.dy_factor)) : splat(0x1p-200)), r, lanes);
  }
  // kUnusual: the tile is not usual. kMayBeSmall: a result may be subnormal.
  template <bool kUnusual, bool kMayBeSmall> void write_part(const Tile& t, size_t part) const {
    const f64x8 factor = splat(inverse), tiny = splat(0x1p-960), minus_tiny = splat(-0x1p-960);
    f64x8 sum[kParts], rest[kParts];
    UNROLL
    for (size_t p = 0; p < kParts; p++) {
      sum[p] = load(t.total.sum + 8 * p);
      rest[p] = load(t.total.rest + 8 * p);
    }
    for (size_t v = part * kVectors; v < end(part); v++) {
      size_t i;
      f64x8 a[kParts], b[kParts];
      uint32_t lanes = 0;
      size_t n = read<kUnusual>(t, v, i, a, b, lanes);
      UNROLL
      for (size_t p = 0; p < kParts; p++) {
        Two<f64x8> d = {sub(b[p], sum[p]), splat(0.)};
        if (!kExactProducts) d = two_sum(b[p], sub(splat(0.), sum[p]));
        if (kUnusual && !kExactProducts) d.low = zero_unless_finite(d.low);
        f64x8 left = kExactProducts ? sub(d.x, rest[p]) : add(d.x, sub(d.low, rest[p]));
        f64x8 r = kUnusual ? quotient(t, a[p], left) : mul(mul(a[p], left), factor);
        if (kMayBeSmall && scale1 == 1) {
          uint32_t small = lanes_above(tiny, r) & lanes_above(r, minus_tiny);
          if (small) r = with_subnormals(t, r, a[p], left, small);
        }
        a[p] = r;
        if (extras.has_mask()) a[p] = select_bits(a[p], splat(0.), lanes >> 8 * p);
      }
      n == W ? store(out + i, narrowed(a, T())) : store_n(out + i, narrowed(a, T()), n);
    }
  }

  // ---- Tiles.
  ALWAYS void each_part(const Run& r, Tile& t, void (*task)(void*, size_t)) const {
    parts() < 2 ? task(&t, 0) : r.parallel(parts(), task, &t);
  }
  void process_tile(const Run& r, Tile& t) const {
    if (!kExactProducts && scale1 > 1) t.scale_all(0x1p128);
    sum_tile(r, t);
    bool is_finite = t.has_finite_sums();
    if (!is_finite) sum_large(r, t);
    if (!kExactProducts && scale1 == 1 && !is_log && t.has_tiny_sums()) sum_tiny(r, t);
    t.is_usual = is_finite && scale1 == 1 && !t.is_scaled;
    each_part(r, t, write_part);
  }
  // Step 3: sums rows again whose sum may overflow, with a smaller dy.
  SELDOM void sum_large(const Run& r, Tile& t) const {
    if (!kExactProducts) {
      if (!t.is_scaled) t.scale_all(1);
      for (size_t i = 0; i < W; i++)
        if (!(t.total.sum[i] < 1e290 && t.total.sum[i] > -1e290)) t.dy_factor[i] = 0x1p-64;
      sum_tile(r, t);
    }
    for (size_t i = 0; i < W; i++)
      if (t.total.sum[i] - t.total.sum[i] != 0) t.total.rest[i] = 0;  // an infinite sum leaves ∞ − ∞ there
  }
  // Whether dy is 0 throughout, as in rows that do not count.
  bool has_zero_dy(const Tile& t) const {
    f64x8 bits = splat(0.), b[kParts];
    for (size_t v = 0; v < vectors(); v++) {
      size_t i = t.first + (across() ? v * inner : v * W), n = width(t, v);
      widen(n == W ? load(dy + i) : load_n(dy + i, n, (T)0), b);
      bits = or_bits(bits, b[0], b[0]);
    }
    return !any_bits(bits, ~(uint64_t)0 >> 1);
  }
  // Step 3: sums rows again whose dy are all tiny, and not all 0, with a larger dy. In other rows a tiny sum does not
  // matter beside dy.
  SELDOM void sum_tiny(const Run& r, Tile& t) const {
    t.is_zero = has_zero_dy(t);
    if (t.is_zero) return;
    f64x8 most = splat(0.), a[kParts], b[kParts];
    double size[8];
    uint32_t lanes = 0, tiny_rows = 0;
    for (size_t v = 0, i; v < vectors(); v++) {
      read<false>(t, v, i, a, b, lanes);
      most = max_keep_nan(most, max_keep_nan(b[0], sub(splat(0.), b[0])));
    }
    store(size, across() ? most : splat(reduce_max(most)));
    for (size_t i = 0; i < 8; i++) {
      bool is_small = Tile::is_tiny(t.total.sum[i]) && size[i] > 0 && size[i] < 0x1p-800;
      tiny_rows |= (uint32_t)is_small << i;
    }
    if (!tiny_rows) return;
    if (!t.is_scaled) t.scale_all(1);
    for (size_t i = 0; i < 8; i++)
      if (tiny_rows >> i & 1) t.dy_factor[i] = 0x1p128;
    sum_tile(r, t);
  }
  // Sums each lane of a tile: parts in order and, in one row, lanes in order.
  ALWAYS void sum_tile(const Run& r, Tile& t) const {
    each_part(r, t, sum_part);
    t.total = {};
    for (size_t p = 0; p < parts(); p++) {
      for (size_t i = 0, to = 0; i < W; i++, to += across()) {
        double rest;
        two_sum(t.total.sum[to], t.parts[p].sum[i], t.total.sum[to], rest);
        t.total.rest[to] += rest + t.parts[p].rest[i];
      }
    }
    if (!across())
      for (size_t i = 1; i < W; i++) {
        t.total.sum[i] = t.total.sum[0];
        t.total.rest[i] = t.total.rest[0];
      }
  }

  // What a tile of one part needs. share_rows calls row().
  struct Memory {
    typename Tile::Sums sums;
    explicit Memory(const Run&) {}
  };
  void row(const Run& alone, Memory& memory, size_t i) const {
    size_t at = i % tiles() * W, n = inner - at < W ? inner - at : W;
    Tile t{*this, i / tiles() * cols * inner + at, n, &memory.sums, {}};
    process_tile(alone, t);
  }
  void run_tiles() const {
    Run r = for_bytes(run, outer * cols * inner * sizeof(T));
    if (across() || cols <= kSuper) return share_rows(r, outer * tiles(), cols * (across() ? W : 1), *this);
    static_assert(sizeof(typename Tile::Sums) <= kReserveOfPart);
    LongRow memory(run, parts() * sizeof(typename Tile::Sums));
    for (size_t o = 0; o < outer && !run.stopped(); o++) {
      Tile t{*this, o * cols, 1, (typename Tile::Sums*)memory.data, {}};
      process_tile(r, t);
    }
  }
};

}  // namespace
