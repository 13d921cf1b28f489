// head_integer_logits: as head_logits, of hidden states that are quantised first (integer_states.h) and weights of
// integers (integer_weights.h). Their products are sums of integers, which are exact:
//
//   dot[row, unit] = Σ q · (b − zero)        over the columns of a unit
//   sum = fma(dot, scale of the unit · scale of the state's block, sum)
//   sum = fma(Σ q, minimum · scale of the state's block, sum)        where the format has minima
//
// Units come in the order of columns; products of scales are rounded. The sums of segments of 512 columns are added in
// their order. So a row has one chain of roundings, for any number of states and on every instruction set, however its
// integers are added. Its error against Σ scale · q · weight is at most (columns / 512 + 36) · 2^-24 · Σ |term|, where
// the scale · b and minimum of kQ4K are terms of their own.
//
// A task takes rows of about 256 KB, sixteen at a time, which become lanes; a panel of these is filled once for all
// states of a group.
#pragma once
#include "../rows/share_rows.h"
#include "head_call.h"
#include "integer_states.h"
#include "integer_weights.h"

namespace {

constexpr size_t kIntegerStates = kVectors >= 32 ? 8 : 2, kIntegerGroup = 32;

// Adds a unit of sixteen rows to the sums of a state.
ALWAYS f32x16 add_unit(f32x16 sum, i32x16 dot, const IntegerPanel& panel, const IntegerFormat& format, size_t u,
                       float scale, float total) {
  f32x16 exact = floats_of(dot);
  if (format.has_zeros) exact = fma(load(panel.zeros[u]), splat(total), exact);
  sum = fma(exact, mul(load(panel.scales[u]), splat(scale)), sum);
  return format.has_minima ? fma(splat(total), mul(load(panel.minima[u]), splat(scale)), sum) : sum;
}

// Adds the products of the bytes of a panel and a block of states to sums [state, row].
template <class Dot, size_t kStates> NEVER_INLINE void add_panel(const IntegerPanel& panel, const IntegerFormat& format,
                                                                 const StateBytes& states, float* sums) {
  const size_t units = panel.columns / format.unit, quads = format.unit / 4;
  const uint8_t* bytes = panel.bytes;
  const int8_t* q = states.q;
  f32x16 sum[kStates];
  UNROLL for (size_t i = 0; i < kStates; i++) sum[i] = splat(0.f);
  for (size_t u = 0; u < units; u++) {
    i32x16 dot[kStates];
    UNROLL for (size_t i = 0; i < kStates; i++) dot[i] = splat_i32(states.starts[u * kStates + i]);
    for (size_t left = quads; left > 0; left--, bytes += 64, q += 4 * kStates) {
      const u8x64 w = load_u8x64(bytes);
      UNROLL for (size_t i = 0; i < kStates; i++) dot[i] = Dot::add(dot[i], w, q + 4 * i);
    }
    const float* scales = states.scales + u * format.unit / kStateBlock * kStates;
    const float* totals = states.totals + u * kStates;
    UNROLL for (size_t i = 0; i < kStates; i++) sum[i] =
        add_unit(sum[i], dot[i], panel, format, u, scales[i], totals[i]);
  }
  UNROLL for (size_t i = 0; i < kStates; i++) store(sums + 16 * i, add(load(sums + 16 * i), sum[i]));
}
// Adds the sums of a panel for one state.
static NEVER_INLINE void add_sums(const IntegerPanel& panel, const IntegerFormat& format, const StateBytes& state,
                                  float* sums) {
  const size_t units = panel.columns / format.unit, each = format.unit / 16;
  f32x16 sum = splat(0.f);
  for (size_t u = 0; u < units; u++) {
    const i32x16 first = add_i32(load_i32(panel.dots[u * each]), splat_i32(state.starts[u]));
    const i32x16 dot = each == 1 ? first : add_i32(first, load_i32(panel.dots[2 * u + 1]));
    sum = add_unit(sum, dot, panel, format, u, state.scales[u * format.unit / kStateBlock], state.totals[u]);
  }
  store(sums, add(load(sums), sum));
}

using AddPanel = void (*)(const IntegerPanel&, const IntegerFormat&, const StateBytes&, float*);
template <class Dot> AddPanel adder_of(size_t width) {
  constexpr bool kAreMany = kIntegerStates == 8;
  constexpr size_t kAll = kAreMany ? 8 : 1, kHalf = kAreMany ? 4 : 1;
  if (kAreMany && width > 2) return width == 8 ? add_panel<Dot, kAll> : add_panel<Dot, kHalf>;
  return width == 2 ? add_panel<Dot, 2> : add_panel<Dot, 1>;
}

struct IntegerTasks {
  const HeadLogits& call;
  const IntegerStates& states;
  const IntegerFormat& format;
  uint8_t flip;
  size_t rows_a_task;

