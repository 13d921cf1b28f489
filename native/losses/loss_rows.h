// What the row operators of this family share: rows read as doubles, a tile at a time, with mask and bias.
//
// A tile is one row, read W elements at a time, or W rows side by side, read a column at a time. A lane of a tile of
// one row holds every W-th element; `merge` gives all lanes the row's sum. One thread takes a tile, so no result
// depends on the number of threads.
#pragma once
#include "../rows/half_rows.h"
#include "../rows/share_rows.h"
#include "../softmax/log_rows.h"

namespace {

template <class T> struct LossRows {
  static constexpr size_t W = ExpTraits<T>::kLanes, kParts = W / 8;
  using Tile = MeasuredTile<T>;
  // A number for each row of a tile.
  struct Lanes {
    double v[W];
    ALWAYS f64x8 part(size_t p) const { return load(v + 8 * p); }
  };

  const Run& run;
  LogRows<T> rows;
  size_t outer;

  LossRows(const Run& run, const T* x, const LogitRows<T>& r, const ExpScale<double>& scale)
      : run(run), rows{x, r.extent.cols, r.extent.inner, scale, Extras<T>(r), r.temperature}, outer(r.extent.outer) {}

  size_t tiles() const { return rows.across() ? (rows.inner + W - 1) / W : 1; }
  // Rows of a tile, and lanes that belong to a row.
  size_t used(const Tile& t) const { return rows.across() ? t.n : 1; }
  // The number of a tile's first row.
  size_t first_row(size_t i) const { return i / tiles() * rows.inner + i % tiles() * W; }
  void place(Tile& t, size_t i) const {
    const size_t at = i % tiles() * W;
    t.first = i / tiles() * rows.cols * rows.inner + at;
    t.n = !rows.across() ? 1 : rows.inner - at < W ? rows.inner - at : W;
  }
  size_t index(const Tile& t, size_t v) const { return t.first + v * rows.stride(); }
  // Calls task(v, z, visible) for each vector of a tile; z is −∞ where masked or outside. Stops with the run.
  template <class Task> ALWAYS void each(const Tile& t, const Task& task) const {
    for (size_t from = 0, end = rows.vectors(); from < end && !run.stopped(); from += kBlock / W) {
      for (size_t v = from; v < end && v < from + kBlock / W; v++) {
        Two<f64x8> z[kParts];
        const bool is_large = kRegisters == 4 || rows.extras.bias.data;  // large code, out of line
        const uint32_t visible =
            is_large ? rows.read_out_of_line(t, v, z) : rows.template read</*kExactDistance=*/true>(t, v, z);
        task(v, z, visible);
      }
    }
  }
  void write(T* out, const Tile& t, size_t v, const f64x8* y) const {
    const size_t n = rows.width(t, v);
    T* at = out + index(t, v);
    f64x8 same[kParts];
    for (size_t p = 0; p < kParts; p++) same[p] = same_nan(y[p]);
    n == W ? store(at, narrowed(same, T())) : store_n(at, narrowed(same, T()), n);
  }
  // The sums of a tile's rows. A sum that is not finite has the rest 0.
  void merge(const VectorTotal<double>* total, Lanes& sum, Lanes& rest) const {
    for (size_t p = 0; p < kParts; p++) {
      store(sum.v + 8 * p, total[p].sum);
      store(rest.v + 8 * p, total[p].rest);
    }
    for (size_t i = 1; !rows.across() && i < W; i++) {
      double low;
      two_sum(sum.v[0], sum.v[i], sum.v[0], low);
      rest.v[0] += low + rest.v[i];
    }
    for (size_t i = 0; i < W; i++) {
      if (!rows.across()) {
        sum.v[i] = sum.v[0];
        rest.v[i] = rest.v[0];
      }
      if (sum.v[i] - sum.v[i] == 0) two_sum(sum.v[i], rest.v[i], sum.v[i], rest.v[i]);
      else rest.v[i] = 0;
    }
  }
  // The largest of each row's lanes, NaN left out.
  void merge_largest(const f64x8* largest, Lanes& to) const {
    for (size_t p = 0; p < kParts; p++) store(to.v + 8 * p, largest[p]);
    for (size_t i = 1; !rows.across() && i < W; i++) to.v[0] = to.v[i] > to.v[0] ? to.v[i] : to.v[0];
    for (size_t i = 1; !rows.across() && i < W; i++) to.v[i] = to.v[0];
  }
  template <class Work> static void share(const Work& work) {
    const LossRows& s = work;
    const Run r = for_bytes(s.run, s.outer * s.rows.cols * s.rows.inner * sizeof(T));
    share_rows(r, s.outer * s.tiles(), s.rows.cols * (s.rows.across() ? W : 1), work);
  }
};

// x without its sign.
SIMD_INLINE f64x8 size_of(f64x8 x) { return max_skip_nan(x, sub(splat(0.), x)); }
// 2^n for n clamped to ±1000.
SIMD_INLINE double power_within(int n) { return pow2(n > 1000 ? 1000 : n < -1000 ? -1000 : n); }

}  // namespace
