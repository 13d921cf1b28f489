// The keys and values of an attention call, a tile at a time: from two arrays of floats, or from the pages of a cache.
//
// A cache stores tiles, and each is used where it lies. Arrays have another layout: their tiles are copied first.
#pragma once
#include "attention_tile.h"

namespace {

// The pages of a cache, in slabs. A table entry names a page: 6 upper bits for its slab, 26 bits for its index there.
//
// A slab holds one head after the other, and for each head the tiles of all its pages. Consecutive pages of a head are
// thus one stream of bytes. A tile has keys [depth][16], then values [16][width]. Scales, if there are any, lie in the
// same order: sixteen of the keys, then sixteen of the values of each tile.
struct CachePages {
  uint32_t page_tokens, page_tiles;
  size_t tile_elements, kv_heads;
  const void* slabs[Slabs<void>::kMost];
  size_t slab_pages[Slabs<void>::kMost];

  template <class T> CachePages(const AttentionShape& shape, const Slabs<T>& slabs_given)
      : page_tokens((uint32_t)shape.page_tokens),
        page_tiles((uint32_t)(shape.page_tokens / kTile)),
        tile_elements(kTile * (shape.depth + shape.value_width())),
        kv_heads(shape.kv_heads) {
    for (size_t i = 0; i < slabs_given.count; i++) {
      slabs[i] = slabs_given.data[i];
      slab_pages[i] = slabs_given.length[i] / (page_tiles * tile_elements * kv_heads);
    }
  }
  // The index, in its slab, of the tile that holds a head's token.
  size_t tile_index(uint32_t entry, size_t head, uint32_t token) const {
    return (head * slab_pages[entry >> 26] + (entry & 0x3FFFFFF)) * page_tiles + token % page_tokens / kTile;
  }
};

// How the rows of an array of halves become floats.
struct HalfRows {
  // As `transpose` (attention_tile.h), for halves.
  void (*transpose)(const uint16_t* rows, size_t stride, size_t count, size_t depth, float* out);
  void (*widen)(const uint16_t* from, float* to, size_t n);
};
template <class X> void transpose_halves(const uint16_t* rows, size_t stride, size_t count, size_t depth, float* out) {
  float numbers[kTile * kTile], columns[kTile * kTile];
  for (size_t i = count; i < kTile; i++) store(numbers + i * kTile, splat(0.f));
  for (size_t d = 0; d < depth; d += kTile) {
    size_t n = depth - d < kTile ? depth - d : kTile;
    for (size_t i = 0; i < count; i++) {
      const uint16_t* row = rows + i * stride + d;
      if (n < kTile) to_floats<X>(row, numbers + i * kTile, n);
      else store(numbers + i * kTile, Format<X>::load(row));
    }
    fetch_next_rows(rows, stride, depth, d);
    transpose16(numbers, kTile, n < kTile ? columns : out + d * kTile);
    for (size_t c = 0; n < kTile && c < n * kTile; c += kTile) store(out + d * kTile + c, load(columns + c));
  }
}
template <class X> constexpr HalfRows kHalfRows = {transpose_halves<X>, to_floats<X>};

// All keys and values of a call. `pages` is null for a call on the two arrays `keys` and `values`, which hold floats
// or, if `halves` is not null, halves.
struct KeyValues {
  const AttentionShape& shape;
  const TileFunctions& functions;
  const void *keys, *values;
  const int32_t* lengths = nullptr;  // the number of each sequence's keys; null: shape.keys
  const HalfRows* halves = nullptr;
  const CachePages* pages = nullptr;
  const Slabs<const float>* scales = nullptr;
  const uint32_t* table = nullptr;
  const size_t* first_entries = nullptr;  // the index in `table` of each sequence's first page

