// head_logits: hidden states times a matrix of weights, which is read once for up to eight states.
//
//   out[i, row] = round(dot · factor + bias), then softcap · tanh(· / softcap) if softcap > 0
//
// A dot product has one order for every block of states, thread and instruction set: sixteen lanes, each a chain of
// fmas over 512 columns; the sums of such segments are added in their order, then the lanes by halves. Its error is at
// most (columns / 512 + 38) · 2^-24 · Σ |h · w|.
//
// A task takes rows of up to 1 MB, cut into as many streams as rows are multiplied together. Each stream is read from
// start to end: a processor foresees reads of a few long streams, but not those of rows side by side. A visit takes as
// many columns as states stay in the first cache for. Blocks are decoded once for all states of a group. Sixteen rows
// of each stream are a tile: their lanes are transposed and added, and the sums again: rows are lanes at the end.
#pragma once
#include "../rows/buffer.h"
#include "../rows/share_rows.h"
#include "head_call.h"
#include "head_products.h"

namespace {

// States that read a tile of weights together: blocks of `width` states side by side, whose vector v of state i is at
// (v · width + i) · 16. Zeros stand behind the last state.
struct StateGroup {
  const float* x;
  size_t first, used, width;

  size_t padded() const { return (used + width - 1) / width * width; }
  // Vectors of lanes of a row of each stream.
  size_t sums() const { return rows_beside(width) * padded(); }
  // Columns of a visit: whole segments.
  size_t visit() const { return (width < 8 ? 8192 : 4096) / padded() / kSegment * kSegment; }
  // Bytes between a read and its prefetch, where a visit takes whole rows. Each state gives the memory more time.
  size_t ahead() const { return width == 1 ? 256 : 2048; }
};

constexpr size_t kGroupStates = 8;  // the most states of a group

// Up to sixteen `rows` of each stream: those of stream i begin at first + i · length.
struct StreamRows {
  size_t first, length, rows;
};

constexpr size_t kMostSums = kVectors >= 32 ? 24 : 16;  // of a row of each stream
constexpr size_t kVisitRows = 8;                        // of each stream, where a visit takes a part of the columns

struct HeadTasks {
  const HeadLogits& call;
  HeadSteps steps = {};
  size_t vectors = 0;  // of a padded state
  size_t rows_a_task = 0;
  float* states = nullptr;  // all groups
  void (*tile)(const HeadTasks& self, const StateGroup& group, const StreamRows& tile, float* sums) = nullptr;

  explicit HeadTasks(const HeadLogits& c) : call(c) {}

