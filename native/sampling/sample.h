// The sampling kernel: rows of any element type, with their mask and bias, through the filters of filter.h.
#pragma once
#include "filter.h"

namespace {

// From here on the distance of any two doubles counts, also of two so far apart that no double holds it.
constexpr double kLargeTemperature = 0x1p1000;
// Below, the inverse of a temperature is beyond the weigher's scale, and distances of subnormal numbers count.
constexpr double kSmallTemperature = 0x1p-990, kRaisedUnit = 0x1p-100;

// What a call wants of its rows, in results of type R.
template <class R> struct Draws {
  uint32_t* tokens;
  R *kept, *probabilities;
  int32_t* status;
  const double* uniforms;
  size_t cols, draws;
  FiltersInUnits filters;

  template <class F> NEVER_INLINE void take(SampleMemory& memory, const F* logits, size_t i) const {
    if (!logits) return;
    SampleRow<F> row(memory, filters, logits, cols, kept || probabilities);
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
    if (kept || probabilities) row.write(kept ? kept + i * cols : nullptr, probabilities ? probabilities + i * cols : nullptr);
  }
};

template <class X, class R> struct Sample {
  using T = typename Element<X>::Float;
  using Memory = SampleMemory;
  const Stored<X>* x;
  Draws<R> draws;
  Extras<Stored<X>> extras;

  // Raises a row's logits to multiples of kRaisedUnit. False: these may be no doubles; the weigher does as well.
  static SELDOM bool raise(double* z, size_t n) {
    double top = -infinity<double>();
    for (size_t i = 0; i < n; i++) top = z[i] > top ? z[i] : top;
    if (!(top > -0x1p900 && top < 0x1p900)) return false;
    for (size_t i = 0; i < n; i++) z[i] *= 1 / kRaisedUnit;
    return true;
  }
  void row(const Run&, Memory& memory, size_t i) const {
    size_t cols = draws.cols;
    const T* floats = Element<X>::floats(x + i * cols, cols, memory.elements(T()));
    if (!floats) return;
    const double temperature = draws.filters.temperature;
    bool quartered = false, large = sizeof(T) == 8 && temperature >= kLargeTemperature;
    bool small = sizeof(T) == 8 && temperature > 0 && temperature < kSmallTemperature;
    if (!extras.any() && !large && !small) return draws.take(memory, floats, i);
    const double* logits = large ? with_extras<X, sizeof(T) == 8>(memory, extras, floats, cols, i, quartered)
                                 : with_extras<X>(memory, extras, floats, cols, i, quartered);
    bool raised = small && !quartered && logits && raise(memory.doubles.data, cols);
    if (!quartered && !raised) return draws.take(memory, logits, i);
    Draws<R> of_units = draws;
    of_units.filters = draws.filters.in_units(quartered ? 4 : kRaisedUnit);
    of_units.take(memory, logits, i);
  }
};

template <class X, class Y>
void sample(const Run& run, const Stored<X>* x, uint32_t* tokens, Y* kept, Y* probabilities, int32_t* status,
            const double* uniforms, size_t rows, size_t cols, size_t draws, const Filters& filters,
            const MaskAndBias<Stored<X>>& added) {
  Draws<Y> of_rows = {tokens, kept, probabilities, status, uniforms, cols, draws, {filters, 1}};
  Sample<X, Y> work = {x, of_rows, Extras<Stored<X>>(added)};
  share_rows(for_bytes(run, rows * cols * sizeof *x), rows, cols, work);
}

}  // namespace
