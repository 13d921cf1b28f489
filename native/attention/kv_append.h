// Appends tokens to a cache: their keys and values go into the tiles of its pages (CachePages in attention_keys.h).
//
// A task takes kTokens tokens and puts each of them, head after head, into its lane of a tile.
#pragma once
#include "../rows/run.h"
#include "attention_keys.h"

namespace {

// Puts one token of one head into a tile: its key is a lane of `tile_keys`, its value is the row `tile_value`.
template <class Elements>
void put_token(const float* key, const float* value, size_t depth, size_t value_depth, size_t lane,
               typename Elements::T* tile_keys, typename Elements::T* tile_value, float*) {
  typename Elements::T converted[kTile];
  for (size_t d = 0; d < depth; d += kTile) {
    size_t n = depth - d < kTile ? depth - d : kTile;
    Elements::store(converted, n < kTile ? load_n(key + d, n, 0) : load(key + d));
    for (size_t i = 0; i < n; i++) tile_keys[(d + i) * kTile + lane] = converted[i];
  }
  for (size_t d = 0; d < value_depth; d += kTile) {
    size_t n = value_depth - d < kTile ? value_depth - d : kTile;
    Elements::store(tile_value + d, n < kTile ? load_n(value + d, n, 0) : load(value + d));
  }
}

// The scale with which floats become bytes: the largest of them becomes ±127.
struct ByteScale {
  float scale, inverse;
  // Returns the scale of n floats; NaN if any is not finite, 0 if all round to 0.
  static ByteScale of(const float* x, size_t n) {
    float largest_size = 0;
    for (size_t i = 0; i < n; i++) {
      float size = x[i] < 0 ? -x[i] : x[i];
      if (!(size <= largest_size)) largest_size = size;
      if (!(size < infinity<float>())) return {not_a_number<float>(), 0};
    }
    float scale = largest_size / 127;
    return scale >= 0x1p-120f ? ByteScale{scale, 1 / scale} : ByteScale{0, 0};
  }
  // Returns x / scale, rounded to the nearest integer, ties to even; 0 where there is no inverse.
  int8_t code(float x) const { return inverse == 0 ? 0 : (int8_t)((x * inverse + 0x1.8p23f) - 0x1.8p23f); }
};
template <>
void put_token<Format<I8>>(const float* key, const float* value, size_t depth, size_t value_depth, size_t lane,
                           int8_t* tile_keys, int8_t* tile_value, float* scales) {
  ByteScale key_scale = ByteScale::of(key, depth), value_scale = ByteScale::of(value, value_depth);
  for (size_t d = 0; d < depth; d++) tile_keys[d * kTile + lane] = key_scale.code(key[d]);
  for (size_t d = 0; d < value_depth; d++) tile_value[d] = value_scale.code(value[d]);
  scales[lane] = key_scale.scale;
  scales[kTile + lane] = value_scale.scale;
}

// Appends the tokens [first_token, first_token + shape.keys) of one sequence.
// `keys` and `values` are [token, head, …] or [head, token, …].
template <class Elements> struct AppendTokens {
  const Run& run;
  AttentionShape shape;
  const float *keys, *values;
  const Slabs<typename Elements::T>& slabs;
  const Slabs<float>& scales;
  const uint32_t* table;
  size_t first_token;
  CachePages pages;

  static constexpr size_t kTokens = 64;  // of a task
  static void task(void* self, size_t index) {
    const AppendTokens& append = *(const AppendTokens*)self;
    const AttentionShape& shape = append.shape;
    for (size_t i = index * kTokens; i < shape.keys && i < (index + 1) * kTokens && !append.run.stopped(); i++) {
      size_t token = append.first_token + i;
      uint32_t entry = append.table[token / shape.page_tokens];
      size_t slab = entry >> 26, lane = token % kTile;
      for (size_t head = 0; head < shape.kv_heads; head++) {
        size_t tile_index = append.pages.tile_index(entry, head, (uint32_t)token);
        size_t row = shape.row_index(0, head, shape.kv_heads, i, shape.keys);
        typename Elements::T* tile = append.slabs.data[slab] + tile_index * append.pages.tile_elements;
        put_token<Elements>(append.keys + row * shape.depth, append.values + row * shape.value_depth, shape.depth,
                            shape.value_depth, lane, tile, tile + kTile * shape.depth + lane * shape.value_width(),
                            append.scales.count ? append.scales.data[slab] + tile_index * 2 * kTile : nullptr);
      }
    }
  }
};

// The kernel. A call of fewer than parallel_bytes runs on its own thread.
template <class X, class Y>
void kv_append(const Run& run, const double* shape_numbers, const float* keys, const float* values,
               const Slabs<Stored<X>>& slabs, const Slabs<float>& scales, const uint32_t* table, size_t first_token) {
  using Append = AppendTokens<Format<X>>;
  const AttentionShape shape = AttentionShape::of(shape_numbers);
  Append append = {run, shape, keys, values, slabs, scales, table, first_token, CachePages(shape, slabs)};
  bool is_shared =
      shape.keys * shape.kv_heads * (shape.depth + shape.value_depth) * sizeof(float) >= run.plan.parallel_bytes;
  (is_shared ? run.parallel : serial)((shape.keys + Append::kTokens - 1) / Append::kTokens, Append::task, &append);
}

}  // namespace
