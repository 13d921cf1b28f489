// Attention: y = Σ_n softmax(scores)_n · v_n for every query row, over keys in two arrays or in the pages of a cache.
//
// The query rows that share a key/value head form blocks: keys and values are read once for all rows of a block.
// A block goes through the keys that it sees part by part, kPart keys each. A step of its rows at a time goes through
// a part, tile by tile. A prefill has many query rows, and thus many blocks.
//
// If there are fewer blocks than threads could use, the threads share the parts of a block, too. The parts are folded
// afterwards in the order in which one thread would take them (flash decoding). So the bits do not depend on threads.
//
// run_blocks chooses between the two ways. The tasks are in attention_call.h, the results in attention_results.h.
#pragma once
#include "attention_results.h"

namespace {

// Runs the call, on one thread if it is small.
inline void Attention::run_blocks() {
  size_t all_parts = 0, cost = 0;
  for (size_t sequence = 0; sequence < shape.batch; sequence++) {
    all_parts += part_count(sequence);
    cost += key_values.length(sequence);
  }
  // The cost is in bytes. Few rows are bound by reading, many by arithmetic: two multiplications cost a byte.
  cost *= shape.kv_heads * (shape.depth + shape.value_width()) *
          (key_values.functions.element_bytes > shape.query_rows() / 2 ? key_values.functions.element_bytes
                                                                       : shape.query_rows() / 2);
  Run shared_run = run;
  if (cost < run.plan.parallel_bytes) {
    shared_run.parallel = serial;
    shared_run.threads = 1;
  }
  is_split =
      shared_run.threads > 1 && all_blocks() < 4 * shared_run.threads && all_parts > shape.batch && block_count() <= 4;
  Pieces memory(shared_run, memory_bytes(), is_split ? all_parts * shape.kv_heads : all_blocks());
  if (!memory.there()) return;
  pieces = &memory;
  is_split ? run_parts(shared_run, all_parts) : shared_run.parallel(all_blocks(), attend_block, this);
}
// Runs the call with its parts shared among threads. Without memory for the sums of the parts, it runs whole blocks:
// fewer threads, the same bits.
void Attention::run_parts(const Run& shared_run, size_t all_parts) {
  size_t rows = all_parts * shape.kv_heads * shape.query_rows();
  size_t bytes = rows * (shape.value_width() * sizeof(float) + 2 * sizeof(double)) + (shape.batch + 1) * sizeof(size_t);
  split_values = (float*)run.allocate(bytes);
  if (!split_values) return shared_run.parallel(all_blocks(), attend_block, this);
  split_sums = (double*)(split_values + rows * shape.value_width());
  first_parts = (size_t*)(split_sums + 2 * rows);
  first_parts[0] = 0;
  for (size_t sequence = 0; sequence < shape.batch; sequence++)
    first_parts[sequence + 1] = first_parts[sequence] + part_count(sequence);
  shared_run.parallel(all_parts * shape.kv_heads, attend_part, this);
  shared_run.parallel(all_blocks(), fold_block, this);
  run.release(split_values);
}

// Runs a call on halves. Keys and values become floats a tile at a time, and all queries before that.
NEVER_INLINE void attend_halves(const Run& run, const uint16_t* q, AttentionData& data, const KeyValues& key_values) {
  const AttentionShape& shape = key_values.shape;
  size_t n = shape.batch * shape.heads * shape.queries * shape.depth;
  Buffer<float> floats(run, n);
  if (!floats.data) return;
  key_values.halves->widen(q, floats.data, n);
  data.q = floats.data;
  Attention(run, shape, data, key_values).run_blocks();
}

// The kernel on two arrays of keys and values. `key_lengths` is null if all of their keys count.
template <class X, class Y>
void attention(const Run& run, const double* shape_numbers, const double* spans, const int32_t* key_lengths,
               const Stored<X>* q, const Stored<X>* keys, const Stored<X>* values, const ScoreChanges& changes,
               Stored<Y>* out, const AttentionSums& results) {
  AttentionShape shape = AttentionShape::of(shape_numbers);
  KeyValues key_values = {shape, kTileFunctions<Format<float>>, keys, values, key_lengths};
  AttentionData data = {spans, nullptr, changes, results, out};
  if constexpr (sizeof(Stored<X>) == 2) {
    key_values.halves = &kHalfRows<X>;
    if constexpr (sizeof(Stored<Y>) == 2) data.narrow = from_floats<Y>;
    attend_halves(run, q, data, key_values);
  } else {
    data.q = q;
    Attention(run, shape, data, key_values).run_blocks();
  }
}

// A cache: its pages, and how many tokens of each sequence they hold.
struct CacheView {
  const TileFunctions& functions;
  const CachePages& pages;
  const Slabs<const float>& scales;
  const uint32_t* table;
  const int32_t* lengths;
};
// Runs a call on a cache: finds each sequence's first entry in the table.
void attend_cache(const Run& run, const AttentionShape& shape, const AttentionData& data, const CacheView& cache) {
  Buffer<size_t> first_entries(run, shape.batch + 1);
  if (!first_entries.data) return;
  first_entries.data[0] = 0;
  for (size_t sequence = 0; sequence < shape.batch; sequence++) {
    size_t pages = ((size_t)cache.lengths[sequence] + shape.page_tokens - 1) / shape.page_tokens;
    first_entries.data[sequence + 1] = first_entries.data[sequence] + pages;
  }
  KeyValues key_values = {shape,   cache.functions, nullptr,       nullptr,     cache.lengths,
                          nullptr, &cache.pages,    &cache.scales, cache.table, first_entries.data};
  Attention(run, shape, data, key_values).run_blocks();
}
// The kernel on the pages of a cache.
template <class X, class Y>
void attention_cached(const Run& run, const double* shape_numbers, const double* spans, const float* q,
                      const Slabs<const Stored<X>>& slabs, const Slabs<const float>& scales, const uint32_t* table,
                      const int32_t* lengths, const ScoreChanges& changes, const AttentionResults& results) {
  AttentionShape shape = AttentionShape::of(shape_numbers);
  CachePages pages(shape, slabs);
  AttentionSums sums = {results.lse, results.sums, results.mantissa, results.exponent};
  AttentionData data = {spans, q, changes, sums, results.out};
  attend_cache(run, shape, data, {kTileFunctions<Format<X>>, pages, scales, table, lengths});
}

}  // namespace
