// Where attention finds keys and values: in two arrays, or in the pages of a cache; a tile at a time.
#pragma once
#include "attention_tile.h"

namespace {

// The numbers of a call, in the order of lib/backend/backend.ts (AttentionShape).
struct AttentionShape {
  size_t batch, heads, kv_heads, queries, keys, depth, value_depth, page;
  bool positions_first;  // [batch, position, head, …] and not [batch, head, position, …]
  bool causal;
  double window, scale, softcap;
  size_t mask_batch, mask_head, mask_query, bias_batch, bias_head, bias_query;  // strides

  static AttentionShape of(const double* d) {
    auto n = [&](int i) { return (size_t)d[i]; };
    return {n(0), n(1), n(2), n(3), n(4), n(5), n(6), n(7), d[8] != 0, d[9] != 0, d[10], d[11], d[12], n(13), n(14), n(15), n(16), n(17), n(18)};
  }
  size_t width() const { return (value_depth + kTile - 1) / kTile * kTile; }
  size_t shared() const { return heads / kv_heads; }
  size_t rows() const { return shared() * queries; }  // of a key/value head
  // Where a head's position lies, in rows.
  size_t place(size_t b, size_t head, size_t all_heads, size_t position, size_t positions) const {
    return positions_first ? (b * positions + position) * all_heads + head : (b * all_heads + head) * positions + position;
  }
};

// Keys and values as two arrays of floats: a tile is put together in `scratch`.
struct DenseKeys {
  using E = Single;
  const AttentionShape& s;
  const float *k, *v;

  size_t scratch() const { return kTile * (s.depth + s.width()); }
  size_t keys(size_t) const { return s.keys; }
  size_t stride() const { return s.positions_first ? s.kv_heads : 1; }
  // `rows` that will read it: for many, values are put where they are aligned too. `ready`: it is there from the time before.
  Tile<E> tile(size_t b, size_t head, size_t key, float* scratch, size_t rows, bool ready) const {
    size_t n = s.keys - key < kTile ? s.keys - key : kTile, row = s.place(b, head, s.kv_heads, key, s.keys);
    if (ready) return {scratch, scratch + kTile * s.depth, s.width(), nullptr};
    transpose(k + row * s.depth, stride() * s.depth, n, s.depth, scratch);
    const float* from = v + row * s.value_depth;
    size_t width = s.width(), apart = stride() * s.value_depth;
    if (width == s.value_depth && rows < 16) return {scratch, from, apart, nullptr};
    float* values = scratch + kTile * s.depth;
    for (size_t i = 0; i < n; i++)
      for (size_t at = 0; at < width; at += kTile) {
        size_t left = s.value_depth - at;
        store(values + i * width + at, left < kTile ? load_n(from + i * apart + at, left, 0) : load(from + i * apart + at));
      }
    return {scratch, values, width, nullptr};
  }
};

// The pages of a cache, in slabs, an entry of the table being a page: its slab in the upper six bits, its place there in the
// others. A slab holds, head after head, that head's share of all its pages, so that pages taken one after the other are one
// stream of bytes for each head: tiles, of keys [depth][16], then values [16][width]. Scales, if there are any, lie likewise,
// sixteen of the keys and sixteen of the values for each tile.
struct Pages {
  uint32_t page, tiles;
  size_t of_tile, kv_heads;
  size_t capacity[Slabs<void>::kMost];  // pages of each slab

  template <class T> Pages(const AttentionShape& s, const Slabs<T>& slabs) : page((uint32_t)s.page), tiles((uint32_t)(s.page / kTile)), of_tile(kTile * (s.depth + s.width())), kv_heads(s.kv_heads) {
    for (size_t i = 0; i < slabs.count; i++) capacity[i] = slabs.length[i] / (tiles * of_tile * kv_heads);
  }
  // The tile of a token, in tiles of its slab.
  size_t tile(uint32_t entry, size_t head, uint32_t token) const {
    return (head * capacity[entry >> 26] + (entry & 0x3FFFFFF)) * tiles + token % page / kTile;
  }
};

template <class Stored> struct PagedKeys {
  using E = Stored;
  using T = typename E::T;
  const AttentionShape& s;
  const Slabs<const T>& slabs;
  const Slabs<const float>& scales;
  const uint32_t* table;
  const int32_t* lengths;
  const size_t* firsts;    // of each sequence, in the table
  Pages pages;

  size_t scratch() const { return 0; }
  size_t keys(size_t b) const { return (size_t)lengths[b]; }
  Tile<E> tile(size_t b, size_t head, size_t key, float*, size_t, bool) const {
    uint32_t entry = table[firsts[b] + (uint32_t)key / pages.page];
    size_t index = pages.tile(entry, head, (uint32_t)key);
    const T* k = slabs.data[entry >> 26] + index * pages.of_tile;
    return {k, k + kTile * s.depth, s.width(), scales.count ? scales.data[entry >> 26] + index * 2 * kTile : nullptr};
  }
};

}  // namespace
