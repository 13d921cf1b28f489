// A block of query rows and a block of keys in the gradients of attention: their scores, weights, and what they add to
// the gradients (Dao, FlashAttention-2, arXiv 2307.08691, algorithm 2).
//
//   s = q · k    p = exp(s' − lse)    dp = dOut · v    ds' = p · (dp − D)    D = dOut · out    ds = ds' · ∂s'/∂s
//   dv += pᵀ · dOut    dq += ds · k · scale    dk += dsᵀ · q · scale    dBias += ds'
//
// with s' the score after scale, softcap, slope and bias. Products of blocks are floats, in chains of at most a block
// or a row's depth; weights, D and the difference dp − D are computed in double; sums of blocks are doubles.
#pragma once
#include "attention_query.h"
#include "backward_product.h"
#include "../math/sum.h"

namespace {

// The inputs of a call.
struct BackwardData {
  const double* spans;         // as in AttentionData
  const int32_t* key_lengths;  // of each sequence; null: all keys count
  const float *q, *keys, *values;
  const ScoreChanges& changes;
  const float* out;
  const double* lse;
  const float* d_out;
};

// Returns Σ a · b of n floats, in double.
NEVER_INLINE double dot_f64(const float* a, const float* b, size_t n) {
  f64x8 low = splat(0.), high = low;
  for (size_t i = 0; i < n; i += kTile) {
    size_t left = n - i < kTile ? n - i : kTile;
    f32x16 x = load_n(a + i, left, 0), y = load_n(b + i, left, 0);
    low = fma(low_f64(x), low_f64(y), low);
    high = fma(high_f64(x), high_f64(y), high);
  }
  return reduce_add(add(low, high));
}

// One query row of a block.
struct BackwardRow {
  Query query;
  double lse;  // in octaves; NaN for a row with a score of NaN or +∞
  double d;    // dOut · out
};

// The results that a task adds to. Null: not wanted. The arrays of doubles are sums.
struct BackwardSums {
  double *dq, *dk, *dv, *d_bias;
  bool wants_slopes() const { return dq || dk || d_bias; }
};

// The blocks that a thread works on, in memory of its own.
struct BackwardBlock {
  const AttentionShape& shape;
  const BackwardData& data;
  const size_t depth, width, key_width;  // numbers of a key; of a value and of a key in whole vectors
  size_t row_count = 0, key_count = 0;
  BackwardRow* rows;        // [kBlockRows]
  SeenKeys* seen;           // [kBlockRows]
  float *q, *d_out;         // [kBlockRows][key_width], [kBlockRows][width]
  float *keys, *values;     // tiles, [depth][16] and [value_depth][16]
  float* key_rows;          // [kBlockRows][key_width]
  float *weights, *slopes;  // [kBlockRows][kBlockRows]: scores, then p; dp, then ds
  double* totals;           // [kBlockRows][key_width]: sums of dq; or of d_bias, [kBlockRows][kBlockRows]
  double* key_totals;       // sums of dk, then of dv
  bool is_seen_whole = false;  // every row sees every key of the block
  bool is_finite_query = false, is_finite_key = false;
  size_t loaded_key = (size_t)-1;  // index of the block of keys in memory

  static size_t total_columns(const AttentionShape& shape) {
    size_t key_width = rounded(shape.depth);
    return key_width > kBlockRows ? key_width : kBlockRows;
  }
  static size_t rounded(size_t n) { return (n + kTile - 1) / kTile * kTile; }
  // Bytes for blocks, with sums of dk and dv for `key_blocks` blocks of keys.
  static size_t bytes(const AttentionShape& shape, size_t key_blocks) {
    size_t key_width = rounded(shape.depth), width = shape.value_width();
    size_t floats = 2 * key_width + width + shape.depth + shape.value_depth + 2 * kBlockRows;
    return kBlockRows * (floats * sizeof(float) + total_columns(shape) * sizeof(double) + sizeof(BackwardRow) +
                         sizeof(SeenKeys) + key_blocks * (key_width + width) * sizeof(double)) +
           128;
  }
  BackwardBlock(const AttentionShape& shape, const BackwardData& data, void* memory)
      : shape(shape),
        data(data),
        depth(shape.depth),
        width(shape.value_width()),
        key_width(rounded(shape.depth)) {
    q = (float*)(((uintptr_t)memory + 63) & ~(uintptr_t)63);
    d_out = q + kBlockRows * key_width;
    key_rows = d_out + kBlockRows * width;
    keys = key_rows + kBlockRows * key_width;
    values = keys + kBlockRows * depth;
    weights = values + kBlockRows * shape.value_depth;
    slopes = weights + kBlockRows * kBlockRows;
    totals = (double*)(slopes + kBlockRows * kBlockRows);
    rows = (BackwardRow*)(totals + kBlockRows * total_columns(shape));
    seen = (SeenKeys*)(rows + kBlockRows);
    key_totals = (double*)(seen + kBlockRows);
    for (float* x = q; x < (float*)totals; x += kTile) store(x, splat(0.f));
  }

