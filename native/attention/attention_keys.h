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

  static NEVER_INLINE AttentionShape of(const double* d) {
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

// The pages of a cache, in slabs, an entry of the table being a page: its slab in the upper six bits, its place there in the
// others. A slab holds, head after head, that head's share of all its pages, so that pages taken one after the other are one
// stream of bytes for each head: tiles, of keys [depth][16], then values [16][width]. Scales, if there are any, lie likewise,
// sixteen of the keys and sixteen of the values for each tile.
struct Pages {
  uint32_t page, tiles;
  size_t of_tile, kv_heads;
  const void* data[Slabs<void>::kMost];  // of each slab
  size_t capacity[Slabs<void>::kMost];   // its pages

  template <class T> Pages(const AttentionShape& s, const Slabs<T>& slabs) : page((uint32_t)s.page), tiles((uint32_t)(s.page / kTile)), of_tile(kTile * (s.depth + s.width())), kv_heads(s.kv_heads) {
    for (size_t i = 0; i < slabs.count; i++) data[i] = slabs.data[i], capacity[i] = slabs.length[i] / (tiles * of_tile * kv_heads);
  }
  // The tile of a token, in tiles of its slab.
  size_t tile(uint32_t entry, size_t head, uint32_t token) const {
    return (head * capacity[entry >> 26] + (entry & 0x3FFFFFF)) * tiles + token % page / kTile;
  }
};

// Keys and values: two arrays of floats, or the pages of a cache.
struct Keys {
  const AttentionShape& s;
  const Reading& reading;
  const float *k, *v;
  const Pages* pages = nullptr;
  const Slabs<const float>* scales = nullptr;
  const uint32_t* table = nullptr;
  const int32_t* lengths = nullptr;
  const size_t* firsts = nullptr;  // of each sequence, in the table

  size_t of(size_t b) const { return pages ? (size_t)lengths[b] : s.keys; }
  // Floats, in which a tile is put together, if it has to be.
  size_t scratch() const { return pages ? 0 : kTile * (s.depth + s.width()); }
  // `rows` that will read it: for many, values are put where they are aligned too. `ready`: it is there from the time before.
  Tile tile(size_t b, size_t head, size_t key, float* scratch, size_t rows, bool ready) const {
    if (!pages) return together(b, head, key, scratch, rows, ready);
    uint32_t entry = table[firsts[b] + (uint32_t)key / pages->page];
    size_t index = pages->tile(entry, head, (uint32_t)key);
    const char* at = (const char*)pages->data[entry >> 26] + index * pages->of_tile * reading.bytes;
    return {at, at + kTile * s.depth * reading.bytes, s.width(), scales->count ? scales->data[entry >> 26] + index * 2 * kTile : nullptr};
  }
  // The value of a key, as floats: where it lies, or in `room`, of s.width() floats.
  NEVER_INLINE const float* value(size_t b, size_t head, size_t key, float* room) const {
    if (!pages) return v + s.place(b, head, s.kv_heads, key, s.keys) * s.value_depth;
    Tile t = tile(b, head, key, nullptr, 0, false);
    size_t lane = key % kTile;
    reading.value((const char*)t.v + lane * t.stride * reading.bytes, t.stride, room);
    for (size_t c = 0; t.scales && c < t.stride; c++) room[c] *= t.scales[kTile + lane];
    return room;
  }
  // q · k in double: products are exact, and added in order.
  SELDOM double product(size_t b, size_t head, size_t key, const float* q) const {
    if (pages) {
      Tile t = tile(b, head, key, nullptr, 0, false);
      double z[kTile];
      reading.exact_scores(t.k, q, s.depth, z);
      return z[key % kTile] * (t.scales ? (double)t.scales[key % kTile] : 1);
    }
    const float* row = k + s.place(b, head, s.kv_heads, key, s.keys) * s.depth;
    double sum = 0;
    for (size_t d = 0; d < s.depth; d++) sum += (double)q[d] * (double)row[d];
    return sum;
  }
  Tile together(size_t b, size_t head, size_t key, float* scratch, size_t rows, bool ready) const {
    size_t n = s.keys - key < kTile ? s.keys - key : kTile, row = s.place(b, head, s.kv_heads, key, s.keys), stride = s.positions_first ? s.kv_heads : 1;
    if (ready) return {scratch, scratch + kTile * s.depth, s.width(), nullptr};
    transpose(k + row * s.depth, stride * s.depth, n, s.depth, scratch);
    const float* from = v + row * s.value_depth;
    size_t width = s.width(), apart = stride * s.value_depth;
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

}  // namespace
