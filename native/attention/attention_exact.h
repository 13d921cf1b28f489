// Attention in double: scores, exponentials, sums and weighted values. It also writes scores and weights, if asked for.
//
// A block of query rows has its scores in memory, a row of keys each: all keys are scored, then each row is weighed,
// then all values are added. Scores have keys in lanes, sixteen at a time; weighted values have columns in lanes. Each
// lane is one chain of fmas over the numbers of a key, or over the keys of a tile. The bits of a row depend on neither
// block nor thread.
//
// Weights are exp(score − largest score) / their sum, and an output is the sum of weight · value: no output passes the
// largest value by more than rounding. Max error of a weight, relative to it: (n / 8 + 8) · 2^-53 for n keys, and the
// error of its score.
#pragma once
#include "attention_exact_rows.h"
#include "attention_results.h"

namespace {

// The arrays of a call, of the types that `read` and `write` know.
struct ExactData {
  const double* spans;
  const int32_t* key_lengths;  // of each sequence, or null: all keys
  const void *q, *keys, *values;
  const ScoreChanges& changes;
  const WideScoreChanges& wide;
  void *out, *weights, *scores;
  int32_t stage;  // of `scores`
  const AttentionSums& results;
  ReadRows read;
  WriteRow write;
};
// The stages of a score that a call may ask for, numbered as in ONNX's Attention.
enum { kRawScores = 0, kCappedScores = 1, kMaskedScores = 2, kSoftmaxScores = 3 };

struct ExactAttention {
  static constexpr size_t kMostRows = 64, kScores = 1 << 17;  // rows of a block; scores of a block, if rows are long
  static constexpr int kGroup = kVectors < 32 ? 2 : 4;        // rows whose sums fit into registers
  static constexpr double kOctaves = 400;                     // exponentials are kept times 2^400: none is subnormal
  const Run& run;
  const AttentionShape& shape;
  const ExactData& data;
  size_t block_rows = kMostRows;
  const Pieces* pieces = nullptr;

  size_t width() const { return shape.value_width(); }
  size_t depth() const { return (shape.depth + kTile - 1) / kTile * kTile; }
  size_t tiles() const { return (shape.keys + kTile - 1) / kTile; }
  size_t blocks() const { return (shape.query_rows() + block_rows - 1) / block_rows; }
  size_t tasks() const { return shape.batch * shape.kv_heads * blocks(); }
  bool wants_scores() const { return data.scores && data.stage != kSoftmaxScores; }

