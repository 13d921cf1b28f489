// linear_query: rows of queries on the states of linear attention, rounded once to floats:
//
//   out = a · φ(q)·S + b · Σ v      a and b follow from φ(q)·z, the number of keys and the form
//
// A task takes kBlock queries of one head, four at a time, so that S is read once for four. Each sum of φ(q)·S takes
// the rows of S in their order, so the bits depend neither on how queries are grouped nor on threads.
#pragma once
#include "../rows/buffer.h"
#include "linear_features.h"

namespace {

// Numbered as in lib/attention/linear-options.ts.
enum { kNormalized = 0, kSum = 1, kMagnitudeAware = 2, kMagnitudeAwarePaper = 3, kInjective = 4 };

// The two factors of a result.
struct Affine {
  double a, b;
};

struct LinearQuery {
  const Run& run;
  const float* q;
  const double* sums;
  float* out;
  size_t queries;
  const LinearSizes& sizes;
  const FeatureMap& map;
  const LinearForm& form;
  const Pieces* pieces = nullptr;

  static constexpr size_t kBlock = 64, kRows = 4;
  static constexpr size_t kWide = kVectors >= 32 ? 4 : 2;  // 16 columns each, of one query

  size_t padded() const { return feature_vectors(sizes.depth); }
  size_t blocks() const { return (queries + kBlock - 1) / kBlock; }
  size_t bytes() const { return kRows * padded() * sizeof(double); }

  // z 0: every key counts alike, and the result is the mean of v. A z that is not finite: NaN. No keys: 0. kNormalized
  // has the mean where its divisor is 0.
  NEVER_INLINE Affine factors(double z) const {
    const double n = form.keys, scaled = form.scale * z / n;
    if (!(n > 0)) return {0, 0};
    if (form.kind == kSum) return {1, 0};
    if (!(z - z == 0)) return {not_a_number<double>(), 0};
    switch (form.kind) {
      case kInjective: return {form.scale / n, (1 - scaled) / n};
      case kMagnitudeAware:
        return scaled == 0 ? Affine{0, 1 / n}
                           : Affine{form.scale / n * (1 + 1 / (scaled + form.epsilon)), -scaled / n};
      case kMagnitudeAwarePaper: return z == 0 ? Affine{0, 1 / n} : Affine{1 + 1 / (z + form.epsilon), -z / n};
      default: return z + form.epsilon == 0 ? Affine{0, 1 / n} : Affine{1 / (z + form.epsilon), 0};
    }
  }
  // φ(q)·z.
  double feature_sum(const double* phi, const double* features) const {
    f64x8 sum = splat(0.);
    for (size_t i = 0; i < sizes.depth; i += 8)
      sum = fma(load(phi + i), load_n(features + i, least(sizes.depth - i, 8), 0), sum);
    return reduce_add(sum);
  }
  // `left` columns from j on of kQueries rows, kPairs · 16 of them at most.
  template <size_t kQueries, size_t kPairs>
  ALWAYS void multiply(const HeadState<const double>& state, const double* phi, const Affine* factors, float* to,
                       size_t j, size_t left) const {
    const size_t low = least(left, 8), high = least(left, 16) - low;
    f64x8 sum[kQueries][2 * kPairs];
    UNROLL for (size_t r = 0; r < kQueries; r++)
      UNROLL for (size_t c = 0; c < 2 * kPairs; c++) sum[r][c] = splat(0.);
    const double* s = state.products + j;
    for (size_t i = 0; i < sizes.depth; i++, s += sizes.value_depth) {
      f64x8 column[2 * kPairs];
      UNROLL for (size_t c = 0; c < 2 * kPairs; c++)
        column[c] = kPairs > 1 || high == 8 ? load(s + 8 * c) : load_n(s + 8 * c, c ? high : low, 0);
      UNROLL for (size_t r = 0; r < kQueries; r++) {
        const f64x8 each = splat(phi[r * padded() + i]);
        UNROLL for (size_t c = 0; c < 2 * kPairs; c++) sum[r][c] = fma(each, column[c], sum[r][c]);
      }
    }
    UNROLL for (size_t r = 0; r < kQueries; r++)
      UNROLL for (size_t c = 0; c < kPairs; c++)
        finish(sum[r] + 2 * c, state.values + j + 16 * c, factors[r], to + r * sizes.value_depth + j + 16 * c, low,
               high);
  }
  // Sixteen results, or low + high of them.
  ALWAYS void finish(const f64x8* sum, const double* values, const Affine& f, float* to, size_t low,
                     size_t high) const {
    f64x8 y[2];
    UNROLL for (size_t c = 0; c < 2; c++) {
      const f64x8 v = load_n(values + 8 * c, c ? high : low, 0);
      y[c] = f.b == 0 ? mul(splat(f.a), sum[c]) : fma(splat(f.a), sum[c], mul(splat(f.b), v));
      if (f.a == 0) y[c] = mul(splat(f.b), v);
      y[c] = same_nan(y[c]);
    }
    const f32x16 result = narrow(y[0], y[1]);
    high == 8 ? store(to, result) : store_n(to, result, low + high);
  }
  template <size_t kQueries>
  NEVER_INLINE void answer(const HeadState<const double>& state, const float* from, float* to, double* phi) const {
    Affine each[kQueries];
    map_features(map, from, kQueries, sizes.depth, sizes.depth, phi);
    for (size_t r = 0; r < kQueries; r++) each[r] = factors(feature_sum(phi + r * padded(), state.features));
    const size_t width = sizes.value_depth;
    size_t j = 0;
    if (kQueries == 1)
      for (; j + 16 * kWide <= width; j += 16 * kWide)
        multiply<kQueries, kQueries == 1 ? kWide : 1>(state, phi, each, to, j, 16);
    for (; j < width; j += 16) multiply<kQueries, 1>(state, phi, each, to, j, width - j);
  }
  static void task(void* self, size_t index) {
    const LinearQuery& query = *(const LinearQuery*)self;
    if (query.run.stopped()) return;
    Pieces::Taken memory(*query.pieces);
    const size_t head = index / query.blocks(), first = index % query.blocks() * kBlock;
    const size_t end = least(first + kBlock, query.queries);
    const HeadState<const double> state(query.sums, query.sizes, head);
    for (size_t i = first; i < end && !query.run.stopped();) {
      const size_t row = head * query.queries + i;
      const float* from = query.q + row * query.sizes.depth;
      float* to = query.out + row * query.sizes.value_depth;
      if (end - i >= kRows) query.answer<kRows>(state, from, to, (double*)memory.data());
      else query.answer<1>(state, from, to, (double*)memory.data());
      i += end - i >= kRows ? kRows : 1;
    }
  }
};

// The kernel. `queries` are those of one key/value head.
template <class X, class Y>
void linear_query(const Run& run, const float* q, const double* sums, float* out, size_t queries,
                  const LinearSizes& sizes, const FeatureMap& map, const LinearForm& form) {
  LinearQuery query = {run, q, sums, out, queries, sizes, map, form};
  const size_t tasks = sizes.heads * query.blocks();
  if (tasks == 0 || sizes.value_depth == 0) return;
  Run shared = run;
  if (sizes.heads * sizes.depth * sizes.value_depth * (queries / 4 + 8) < run.plan.parallel_bytes) {
    shared.parallel = serial;
    shared.threads = 1;
  }
  Pieces memory(shared, query.bytes(), tasks);
  if (!memory.there()) return;
  query.pieces = &memory;
  shared.parallel(tasks, LinearQuery::task, &query);
}

}  // namespace
