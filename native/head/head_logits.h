// head_logits: hidden states times a matrix of weights, which is read once for up to eight states.
//
//   out[i, row] = round(dot · factor + bias), then softcap · tanh(· / softcap) if softcap > 0
//
// A dot product has one order for every block of states, thread and instruction set: sixteen lanes, each a chain of
// fmas over 512 columns; the sums of such segments are added in their order, then the lanes by halves. Its error is at
// most (columns / 512 + 38) · 2^-24 · Σ |h · w|.
//
// A task takes rows of about 256 KB. It goes through them once for each block of states, a tile of sixteen rows at a
// time; the sums of a tile are transposed, so that its rows are lanes where factor, bias and softcap are applied.
#pragma once
#include "../math/sum.h"
#include "../math/tanh.h"
#include "../rows/buffer.h"
#include "../rows/share_rows.h"
#include "weight_formats.h"

namespace {

constexpr size_t kSegment = 512;

struct HeadLogits {
  const Run& run;
  const float *hidden, *factors, *bias;
  float* out;
  size_t count;
  double softcap;
  const HeadWeights& weights;
};

// States side by side: vector v of state i is at (v · width + i) · 16. A block of fewer states has zeros behind them.
struct StateBlock {
  const float* x;
  size_t first, used, width;
};

// What does not depend on the format. `tile` adds up sixteen rows from `row` on for a block of states.
struct HeadTasks {
  static constexpr size_t kMostStates = kVectors >= 32 ? 8 : 2;

  const HeadLogits& call;
  size_t vectors = 0;  // of a padded state
  size_t rows_a_task = 0;
  float* states = nullptr;  // all blocks
  void (*tile)(const HeadTasks& self, const StateBlock& block, size_t row, float* lanes) = nullptr;

  explicit HeadTasks(const HeadLogits& c) : call(c) {}