  // A block of rows while a thread works on it. Lengths of rows are whole tiles.
  struct Block {
    double *q, *scores, *totals, *tile, *row;  // [rows][depth], [rows][keys], [rows][width]; a tile; a key or value
    ExactRow* rows;
    uint16_t* visible;  // [rows][tiles], a bit a key
    size_t count, sequence, kv_head;
  };
  size_t row_doubles() const { return depth() + width() + tiles() * kTile; }
  size_t tile_doubles() const { return (kTile + 1) * (depth() > width() ? depth() : width()); }
  size_t block_bytes() const {
    return (block_rows * row_doubles() + tile_doubles()) * sizeof(double) +
           block_rows * (sizeof(ExactRow) + tiles() * sizeof(uint16_t));
  }
  Block block_in(void* memory, size_t index) const {
    Block b;
    b.q = (double*)memory;
    b.scores = b.q + block_rows * depth();
    b.totals = b.scores + block_rows * tiles() * kTile;
    b.tile = b.totals + block_rows * width();
    b.row = b.tile + tile_doubles() / (kTile + 1) * kTile;
    b.rows = (ExactRow*)(b.tile + tile_doubles());
    b.visible = (uint16_t*)(b.rows + block_rows);
    size_t first = index % blocks() * block_rows, left = shape.query_rows() - first;
    b.count = left < block_rows ? left : block_rows;
    b.kv_head = index / blocks() % shape.kv_heads;
    b.sequence = index / blocks() / shape.kv_heads;
    for (size_t r = 0; r < block_rows; r++) set_row(b, r, first + r);
    return b;
  }
  // Sets a row of a key/value head, or one that sees nothing and fills a group.
  void set_row(Block& b, size_t r, size_t i) const {
    bool is_there = r < b.count;
    size_t query = is_there ? i / shape.heads_per_kv() : 0;
    size_t head = b.kv_head * shape.heads_per_kv() + (is_there ? i % shape.heads_per_kv() : 0);
    VisibleKeys keys = shape.visible_keys(data.spans, length_of(b), b.sequence, query);
    size_t mask_at = b.sequence * shape.mask_batch + head * shape.mask_head + query * shape.mask_query;
    size_t bias_at = b.sequence * shape.bias_batch + head * shape.bias_head + query * shape.bias_query;
    ExactRow& row = b.rows[r];
    row.head = head;
    row.index = shape.row_index(b.sequence, head, shape.heads, query, shape.queries);
    row.score_index = (b.sequence * shape.heads + head) * shape.queries + query;
    row.slope = data.wide.slopes ? data.wide.slopes[head] : data.changes.slopes ? data.changes.slopes[head] : 0;
    row.position = keys.position;
    row.mantissa = 0;
    row.mask = data.changes.mask ? data.changes.mask + mask_at : nullptr;
    row.bias = data.changes.bias ? data.changes.bias + bias_at : nullptr;
    row.wide_bias = data.wide.bias ? data.wide.bias + bias_at : nullptr;
    row.from = is_there ? keys.from : 0;
    row.to = is_there ? keys.to : 0;
    data.read.widen(data.q, row.index * shape.depth, b.q + r * depth(), is_there ? shape.depth : 0);
    for (size_t d = 0; !is_there && d < depth(); d++) b.q[r * depth() + d] = 0;
    for (size_t t = 0; t < tiles(); t++) b.visible[r * tiles() + t] = (uint16_t)row.visible_lanes(t * kTile);
  }
  // The bits of the keys of a tile that any of n rows sees, and that all of them see.
  uint32_t seen_by_any(const Block& b, size_t tile, size_t r, size_t n) const {
    uint32_t lanes = 0;
    for (size_t i = r; i < r + n; i++) lanes |= b.visible[i * tiles() + tile];
    return lanes;
  }
  uint32_t seen_by_all(const Block& b, size_t tile, size_t r, size_t n) const {
    uint32_t lanes = 0xFFFF;
    for (size_t i = r; i < r + n; i++) lanes &= b.visible[i * tiles() + tile];
    return lanes;
  }
  // The keys of a block's sequence; those behind them are padding.
  size_t length_of(const Block& b) const { return data.key_lengths ? data.key_lengths[b.sequence] : shape.keys; }
  // The place of a key or value among the rows of its array.
  size_t row_of(const Block& b, size_t key) const {
    return shape.row_index(b.sequence, b.kv_head, shape.kv_heads, key, shape.keys);
  }

  // Scores all keys, a tile at a time, and writes the scores that are asked for.
  void score_block(const Block& b) const {
    const size_t length = length_of(b);
    for (size_t tile = 0; tile < tiles() && !run.stopped(); tile++) {
      size_t key = tile * kTile, left = key_count(key, length);
      double* scores = b.scores + key;
      if (!wants_scores() && !seen_by_any(b, tile, 0, b.count)) {
        for (size_t r = 0; r < b.count; r++) store_both(scores + r * tiles() * kTile, splat(-infinity<double>()));
        continue;
      }
      for (size_t i = 0; i < kTile; i++) {
        data.read.widen(data.keys, i < left ? row_of(b, key + i) * shape.depth : 0, b.row, i < left ? shape.depth : 0);
        for (size_t d = 0; d < shape.depth; d++) b.tile[d * kTile + i] = i < left ? b.row[d] : 0;
      }
      for (size_t r = 0; r < b.count; r += kGroup)
        score_group<kGroup>(b.tile, b.q + r * depth(), depth(), shape.depth, scores + r * tiles() * kTile,
                            tiles() * kTile);
      for (size_t r = 0; r < b.count; r++) change_scores(b, r, tile, left);
    }
  }
  // The keys of the tile that begins at `key`, out of n keys.
  static size_t key_count(size_t key, size_t n) { return key >= n ? 0 : n - key < kTile ? n - key : kTile; }
  // Turns the products of a row with a tile into scores; those behind the `left` keys of the sequence are −∞.
  NEVER_INLINE void change_scores(const Block& b, size_t r, size_t tile, size_t left) const {
    const ExactRow& row = b.rows[r];
    size_t key = tile * kTile;
    double* scores = b.scores + r * tiles() * kTile + key;
    auto note = [&](int32_t stage) {
      if (!data.scores || data.stage != stage) return;
      for (size_t i = left; i < kTile; i++) scores[i] = -infinity<double>();
      data.write.narrow(scores, data.scores, row.score_index * shape.keys + key, key_count(key, shape.keys));
    };
    for (double* x = scores; x <= scores + 8; x += 8) store(x, mul(load(x), splat(shape.scale)));
    note(kRawScores);
    for (double* x = scores; shape.softcap > 0 && x <= scores + 8; x += 8)
      store(x, mul(tanh_f64(div(load(x), splat(shape.softcap))), splat(shape.softcap)));
    note(kCappedScores);
    uint32_t lanes = b.visible[r * tiles() + tile];
    row.add_slope_and_bias(scores, key, lanes);
    for (size_t i = 0; i < 2; i++)
      store(scores + 8 * i, select_bits(load(scores + 8 * i), splat(-infinity<double>()), lanes >> 8 * i & 0xFF));
    note(kMaskedScores);
  }

