// The sampling kernel: rows of any element type, with their mask and bias, through the filters of filter.h.
#pragma once
#include "filter.h"

namespace {

template <class E, class X, class R> struct Sample {
  using T = typename E::Float;
  using Memory = SampleMemory;
  const X* x;
  uint32_t* tokens;
  R *kept, *probabilities;
  int32_t* status;
  const double* uniforms;
  size_t cols, draws;
  Filters filters;
  Extras<X> extras;

  template <class F> void use(SampleRow<F>& row, size_t i) const {
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
  void row(Memory& memory, size_t i) const {
    const T* floats = E::floats(x + i * cols, cols, memory.elements(T()));
    if (extras.any()) {
      SampleRow<double> row(memory, filters, with_extras<E>(memory, extras, floats, cols, i), cols, kept || probabilities);
      use(row, i);
    } else {
      SampleRow<T> row(memory, filters, floats, cols, kept || probabilities);
      use(row, i);
    }
  }
};

#define SAMPLE(name, E, X, R)                                                                                          \
  void sample_##name(const Run& run, const X* x, uint32_t* tokens, R* kept, R* probabilities, int32_t* status, const double* uniforms, size_t rows, size_t cols, size_t draws, \
                     size_t top_k, double temperature, double top_p, double min_distance, double typical_p, double epsilon, const uint8_t* mask, int32_t layout, Slice<const X> bias) { \
    share_rows(run, rows, cols, sizeof(X), Sample<E, X, R>{x, tokens, kept, probabilities, status, uniforms, cols, draws, {top_k, temperature, top_p, min_distance, typical_p, epsilon}, {mask, layout, bias}}); \
  }
SAMPLE(f32, Element<float>, float, float)
SAMPLE(f64, Element<double>, double, double)
SAMPLE(f16, HalfElement<Half>, uint16_t, float)
SAMPLE(bf16, HalfElement<Brain>, uint16_t, float)
#undef SAMPLE

}  // namespace
