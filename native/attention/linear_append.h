// linear_append: adds keys and values to the states of linear attention.
//
// Every sum takes its tokens one by one, in their order, with one rounding each (fma): a call of many tokens, calls of
// one token each and any number of threads give the same bits. A task takes eight rows of one head's S and z, or its
// Σ v, through all tokens; a block of tokens stays in the nearest cache.
#pragma once
#include "linear_features.h"

namespace {

struct LinearAppend {
  const Run& run;
  const double* sums;
  const float *keys, *values;
  double* out;
  size_t tokens;
  const LinearSizes& sizes;
  const FeatureMap& map;

  static constexpr size_t kStrip = 8, kTokens = 64, kColumns = 16;
  static constexpr size_t kRows = kVectors >= 32 ? 8 : 2;  // of S whose sums fit into registers

  // A block of tokens.
  struct Block {
    const double* phi;  // [tokens][kStrip]
    const float* values;
    size_t tokens;
  };
  // kRows rows of S from row `first` on, `used` of them real, and `left` columns from j on: kColumns if kIsWhole.
  template <bool kIsWhole>
  ALWAYS void add_tile(const Block& block, const double* from, double* to, size_t first, size_t used, size_t j,
                       size_t left) const {
    const size_t width = sizes.value_depth, low = least(left, 8);
    f64x8 a[kRows], b[kRows];
    UNROLL for (size_t r = 0; r < kRows; r++) {
      const double* s = from + least(r, used - 1) * width + j;
      a[r] = kIsWhole ? load(s) : load_n(s, low, 0);
      b[r] = kIsWhole ? load(s + 8) : load_n(s + low, left - low, 0);
    }
    const double* phi = block.phi + first;
    const float* v = block.values + j;
    for (size_t t = 0; t < block.tokens; t++, phi += kStrip, v += width) {
      const f32x16 value = kIsWhole ? load(v) : load_n(v, left, 0);
      const f64x8 v_low = low_f64(value), v_high = high_f64(value);
      UNROLL for (size_t r = 0; r < kRows; r++) {
        a[r] = fma(splat(phi[r]), v_low, a[r]);
        b[r] = fma(splat(phi[r]), v_high, b[r]);
      }
    }
    UNROLL for (size_t r = 0; r < kRows; r++) {
      if (r >= used) break;
      double* s = to + r * width + j;
      kIsWhole ? store(s, same_nan(a[r])) : store_n(s, same_nan(a[r]), low);
      kIsWhole ? store(s + 8, same_nan(b[r])) : store_n(s + low, same_nan(b[r]), left - low);
    }
  }
  // As many rows, in all columns.
  NEVER_INLINE void add_rows(const Block& block, const double* from, double* to, size_t first, size_t used) const {
    size_t j = 0;
    for (; j + kColumns <= sizes.value_depth; j += kColumns)
      add_tile<true>(block, from, to, first, used, j, kColumns);
    if (j < sizes.value_depth) add_tile<false>(block, from, to, first, used, j, sizes.value_depth - j);
  }
  // Rows [first, first + kStrip) of S and z of a head.
  void add_strip(size_t head, size_t first) const {
    const HeadState<const double> before(sums, sizes, head);
    const HeadState<double> after(out, sizes, head);
    const size_t rows = least(sizes.depth - first, kStrip), width = sizes.value_depth;
    const float* k = keys + head * tokens * sizes.depth + first;
    alignas(64) double phi[kTokens * kStrip];
    f64x8 features = load_n(before.features + first, rows, 0);
    for (size_t t = 0; (t < tokens || t == 0) && !run.stopped(); t += kTokens) {
      const Block block = {phi, values + (head * tokens + t) * width, least(tokens - t, kTokens)};
      map_features(map, k + t * sizes.depth, block.tokens, sizes.depth, rows, phi);
      for (size_t i = 0; i < block.tokens; i++) features = add(features, load(phi + i * kStrip));
      const double* from = t ? after.products : before.products;
      for (size_t r = 0; r < rows; r += kRows)
        add_rows(block, from + (first + r) * width, after.products + (first + r) * width, r, least(rows - r, kRows));
    }
    store_n(after.features + first, same_nan(features), rows);
  }
  // Σ v of a head.
  void add_values(size_t head) const {
    const HeadState<const double> before(sums, sizes, head);
    const HeadState<double> after(out, sizes, head);
    for (size_t j = 0; j < sizes.value_depth; j += 8) {
      const size_t left = least(sizes.value_depth - j, 8);
      f64x8 sum = load_n(before.values + j, left, 0);
      const float* v = values + head * tokens * sizes.value_depth + j;
      for (size_t t = 0; t < tokens; t++, v += sizes.value_depth) sum = add(sum, low_f64(load_n(v, left, 0)));
      store_n(after.values + j, same_nan(sum), left);
    }
  }
  size_t strips() const { return (sizes.depth + kStrip - 1) / kStrip; }
  static void task(void* self, size_t index) {
    const LinearAppend& append = *(const LinearAppend*)self;
    if (append.run.stopped()) return;
    const size_t head = index / (append.strips() + 1), strip = index % (append.strips() + 1);
    strip < append.strips() ? append.add_strip(head, strip * kStrip) : append.add_values(head);
  }
};

// The kernel. A call whose states and tokens are small runs on its own thread.
template <class X, class Y>
void linear_append(const Run& run, const double* sums, const float* k, const float* v, double* out, size_t tokens,
                   const LinearSizes& sizes, const FeatureMap& map) {
  LinearAppend append = {run, sums, k, v, out, tokens, sizes, map};
  const size_t cost = sizes.heads * sizes.depth * sizes.value_depth * (tokens / 4 + 16);
  (cost < run.plan.parallel_bytes ? serial : run.parallel)(sizes.heads * (append.strips() + 1), LinearAppend::task,
                                                           &append);
}

}  // namespace
