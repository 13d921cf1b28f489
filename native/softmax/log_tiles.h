// The tiles of the logarithmic operators: how each is measured, and in what order results are written.
//
//   1. run_tiles shares tiles among threads. A tile is one row, or W rows side by side.
//   2. A long float row is summed in floats: write_long_row (log_long_rows.h). Any other tile is measured in doubles.
//   3. Short float rows whose distances round are measured again (log_rounded_distances.h).
//   4. Results are written: log sums, losses, then the large outputs, whose parts threads share (log_operators.h).
//   5. A tile of doubles that overflows is computed row by row, from copies of an eighth: process_overflowing_tile.
#pragma once
#include "../rows/buffer.h"
#include "../rows/half_rows.h"
#include "../rows/share_rows.h"
#include "log_long_rows.h"
#include "log_loss_terms.h"
#include "log_rounded_distances.h"
#include "log_short_rows.h"

namespace {

template <class T> struct LogOperators {
  static constexpr size_t W = ExpTraits<T>::kLanes, kParts = W / 8;  // kParts: f64x8 a vector
  const Run& run;
  LogRows<T> rows;
  size_t outer;
  T* logs;  // null where it is not wanted, as each output
  double *log_sums, *loss;
  const int32_t* targets;  // a position a row; −1: the row does not count
  T* gradient;
  ExpScale<T> scale;                    // of float sums
  const LossTerms<T>* terms = nullptr;  // null: the loss is −ln p

  size_t tiles() const { return rows.across() ? (rows.inner + W - 1) / W : 1; }

  // ---- Results of a measured tile (log_operators.h).

  // Writes vectors [from, to): result(distance, part, lanes) gives each part of a vector.
  template <bool kExactDistance, class F>
  ALWAYS void write_vectors(const MeasuredTile<T>& m, T* out, size_t from, size_t to, F result) const;
  // Writes logSoftmax: −∞ where masked, NaN in rows of nan_results.
  template <bool kExactDistance> inline void write_logs(const MeasuredTile<T>& m, size_t from, size_t to) const;
  // Returns 1 / (T (1 + S) g) of a row, with the factor g of its terms. T is without the power of two of a far
  // temperature.
  inline Pair scaled_reciprocal(const MeasuredTile<T>& m, size_t row, double g) const;
  // Writes softmax / T: the gradient of all elements but the targets.
  template <bool kExactDistance> inline void write_gradient(const MeasuredTile<T>& m, size_t from, size_t to) const;
  // The gradient at a row's target. is_counted: it replaces the number that write_gradient writes there.
  struct Target {
    size_t index;
    T gradient;
    bool is_counted;
  };
  // What a row's loss is made from: −ln p of its target, and the sum of all terms but the target's.
  struct TargetTerm {
    double loss;
    Pair others;
    size_t index;
    bool is_visible, is_top;
  };
  NEVER_INLINE TargetTerm target_term(const MeasuredTile<T>& m, size_t i) const;
  // Writes the loss of row i of a tile, and returns its target.
  NEVER_INLINE Target write_loss(MeasuredTile<T>& m, size_t i) const;
  // As write_loss, for a loss with terms. Sets m.factor and m.more.
  NEVER_INLINE Target write_loss_with_terms(MeasuredTile<T>& m, size_t i) const;
  // −ln p of a target whose logit is given beside the row; the sums of all terms but the target's, and of all.
  struct GivenTerm {
    double loss, others, whole;
  };
  NEVER_INLINE GivenTerm given_term(MeasuredTile<T>& m, size_t i) const;
  // Finds the numbers of a tile that a loss with terms needs beside the measured ones.
  NEVER_INLINE void prepare_terms(MeasuredTile<T>& m) const;
  // Sums the shares of all classes, b = LossTerms::share_of, and b · −ln p.
  NEVER_INLINE void sum_shares(MeasuredTile<T>& m) const;
  // Returns b of eight elements; 0 where one is masked and no soft target says otherwise.
  ALWAYS f64x8 shares_at(const MeasuredTile<T>& m, size_t v, size_t p, uint32_t lanes) const;
  // Subtracts the shares of eight elements from their gradient.
  NEVER_INLINE f64x8 minus_shares(const MeasuredTile<T>& m, size_t v, size_t p, f64x8 g) const;
  // 1 / T, with the power of two of a far temperature.
  double slope() const {
    return rows.scale.scale1 * (rows.scale.scale2 * rows.derivative_factor) / rows.scale.temperature;
  }
  // Writes part of a tile's logs, then of its gradient.
  struct WriteTask {
    const LogOperators& s;
    const MeasuredTile<T>& m;
    const TileMeasurer<T>& measurer;
  };
  static inline void write_part(void* self, size_t part);

  // ---- Tiles.

  // Returns the index of a tile's first row.
  size_t row_of(const MeasuredTile<T>& m) const {
    return rows.across() ? m.first / (rows.cols * rows.inner) * rows.inner + m.first % rows.inner : m.first / rows.cols;
  }
  // Writes a row from a float sum. Returns false if log_row_sum.h must measure the row.
  bool write_long_row(const Run& r, size_t row, Sum* sums, BlockSum* blocks) const {
    if constexpr (sizeof(T) == 4) {
      size_t cols = rows.cols, at = row * cols;
      LogitRow<float> logits(rows.extras.row(rows.x + at, row, cols), cols, &scale, &rows.scale);
      return LogLongRow<const float*, float*>{
          r, logits, logs ? logs + at : nullptr, gradient ? gradient + at : nullptr, sums, blocks}
          .measure_and_write(log_sums ? log_sums + row : nullptr, targets ? targets + row : nullptr,
                             targets ? loss + row : nullptr);
    }
    return false;
  }
  // Computes the tile at row `at` of an outer index. A row whose target is −1 has the loss 0 and the gradient 0.
  void process_tile(const Run& r, size_t o, size_t at, LaneReadings<T>* lanes, Sum* sums, BlockSum* blocks) const {
    MeasuredTile<T> m;
    m.first = o * rows.cols * rows.inner + at;
    m.n = !rows.across() ? 1 : rows.inner - at < W ? rows.inner - at : W;
    size_t row = row_of(m);
    if (targets && !rows.across() && targets[row] < 0) {
      loss[row] = 0;
      if (gradient)
        for (size_t c = 0; c < rows.cols; c++) gradient[m.first + c] = 0;
      return;
    }
    if (!rows.across() && !terms && write_long_row(r, row, sums, blocks)) return;
    [[maybe_unused]] bool is_done = measure_and_write(r, m, lanes);
    if constexpr (sizeof(T) == 8)
      if (!is_done) process_overflowing_tile(r, m, lanes);
  }
  // Returns false if a row overflows: then nothing is written.
  bool measure_and_write(const Run& r, MeasuredTile<T>& m, LaneReadings<T>* lanes) const {
    size_t row = row_of(m);
    TileMeasurer<T> measurer{rows, r, m, lanes};
    if (!measurer.measure()) return false;
    if (r.stopped()) return true;
    if constexpr (sizeof(T) == 4)
      if (log_sums || targets) correct_rounded_distances(rows, r, m);
    if (log_sums)
      for (size_t i = 0; i < m.n; i++) log_sums[row + i] = rows.log_sum_exp(m, i);
    if (terms) prepare_terms(m);
    Target target[W];  // found before the gradient overwrites the logits
    if (targets)
      for (size_t i = 0; i < m.n; i++) target[i] = write_loss(m, i);
    WriteTask w{*this, m, measurer};
    if (logs || gradient) measurer.parts() < 2 ? write_part(&w, 0) : r.parallel(measurer.parts(), write_part, &w);
    if (gradient)
      for (size_t i = 0; i < m.n; i++)
        if (target[i].is_counted) gradient[target[i].index] = target[i].gradient;
    return true;
  }
  // Computes the rows of a tile one by one. A row that overflows is computed from a copy.
  SELDOM void process_overflowing_tile(const Run& r, const MeasuredTile<T>& tile, LaneReadings<T>* lanes) const {
    for (size_t i = 0; i < tile.n; i++) {
      MeasuredTile<T> row;
      row.first = tile.first + i;
      row.n = 1;
      LogRows<T> safe_rows = {rows.x, rows.cols, rows.inner, rows.scale, rows.extras, rows.temperature, 1, false};
      if (tile.overflowing >> i & 1) process_copy(r, row);
      else
        LogOperators{run, safe_rows, outer, logs, log_sums, loss, targets, gradient, scale, terms}.measure_and_write(
            r, row, lanes);
    }
  }
  // Computes a row from a copy with an eighth of its logits, at an eighth of the temperature.
  void process_copy(const Run& r, const MeasuredTile<T>& m) const {
    // At the lowest temperatures every logit below the maximum counts as nothing, and the temperature stays.
    const double eighth = rows.temperature < 0x1p-1000 ? 1 : 0.125;
    const size_t cols = rows.cols, row = row_of(m), step = rows.across() ? rows.inner : 1;
    const bool is_shared = rows.extras.bias.length == cols;
    Buffer<char> memory(run, cols * (3 * sizeof(T) + 1));
    T *x = (T*)memory.data, *bias = x + cols, *soft = bias + cols;
    if (!x) return;
    uint8_t* mask = (uint8_t*)(soft + cols);
    const T* all_soft = terms ? terms->soft : nullptr;
    for (size_t c = 0, i = m.first; c < cols; c++, i += step) {
      x[c] = rows.x[i] / 8;
      bias[c] = rows.extras.bias.data ? rows.extras.bias.data[is_shared ? c : i] / 8 : 0;
      if (all_soft) soft[c] = all_soft[i];
      if (rows.extras.has_mask()) mask[c] = (uint8_t)rows.extras.lanes(i, c, 1, rows.across());
    }
    T *copy_logs = logs ? x : nullptr, *copy_gradient = gradient ? x : nullptr;
    const ExpScale<double> copy_scale = ExpScale<double>::of_call(rows.temperature * eighth);
    Extras<T> extras({mask, rows.extras.has_mask() ? (int32_t)kMaskBytes : (int32_t)kNoMask}, {bias, cols});
    LogRows<T> copy = {x, cols, 1, copy_scale, extras, rows.temperature * eighth, eighth, false};
    LossTerms<T> copy_terms = {};
    if (terms) copy_terms = *terms;
    if (all_soft) copy_terms.soft = soft;
    if (copy_terms.given) copy_terms.given += 2 * row;
    LogOperators{r,
                 copy,
                 1,
                 copy_logs,
                 log_sums ? log_sums + row : nullptr,
                 loss ? loss + row : nullptr,
                 targets ? targets + row : nullptr,
                 copy_gradient,
                 scale,
                 terms ? &copy_terms : nullptr}
        .run_tiles();
    T* out = logs ? logs : gradient;
    if (out && !run.stopped())
      for (size_t c = 0, i = m.first; c < cols; c++, i += step) out[i] = x[c];
  }

  // What a tile of one part needs. share_rows calls row().
  struct Memory {
    LaneReadings<T> lanes;
    Sum sum;
    BlockSum blocks[kSuper / kBlock];
    explicit Memory(const Run&) {}
  };
  void row(const Run& alone, Memory& memory, size_t i) const {
    process_tile(alone, i / tiles(), i % tiles() * W, &memory.lanes, &memory.sum, memory.blocks);
  }
  void run_tiles() const {
    Run r = for_bytes(run, outer * rows.cols * rows.inner * sizeof(T));
    if (rows.across() || rows.cols <= kSuper)
      return share_rows(r, outer * tiles(), rows.cols * (rows.across() ? W : 1), *this);
    size_t parts = Parts{rows.cols}.count(), blocks = (rows.cols + kBlock - 1) / kBlock;
    static_assert(sizeof(LaneReadings<T>) <= kReserveOfPart && sizeof(BlockSum) <= kReserveOfBlock);
    LongRow memory(run, parts * (sizeof(LaneReadings<T>) + sizeof(Sum)) + blocks * sizeof(BlockSum));
    LaneReadings<T>* lanes = (LaneReadings<T>*)memory.data;
    Sum* sums = (Sum*)(lanes + parts);
    for (size_t o = 0; o < outer && !run.stopped(); o++) process_tile(r, o, 0, lanes, sums, (BlockSum*)(sums + parts));
  }
};

}  // namespace
