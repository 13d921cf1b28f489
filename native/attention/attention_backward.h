// The gradients of attention (Dao, FlashAttention-2, arXiv 2307.08691, algorithm 2): no score is kept, all are computed
// again, a block of query rows and a block of keys at a time (backward_block.h).
//
// A sweep takes blocks of query rows, one after the other, through blocks of keys. One sweep of all blocks of a
// key/value head gives dq, dk and dv with five products of blocks. If threads outnumber these heads, there is a sweep
// for each block of rows, which gives dq, and one for each block of keys, which gives dk and dv: seven products. Sums
// are added in the same order in both ways, so the bits do not depend on threads. dBias has sweeps of its own, a block
// of its entries each, over all heads, sequences and queries that share them.
#pragma once
#include "attention_values.h"
#include "backward_weights.h"
#include "../rows/buffer.h"

namespace {

// Where the gradients go. Null: not wanted.
struct AttentionGradients {
  float *dq, *dk, *dv, *d_bias, *d_sinks;
};

// The numbers [from, to) of heads or blocks.
struct Range {
  size_t from, to;
};

// One call: its data, and the tasks of its threads.
struct AttentionBackward {
  const Run& run;
  const AttentionShape& shape;
  const BackwardData& data;
  const AttentionGradients& gradients;
  const Pieces* pieces = nullptr;

  size_t query_blocks() const { return (shape.queries + kBlockRows - 1) / kBlockRows; }
  size_t key_blocks() const { return (shape.keys + kBlockRows - 1) / kBlockRows; }
  size_t kv_heads() const { return shape.batch * shape.kv_heads; }
  bool wants_keys() const { return gradients.dk || gradients.dv; }

  // Takes query heads and their blocks of rows, in order, through blocks of keys, and adds to the sums. Those of dq are
  // of one block of rows: it writes them.
  NEVER_INLINE void sweep(BackwardBlock& block, size_t sequence, Range heads, Range row_blocks, Range keys,
                          const BackwardSums& sums) const {
    for (size_t head = heads.from; head < heads.to; head++)
      for (size_t i = row_blocks.from; i < row_blocks.to; i++) {
        block.load_queries(sequence, head, i * kBlockRows);
        if (sums.dq) clear(sums.dq, kBlockRows * block.key_width);
        for (size_t j = keys.from; j < keys.to; j++) {
          if (run.stopped()) return;
          if (!block.find_seen(j)) continue;
          size_t before = (j - keys.from) * kBlockRows;
          block.add_gradients(sequence, head / shape.heads_per_kv(), j,
                              {sums.dq, sums.dk ? sums.dk + before * block.key_width : nullptr,
                               sums.dv ? sums.dv + before * block.width : nullptr, sums.d_bias});
        }
        if (sums.dq) write_queries(block, sequence, head, i);
      }
  }
  static void clear(double* x, size_t n) {
    for (size_t i = 0; i < n; i += 8) store(x + i, splat(0.));
  }
  // Writes `count` rows of sums, times a factor.
  static NEVER_INLINE void write_rows(const double* sums, size_t width, double factor, size_t count, size_t n,
                                      float* to, size_t stride) {
    for (size_t i = 0; i < count; i++)
      for (size_t c = 0; c < n; c += kTile) {
        const double* x = sums + i * width + c;
        f32x16 y = narrow(same_nan(mul(load(x), splat(factor))), same_nan(mul(load(x + 8), splat(factor))));
        store_n(to + i * stride + c, y, n - c < kTile ? n - c : kTile);
      }
  }
  void write_queries(const BackwardBlock& block, size_t sequence, size_t head, size_t i) const {
    size_t row = shape.row_index(sequence, head, shape.heads, i * kBlockRows, shape.queries);
    size_t stride = shape.is_position_major ? shape.heads : 1;
    write_rows(block.totals, block.key_width, shape.scale, block.row_count, shape.depth,
               gradients.dq + row * shape.depth, stride * shape.depth);
  }

