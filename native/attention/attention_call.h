// An attention call as work for threads: blocks of query rows, parts of their keys, and the tasks that attend to them.
//
// attend_block takes a block through all keys that it sees, and writes its results. If parts are shared, attend_part
// takes all blocks of a key/value head through one part; fold_block then folds a block's parts and writes its results.
#pragma once
#include "attention_keys.h"
#include "attention_weights.h"
#include "attention_values.h"
#include "../rows/buffer.h"

namespace {

// The data of a call besides keys and values.
struct AttentionData {
  const double* spans;  // of each sequence: the position of its first key, and its number of positions. Null: all keys
  const float* q;
  const ScoreChanges& changes;
  const AttentionSums& results;
  void* out;  // floats, or the halves that `narrow` makes of floats. Null if the results are states
  void (*narrow)(const float* from, uint16_t* to, size_t n) = nullptr;
};

// The rows of a block: as many as share a copied tile, or fewer if threads would have too few blocks.
constexpr size_t kMostBlockRows = 512, kLeastBlockRows = 128;

// One call: its data, how it is cut, and the tasks of its threads.
struct Attention {
  const Run& run;
  const AttentionShape& shape;
  const AttentionData& data;
  const KeyValues& key_values;
  Scoring scoring;
  size_t block_rows = kMostBlockRows;
  bool has_long_keys = false;      // some sequence has several parts
  bool is_split = false;           // threads share the parts of a block
  size_t* first_parts = nullptr;   // the first part of each sequence, if they are split
  float* split_values = nullptr;   // [part][row of the key/value head][width]
  double* split_sums = nullptr;    // [part][row]: sum, exponent
  const Pieces* pieces = nullptr;  // memory_bytes() for each block that is worked on

  Attention(const Run& run, const AttentionShape& shape, const AttentionData& data, const KeyValues& key_values)
      : run(run),
        shape(shape),
        data(data),
        key_values(key_values),
        scoring{shape.depth, shape.value_width(), shape.scale * kLog2E, shape.softcap * kLog2E} {
    for (size_t sequence = 0; sequence < shape.batch; sequence++) has_long_keys |= part_count(sequence) > 1;
    while (block_rows > kLeastBlockRows && all_blocks() < 4 * run.threads) block_rows /= 2;
  }

  // Blocks of a key/value head; blocks of the call; parts of a sequence.
  size_t block_count() const { return (shape.query_rows() + block_rows - 1) / block_rows; }
  size_t all_blocks() const { return shape.batch * shape.kv_heads * block_count(); }
  size_t part_count(size_t sequence) const { return (key_values.length(sequence) + kPart - 1) / kPart; }
  // Rows that a block has memory for.
  size_t capacity() const {
    return ((shape.query_rows() < block_rows ? shape.query_rows() : block_rows) + kBundle - 1) / kBundle * kBundle;
  }
  // Whether a block has several steps, which share the copied tiles of a part.
  bool keeps_tiles() const { return capacity() > QueryBlock::kStep; }
  // Rows that need totals: all rows of a block if its keys have several parts, else the rows of one step.
  size_t total_rows() const { return has_long_keys || capacity() < QueryBlock::kStep ? capacity() : QueryBlock::kStep; }
  // Floats of the tiles that a block copies.
  size_t tile_floats() const { return (keeps_tiles() ? kPart / kTile : 1) * key_values.copied_floats(); }
  // Bytes for one block: rows, copied tiles, shared values.
  size_t memory_bytes() const {
    size_t tiles = tile_floats() * sizeof(float);
    return QueryBlock::bytes(scoring, capacity(), total_rows()) + tiles + SharedValues::bytes(shape.value_width()) + 64;
  }