  // Turns a row's scores into weights, and writes what is asked for of the weights and their sum.
  NEVER_INLINE void weigh_row(const Block& b, size_t r) const {
    ExactRow& row = b.rows[r];
    double* scores = b.scores + r * tiles() * kTile;
    const bool has_sink = data.wide.sinks || data.changes.sinks;
    const double sink = data.wide.sinks      ? data.wide.sinks[row.head]
                        : data.changes.sinks ? data.changes.sinks[row.head]
                                             : -infinity<double>();
    size_t from = row.from / kTile * kTile, to = (row.to + kTile - 1) / kTile * kTile;
    double total = exponentials(scores, from, to, sink, kOctaves, row.largest);
    row.has_weights = is_ordinary(total);
    row.shares_values = row.has_weights && !has_sink;
    for (size_t key = 0; key < tiles() * kTile; key += kTile) {
      uint32_t lanes = key >= from && key < to ? b.visible[r * tiles() + key / kTile] : 0;
      for (size_t i = 0; i < 2; i++) {
        double* x = scores + key + 8 * i;
        f64x8 weights = row.has_weights ? div(load(x), splat(total)) : splat(total == 0 ? 0 : not_a_number<double>());
        store(x, select_bits(weights, splat(0.), lanes >> 8 * i & 0xFF));
      }
      if (total == 0) b.visible[r * tiles() + key / kTile] = 0;
    }
    if (data.weights) data.write.narrow(scores, data.weights, row.score_index * shape.keys, shape.keys);
    if (data.scores && data.stage == kSoftmaxScores)
      data.write.narrow(scores, data.scores, row.score_index * shape.keys, shape.keys);
    double sum = total / ExpTraits<double>::kG;
    if (data.results.lse)
      data.results.lse[row.score_index] =
          row.has_weights ? row.largest + Attention::log_of(sum, -kOctaves) : Attention::log_of(sum, 0);
    if (data.results.sums) set_state(row, sum);
  }
  // Notes a row's sum as a state has it: the mantissa lies in [1, 2).
  SELDOM void set_state(ExactRow& row, double sum) const {
    PowerOfE power = row.has_weights ? power_of_e(row.largest) : PowerOfE{1, kOctaves};
    double mantissa = sum * power.mantissa, exponent = power.exponent - kOctaves;
    if (row.has_weights) {
      exponent += exponent_of(mantissa);
      mantissa = with_exponent(mantissa, 0);
    }
    data.results.mantissa[row.index] = row.mantissa = same_nan(mantissa);
    data.results.exponent[row.index] = exponent > -INT32_MAX && exponent < INT32_MAX ? (int32_t)exponent : INT32_MIN;
  }

