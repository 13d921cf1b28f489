// Short rows of softmax_backward, W neighbours at a time, with the bits of one row:
//
//   row             Lanes of all rows are added up together, a row a lane: that sum, in order, costs a short row more
//                   than all its elements.
//   write_columns   Sixteen float rows of at most sixteen elements are transposed: a lane is a row throughout.
#pragma once
#include "backward_rows.h"

namespace {

template <class T> struct BackwardShortRows {
  using Tile = BackwardTile<T>;
  static constexpr size_t W = ExpTraits<T>::kLanes, kParts = W / 8;
  static constexpr size_t kLongest = 512;  // elements, from which on the sum of lanes does not matter
  const SoftmaxBackward<T>& s;

  struct Memory {
    typename Tile::Sums row;
    double sums[W][W], rests[W][W];  // of lane i of row j; then, in lane 0, of the row
    explicit Memory(const Run&) {}
  };
  // Tile `index` of the call, for share_rows.
  void row(const Run& alone, Memory& memory, size_t index) const {
    const size_t first = index * W, n = s.outer - first < W ? s.outer - first : W;
    const size_t lanes = s.cols < W ? s.cols : W;  // those behind are 0
    if (s.cols <= W && n == W && !s.extras.has_mask() && s.scale1 == 1 && !s.is_log &&
        write_columns(s.y, first * s.cols))
      return;
    for (size_t j = 0; j < n; j++) {
      Tile t{s, (first + j) * s.cols, 1, &memory.row, {}};
      s.sum_part(&t, 0);
      for (size_t i = 0; i < lanes; i++) {
        memory.sums[i][j] = memory.row.sum[i];
        memory.rests[i][j] = memory.row.rest[i];
      }
    }
    add_lanes(memory, lanes);
    for (size_t j = 0; j < n; j++) {
      Tile t{s, (first + j) * s.cols, 1, &memory.row, {}};
      const double sum = memory.sums[0][j];
      if (s.scale1 != 1 || !is_usual(sum)) {
        s.process_tile(alone, t);
        continue;
      }
      UNROLL for (size_t p = 0; p < kParts; p++) {
        store(t.total.sum + 8 * p, splat(sum));
        store(t.total.rest + 8 * p, splat(memory.rests[0][j]));
      }
      s.write_part(&t, 0);
    }
  }
  // As SoftmaxBackward::sum_tile, for all rows.
  static void add_lanes(Memory& memory, size_t lanes) {
    UNROLL for (size_t p = 0; p < kParts; p++) {
      f64x8 sum = splat(0.), rest = splat(0.);
      for (size_t i = 0; i < lanes; i++) {
        const Two<f64x8> next = two_sum(sum, load(memory.sums[i] + 8 * p));
        sum = next.x;
        rest = add(rest, add(next.low, load(memory.rests[i] + 8 * p)));
      }
      store(memory.sums[0] + 8 * p, sum);
      store(memory.rests[0] + 8 * p, rest);
    }
  }
  bool is_usual(double sum) const {
    return sum < 1e290 && sum > -1e290 && (sizeof(T) == 4 || s.is_log || !Tile::is_tiny(sum));
  }

  // Returns false, with nothing written, if a row is not usual. Double rows never are here.
  bool write_columns(const double*, size_t) const { return false; }
  NEVER_INLINE bool write_columns(const float*, size_t at) const {
    const size_t n = s.cols;
    alignas(64) float rows[256], a[256], b[256];
    read_columns(s.y + at, rows, a);
    read_columns(s.dy + at, rows, b);
    f64x8 y[2], dy[2], sum[2], rest[2];
    UNROLL for (size_t p = 0; p < 2; p++) sum[p] = rest[p] = splat(0.);
    for (size_t c = 0; c < n; c++) {
      widen(load(a + 16 * c), y);
      widen(load(b + 16 * c), dy);
      UNROLL for (size_t p = 0; p < 2; p++) {
        const Two<f64x8> next = two_sum(sum[p], mul(y[p], dy[p]));
        sum[p] = next.x;
        rest[p] = add(rest[p], next.low);
      }
    }
    const f64x8 most = splat(1e290), least = splat(-1e290), factor = splat(s.inverse);
    UNROLL for (size_t p = 0; p < 2;
                p++) if ((lanes_above(most, sum[p]) & lanes_above(sum[p], least)) != 0xFF) return false;
    for (size_t c = 0; c < n; c++) {
      widen(load(a + 16 * c), y);
      widen(load(b + 16 * c), dy);
      UNROLL for (size_t p = 0; p < 2; p++) y[p] = mul(mul(y[p], sub(sub(dy[p], sum[p]), rest[p])), factor);
      store(a + 16 * c, narrowed(y, float()));
    }
    transpose16(a, 16, rows);
    for (size_t i = 0; i < 16; i++) {
      // A whole vector reaches into rows that are written later, which is faster.
      const f32x16 row = load(rows + 16 * i);
      float* to = s.out + at + i * n;
      (16 - i) * n >= 16 ? store(to, row) : store_n(to, row, n);
    }
    return true;
  }
  void read_columns(const float* from, float* rows, float* columns) const {
    for (size_t i = 0; i < 16; i++) store(rows + 16 * i, load_n(from + i * s.cols, s.cols, 0.f));
    transpose16(rows, 16, columns);
  }

  void run_tiles() const {
    const Run r = for_bytes(s.run, s.outer * s.cols * sizeof(T));
    share_rows(r, (s.outer + W - 1) / W, s.cols * W, *this);
  }
};

}  // namespace
