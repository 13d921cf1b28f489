// Attention on one tile: the scores of sixteen keys for up to eight query rows, and the sums of the weighted values.
//
// A tile holds its keys transposed, [depth][16]: each key is a lane. A score is a chain of fmas with a broadcast number
// of the query, and no lane is added to another. The values follow the keys as rows, so that a cache is read as one
// stream of bytes. Each loop also fetches what lies kAhead bytes further on: so much arithmetic stands between two
// lines that the processor's own prefetcher falls behind.
//
// TileFunctions has the functions for one storage type. transpose makes tiles of array rows.
#pragma once
#include "../math/formats.h"
#include "../math/tanh.h"
#include "../rows/logits.h"
#include "attention_shape.h"

namespace {

// A tile in memory: keys are [depth][16]; values are sixteen rows, `value_stride` elements apart, in whole vectors.
// `scales` has sixteen scales of keys and sixteen scales of values, or is null. `value_check` has sixteen floats, some
// of which are NaN unless all values are finite; it is null where nobody looked.
struct Tile {
  const void *keys, *values;
  size_t value_stride;
  const float *scales, *value_check;
  bool has_finite_values() const { return value_check && !any_nan(load(value_check)); }
};

// Whether few rows take tiles in pairs: registers hold the sums of both, and arithmetic takes longer than reading.
template <class Elements> constexpr bool kTakesPairs = kVectors >= 32 && sizeof(typename Elements::T) < 4;
// Bytes between what a loop multiplies and what it fetches.
template <class Elements> constexpr size_t kAhead = kTakesPairs<Elements> ? 16384 : 8192;

// Fetches the lines that lie kAhead behind the next n numbers. A block of eight rows or more has no use for it: its
// tiles are in the cache.
template <class Elements, int kRows> SIMD_INLINE void fetch_ahead(const typename Elements::T* p, size_t n) {
  for (size_t i = 0; kRows < 8 && i < n * sizeof *p; i += 64) prefetch((const char*)p + kAhead<Elements> + i);
}

// Returns in scores[t][r] the products Σ_d q[d][r] · keys[t][d] of kRows query rows. q is [depth][kStride].
// Each product is the sum of two chains of fmas: one over even d, one over odd d.
template <class Elements, int kTiles, int kRows, int kStride>
SIMD_INLINE void dot_rows(const typename Elements::T* const* keys, const float* q, size_t depth, f32x16* scores) {
  f32x16 even[kTiles * kRows], odd[kTiles * kRows];
  UNROLL
  for (int i = 0; i < kTiles * kRows; i++) even[i] = odd[i] = splat(0.f);
  auto add_products = [&](size_t d, f32x16* sums) ALWAYS_LAMBDA {
    f32x16 x[kTiles];
    UNROLL
    for (int t = 0; t < kTiles; t++) x[t] = Elements::load(keys[t] + d * kTile);
    UNROLL
    for (int r = 0; r < kRows; r++) {
      f32x16 number = splat(q[d * kStride + r]);
      UNROLL
      for (int t = 0; t < kTiles; t++) sums[t * kRows + r] = fma(x[t], number, sums[t * kRows + r]);
    }
  };
  size_t d = 0;
  for (; d + 4 <= depth; d += 4) {
    for (int t = 0; t < kTiles; t++) fetch_ahead<Elements, kStride>(keys[t] + d * kTile, 4 * kTile);
    add_products(d, even);
    add_products(d + 1, odd);
    add_products(d + 2, even);
    add_products(d + 3, odd);
  }
  for (; d + 2 <= depth; d += 2) {
    add_products(d, even);
    add_products(d + 1, odd);
  }
  if (d < depth) add_products(d, even);
  UNROLL
  for (int i = 0; i < kTiles * kRows; i++) scores[i] = add(even[i], odd[i]);
}
// Writes the products of kRows query rows with a tile's keys as scores [kRows][16].
template <class Elements, int kRows> void score_rows(const void* keys, const float* q, size_t depth, float* scores) {
  constexpr int kPass = kVectors < 32 && kRows > 2 ? 2 : kRows;  // rows whose sums fit into registers
  for (int r = 0; r < kRows; r += kPass) {
    f32x16 products[kPass];
    const typename Elements::T* tile = (const typename Elements::T*)keys;
    dot_rows<Elements, 1, kPass, kRows == 8 ? 16 : kRows>(&tile, q + r, depth, products);
    UNROLL
    for (int i = 0; i < kPass; i++) store(scores + (r + i) * kTile, products[i]);
  }
}
// Writes the products of kRows query rows with the keys of two tiles as scores [2][kRows][16]. A number of the query is
// read once for both.
template <class Elements, int kRows>
void score_pair(const void* first, const void* second, const float* q, size_t depth, float* scores) {
  using T = typename Elements::T;
  const T* tiles[2] = {(const T*)first, (const T*)second};
  f32x16 products[2 * kRows];
  dot_rows<Elements, 2, kRows, kRows>(tiles, q, depth, products);
  UNROLL
  for (int i = 0; i < 2 * kRows; i++) store(scores + i * kTile, products[i]);
}
using ScorePair = void (*)(const void* first, const void* second, const float* q, size_t depth, float* scores);
template <class Elements, int kRows> constexpr ScorePair score_pair_or_null() {
  if constexpr (kTakesPairs<Elements>) return score_pair<Elements, kRows>;
  else return nullptr;
}

// sums[r] += Σ_key weights[r][key] · values[key], for kRows rows and kColumns vectors of columns.
// The sixteen products of a tile are summed on their own before they are added.
template <class Elements, int kRows, int kColumns>
SIMD_INLINE void add_columns(const typename Elements::T* values, size_t value_stride, const float* weights, float* sums,
                             size_t width) {
  f32x16 tile_sums[kRows][kColumns];
  UNROLL
  for (int r = 0; r < kRows; r++) UNROLL
  for (int c = 0; c < kColumns; c++) tile_sums[r][c] = splat(0.f);
  for (size_t key = 0; key < kTile; key++) {
    f32x16 weight[kRows];
    UNROLL
    for (int r = 0; r < kRows; r++) weight[r] = splat(weights[r * kTile + key]);
    fetch_ahead<Elements, kRows>(values + key * value_stride, kColumns * kTile);
    UNROLL
    for (int c = 0; c < kColumns; c++) {
      f32x16 x = Elements::load(values + key * value_stride + kTile * c);
      KEEP(x);
      UNROLL
      for (int r = 0; r < kRows; r++) tile_sums[r][c] = fma(x, weight[r], tile_sums[r][c]);
    }
  }
  UNROLL
  for (int r = 0; r < kRows; r++) UNROLL
  for (int c = 0; c < kColumns; c++)
    store(sums + r * width + kTile * c, add(load(sums + r * width + kTile * c), tile_sums[r][c]));
}
// Adds a tile's weighted values to the sums [kRows][width]. weights is [kRows][16].
template <class Elements, int kRows>
void add_values(const void* tile_values, size_t value_stride, const float* weights, float* sums, size_t width) {
  const typename Elements::T* values = (const typename Elements::T*)tile_values;
  // Floats for fewer than eight rows are read in memory order. Otherwise four rows share each value that was converted.
  constexpr bool kInOrder = sizeof(typename Elements::T) == 4 && kRows < 8;
  constexpr int kColumns = kVectors >= 32 && kInOrder ? 8 : 4, kMostRows = kVectors < 32 ? 1 : kInOrder ? 2 : 4;
  constexpr int kPass = kRows < kMostRows ? kRows : kMostRows;
  for (int r = 0; r < kRows; r += kPass) {
    size_t c = 0;
    for (; c + kColumns * kTile <= width; c += kColumns * kTile)
      add_columns<Elements, kPass, kColumns>(values + c, value_stride, weights + r * kTile, sums + r * width + c,
                                             width);
    for (; kColumns > 4 && c + 4 * kTile <= width; c += 4 * kTile)
      add_columns<Elements, kPass, 4>(values + c, value_stride, weights + r * kTile, sums + r * width + c, width);
    for (; c < width; c += kTile)
      add_columns<Elements, kPass, 1>(values + c, value_stride, weights + r * kTile, sums + r * width + c, width);
  }
}
// Adds the weighted values of one row. It reads only the values of visible keys: `visible` has a bit a key.
template <class Elements> void add_visible_values(const void* tile_values, size_t value_stride, const float* weights,
                                                  uint32_t visible, float* sums, size_t width) {
  const typename Elements::T* values = (const typename Elements::T*)tile_values;
  for (size_t c = 0; c < width; c += kTile) {
    f32x16 tile_sum = splat(0.f);
    for (size_t key = 0; key < kTile; key++)
      if (visible >> key & 1)
        tile_sum = fma(Elements::load(values + key * value_stride + c), splat(weights[key]), tile_sum);
    store(sums + c, add(load(sums + c), tile_sum));
  }
}

template <class Elements, int kRows>
SIMD_INLINE void score_group_exactly(const void* keys, const float* const* q, size_t depth, double* scores) {
  f64x8 low[kRows], high[kRows];
  UNROLL
  for (int r = 0; r < kRows; r++) low[r] = high[r] = splat(0.);
  for (size_t d = 0; d < depth; d++) {
    f32x16 x = Elements::load((const typename Elements::T*)keys + d * kTile);
    f64x8 x_low = low_f64(x), x_high = high_f64(x);
    UNROLL
    for (int r = 0; r < kRows; r++) {
      f64x8 y = splat((double)q[r][d]);
      low[r] = fma(x_low, y, low[r]);
      high[r] = fma(x_high, y, high[r]);
    }
  }
  UNROLL
  for (int r = 0; r < kRows; r++) {
    store(scores + r * kTile, low[r]);
    store(scores + r * kTile + 8, high[r]);
  }
}
// Writes the scores of n query rows as doubles, [n][16], for scores whose float rounding would show.
template <class Elements>
void score_exactly(const void* keys, const float* const* q, size_t n, size_t depth, double* scores) {
  constexpr int kGroup = kVectors < 32 ? 2 : 4;
  size_t r = 0;
  for (; r + kGroup <= n; r += kGroup) score_group_exactly<Elements, kGroup>(keys, q + r, depth, scores + r * kTile);
  for (; r < n; r++) score_group_exactly<Elements, 1>(keys, q + r, depth, scores + r * kTile);
}

// Writes one value as `width` floats, a multiple of sixteen.
template <class Elements> void read_value(const void* value, size_t width, float* out) {
  for (size_t c = 0; c < width; c += kTile) store(out + c, Elements::load((const typename Elements::T*)value + c));
}

// The functions that depend on the type of stored keys and values. Arrays are for 1, 2, 4 and, if there is a fourth, 8
// query rows. score_pair is null where tiles are not taken in pairs.
struct TileFunctions {
  size_t element_bytes;
  void (*score_rows[4])(const void* keys, const float* q, size_t depth, float* scores);
  ScorePair score_pair[3];
  void (*add_values[4])(const void* values, size_t value_stride, const float* weights, float* sums, size_t width);
  void (*add_visible_values)(const void* values, size_t value_stride, const float* weights, uint32_t visible,
                             float* sums, size_t width);
  void (*score_exactly)(const void* keys, const float* const* q, size_t n, size_t depth, double* scores);
  void (*read_value)(const void* value, size_t width, float* out);
};
template <class Elements> constexpr TileFunctions kTileFunctions = {
    sizeof(typename Elements::T),
    {score_rows<Elements, 1>, score_rows<Elements, 2>, score_rows<Elements, 4>, score_rows<Elements, 8>},
    {score_pair_or_null<Elements, 1>(), score_pair_or_null<Elements, 2>(), score_pair_or_null<Elements, 4>()},
    {add_values<Elements, 1>, add_values<Elements, 2>, add_values<Elements, 4>, add_values<Elements, 8>},
    add_visible_values<Elements>,
    score_exactly<Elements>,
    read_value<Elements>,
};

// Fetches the share of the next sixteen rows that goes with the columns [d, d + 16): whole rows, one after the other. A
// transpose reads sixteen rows side by side, which the processor does not foresee.
template <class T> SIMD_INLINE void fetch_next_rows(const T* rows, size_t stride, size_t depth, size_t d) {
  for (size_t i = kTile + kTile * d / depth; i < kTile + kTile * (d + kTile) / depth; i++)
    for (size_t c = 0; c < depth; c += 64 / sizeof *rows) prefetch(rows + i * stride + c);
}
// Writes `count` rows of floats, `stride` apart, as the columns of out, [depth][16]. Further columns are 0.
SIMD_INLINE void transpose(const float* rows, size_t stride, size_t count, size_t depth, float* out) {
  size_t d = 0;
  for (; count == kTile && d + 16 <= depth; d += 16) {
    transpose16(rows + d, stride, out + d * kTile);
    fetch_next_rows(rows, stride, depth, d);
  }
  for (; d < depth; d++)
    for (size_t i = 0; i < kTile; i++) out[d * kTile + i] = i < count ? rows[i * stride + d] : 0;
}

}  // namespace