  // Copies `count` rows of n numbers, filled up to `to_width` with zeros. Returns whether all are finite.
  static NEVER_INLINE bool copy_rows(const float* from, size_t stride, size_t count, size_t n, float* to,
                                     size_t to_width) {
    uint32_t outside = 0;
    for (size_t i = 0; i < count; i++)
      for (size_t c = 0; c < n; c += kTile) {
        f32x16 x = n - c < kTile ? load_n(from + i * stride + c, n - c, 0) : load(from + i * stride + c);
        outside |= lanes_outside(x, splat(-largest<float>()), splat(largest<float>()));
        store(to + i * to_width + c, x);
      }
    return outside == 0;
  }
  // Loads the query rows of a head from row `first` on.
  NEVER_INLINE void load_queries(size_t sequence, size_t head, size_t first) {
    row_count = shape.queries - first < kBlockRows ? shape.queries - first : kBlockRows;
    size_t row = shape.row_index(sequence, head, shape.heads, first, shape.queries);
    size_t stride = shape.is_position_major ? shape.heads : 1;
    is_finite_query = copy_rows(data.q + row * depth, stride * depth, row_count, depth, q, key_width);
    is_finite_query &= copy_rows(data.d_out + row * shape.value_depth, stride * shape.value_depth, row_count,
                                 shape.value_depth, d_out, width);
    const size_t length = data.key_lengths ? (size_t)data.key_lengths[sequence] : shape.keys;
    for (size_t r = 0; r < row_count; r++) {
      Query& query = rows[r].query;
      VisibleKeys visible = shape.visible_keys(data.spans, length, sequence, first + r);
      double lse = data.lse[(sequence * shape.heads + head) * shape.queries + first + r];
      query.q = q + r * key_width;
      query.slope = data.changes.slopes ? data.changes.slopes[head] * kLog2E : 0;
      query.position = visible.position;
      query.mask = row_of(data.changes.mask, sequence * shape.mask_batch + head * shape.mask_head +
                                                 (first + r) * shape.mask_query);
      query.bias = row_of(data.changes.bias, sequence * shape.bias_batch + head * shape.bias_head +
                                                 (first + r) * shape.bias_query);
      query.from = visible.from;
      query.to = lse == -infinity<double>() ? 0 : visible.to;
      rows[r].lse = lse < infinity<double>() ? lse * kLog2E : not_a_number<double>();
      rows[r].d = dot_f64(d_out + r * width, data.out + (row + r * stride) * shape.value_depth, shape.value_depth);
    }
  }
  template <class T> static const T* row_of(const T* array, size_t at) { return array ? array + at : nullptr; }
  // Loads a block of keys of a key/value head, unless it is there.
  NEVER_INLINE void load_keys(size_t sequence, size_t head, size_t block) {
    size_t blocks = (shape.keys + kBlockRows - 1) / kBlockRows;
    size_t index = (sequence * shape.kv_heads + head) * blocks + block;
    if (index == loaded_key) return;
    loaded_key = index;
    size_t row = shape.row_index(sequence, head, shape.kv_heads, block * kBlockRows, shape.keys);
    size_t stride = shape.is_position_major ? shape.kv_heads : 1;
    const float* k = data.keys + row * depth;
    const float* v = data.values + row * shape.value_depth;
    is_finite_key = copy_rows(k, stride * depth, key_count, depth, key_rows, key_width);
    copy_tiles(k, stride * depth, key_count, depth, keys);
    copy_tiles(v, stride * shape.value_depth, key_count, shape.value_depth, values);
  }
  // Copies `count` rows of n numbers as tiles, [n][16] each.
  static NEVER_INLINE void copy_tiles(const float* from, size_t stride, size_t count, size_t n, float* tiles) {
    for (size_t i = 0; i < count; i += kTile)
      transpose(from + i * stride, stride, count - i < kTile ? count - i : kTile, n, tiles + i * n);
  }
  // Finds which keys of a block the rows see. Returns false if they see none.
  NEVER_INLINE bool find_seen(size_t block) {
    size_t first = block * kBlockRows, any = 0;
    key_count = shape.keys - first < kBlockRows ? shape.keys - first : kBlockRows;
    is_seen_whole = true;
    for (size_t r = 0; r < row_count; r++) {
      const Query& query = rows[r].query;
      if (query.from >= first + key_count || query.to <= first) {
        for (size_t t = 0; t < kBlockTiles; t++) seen[r][t] = 0;
        is_seen_whole = false;
        continue;
      }
      for (size_t t = 0; t * kTile < key_count; t++) {
        size_t key = first + t * kTile, left = key_count - t * kTile;
        seen[r][t] = (uint16_t)query.visible_lanes(key);
        any |= seen[r][t];
        is_seen_whole &= seen[r][t] == (left < kTile ? (1u << left) - 1 : 0xFFFF);
      }
    }
    return any != 0;
  }