  // Sweeps the blocks of rows of all heads of a key/value head through blocks of keys. Writes dk and dv, and dq with
  // `wants_queries`, for which the keys must be all keys.
  void sweep_head(size_t index, Range keys, bool wants_queries) const {
    if (run.stopped()) return;
    Pieces::Taken memory(*pieces);
    BackwardBlock block(shape, data, memory.data());
    size_t sequence = index / shape.kv_heads, kv_head = index % shape.kv_heads, heads = shape.heads_per_kv();
    size_t rows = (keys.to - keys.from) * kBlockRows;
    double* dk = block.key_totals;
    double* dv = dk + rows * block.key_width;
    clear(dk, rows * (block.key_width + block.width));
    sweep(block, sequence, {kv_head * heads, (kv_head + 1) * heads}, {0, query_blocks()}, keys,
          {wants_queries ? block.totals : nullptr, gradients.dk ? dk : nullptr, gradients.dv ? dv : nullptr, nullptr});
    if (run.stopped() || keys.from == keys.to) return;
    size_t first = keys.from * kBlockRows, left = shape.keys - first, count = left < rows ? left : rows;
    size_t row = shape.row_index(sequence, kv_head, shape.kv_heads, first, shape.keys);
    size_t stride = shape.is_position_major ? shape.kv_heads : 1;
    if (gradients.dk)
      write_rows(dk, block.key_width, shape.scale, count, shape.depth, gradients.dk + row * shape.depth,
                 stride * shape.depth);
    if (gradients.dv)
      write_rows(dv, block.width, 1, count, shape.value_depth, gradients.dv + row * shape.value_depth,
                 stride * shape.value_depth);
  }
  // The tasks: a key/value head; a block of keys of one; a block of query rows of a head.
  static void take_head(void* self, size_t index) {
    const AttentionBackward& call = *(const AttentionBackward*)self;
    call.sweep_head(index, {0, call.key_blocks()}, true);
  }
  static void take_keys(void* self, size_t index) {
    const AttentionBackward& call = *(const AttentionBackward*)self;
    size_t block = index % call.key_blocks();
    call.sweep_head(index / call.key_blocks(), {block, block + 1}, false);
  }
  static void take_rows(void* self, size_t index) {
    const AttentionBackward& call = *(const AttentionBackward*)self;
    if (call.run.stopped()) return;
    Pieces::Taken memory(*call.pieces);
    BackwardBlock block(call.shape, call.data, memory.data());
    size_t i = index % call.query_blocks(), head = index / call.query_blocks() % call.shape.heads;
    size_t sequence = index / call.query_blocks() / call.shape.heads;
    call.sweep(block, sequence, {head, head + 1}, {i, i + 1}, {0, call.key_blocks()},
               {block.totals, nullptr, nullptr, nullptr});
  }

  // How many sequences, heads and blocks of rows have a bias of their own.
  size_t bias_sequences() const { return shape.bias_batch ? shape.batch : 1; }
  size_t bias_heads() const { return shape.bias_head ? shape.heads : 1; }
  size_t bias_blocks() const { return shape.bias_query ? query_blocks() : 1; }
  // The task of a block of the bias: sums what all sequences, heads and rows that share it give.
  static void take_bias(void* self, size_t index) {
    const AttentionBackward& call = *(const AttentionBackward*)self;
    if (call.run.stopped()) return;
    const AttentionShape& shape = call.shape;
    Pieces::Taken memory(*call.pieces);
    BackwardBlock block(shape, call.data, memory.data());
    size_t j = index % call.key_blocks(), i = index / call.key_blocks() % call.bias_blocks();
    size_t head = index / call.key_blocks() / call.bias_blocks() % call.bias_heads();
    size_t sequence = index / call.key_blocks() / call.bias_blocks() / call.bias_heads();
    clear(block.totals, kBlockRows * kBlockRows);
    for (size_t b = sequence; b < (shape.bias_batch ? sequence + 1 : shape.batch); b++)
      call.sweep(block, b, {head, shape.bias_head ? head + 1 : shape.heads},
                 {i, shape.bias_query ? i + 1 : call.query_blocks()}, {j, j + 1},
                 {nullptr, nullptr, nullptr, block.totals});
    if (call.run.stopped()) return;
    size_t key = j * kBlockRows, left = shape.keys - key, rows = shape.queries - i * kBlockRows;
    rows = !shape.bias_query ? 1 : rows < kBlockRows ? rows : kBlockRows;
    write_rows(block.totals, kBlockRows, 1, rows, left < kBlockRows ? left : kBlockRows,
               call.gradients.d_bias + sequence * shape.bias_batch + head * shape.bias_head +
                   i * kBlockRows * shape.bias_query + key,
               shape.bias_query);
  }
  // The task of a head's sink, whose value is 0: −Σ exp(sink − lse) · D over its rows.
  static void take_sink(void* self, size_t head) {
    const AttentionBackward& call = *(const AttentionBackward*)self;
    const AttentionShape& shape = call.shape;
    double sum = 0, sink = call.data.changes.sinks[head];
    for (size_t b = 0; b < shape.batch && !call.run.stopped(); b++)
      for (size_t i = 0; i < shape.queries; i++) {
        double lse = call.data.lse[(b * shape.heads + head) * shape.queries + i];
        if (lse == -infinity<double>()) continue;
        size_t at = shape.row_index(b, head, shape.heads, i, shape.queries) * shape.value_depth;
        double d = dot_f64(call.data.d_out + at, call.data.out + at, shape.value_depth);
        sum -= (lse < infinity<double>() ? weight_of(sink - lse) : not_a_number<double>()) * d;
      }
    if (!call.run.stopped()) call.gradients.d_sinks[head] = (float)same_nan(sum);
  }
  // Returns exp(x), at most 1.
  static double weight_of(double x) {
    if (!(x < 0)) return x == x ? 1 : x;
    if (x < -700) return 0;
    PowerOfE power = power_of_e(x);
    return power.mantissa * pow2((int)power.exponent);
  }