  static size_t width_of(size_t left) {
    if (kMostStates == 8 && left > 4) return 8;
    if (kMostStates == 8 && left > 1) return 4;
    return left > 1 ? kMostStates : 1;
  }
  StateBlock block_at(size_t first) const {
    const size_t left = call.count - first, width = width_of(left);
    return {states + first * vectors * 16, first, width < left ? width : left, width};
  }
  void place_states() const {
    const size_t cols = call.weights.cols;
    for (size_t first = 0; first < call.count; first += kMostStates) {
      const StateBlock block = block_at(first);
      float* to = states + first * vectors * 16;
      for (size_t v = 0; v < vectors; v++)
        for (size_t i = 0; i < block.width; i++, to += 16) {
          const size_t left = v * 16 < cols ? cols - v * 16 : 0;
          const float* from = call.hidden + (first + i) * cols + v * 16;
          store(to, i >= block.used || left == 0 ? splat(0.f) : left < 16 ? load_n(from, left, 0) : load(from));
        }
    }
  }
  ALWAYS f64x8 capped(f64x8 z) const {
    return mul(tanh_f64(div(z, splat(call.softcap))), splat(call.softcap));
  }
  NEVER_INLINE void finish(const StateBlock& block, size_t row, const float* lanes) const {
    const size_t rows = call.weights.rows, n = rows - row < 16 ? rows - row : 16;
    const f32x16 factor = call.factors ? load_n(call.factors + row, n, 0) : splat(1.f);
    const f32x16 bias = call.bias ? load_n(call.bias + row, n, 0) : splat(0.f);
    alignas(64) float columns[256];
    for (size_t i = 0; i < block.used; i++) {
      transpose16(lanes + i * 256, 16, columns);
      for (size_t half = 8; half > 0; half /= 2)
        for (size_t j = 0; j < half; j++)
          store(columns + 16 * j, add(load(columns + 16 * j), load(columns + 16 * (j + half))));
      f32x16 z = fma(load(columns), factor, bias);
      if (call.softcap > 0) z = narrow(capped(low_f64(z)), capped(high_f64(z)));
      const f32x16 most = splat(infinity<float>()), nan = splat(not_a_number<float>());
      z = select_bits(nan, z, lanes_outside(z, sub(splat(0.f), most), most));  // the lanes of NaN
      store_n(call.out + (block.first + i) * rows + row, z, n);
    }
  }
  static void task(void* self, size_t index) {
    const HeadTasks& s = *(const HeadTasks*)self;
    const size_t rows = s.call.weights.rows, from = index * s.rows_a_task;
    const size_t end = from + s.rows_a_task < rows ? from + s.rows_a_task : rows;
    alignas(64) float lanes[kMostStates * 256];
    for (size_t first = 0; first < s.call.count; first += kMostStates) {
      const StateBlock block = s.block_at(first);
      for (size_t row = from; row < end; row += 16) {
        if (s.call.run.stopped()) return;
        s.tile(s, block, row, lanes);
        s.finish(block, row, lanes);
      }
    }
  }
  void run_all(size_t row_bytes) {
    Buffer<float> memory(call.run, (call.count + kMostStates) * vectors * 16 + 16);  // the last block may be padded
    if (!memory.data || call.run.stopped()) return;
    states = (float*)(((uintptr_t)memory.data + 63) & ~(uintptr_t)63);
    place_states();
    const size_t rows = call.weights.rows, most = 262144 / (row_bytes + 1) / 16 * 16;
    rows_a_task = most < 16 ? 16 : most;
    for_bytes(call.run, rows * call.weights.cols * call.count)
        .parallel((rows + rows_a_task - 1) / rows_a_task, task, this);
  }
};

// The sums of tiles in one format.
template <class Reader> struct HeadTiles {
  static constexpr size_t kMostStates = HeadTasks::kMostStates;
  static constexpr size_t kStepVectors = Reader::kParts * Reader::kVectors;

  const HeadWeights& weights;
  const Steps<Reader> steps;

  explicit HeadTiles(const HeadWeights& w) : weights(w), steps(w) {}

  // Adds the products of kRows rows with a block of kStates states to sums: `n` steps from `step` on, whose bytes begin
  // `from` bytes behind those of `at`.
  template <size_t kRows, size_t kStates>
  ALWAYS void add_products(const WeightRow* rows, const uint8_t* const* at, size_t step, size_t n, const float* x,
                           f32x16 (&sum)[kRows][kStates]) const {
    for (size_t s = 0; s < n; s++, x += kStepVectors * kStates * 16) {
      if (kStepVectors == 1) {
        f32x16 w[kRows];
        UNROLL for (size_t r = 0; r < kRows; r++)
          typename Reader::Step(at[r] + s * Reader::kStepBytes, rows[r], step + s).read(0, w + r);
        UNROLL for (size_t i = 0; i < kStates; i++) {
          const f32x16 state = load(x + i * 16);
          UNROLL for (size_t r = 0; r < kRows; r++) sum[r][i] = fma(w[r], state, sum[r][i]);
        }
      } else {
        UNROLL for (size_t r = 0; r < kRows; r++) {
          const typename Reader::Step values(at[r] + s * Reader::kStepBytes, rows[r], step + s);
          for (size_t part = 0; part < Reader::kParts; part++) {
            f32x16 w[Reader::kVectors];
            values.read(part, w);
            const float* state = x + Reader::first_vector(part) * kStates * 16;
            UNROLL for (size_t v = 0; v < Reader::kVectors; v++)
              UNROLL for (size_t i = 0; i < kStates; i++)
                sum[r][i] = fma(w[v], load(state + (v * Reader::kApart * kStates + i) * 16), sum[r][i]);
          }
        }
      }
    }
  }
  // One segment of kRows rows: `lanes` of row r and state i are at (i · 16 + r) · 16.
  template <size_t kRows, size_t kStates>
  NEVER_INLINE void add_segment(const WeightRow* rows, size_t step, size_t n, const float* x, float* lanes) const {
    f32x16 sum[kRows][kStates];
    UNROLL for (size_t r = 0; r < kRows; r++)
      UNROLL for (size_t i = 0; i < kStates; i++) sum[r][i] = splat(0.f);
    const uint8_t* at[kRows];
    alignas(64) uint8_t copy[kRows][Reader::kStepBytes];
    const bool is_rest = step == steps.whole;
    for (size_t r = 0; r < kRows; r++) {
      at[r] = rows[r].data + step * Reader::kStepBytes;
      if (!is_rest) continue;
      for (size_t b = 0; b < Reader::kStepBytes; b++) copy[r][b] = b < steps.rest ? at[r][b] : 0;
      at[r] = copy[r];
    }
    add_products<kRows, kStates>(rows, at, step, n, x + step * kStepVectors * kStates * 16, sum);
    UNROLL for (size_t r = 0; r < kRows; r++)
      UNROLL for (size_t i = 0; i < kStates; i++) {
        float* to = lanes + (i * 16 + r) * 16;
        store(to, step ? add(load(to), sum[r][i]) : sum[r][i]);
      }
  }
  // The segment that begins with a step: how many steps it has. The rest of a row is a segment of its own.
  ALWAYS size_t segment_at(size_t step) const {
    const size_t most = kSegment / Steps<Reader>::kColumns;
    return step == steps.whole ? 1 : step + most < steps.whole ? most : steps.whole - step;
  }
  // Sixteen rows from `row` on, the last one in place of those that are not there. One state takes row after row, which
  // reads memory in its order; several take segment after segment, which keeps the states' columns near.
  template <size_t kStates> ALWAYS void tile(const StateBlock& block, size_t row, float* lanes) const {
    constexpr size_t kRows = kStates == 1 || (kStates == 4 && kStepVectors == 1) ? 4 : 2;
    WeightRow rows[16];
    for (size_t r = 0; r < 16; r++) {
      const size_t last = weights.rows - 1;
      rows[r] = WeightRow(weights, row + r < last ? row + r : last, steps.row_bytes);
    }
    const size_t all = steps.count();
    for (size_t from = 0, end; from < all; from = end) {
      end = kStates == 1 ? all : from + segment_at(from);
      for (size_t r = 0; r < 16; r += kRows)
        for (size_t step = from, n; step < end; step += n) {
          n = segment_at(step);
          add_segment<kRows, kStates>(rows + r, step, n, block.x, lanes + r * 16);
        }
    }
  }
  static void of_block(const HeadTasks& tasks, const StateBlock& block, size_t row, float* lanes) {
    const HeadTiles tiles(tasks.call.weights);
    if (block.width == 1) tiles.tile<1>(block, row, lanes);
    else if (kMostStates == 8 && block.width == 4) tiles.tile<kMostStates == 8 ? 4 : 1>(block, row, lanes);
    else tiles.tile<kMostStates>(block, row, lanes);
  }
};

struct RunHeadLogits {
  HeadTasks& tasks;
  template <class Reader> void of() const {
    const HeadTiles<Reader> tiles(tasks.call.weights);
    tasks.vectors = tiles.steps.count() * HeadTiles<Reader>::kStepVectors;
    tasks.tile = HeadTiles<Reader>::of_block;
    tasks.run_all(tiles.steps.row_bytes);
  }
};

template <class X, class Y>
void head_logits(const Run& run, const float* hidden, const float* factors, const float* bias, float* out,
                 size_t count, double softcap, const HeadWeights& weights) {
  if (count == 0 || weights.rows == 0) return;
  const HeadLogits call = {run, hidden, factors, bias, out, count, softcap, weights};
  HeadTasks tasks(call);
  with_reader(weights.format, RunHeadLogits{tasks});
}

}  // namespace
