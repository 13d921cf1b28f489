// The sampling kernel: rows of any element type go, with their mask and bias, through the filters of filter.h.
//
// Extreme temperatures need logits in another unit: quarters for a very high one, larger numbers for a very low one.
#pragma once
#include "../rows/share_rows.h"
#include "filter.h"

namespace {

// From this temperature on, every distance of two doubles counts, even one that no double can hold.
constexpr double kLargeTemperature = 0x1p1000;
// Below this temperature, its inverse exceeds the range of TokenWeights, and distances of subnormal numbers count.
constexpr double kSmallTemperature = 0x1p-990, kRaisedUnit = 0x1p-100;

// The outputs of a call, of type R, and what they are drawn with.
template <class R> struct SampleOutputs {
  uint32_t* tokens;
  R *kept, *probabilities;
  int32_t* status;
  const double *uniforms, *row_filters;  // row_filters: six numbers a row, or null
  size_t cols, draws;
  Filters filters;  // of all rows, without row_filters

  Filters filters_of(size_t i) const { return row_filters ? Filters::of_row(row_filters + 6 * i, cols) : filters; }

  // Samples row i and writes its outputs. Without memory `logits` is null, and nothing is written.
  template <class F>
  NEVER_INLINE void sample_row(SampleMemory& memory, const FiltersInUnits& filters, const F* logits, size_t i) const {
    if (!logits) return;
    RowSampler<F> row(memory, filters, logits, cols, kept || probabilities);
    int32_t outcome = row.filter();
    if (row.stopped()) return;
    status[i] = outcome;
    if (outcome != kSampled) {
      for (size_t d = i * draws; d < (i + 1) * draws; d++) tokens[d] = kNoIndex;
      for (size_t j = i * cols; j < (i + 1) * cols; j++) {
        if (kept) kept[j] = 0;
        if (probabilities) probabilities[j] = 0;
      }
      return;
    }
    for (size_t d = i * draws; d < (i + 1) * draws; d++) tokens[d] = row.draw(uniforms[d]);
    if (kept || probabilities)
      row.write_row(kept ? kept + i * cols : nullptr, probabilities ? probabilities + i * cols : nullptr);
  }
};

// The work of sample.
template <class X, class R> struct Sample {
  using T = typename LogitReader<X>::Float;
  using Memory = SampleMemory;
  const Stored<X>* x;
  SampleOutputs<R> outputs;
  Extras<Stored<X>> extras;

  // Raises a row's logits to multiples of kRaisedUnit. Returns false, without effect, if a double might not hold them;
  // TokenWeights serves such a row as it is.
  static SELDOM bool raise_logits(double* z, size_t n) {
    double top = -infinity<double>();
    for (size_t i = 0; i < n; i++) top = z[i] > top ? z[i] : top;
    if (!(top > -0x1p900 && top < 0x1p900)) return false;
    for (size_t i = 0; i < n; i++) z[i] *= 1 / kRaisedUnit;
    return true;
  }
  void row(const Run&, Memory& memory, size_t i) const {
    size_t cols = outputs.cols;
    const T* floats = LogitReader<X>::read(x + i * cols, cols, memory.logits(T()));
    if (!floats) return;
    const FiltersInUnits filters(outputs.filters_of(i), 1);
    const double temperature = filters.temperature;
    bool is_quartered = false, is_large = sizeof(T) == 8 && temperature >= kLargeTemperature;
    bool is_small = sizeof(T) == 8 && temperature > 0 && temperature < kSmallTemperature;
    if (!extras.any() && !is_large && !is_small) return outputs.sample_row(memory, filters, floats, i);
    const double* logits =
        is_large ? apply_mask_and_bias<X, sizeof(T) == 8>(memory, extras, floats, cols, i, is_quartered)
                 : apply_mask_and_bias<X>(memory, extras, floats, cols, i, is_quartered);
    bool is_raised = is_small && !is_quartered && logits && raise_logits(memory.doubles.data, cols);
    if (!is_quartered && !is_raised) return outputs.sample_row(memory, filters, logits, i);
    outputs.sample_row(memory, filters.in_units(is_quartered ? 4 : kRaisedUnit), logits, i);
  }
};

// The kernel.
template <class X, class Y>
void sample(const Run& run, const Stored<X>* x, uint32_t* tokens, Y* kept, Y* probabilities, int32_t* status,
            const double* uniforms, const double* row_filters, size_t rows, size_t cols, size_t draws,
            const Filters& filters, const MaskAndBias<Stored<X>>& mask_and_bias) {
  SampleOutputs<Y> outputs = {tokens, kept, probabilities, status, uniforms, row_filters, cols, draws, filters};
  Sample<X, Y> work = {x, outputs, Extras<Stored<X>>(mask_and_bias)};
  share_rows(for_bytes(run, rows * cols * sizeof *x), rows, cols, work);
}

}  // namespace