  // Whether heads are shared among threads. Their sweeps take five products where finer ones take seven.
  bool shares_heads(unsigned threads) const {
    return gradients.dq && wants_keys() && (kv_heads() + threads - 1) / threads * threads * 5 <= kv_heads() * 7;
  }
  // Runs the call, on one thread if it is small.
  NEVER_INLINE void run_tasks() {
    Run shared_run = run;
    size_t widths = shape.depth + shape.value_width(), rows = shape.query_rows() > 4 ? shape.query_rows() : 4;
    if (kv_heads() * shape.keys * widths * rows < run.plan.parallel_bytes) {
      shared_run.parallel = serial;
      shared_run.threads = 1;
    }
    size_t threads = shared_run.threads, finest = kv_heads() * key_blocks();
    bool is_by_head = shares_heads((unsigned)threads);
    size_t row_tasks = gradients.dq && !is_by_head ? shape.batch * shape.heads * query_blocks() : 0;
    size_t key_tasks = wants_keys() && !is_by_head ? finest : 0;
    size_t bias_tasks = gradients.d_bias && shape.queries > 0 && shape.heads > 0 && shape.batch > 0
                            ? bias_sequences() * bias_heads() * bias_blocks() * key_blocks()
                            : 0;
    size_t most = is_by_head ? kv_heads() : row_tasks > key_tasks ? row_tasks : key_tasks;
    if (bias_tasks > most) most = bias_tasks;
    Pieces memory(shared_run, BackwardBlock::bytes(shape, is_by_head ? key_blocks() : key_tasks ? 1 : 0), most);
    if (!memory.there()) return;
    pieces = &memory;
    if (is_by_head) shared_run.parallel(kv_heads(), take_head, this);
    if (row_tasks) shared_run.parallel(row_tasks, take_rows, this);
    if (key_tasks) shared_run.parallel(key_tasks, take_keys, this);
    if (bias_tasks) shared_run.parallel(bias_tasks, take_bias, this);
    if (gradients.d_sinks) shared_run.parallel(shape.heads, take_sink, this);
    pieces = nullptr;
  }
};

// The kernel.
template <class X, class Y>
void attention_backward(const Run& run, const double* shape_numbers, const double* spans, const int32_t* key_lengths,
                        const float* q, const float* keys, const float* values, const ScoreChanges& changes,
                        const float* out, const double* lse, const float* d_out, float* dq, float* dk, float* dv,
                        float* d_bias, float* d_sinks) {
  AttentionShape shape = AttentionShape::of(shape_numbers);
  BackwardData data = {spans, key_lengths, q, keys, values, changes, out, lse, d_out};
  AttentionGradients gradients = {dq, dk, dv, d_bias, d_sinks};
  AttentionBackward{run, shape, data, gradients}.run_tasks();
}

}  // namespace
