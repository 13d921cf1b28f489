// The numbers of an attention call: its sizes, where its rows lie, and which keys its queries see.
#pragma once
#include <stddef.h>
#include "../simd/inline.h"

namespace {

constexpr size_t kTile = 16;  // keys of a tile, a lane each

// The keys [from, to) that a query sees, and its position; the first key has the position 0.
struct VisibleKeys {
  double position;
  size_t from, to;
};

// The numbers of a call, in the order of AttentionShape in lib/backend/backend.ts.
struct AttentionShape {
  size_t batch, heads, kv_heads, queries, keys, depth, value_depth, page_tokens;
  bool is_position_major;            // arrays are [batch, position, head, …]; false: [batch, head, position, …]
  bool is_causal, is_top_left;       // a query sees no key behind its position; that position is the query's index
  double window_left, window_right;  // keys of the window on each side, the query's own on both; 0: no bound
  double scale, softcap;
  size_t mask_batch, mask_head, mask_query, bias_batch, bias_head, bias_query;  // strides

  static NEVER_INLINE AttentionShape of(const double* d) {
    auto n = [&](int i) { return (size_t)d[i]; };
    return {n(0),  n(1),  n(2),  n(3),  n(4),  n(5),  n(6),  n(7),  d[8] != 0, d[9] != 0, d[9] == 2,
            d[10], d[11], d[12], d[13], n(14), n(15), n(16), n(17), n(18),     n(19)};
  }
  // Floats of a value in whole vectors.
  size_t value_width() const { return (value_depth + kTile - 1) / kTile * kTile; }
  // Query heads that share a key/value head.
  size_t heads_per_kv() const { return heads / kv_heads; }
  // Query rows that share a key/value head of one sequence.
  size_t query_rows() const { return heads_per_kv() * queries; }
  // The row of an array that belongs to a sequence's head and position.
  size_t row_index(size_t sequence, size_t head, size_t all_heads, size_t position, size_t positions) const {
    return is_position_major ? (sequence * positions + position) * all_heads + head
                             : (sequence * all_heads + head) * positions + position;
  }

  // Which keys a query sees before mask and bias. `spans` as in AttentionData; `length` is the number of keys.
  // Query i of m is at position i (top left), or at total − m + i, so that the last query is at the last position.
  VisibleKeys visible_keys(const double* spans, size_t length, size_t sequence, size_t query) const {
    double start = spans ? spans[2 * sequence] : 0, total = spans ? spans[2 * sequence + 1] : (double)length;
    double position = (is_top_left ? 0 : total - (double)queries) + (double)query - start;
    double from = window_left > 0 ? position - window_left + 1 : 0;
    double to = is_causal ? position + 1 : window_right > 0 ? position + window_right : (double)length;
    return {position, key_at(from, length), key_at(to, length)};
  }
  // Returns a position as a key in [0, length].
  static size_t key_at(double position, size_t length) {
    return position > 0 ? position < (double)length ? (size_t)position : length : 0;
  }
};

}  // namespace