  // Sets the query of a row of a key/value head. Rows are ordered by position, then by head.
  void set_query(Query& query, size_t sequence, size_t kv_head, size_t row) const {
    size_t index = row / shape.heads_per_kv(), head = kv_head * shape.heads_per_kv() + row % shape.heads_per_kv();
    VisibleKeys keys = shape.visible_keys(data.spans, key_values.length(sequence), sequence, index);
    query.q = data.q + shape.row_index(sequence, head, shape.heads, index, shape.queries) * shape.depth;
    query.slope = data.changes.slopes ? data.changes.slopes[head] * kLog2E : 0;
    query.position = keys.position;
    query.mask = data.changes.mask ? data.changes.mask + sequence * shape.mask_batch + head * shape.mask_head +
                                         index * shape.mask_query
                                   : nullptr;
    query.bias = data.changes.bias ? data.changes.bias + sequence * shape.bias_batch + head * shape.bias_head +
                                         index * shape.bias_query
                                   : nullptr;
    query.from = keys.from;
    query.to = keys.to;
    query.wants_exact = query.to < query.from + kFewKeys + 1;
    query.has_raw_scores = query.slope == 0 && !query.bias && !query.wants_exact;
  }

  // Takes a small block through pairs of tiles of a cache in [key, end). Returns the first key that is left.
  size_t attend_pairs(QueryBlock& rows, size_t sequence, size_t kv_head, size_t key, size_t end) const {
    for (; key + 2 * kTile <= end; key += 2 * kTile) {
      Tile tiles[2];
      for (size_t t = 0; t < 2; t++) tiles[t] = key_values.cached_tile(sequence, kv_head, key + t * kTile);
      rows.attend_pair(tiles, key);
    }
    return key;
  }
  // Takes a block through the parts [first_part, end_part). Calls after_step(part, first row, end row) for each step.
  template <class AfterStep>
  void attend_parts(QueryBlock& rows, float* tile_memory, size_t sequence, size_t kv_head, size_t first_part,
                    size_t end_part, AfterStep after_step) const {
    for (size_t part = first_part; part < end_part; part++) {
      uint32_t copied = 0;  // a bit a tile
      for (size_t i = 0, next; i < rows.count && !run.stopped(); i = next) {
        next = i + QueryBlock::kStep < rows.count ? i + QueryBlock::kStep : rows.count;
        size_t from = rows.first_key(i, next), to = rows.end_key(i, next);
        size_t end = (part + 1) * kPart < to ? (part + 1) * kPart : to;
        rows.begin_part(i, next);
        size_t key = part * kPart > from ? part * kPart : from / kTile * kTile;
        if (rows.takes_pairs()) key = attend_pairs(rows, sequence, kv_head, key, end);
        for (; key < end; key += kTile) {
          size_t slot = keeps_tiles() ? key % kPart / kTile : 0;
          rows.attend_step(key_values.tile(sequence, kv_head, key, tile_memory + slot * key_values.copied_floats(),
                                           rows.count, copied >> slot & 1),
                           key, i, next);
          copied |= (uint32_t)keeps_tiles() << slot;
        }
        after_step(part, i, next);
      }
    }
  }
  // Sets the queries of a block of a key/value head.
  NEVER_INLINE void fill_block(QueryBlock& rows, size_t sequence, size_t kv_head, size_t block) const {
    size_t first = block * block_rows;
    rows.count = shape.query_rows() - first < block_rows ? shape.query_rows() - first : block_rows;
    for (size_t i = 0; i < rows.count; i++) set_query(rows.queries[i], sequence, kv_head, first + i);
    rows.prepare();
  }
  // A block of query rows while a thread works on it.
  struct BlockTask {
    QueryBlock& rows;
    SharedValues& shared_values;
    float* tile_memory;
    size_t sequence, kv_head, block;
  };
  // Makes the block with an index among all blocks, in memory of its own. sum_block(task) then sums and writes it.
  template <class SumBlock> static void with_block(const Attention& call, size_t index, SumBlock sum_block) {
    if (call.run.stopped()) return;
    Pieces::Taken memory(*call.pieces);
    QueryBlock rows(call.scoring, call.key_values.functions, call.capacity(), call.total_rows(), memory.data());
    size_t block = index % call.block_count(), kv_head = index / call.block_count() % call.shape.kv_heads;
    size_t sequence = index / call.block_count() / call.shape.kv_heads;
    float* tile_memory = call.tile_memory(memory.data());
    SharedValues shared_values(call.key_values, sequence, kv_head, tile_memory + call.tile_floats());
    call.fill_block(rows, sequence, kv_head, block);
    sum_block(BlockTask{rows, shared_values, tile_memory, sequence, kv_head, block});
  }
  // The task of a whole block.
  static void attend_block(void* self, size_t index) {
    const Attention& call = *(const Attention*)self;
    with_block(call, index, [&](const BlockTask& task) {
      QueryBlock& rows = task.rows;
      size_t parts = call.part_count(task.sequence);
      if (parts == 0) return call.write_rows(task, 0, rows.count);
      call.attend_parts(rows, task.tile_memory, task.sequence, task.kv_head, 0, parts,
                        [&](size_t part, size_t i, size_t end) {
                          rows.fold_part(i, end);
                          if (part + 1 == parts) call.write_rows(task, i, end);
                        });
    });
  }
  // Returns the memory of copied tiles, which follows the memory of the rows. It is 64-byte aligned.
  float* tile_memory(char* memory) const {
    return (float*)(((uintptr_t)memory + QueryBlock::bytes(scoring, capacity(), total_rows()) + 63) & ~(uintptr_t)63);
  }

