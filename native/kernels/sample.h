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
    const T* floats = E::floats(x + i * cols, cols, element_memory(memory, T()));
    if (extras.any()) {
      SampleRow<double> row(memory, filters, with_extras(memory, floats, i), cols, kept || probabilities);
      use(row, i);
    } else {
      SampleRow<T> row(memory, filters, floats, cols, kept || probabilities);
      use(row, i);
    }
  }
  static Buffer<float>& element_memory(Memory& memory, float) { return memory.floats; }
  static Buffer<double>& element_memory(Memory& memory, double) { return memory.no_bias; }

  // Logits with the bias added, as doubles; what is masked as −∞.
  const double* with_extras(Memory& memory, const T* floats, size_t index) const {
    constexpr size_t W = ExpTraits<T>::kLanes, kParts = W / 8;
    double* out = memory.doubles.need(cols);
    bool shared = extras.bias.length == cols;
    const T* bias = extras.bias.data ? E::floats(extras.bias.data + (shared ? 0 : index * cols), cols, memory.bias(T())) : nullptr;
    size_t mask_at = extras.shared_mask() ? 0 : index * cols;
    for (size_t i = 0; i < cols; i += W) {
      size_t left = cols - i < W ? cols - i : W;
      f64x8 z[kParts], b[kParts];
      widen(left < W ? load_n(floats + i, left, (T)0) : load(floats + i), z);
      if (bias) {
        widen(left < W ? load_n(bias + i, left, (T)0) : load(bias + i), b);
        UNROLL for (size_t p = 0; p < kParts; p++) z[p] = add(z[p], b[p]);
      }
      uint32_t lanes = extras.layout == kNoMask ? 0xFFFF : mask_lanes(extras.mask, extras.layout, mask_at + i, left);
      for (size_t p = 0; p < kParts && 8 * p < left; p++) {
        f64x8 v = select_bits(z[p], splat(-infinity<double>()), lanes >> 8 * p & 0xFF);
        left - 8 * p < 8 ? store_n(out + i + 8 * p, v, left - 8 * p) : store(out + i + 8 * p, v);
      }
    }
    return out;
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
