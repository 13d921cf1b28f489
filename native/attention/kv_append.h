// Keys and values into the pages of a cache (their layout: Pages in attention_keys.h).
#pragma once
#include "attention_keys.h"

namespace {

// One token's numbers of one head: its key to a lane of a tile, its value to a row.
template <class E> void put_token(const float* k, const float* v, size_t depth, size_t value_depth, size_t lane, typename E::T* key, typename E::T* value, float*) {
  typename E::T some[kTile];
  for (size_t d = 0; d < depth; d += kTile) {
    size_t n = depth - d < kTile ? depth - d : kTile;
    E::store(some, n < kTile ? load_n(k + d, n, 0) : load(k + d));
    for (size_t i = 0; i < n; i++) key[(d + i) * kTile + lane] = some[i];
  }
  for (size_t d = 0; d < value_depth; d += kTile) {
    size_t n = value_depth - d < kTile ? value_depth - d : kTile;
    E::store(value + d, n < kTile ? load_n(v + d, n, 0) : load(v + d));
  }
}

// As bytes with a scale: the largest of them is ±127. What is not finite makes all of it NaN.
struct Quantized {
  float scale, inverse;
  static Quantized of(const float* x, size_t n) {
    float most = 0;
    for (size_t i = 0; i < n; i++) {
      float size = x[i] < 0 ? -x[i] : x[i];
      if (!(size <= most)) most = size;
      if (!(size < infinity<float>())) return {not_a_number<float>(), 0};
    }
    float scale = most / 127;
    return scale >= 0x1p-120f ? Quantized{scale, 1 / scale} : Quantized{0, 0};
  }
  int8_t code(float x) const { return inverse == 0 ? 0 : (int8_t)((x * inverse + 0x1.8p23f) - 0x1.8p23f); }  // to the nearest, ties to even
};
template <> void put_token<Format<I8>>(const float* k, const float* v, size_t depth, size_t value_depth, size_t lane, int8_t* key, int8_t* value, float* scales) {
  Quantized a = Quantized::of(k, depth), b = Quantized::of(v, value_depth);
  for (size_t d = 0; d < depth; d++) key[d * kTile + lane] = a.code(k[d]);
  for (size_t d = 0; d < value_depth; d++) value[d] = b.code(v[d]);
  scales[lane] = a.scale, scales[kTile + lane] = b.scale;
}

// Tokens [from, from + count) of a sequence; k and v are [token, head, …] or [head, token, …].
template <class E> struct Append {
  const Run& run;
  AttentionShape s;
  const float *k, *v;
  const Slabs<typename E::T>& slabs;
  const Slabs<float>& scales;
  const uint32_t* table;
  size_t from;
  Pages pages;

  static constexpr size_t kTokens = 64;  // a task
  static void some(void* self, size_t task) {
    const Append& a = *(const Append*)self;
    const AttentionShape& s = a.s;
    for (size_t i = task * kTokens; i < s.keys && i < (task + 1) * kTokens && !a.run.stopped(); i++) {
      size_t token = a.from + i;
      uint32_t entry = a.table[token / s.page];
      size_t slab = entry >> 26, lane = token % kTile;
      for (size_t head = 0; head < s.kv_heads; head++) {
        size_t index = a.pages.tile(entry, head, (uint32_t)token), row = s.place(0, head, s.kv_heads, i, s.keys);
        typename E::T* tile = a.slabs.data[slab] + index * a.pages.of_tile;
        put_token<E>(a.k + row * s.depth, a.v + row * s.value_depth, s.depth, s.value_depth, lane, tile, tile + kTile * s.depth + lane * s.width(), a.scales.count ? a.scales.data[slab] + index * 2 * kTile : nullptr);
      }
    }
  }
};

template <class X, class Y>
void kv_append(const Run& run, const double* shape, const float* k, const float* v, const Slabs<Stored<X>>& slabs,
               const Slabs<float>& scales, const uint32_t* table, size_t from) {
  using Task = Append<Format<X>>;
  const AttentionShape s = AttentionShape::of(shape);
  Task append = {run, s, k, v, slabs, scales, table, from, Pages(s, slabs)};
  bool shared = s.keys * s.kv_heads * (s.depth + s.value_depth) * sizeof(float) >= run.plan.parallel_bytes;
  (shared ? run.parallel : serial)((s.keys + Task::kTokens - 1) / Task::kTokens, Task::some, &append);
}

}  // namespace