  AddPanel adder(size_t width) const {
    if (format.is_fused) return adder_of<FusedDot>(width);
    return format.is_small ? adder_of<SmallDot>(width) : adder_of<SignedDot>(width);
  }
  // The dot products of sixteen rows and the states [first, first + n), as sums [state, row].
  void add_rows(IntegerPanel& panel, const WeightRow* rows, size_t first, size_t n, float* sums) const {
    const size_t cols = call.weights.cols;
    for (size_t column = 0; column < cols; column += kSegment) {
      const size_t left = (cols - column + kStateBlock - 1) / kStateBlock * kStateBlock;
      panel.columns = left < kSegment ? left : kSegment;
      const size_t bytes = format.segment_bytes, before = column / kSegment * bytes;
      const size_t ahead = column + kSegment < cols ? bytes : kPanelRows * format.row_bytes - before;
      PanelSource source = {rows, column, format.row_bytes, ahead, flip, nullptr};
      if (n == 1 && format.sum) {
        const StateBytes state = states.at(first, 1, column);
        source.q = state.q;
        format.sum(panel, source);
        add_sums(panel, format, state, sums);
        continue;
      }
      format.fill(panel, source);
      for (size_t i = 0, width; i < n; i += width) {
        width = IntegerStates::width_of(n - i, kIntegerStates);
        adder(width)(panel, format, states.at(first + i, width, column), sums + i * kPanelRows);
      }
    }
  }
  static void task(void* self, size_t index) {
    const IntegerTasks& s = *(const IntegerTasks*)self;
    const HeadWeights& w = s.call.weights;
    const size_t from = index * s.rows_a_task, end = from + s.rows_a_task < w.rows ? from + s.rows_a_task : w.rows;
    IntegerPanel panel;
    alignas(64) float sums[(kIntegerGroup + kIntegerStates) * kPanelRows];
    for (size_t first = 0; first < s.call.count; first += kIntegerGroup) {
      const size_t left = s.call.count - first, n = left < kIntegerGroup ? left : kIntegerGroup;
      for (size_t row = from; row < end; row += kPanelRows) {
        if (s.call.run.stopped()) return;
        WeightRow rows[kPanelRows];
        for (size_t r = 0; r < kPanelRows; r++)  // the last row stands in place of those that are not there
          rows[r] = WeightRow(w, row + r < w.rows ? row + r : w.rows - 1, s.format.row_bytes);
        for (size_t i = 0; i < kIntegerGroup + kIntegerStates; i++) store(sums + i * kPanelRows, splat(0.f));
        s.add_rows(panel, rows, first, n, sums);
        const size_t there = end - row < kPanelRows ? end - row : kPanelRows;
        for (size_t i = 0; i < n; i++) s.call.write(first + i, row, there, load(sums + i * kPanelRows));
      }
    }
  }
};

template <class X, class Y> void head_integer_logits(const Run& run, const float* hidden, const float* factors,
                                                     const float* bias, float* out, size_t count, double softcap,
                                                     const HeadWeights& weights) {
  if (count == 0 || weights.rows == 0 || weights.format < kInt8) return;  // the contract refuses other formats
  const HeadLogits call = {run, hidden, factors, bias, out, count, softcap, weights};
  const uint8_t flip = flip_of(run.has_fused_dots);
  const IntegerFormat format = format_of(weights, run.has_fused_dots, flip);
  const IntegerStates states(run, count, weights.cols, format.unit);
  if (!states.there() || run.stopped()) return;
  for (size_t i = 0, width; i < count; i += width) {
    width = IntegerStates::width_of(count - i, kIntegerStates);
    states.place(hidden, i, width, format.zero);
  }
  const size_t most = 262144 / (format.row_bytes + 1) / kPanelRows * kPanelRows;
  IntegerTasks tasks = {call, states, format, flip, most < kPanelRows ? kPanelRows : most};
  for_bytes(run, weights.rows * weights.cols * count)
      .parallel((weights.rows + tasks.rows_a_task - 1) / tasks.rows_a_task, IntegerTasks::task, &tasks);
}

}  // namespace
