// head_logits: hidden states times a matrix of weights, which is read once for up to eight states.
//
//   out[i, row] = round(dot · factor + bias), then softcap · tanh(· / softcap) if softcap > 0
//
// A dot product has one order for every block of states, thread and instruction set: sixteen lanes, each a chain of
// fmas over 512 columns; the sums of such segments are added in their order, then the lanes by halves. Its error is at
// most (columns / 512 + 38) · 2^-24 · Σ |h · w|.
//
// A task takes rows of about 256 KB. It goes through them once for eight states, a tile of sixteen rows at a time and
// in it a segment at a time, whose states stay in the first cache. Blocks are decoded once for all states of a group.
// The sums of a tile are transposed, so that its rows are lanes where factor, bias and softcap are applied.
#pragma once
#include "../math/sum.h"
#include "../math/tanh.h"
#include "../rows/buffer.h"
#include "../rows/share_rows.h"
#include "head_products.h"

namespace {

struct HeadLogits {
  const Run& run;
  const float *hidden, *factors, *bias;
  float* out;
  size_t count;
  double softcap;
  const HeadWeights& weights;
};

// States that read a tile of weights together: blocks of `width` states side by side, whose vector v of state i is at
// (v · width + i) · 16. Zeros stand behind the last state.
struct StateGroup {
  const float* x;
  size_t first, used, width;
};

constexpr size_t kGroupStates = 8;  // the most states of a group

struct HeadTasks {
  const HeadLogits& call;
  HeadSteps steps = {};
  size_t vectors = 0;  // of a padded state
  size_t rows_a_task = 0;
  float* states = nullptr;  // all groups
  void (*tile)(const HeadTasks& self, const StateGroup& group, size_t row, float* lanes) = nullptr;

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
  ALWAYS f64x8 capped(f64x8 z) const { return mul(tanh_f64(div(z, splat(call.softcap))), splat(call.softcap)); }
  NEVER_INLINE void finish(const StateGroup& group, size_t row, const float* lanes) const {
    const size_t rows = call.weights.rows, n = rows - row < 16 ? rows - row : 16;
    const f32x16 factor = call.factors ? load_n(call.factors + row, n, 0) : splat(1.f);
    const f32x16 bias = call.bias ? load_n(call.bias + row, n, 0) : splat(0.f);
    alignas(64) float columns[256];
    for (size_t i = 0; i < group.used; i++) {
      transpose16(lanes + i * 256, 16, columns);
      for (size_t half = 8; half > 0; half /= 2)
        for (size_t j = 0; j < half; j++)
          store(columns + 16 * j, add(load(columns + 16 * j), load(columns + 16 * (j + half))));
      f32x16 z = fma(load(columns), factor, bias);
      if (call.softcap > 0) z = narrow(capped(low_f64(z)), capped(high_f64(z)));
      const f32x16 most = splat(infinity<float>()), nan = splat(not_a_number<float>());
      z = select_bits(nan, z, lanes_outside(z, sub(splat(0.f), most), most));  // the lanes of NaN
      store_n(call.out + (group.first + i) * rows + row, z, n);
    }
  }
  static void task(void* self, size_t index) {
    const HeadTasks& s = *(const HeadTasks*)self;
    const size_t rows = s.call.weights.rows, from = index * s.rows_a_task;
    const size_t end = from + s.rows_a_task < rows ? from + s.rows_a_task : rows;
    alignas(64) float lanes[kGroupStates * 256];
    for (size_t first = 0; first < s.call.count; first += kGroupStates) {
      const StateGroup group = s.group_at(first);
      for (size_t row = from; row < end; row += 16) {
        if (s.call.run.stopped()) return;
        s.tile(s, group, row, lanes);
        s.finish(group, row, lanes);
      }
    }
  }
  void run_all() {
    Buffer<float> memory(call.run, (call.count + kGroupStates) * vectors * 16 + 16);  // the last group may be padded
    if (!memory.data || call.run.stopped()) return;
    states = (float*)(((uintptr_t)memory.data + 63) & ~(uintptr_t)63);
    place_states();
    const size_t rows = call.weights.rows, most = 262144 / (steps.row_bytes + 1) / 16 * 16;
    rows_a_task = most < 16 ? 16 : most;
    for_bytes(call.run, rows * call.weights.cols * call.count)
        .parallel((rows + rows_a_task - 1) / rows_a_task, task, this);
  }
};

// The sums of tiles whose weights are numbers of X, or decoded to floats a segment of some rows at a time.
template <class X> struct HeadTiles {
  static constexpr size_t kMostRows = rows_beside(1);

  const HeadTasks& tasks;
  const StateGroup& group;
  WeightRow rows[16];
  alignas(64) float decoded[kMostRows][kSegment];
  uint8_t copy[kMostRows][64];

  HeadTiles(const HeadTasks& t, const StateGroup& g, size_t row) : tasks(t), group(g) {
    const HeadWeights& w = t.call.weights;
    for (size_t r = 0; r < 16; r++)  // the last row stands in place of those that are not there
      rows[r] = WeightRow(w, row + r < w.rows ? row + r : w.rows - 1, t.steps.row_bytes);
  }
  // The bytes of n rows from `step` on, and those of the rest of a row with zeros behind them.
  void find(const uint8_t** at, size_t first, size_t n, size_t step) {
    const HeadSteps& s = tasks.steps;
    for (size_t r = 0; r < n; r++) {
      at[r] = rows[first + r].data + step * s.bytes;
      if (step < s.whole) continue;
      for (size_t b = 0; b < s.bytes; b++) copy[r][b] = b < s.rest ? at[r][b] : 0;
      at[r] = copy[r];
    }
  }
  void add(const uint8_t* const* at, const Segment& segment, const float* x, float* lanes) const {
    if (group.width == 1) add_products<X, 1>(at, segment, x, lanes);
    else if (group.width == 2) add_products<X, 2>(at, segment, x, lanes);
    else if (kMostStates == 8 && group.width == 4) add_products<X, kMostStates == 8 ? 4 : 1>(at, segment, x, lanes);
    else if (kMostStates == 8) add_products<X, kMostStates == 8 ? 8 : 1>(at, segment, x, lanes);
  }
  void add_segment(size_t step, size_t n, float* lanes) {
    const HeadSteps& s = tasks.steps;
    const size_t count = rows_beside(group.width), step_vectors = s.columns / 16;
    const size_t ahead = step + n < s.count() ? n * s.bytes : 16 * s.row_bytes - step * s.bytes;
    const Segment segment = {n * step_vectors, s.decode ? 0 : ahead};
    for (size_t r = 0; r < 16; r += count) {
      const uint8_t* at[kMostRows];
      find(at, r, count, step);
      if (s.decode && group.width == 1) {
        for (size_t i = 0; i < count; i += kFusedRows)
          s.add_blocks(rows + r + i, at + i, step, {n, ahead}, group.x + step * s.columns, lanes + (r + i) * 16);
        continue;
      }
      for (size_t i = 0; s.decode && i < count; i++) {
        s.decode(rows[r + i], at[i], step, n, ahead, decoded[i]);
        at[i] = (const uint8_t*)decoded[i];
      }
      for (size_t block = 0; block < group.used; block += group.width) {
        const float* x = group.x + (block * tasks.vectors + step * step_vectors * group.width) * 16;
        add(at, segment, x, lanes + (block * 16 + r) * 16);
      }
    }
  }
  static void of_group(const HeadTasks& tasks, const StateGroup& group, size_t row, float* lanes) {
    HeadTiles tiles(tasks, group, row);
    const size_t states = (group.used + group.width - 1) / group.width * group.width;
    for (size_t i = 0; i < states * 256; i += 16) store(lanes + i, splat(0.f));
    for (size_t step = 0, n; step < tasks.steps.count(); step += n) {
      n = tasks.steps.segment_at(step);
      tiles.add_segment(step, n, lanes);
    }
  }
};

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
    tasks.steps = {steps.row_bytes, steps.whole, steps.rest, Reader::kStepBytes, Steps<Reader>::kColumns};
    if constexpr (NumberOf<Reader>::kDecodes) {
      tasks.steps.decode = decode<Reader>;
      tasks.steps.add_blocks = add_blocks<Reader>;
    }
    tasks.vectors = steps.count() * Steps<Reader>::kColumns / 16;
    tasks.tile = HeadTiles<typename NumberOf<Reader>::Type>::of_group;
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
