// head_sums: out[i] = sums[i] + Σ factors[i, j] · vectors[j], the sums of a gradient by hidden states or by weights.
//
// A task takes a strip of columns through all vectors. Vectors are added in their order: 64 of them as a chain of fmas
// of floats, then that sum to a double. So the error does not grow with the number of vectors: 64 · 2^-24 of Σ |term|.
#pragma once
#include "../math/sum.h"
#include "../rows/share_rows.h"

namespace {

struct HeadSums {
  const Run& run;
  const double* sums;
  const float *factors, *vectors;
  double* out;
  size_t count, rows, cols;

  static constexpr size_t kChain = 64, kStrip = 64;
  static constexpr size_t kStates = kVectors >= 32 ? 4 : 2, kWide = kVectors >= 32 ? 4 : 2;

  // Sums of kOuts results in n ≤ 16 · kParts columns from `column` on, over `chain` vectors from `row` on.
  template <size_t kOuts, size_t kParts>
  ALWAYS void add_chain(size_t i, size_t column, size_t n, size_t row, size_t chain) const {
    f32x16 sum[kOuts][kParts];
    UNROLL for (size_t o = 0; o < kOuts; o++)
      UNROLL for (size_t p = 0; p < kParts; p++) sum[o][p] = splat(0.f);
    const float* from = vectors + row * cols + column;
    for (size_t j = 0; j < chain; j++, from += cols) {
      f32x16 v[kParts];
      UNROLL for (size_t p = 0; p < kParts; p++) v[p] = n < 16 ? load_n(from, n, 0) : load(from + 16 * p);
      UNROLL for (size_t o = 0; o < kOuts; o++) {
        const f32x16 factor = splat(factors[(i + o) * rows + row + j]);
        UNROLL for (size_t p = 0; p < kParts; p++) sum[o][p] = fma(factor, v[p], sum[o][p]);
      }
    }
    const size_t low = n < 8 ? n : 8, high = n < 16 ? n - low : 8;
    UNROLL for (size_t o = 0; o < kOuts; o++)
      UNROLL for (size_t p = 0; p < kParts; p++) {
        const size_t at = (i + o) * cols + column + 16 * p;
        const double* before = row ? out + at : sums + at;
        const f64x8 a = add(load_n(before, low, 0), low_f64(sum[o][p]));
        const f64x8 b = add(load_n(before + low, high, 0), high_f64(sum[o][p]));
        store_n(out + at, same_nan(a), low);
        store_n(out + at + low, same_nan(b), high);
      }
  }
  template <size_t kOuts>
  NEVER_INLINE void add_vectors(size_t i, size_t from, size_t end, size_t row, size_t chain) const {
    size_t column = from;
    for (; column + 16 * kWide <= end; column += 16 * kWide)
      add_chain<kOuts, kWide>(i, column, 16, row, chain);
    for (; column < end; column += 16)
      add_chain<kOuts, 1>(i, column, end - column < 16 ? end - column : 16, row, chain);
  }
  static void task(void* self, size_t index) {
    const HeadSums& s = *(const HeadSums*)self;
    const size_t from = index * kStrip, end = from + kStrip < s.cols ? from + kStrip : s.cols;
    for (size_t row = 0; row < s.rows || row == 0; row += kChain) {
      if (s.run.stopped()) return;
      const size_t chain = s.rows - row < kChain ? s.rows - row : kChain;
      size_t i = 0;
      for (; i + kStates <= s.count; i += kStates) s.add_vectors<kStates>(i, from, end, row, chain);
      for (; i < s.count; i++) s.add_vectors<1>(i, from, end, row, chain);
    }
  }
};

template <class X, class Y>
void head_sums(const Run& run, const double* sums, const float* factors, const float* vectors, double* out,
               size_t count, size_t rows, size_t cols) {
  if (count == 0 || cols == 0 || run.stopped()) return;
  HeadSums call = {run, sums, factors, vectors, out, count, rows, cols};
  const size_t strips = (cols + HeadSums::kStrip - 1) / HeadSums::kStrip;
  for_bytes(run, count * rows * cols).parallel(strips, HeadSums::task, &call);
}

}  // namespace