  // Defined in backward_weights.h.
  void weigh_rows(size_t first_key, bool wants_slopes, bool is_bias);
  NEVER_INLINE void recompute(size_t r, size_t t, bool is_changed, uint32_t lanes, f64x8* z) const;
  NEVER_INLINE void change(size_t r, size_t t, size_t first_key, f64x8* z, f64x8* steep) const;

  // Adds what the rows and a block of keys give to the sums.
  void add_gradients(size_t sequence, size_t kv_head, size_t block, const BackwardSums& sums) {
    load_keys(sequence, kv_head, block);
    size_t tiles = (key_count + kTile - 1) / kTile;
    multiply({q, key_width, 1, keys, kTile, depth * kTile, row_count, depth, tiles, weights, nullptr, kBlockRows});
    if (sums.wants_slopes())
      multiply({d_out, width, 1, values, kTile, shape.value_depth * kTile, row_count, shape.value_depth, tiles, slopes,
                nullptr, kBlockRows});
    weigh_rows(block * kBlockRows, sums.wants_slopes(), sums.d_bias != nullptr);
    if (sums.d_bias) add_bias(tiles, sums.d_bias);
    if (sums.dv)
      add_product({weights, 1, kBlockRows, d_out, width, kTile, key_count, row_count, width / kTile, nullptr, sums.dv,
                   width},
                  is_finite_query, true);
    if (sums.dk)
      add_product({slopes, 1, kBlockRows, q, key_width, kTile, key_count, row_count, key_width / kTile, nullptr,
                   sums.dk, key_width},
                  is_finite_query, true);
    if (sums.dq)
      add_product({slopes, kBlockRows, 1, key_rows, key_width, kTile, row_count, key_count, key_width / kTile, nullptr,
                   sums.dq, key_width},
                  is_finite_key, false);
  }
  // Adds the gradients of scores to those of the bias, which all rows may share.
  void add_bias(size_t tiles, double* sums) const {
    for (size_t r = 0; r < row_count; r++)
      for (size_t c = 0; c < tiles * kTile; c += kTile) {
        double* to = sums + (shape.bias_query ? r * kBlockRows : 0) + c;
        f32x16 x = load(slopes + r * kBlockRows + c);
        store(to, add(load(to), low_f64(x)));
        store(to + 8, add(load(to + 8), high_f64(x)));
      }
  }
  // Adds a product to sums. 0 times what is hidden must not be NaN.
  void add_product(const Product& product, bool is_finite, bool rows_are_keys) const {
    is_finite || is_seen_whole ? multiply(product) : multiply_seen(product, seen, rows_are_keys);
  }
};

}  // namespace