  static size_t width_of(size_t left) {
    if (kMostStates == 8 && left > 2) return left > 4 ? 8 : 4;
    return left > 1 ? 2 : 1;
  }
  StateGroup group_at(size_t first) const {
    const size_t left = call.count - first, used = left < kGroupStates ? left : kGroupStates;
    return {states + first * vectors * 16, first, used, width_of(used)};
  }
  void place_states() const {
    const size_t cols = call.weights.cols;
    for (size_t first = 0; first < call.count; first += kGroupStates) {
      const StateGroup group = group_at(first);
      float* to = states + first * vectors * 16;
      for (size_t block = 0; block < group.used; block += group.width)
        for (size_t v = 0; v < vectors; v++)
          for (size_t i = block; i < block + group.width; i++, to += 16) {
            const size_t left = v * 16 < cols ? cols - v * 16 : 0;
            const float* from = call.hidden + (first + i) * cols + v * 16;
            store(to, i >= group.used || left == 0 ? splat(0.f) : left < 16 ? load_n(from, left, 0) : load(from));
          }
    }
  }
  // Writes n logits of each state from `row` on; `columns` has a vector for each.
  void finish(const StateGroup& group, size_t row, size_t n, const float* columns) const {
    for (size_t i = 0; i < group.used; i++) call.write(group.first + i, row, n, load(columns + 16 * i));
  }
  NEVER_INLINE void finish_tile(const StateGroup& group, const StreamRows& tile, size_t end, const float* sums) const {
    alignas(64) float columns[32 * 16];
    for (size_t i = 0; i < group.sums(); i += 16) transpose16(sums + i, group.sums(), columns + 16 * i);
    for (size_t i = 0; i < rows_beside(group.width); i++) {
      const size_t row = tile.first + i * tile.length;
      if (row < end)
        finish(group, row, end - row < tile.rows ? end - row : tile.rows, columns + i * group.padded() * 16);
    }
  }
  static void task(void* self, size_t index) {
    const HeadTasks& s = *(const HeadTasks*)self;
    const size_t rows = s.call.weights.rows, from = index * s.rows_a_task;
    const size_t end = from + s.rows_a_task < rows ? from + s.rows_a_task : rows;
    alignas(64) float sums[16 * kMostSums + 16] = {};
    for (size_t first = 0; first < s.call.count; first += kGroupStates) {
      const StateGroup group = s.group_at(first);
      const size_t streams = rows_beside(group.width), length = (end - from + streams - 1) / streams;
      for (size_t k = 0; k < length; k += 16) {
        if (s.call.run.stopped()) return;
        const StreamRows tile = {from + k, length, length - k < 16 ? length - k : 16};
        s.tile(s, group, tile, sums);
        s.finish_tile(group, tile, end, sums);
      }
    }
  }
  void run_all() {
    Buffer<float> memory(call.run, (call.count + kGroupStates) * vectors * 16 + 16);  // the last group may be padded
    if (!memory.data || call.run.stopped()) return;
    states = (float*)(((uintptr_t)memory.data + 63) & ~(uintptr_t)63);
    place_states();
    const size_t rows = call.weights.rows, share = rows * steps.row_bytes / (4 * call.run.threads + 1);
    const size_t bytes = share < 131072 ? 131072 : share < 1048576 ? share : 1048576;
    const size_t most = bytes / (steps.row_bytes + 1) / 16 * 16;
    rows_a_task = most < 16 ? 16 : most;
    for_bytes(call.run, rows * call.weights.cols * call.count)
        .parallel((rows + rows_a_task - 1) / rows_a_task, task, this);
  }
};

// The sums of a tile whose weights are numbers of X, or decoded to floats a segment of some rows at a time.
template <class X, size_t kStates> struct HeadTiles {
  static constexpr size_t kRows = rows_beside(kStates);

  const HeadTasks& tasks;
  const HeadSteps& steps;
  const StateGroup& group;
  const StreamRows& tile;
  const size_t row_sums;  // vectors of lanes of a row of each stream
  alignas(64) float decoded[kRows][kSegment];
  uint8_t copy[kRows][64];

  HeadTiles(const HeadTasks& t, const StateGroup& g, const StreamRows& part)
      : tasks(t), steps(t.steps), group(g), tile(part), row_sums(g.sums()) {}

  // Row k of stream i. The last row stands in place of those that are not there.
  ALWAYS size_t row(size_t i, size_t k) const {
    const size_t at = tile.first + i * tile.length + k, rows = tasks.call.weights.rows;
    return at < rows ? at : rows - 1;
  }
  // The bytes of rows k from `step` on, and those of the rest of a row with zeros behind them.
  ALWAYS void find(const uint8_t** at, size_t k, size_t step) {
    UNROLL for (size_t r = 0; r < kRows; r++) at[r] =
        tasks.call.weights.data + row(r, k) * steps.row_bytes + step * steps.bytes;
    for (size_t r = 0; r < kRows && step == steps.whole; r++) {
      for (size_t b = 0; b < steps.bytes; b++) copy[r][b] = b < steps.rest ? at[r][b] : 0;
      at[r] = copy[r];
    }
  }
  // Decodes a segment of rows, or adds its products with one state and returns true.
  NEVER_INLINE bool read_blocks(WeightRow* rows, const uint8_t** at, size_t step, const Segment& segment,
                                float* lanes) {
    for (size_t i = 0; i < kRows && kStates == 1; i += kFusedRows)
      steps.add_blocks(rows + i, at + i, step, segment, group.x + step * steps.columns, lanes + i * segment.stride);
    for (size_t i = 0; i < kRows && kStates > 1; i++) {
      steps.decode(rows[i], at[i], step, segment.n, segment.ahead, decoded[i]);
      at[i] = (const uint8_t*)decoded[i];
    }
    return kStates == 1;
  }
  ALWAYS void add_segment(WeightRow* rows, size_t k, size_t step, size_t n, size_t ahead, float* lanes) {
    const uint8_t* at[kRows];
    find(at, k, step);
    Segment segment = {n, ahead, group.padded() * 16, step == 0};
    if (steps.decode) {
      if (read_blocks(rows, at, step, segment, lanes)) return;
      segment.ahead = 0;
    }
    const size_t step_vectors = steps.columns / 16;
    segment.n = n * step_vectors;
    const float* x = group.x + step * step_vectors * kStates * 16;
    for (size_t block = 0; block < group.used; block += kStates, x += kStates * tasks.vectors * 16)
      add_products<X, kStates>(at, segment, x, lanes + block * 16);
  }
  // Adds lanes by halves: of sixteen vectors each, to one.
  static void add_lanes(const float* lanes, float* sums) {
    alignas(64) float columns[256];
    transpose16(lanes, 16, columns);
    f32x16 sum[8];
    UNROLL for (size_t j = 0; j < 8; j++) sum[j] = add(load(columns + 16 * j), load(columns + 16 * (j + 8)));
    UNROLL for (size_t j = 0; j < 4; j++) sum[j] = add(sum[j], sum[j + 4]);
    UNROLL for (size_t j = 0; j < 2; j++) sum[j] = add(sum[j], sum[j + 2]);
    store(sums, add(sum[0], sum[1]));
  }
  // Adds the products of steps [from, end) of n rows of each stream.
  NEVER_INLINE void visit(size_t first, size_t n, size_t from, size_t end, size_t ahead, float* lanes) {
    WeightRow rows[kRows];
    for (size_t k = first; k < first + n; k++, lanes += row_sums * 16) {
      for (size_t i = 0; i < kRows && steps.decode; i++)
        rows[i] = WeightRow(tasks.call.weights, row(i, k), steps.row_bytes);
      for (size_t step = from, count; step < end; step += count) {
        count = steps.segment_at(step);
        add_segment(rows, k, step, count, ahead, lanes);
      }
    }
  }
  void run(float* sums) {
    const size_t all = steps.count(), most = group.visit() / steps.columns;
    const bool is_whole = most >= all;
    const size_t unit = row_sums % 16 == 0 ? 1 : row_sums % 8 == 0 ? 2 : 4;  // rows whose lanes are a multiple of 16
    alignas(64) float lanes[kMostSums * 16 * kVisitRows];
    for (size_t i = 0; all == 0 && i < kMostSums * 16 * kVisitRows; i += 16)
      store(lanes + i, splat(0.f));  // no columns
    for (size_t first = 0, rows; first < tile.rows; first += rows) {
      const size_t left = (tile.rows - first + unit - 1) / unit * unit;
      rows = is_whole ? unit : left < kVisitRows ? left : kVisitRows;
      for (size_t from = 0; from < all; from += most) {
        const size_t end = from + most < all ? from + most : all;
        const size_t next = end < all ? most * steps.bytes : rows * steps.row_bytes - from * steps.bytes;
        visit(first, rows, from, end, is_whole ? group.ahead() : next, lanes);
      }
      for (size_t i = 0; i < rows * row_sums; i += 16) add_lanes(lanes + i * 16, sums + first * row_sums + i);
    }
  }
};

template <class X> void add_tile(const HeadTasks& tasks, const StateGroup& group, const StreamRows& tile, float* sums) {
  if (group.width == 1) HeadTiles<X, 1>(tasks, group, tile).run(sums);
  else if (group.width == 2) HeadTiles<X, 2>(tasks, group, tile).run(sums);
  else if (kMostStates == 8 && group.width == 4) HeadTiles<X, kMostStates == 8 ? 4 : 1>(tasks, group, tile).run(sums);
  else if (kMostStates == 8) HeadTiles<X, kMostStates == 8 ? 8 : 1>(tasks, group, tile).run(sums);
}

// The format of the numbers that a reader's weights are multiplied as.
template <class Reader> struct NumberOf {
  using Type = float;
  static constexpr bool kDecodes = true;
};
template <class X> struct NumberOf<NumberReader<X>> {
  using Type = X;
  static constexpr bool kDecodes = false;
};

struct RunHeadLogits {
  HeadTasks& tasks;
  template <class Reader> void of() const {
    const Steps<Reader> steps(tasks.call.weights);
    tasks.steps = {steps.row_bytes,
                   steps.whole,
                   steps.rest,
                   Reader::kStepBytes,
                   Steps<Reader>::kColumns,
                   kSegment / Steps<Reader>::kColumns};
    if constexpr (NumberOf<Reader>::kDecodes) {
      tasks.steps.decode = decode<Reader>;
      tasks.steps.add_blocks = add_blocks<Reader>;
    }
    tasks.vectors = steps.count() * Steps<Reader>::kColumns / 16;
    tasks.tile = add_tile<typename NumberOf<Reader>::Type>;
    tasks.run_all();
  }
};

template <class X, class Y> void head_logits(const Run& run, const float* hidden, const float* factors,
                                             const float* bias, float* out, size_t count, double softcap,
                                             const HeadWeights& weights) {
  if (count == 0 || weights.rows == 0) return;
  const HeadLogits call = {run, hidden, factors, bias, out, count, softcap, weights};
  HeadTasks tasks(call);
  with_reader(weights.format, RunHeadLogits{tasks});
}

}  // namespace
