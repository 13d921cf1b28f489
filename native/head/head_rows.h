// head_rows: rows of weights as floats, times the factor of each row: an exact value rounded once (weight_formats.h),
// and once more by a factor.
#pragma once
#include "../rows/share_rows.h"
#include "weight_formats.h"

namespace {

template <class Reader> struct HeadRows {
  using Memory = NoMemory;
  const HeadWeights& weights;
  const float* factors;
  float* out;

  void row(const Run&, const NoMemory&, size_t index) const {
    const Steps<Reader> steps(weights);
    WeightRow row(weights, index, steps.row_bytes);
    const f32x16 factor = splat(factors ? factors[index] : 1.f);
    float* to = out + index * weights.cols;
    for (size_t step = 0; step < steps.count(); step++) {
      uint8_t copy[Reader::kStepBytes];
      const uint8_t* at = row.data + step * Reader::kStepBytes;
      if (step == steps.whole) {
        for (size_t b = 0; b < Reader::kStepBytes; b++) copy[b] = b < steps.rest ? at[b] : 0;
        at = copy;
      }
      Reader::prepare(row, step, 1);
      const typename Reader::Step values(at, row, Reader::place(row, step));
      for (size_t part = 0; part < Reader::kParts; part++) {
        f32x16 w[Reader::kVectors];
        values.read(part, w);
        for (size_t v = 0; v < Reader::kVectors; v++) {
          const size_t column = step * Steps<Reader>::kColumns + 16 * (Reader::first_vector(part) + v);
          if (column >= weights.cols) continue;
          const size_t left = weights.cols - column;
          const f32x16 y = mul(w[v], factor);
          left < 16 ? store_n(to + column, y, left) : store(to + column, y);
        }
      }
    }
  }
};

struct RunHeadRows {
  const Run& run;
  const float* factors;
  float* out;
  const HeadWeights& weights;
  template <class Reader> void of() const {
    const size_t bytes = weights.rows * weights.cols * sizeof *out;
    share_rows(for_bytes(run, bytes), weights.rows, weights.cols, HeadRows<Reader>{weights, factors, out});
  }
};

template <class X, class Y>
void head_rows(const Run& run, const float* factors, float* out, const HeadWeights& weights) {
  if (run.stopped()) return;
  with_reader(weights.format, RunHeadRows{run, factors, out, weights});
}

}  // namespace