  // Adds the weighted values of all keys, a tile at a time.
  void add_block(const Block& b) const {
    for (double* x = b.totals; x < b.totals + block_rows * width(); x += 8) store(x, splat(0.));
    for (size_t tile = 0; tile < tiles() && !run.stopped(); tile++) {
      size_t key = tile * kTile, stride = tiles() * kTile;
      if (!seen_by_any(b, tile, 0, b.count)) continue;
      for (size_t i = 0; i < kTile && key + i < shape.keys; i++)
        data.read.widen(data.values, row_of(b, key + i) * shape.value_depth, b.tile + i * width(), shape.value_depth);
      for (size_t r = 0; r < b.count; r += kGroup) {
        const double* weights = b.scores + r * stride + key;
        if (seen_by_all(b, tile, r, kGroup) == 0xFFFF) {
          add_weighted<kGroup>(b.tile, weights, stride, 0xFFFF, b.totals + r * width(), width());
          continue;
        }
        for (size_t i = 0; i < kGroup; i++)
          if (uint32_t lanes = b.visible[(r + i) * tiles() + tile])
            add_weighted<1>(b.tile, weights + i * stride, 0, lanes, b.totals + (r + i) * width(), width());
      }
    }
  }
  // Replaces the columns in which all visible keys have one value: rounded weights can miss it. A NaN marks the others,
  // and those of +0, which sums give exactly.
  NEVER_INLINE void share_values(const Block& b, size_t r) const {
    double *shared = b.tile, *value = b.row;
    size_t left = 0, seen = 0;
    auto keep = [&](size_t c, bool is_shared) {
      if (!is_shared) shared[c] = not_a_number<double>();
      left += is_shared;
    };
    for (size_t tile = 0; tile < tiles() && (seen == 0 || left > 0); tile++)
      for (uint32_t lanes = b.visible[r * tiles() + tile]; lanes && (seen == 0 || left > 0); lanes &= lanes - 1) {
        size_t at = row_of(b, tile * kTile + lowest_bit(lanes)) * shape.value_depth;
        data.read.widen(data.values, at, seen == 0 ? shared : value, shape.value_depth);
        left = 0;
        for (size_t c = 0; c < shape.value_depth; c++)
          keep(c, seen == 0 ? bits_of(shared[c]) != 0 : bits_of(shared[c]) == bits_of(value[c]));
        seen++;
      }
    for (size_t c = 0; left > 0 && c < shape.value_depth; c++)
      if (shared[c] == shared[c]) b.totals[r * width() + c] = shared[c];
  }
  // Writes the outputs or the states of a block.
  void write_block(const Block& b) const {
    for (size_t r = 0; r < b.count && !run.stopped(); r++) {
      const ExactRow& row = b.rows[r];
      double* totals = b.totals + r * width();
      if (row.shares_values) share_values(b, r);
      if (data.out) data.write.narrow(totals, data.out, row.index * shape.value_depth, shape.value_depth);
      double factor = row.has_weights || row.mantissa == 0 ? row.mantissa : not_a_number<double>();
      for (size_t c = 0; data.results.sums && c < shape.value_depth; c++)
        data.results.sums[row.index * shape.value_depth + c] = same_nan(totals[c] * factor);
    }
  }
  static void attend(void* self, size_t index) {
    const ExactAttention& call = *(const ExactAttention*)self;
    if (call.run.stopped()) return;
    Pieces::Taken memory(*call.pieces);
    Block b = call.block_in(memory.data(), index);
    call.score_block(b);
    for (size_t r = 0; r < b.count && !call.run.stopped(); r++) call.weigh_row(b, r);
    call.add_block(b);
    call.write_block(b);
  }
  // Runs the call, on one thread if it is small.
  NEVER_INLINE void run_blocks() {
    while (block_rows > 4 && block_rows * tiles() * kTile > kScores) block_rows /= 2;
    while (block_rows > 4 && (block_rows / 2 >= shape.query_rows() || (block_rows > 8 && tasks() < 4 * run.threads)))
      block_rows /= 2;
    Run shared_run = run;
    if (shape.batch * shape.kv_heads * shape.keys * (shape.depth + width()) * shape.query_rows() <
        run.plan.parallel_bytes) {
      shared_run.parallel = serial;
      shared_run.threads = 1;
    }
    Pieces memory(shared_run, block_bytes(), tasks());
    if (!memory.there()) return;
    pieces = &memory;
    shared_run.parallel(tasks(), attend, this);
  }
};

// The kernel. Halves are read as floats, and get the float results, rounded once more.
template <class X, class Y>
void attention_exact(const Run& run, const double* shape_numbers, const double* spans, const int32_t* key_lengths,
                     const Stored<X>* q, const Stored<X>* keys, const Stored<X>* values, const ScoreChanges& changes,
                     const WideScoreChanges& wide, Stored<Y>* out, Stored<Y>* weights, Stored<Y>* scores,
                     int32_t stage, const AttentionSums& results) {
  AttentionShape shape = AttentionShape::of(shape_numbers);
  ExactData data = {spans, key_lengths, q,     keys,    values,       changes,      wide,
                    out,   weights,     scores, stage, results, kReadRows<X>, kWriteRow<Y>};
  ExactAttention{run, shape, data}.run_blocks();
}

}  // namespace