  // The task of one part of a key/value head's keys, for all blocks. index = (part of all sequences) · kv_heads + head.
  static void attend_part(void* self, size_t index) {
    const Attention& call = *(const Attention*)self;
    if (call.run.stopped()) return;
    Pieces::Taken memory(*call.pieces);
    QueryBlock rows(call.scoring, call.key_values.functions, call.capacity(), call.total_rows(), memory.data());
    size_t kv_head = index % call.shape.kv_heads, part = index / call.shape.kv_heads, sequence = 0;
    while (part >= call.first_parts[sequence + 1]) sequence++;
    for (size_t block = 0; block < call.block_count(); block++) {
      call.fill_block(rows, sequence, kv_head, block);
      size_t own_part = part - call.first_parts[sequence];
      call.attend_parts(rows, call.tile_memory(memory.data()), sequence, kv_head, own_part, own_part + 1,
                        [&](size_t, size_t r, size_t end) {
                          for (; r < end; r++) {
                            size_t row = index * call.shape.query_rows() + block * call.block_rows + r;
                            call.split_sums[2 * row] = rows.part_sum(r);
                            call.split_sums[2 * row + 1] = rows.sums[r].part_exponent;
                            COPY(call.split_values + row * call.scoring.width, rows.part_values_of(r),
                                 call.scoring.width * sizeof(float));
                          }
                        });
    }
  }
  // The task of a block whose parts were summed by attend_part: folds them in order.
  static void fold_block(void* self, size_t index) {
    const Attention& call = *(const Attention*)self;
    with_block(call, index, [&](const BlockTask& task) {
      QueryBlock& rows = task.rows;
      for (size_t r = 0; r < rows.count; r++) {
        for (size_t part = call.first_parts[task.sequence]; part < call.first_parts[task.sequence + 1]; part++) {
          size_t row =
              (part * call.shape.kv_heads + task.kv_head) * call.shape.query_rows() + task.block * call.block_rows + r;
          QueryBlock::fold(rows.sums[r], rows.totals_of(r), call.split_sums[2 * row], call.split_sums[2 * row + 1],
                           call.split_values + row * call.scoring.width, call.scoring.width);
        }
        call.write_rows(task, r, r + 1);
      }
    });
  }

  // Defined in attention_results.h.
  void write_rows(const BlockTask& task, size_t r, size_t end) const;
  // A log-sum-exp that is known without the sum.
  struct KnownLse {
    bool is_known;
    double value;
  };
  NEVER_INLINE KnownLse use_shared_values(const Query& query, QuerySum& sum, double* totals, const BlockTask& task,
                                          size_t head) const;
  SELDOM KnownLse use_only_key(const Query& query, QuerySum& sum, const BlockTask& task, size_t head) const;
  SELDOM void write_state(size_t row, const double* totals, double mantissa, double exponent) const;
  static double canonical_nan(double x);
  SELDOM void add_sink(double sink, double& mantissa, double& exponent, double* totals, KnownLse& lse) const;
  static double log_of(double mantissa, double exponent);

  // Defined in attention.h.
  void run_blocks();
  NEVER_INLINE void run_parts(const Run& shared_run, size_t all_parts);
};

}  // namespace