  // The number of a sequence's keys. Arrays may be longer: nothing behind these keys is read.
  size_t length(size_t sequence) const { return lengths ? (size_t)lengths[sequence] : shape.keys; }
  // Floats of a copied tile; 0 if tiles are used where they lie.
  size_t copied_floats() const { return pages ? 0 : kTile * (shape.depth + shape.value_width() + 1); }
  // The tile of the keys from `key` on, a multiple of 16. `memory` has copied_floats() for it.
  // `rows` is how many query rows read the tile; `is_copied` says that `memory` holds it already.
  Tile tile(size_t sequence, size_t head, size_t key, float* memory, size_t rows, bool is_copied) const {
    return pages ? cached_tile(sequence, head, key) : copy_tile(sequence, head, key, memory, rows, is_copied);
  }
  Tile cached_tile(size_t sequence, size_t head, size_t key) const {
    uint32_t entry = table[first_entries[sequence] + (uint32_t)key / pages->page_tokens];
    size_t index = pages->tile_index(entry, head, (uint32_t)key);
    const char* start = (const char*)pages->slabs[entry >> 26] + index * pages->tile_elements * functions.element_bytes;
    return {start, start + kTile * shape.depth * functions.element_bytes, shape.value_width(),
            scales->count ? scales->data[entry >> 26] + index * 2 * kTile : nullptr, nullptr};
  }
  // A key's value as floats: in its array, or copied to `memory`, which has shape.value_width() floats.
  NEVER_INLINE const float* value(size_t sequence, size_t head, size_t key, float* memory) const {
    if (!pages) {
      size_t at = shape.row_index(sequence, head, shape.kv_heads, key, shape.keys) * shape.value_depth;
      if (!halves) return (const float*)values + at;
      halves->widen((const uint16_t*)values + at, memory, shape.value_depth);
      return memory;
    }
    Tile t = cached_tile(sequence, head, key);
    size_t lane = key % kTile;
    functions.read_value((const char*)t.values + lane * t.value_stride * functions.element_bytes, t.value_stride,
                         memory);
    for (size_t c = 0; t.scales && c < t.value_stride; c++) memory[c] *= t.scales[kTile + lane];
    return memory;
  }
  // Returns q · key, before scaling. Products are exact doubles, added in order.
  SELDOM double dot(size_t sequence, size_t head, size_t key, const float* q) const {
    if (pages) {
      Tile t = cached_tile(sequence, head, key);
      double scores[kTile];
      functions.score_exactly(t.keys, &q, 1, shape.depth, scores);
      return scores[key % kTile] * (t.scales ? (double)t.scales[key % kTile] : 1);
    }
    size_t at = shape.row_index(sequence, head, shape.kv_heads, key, shape.keys) * shape.depth;
    double sum = 0;
    for (size_t d = 0; d < shape.depth; d++) {
      float x;
      if (halves) halves->widen((const uint16_t*)keys + at + d, &x, 1);
      else x = ((const float*)keys)[at + d];
      sum += (double)q[d] * (double)x;
    }
    return sum;
  }
  // A tile that was copied to `memory`: its keys, its values, their check.
  Tile copied_tile(const float* memory) const {
    const float* copies = memory + kTile * shape.depth;
    return {memory, copies, shape.value_width(), nullptr, copies + kTile * shape.value_width()};
  }
  // Completes a copied tile of `count` values: further ones are 0. A key that a row does not see has the weight 0,
  // which hides finite values only.
  Tile check_values(float* memory, size_t count) const {
    size_t width = shape.value_width();
    float* copies = memory + kTile * shape.depth;
    f32x16 zero = splat(0.f), check = zero;
    for (size_t c = 0; c < count * width; c += kTile) check = fma(load(copies + c), zero, check);
    for (size_t c = count * width; c < kTile * width; c += kTile) store(copies + c, zero);
    store(copies + kTile * width, check);
    return copied_tile(memory);
  }
  // Copies keys to `memory`, transposed. Values follow them if many rows read the tile, or if a value is not a whole
  // number of vectors. Otherwise the tile points to the values in their array.
  Tile copy_tile(size_t sequence, size_t head, size_t key, float* memory, size_t rows, bool is_copied) const {
    size_t keys_left = length(sequence) - key, count = keys_left < kTile ? keys_left : kTile;
    size_t row = shape.row_index(sequence, head, shape.kv_heads, key, shape.keys);
    size_t row_stride = shape.is_position_major ? shape.kv_heads : 1;
    if (is_copied) return copied_tile(memory);
    if (halves) return copy_halves(row, row_stride, count, memory);
    transpose((const float*)keys + row * shape.depth, row_stride * shape.depth, count, shape.depth, memory);
    const float* first_value = (const float*)values + row * shape.value_depth;
    size_t width = shape.value_width(), value_stride = row_stride * shape.value_depth;
    if (width == shape.value_depth && rows < 16) return {memory, first_value, value_stride, nullptr, nullptr};
    float* copies = memory + kTile * shape.depth;
    for (size_t i = 0; i < count; i++)
      for (size_t c = 0; c < width; c += kTile) {
        size_t left = shape.value_depth - c;
        store(copies + i * width + c, left < kTile ? load_n(first_value + i * value_stride + c, left, 0)
                                                   : load(first_value + i * value_stride + c));
      }
    return check_values(memory, count);
  }
  // Copies a tile of halves as floats, keys and values alike.
  NEVER_INLINE Tile copy_halves(size_t row, size_t row_stride, size_t count, float* memory) const {
    size_t stride = row_stride * shape.value_depth, width = shape.value_width();
    halves->transpose((const uint16_t*)keys + row * shape.depth, row_stride * shape.depth, count, shape.depth, memory);
    const uint16_t* first_value = (const uint16_t*)values + row * shape.value_depth;
    float* copies = memory + kTile * shape.depth;
    for (size_t i = 0; i < count; i++) {
      if (width > shape.value_depth) store(copies + (i + 1) * width - kTile, splat(0.f));
      halves->widen(first_value + i * stride, copies + i * width, shape.value_depth);
    }
    return check_values(memory, count);
  }
};

}  // namespace
