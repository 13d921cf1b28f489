// What is left of a row where that may be most of it: all down to a cut, with a sum for each page. Sums are exact, or near
// ones, in half the time: by fused steps, in doubles. Most decisions do not need more. Where one might turn out otherwise,
// by what near sums may be off, it is made again with exact ones.
#pragma once
#include "../rows/run.h"
#include "rough.h"

namespace {

constexpr size_t kPage = 1024;  // elements that are summed at a time

// The last logit that is kept, in the order of select.h.
struct Cut {
  double z;
  size_t index;
  ALWAYS bool keeps(double other, size_t at) const { return other > z || (other == z && at <= index); }
};

// The number after a finite one that is not the largest; 0 and −0 are the same.
SIMD_INLINE float next(float x) {
  uint32_t u;
  x += 0;  // −0 is 0
  COPY(&u, &x, 4);
  u = x < 0 ? u - 1 : u + 1;
  COPY(&x, &u, 4);
  return x;
}
SIMD_INLINE double next(double x) {
  uint64_t u;
  x += 0;
  COPY(&u, &x, 8);
  u = x < 0 ? u - 1 : u + 1;
  COPY(&x, &u, 8);
  return x;
}
// The least number of a type that is not below a double.
SIMD_INLINE float not_below(double least, float) { return (double)(float)least >= least ? (float)least : next((float)least); }
SIMD_INLINE double not_below(double least, double) { return least; }

template <class T> struct Paged {
  static constexpr size_t W = ExpTraits<T>::kLanes, kParts = W / 8;
  const Weigher& weigher;
  const Run& run;
  const T* x;
  size_t n;
  uint64_t* sums = nullptr;  // of what is kept in each page, in the weigher's integers
  T floor = 0;               // near sums count what lies lower as this
  Cut cut = {-infinity<double>(), n};
  uint64_t total = 0;
  double slack = 0;  // by what a sum, less a share of the total that is about as large, may be off; 0: sums are exact

  Paged(const Weigher& w, const Run& run, const T* x, size_t n) : weigher(w), run(run), x(x), n(n) {}
  void begin(uint64_t* memory) {
    double deepest = weigher.top - 512 / weigher.scale;
    sums = memory, floor = deepest > -(double)largest<T>() ? (T)deepest : -largest<T>();
  }
  // Whether near sums are near. They are not where 2^-64 is lost between one number of the type and the next, nor where
  // the lowest number has weight at so high a temperature, as −∞ would have it too.
  bool may_be_near() const {
    double depth = (weigher.top - (double)floor) * weigher.scale;
    return depth < 520 && depth > 500;
  }
  // What head − p · all may be off: the terms of the head count 1 − p, and the others p. Weights are off by `each` of them before they
  // are rounded, by one half; sums in doubles, of so few terms, by less.
  double slack_of(double each, double p, double head, double all) const { return each * ((1 - p) * head + p * (all - head)) + all * 0x1p-44 + (double)n; }
  static constexpr double kNearError = 0x1p-32;

  size_t count(size_t from) const { return n - from < kPage ? n - from : kPage; }
  static ALWAYS auto vector(const T* from, size_t n, size_t i) { return n - i < W ? load_n(from + i, n - i, -infinity<T>()) : load(from + i); }

  // A page's sum of what is not below `high`; `all` grows by the whole sum, and what lies from `low` to below `high` goes to `list`.
  template <bool kExact> NEVER_INLINE uint64_t sum(size_t from, T low, T high, uint64_t& all, T*& list) const {
    const Weigher w = weigher;
    const f64x8 edge = splat((double)high);
    const auto lowest = splat(low), highest = splat(high), bottom = splat(floor);
    f64x8 whole[kParts], head[kParts];
    UNROLL for (size_t p = 0; p < kParts; p++) whole[p] = head[p] = splat(0.);
    T* to = list;
    auto take = [&](auto v) ALWAYS_LAMBDA {
      f64x8 z[kParts];
      widen(kExact ? v : max_keep_nan(bottom, v), z);
      UNROLL for (size_t p = 0; p < kParts; p++) {
        f64x8 q = kExact ? w.integers(w.exactly(z[p])) : w.nearly(z[p]);
        if (kExact) whole[p] = add_integers(whole[p], q), head[p] = add_integers(head[p], zero_below(q, z[p], edge));
        else whole[p] = add(whole[p], q), head[p] = add_from(head[p], q, z[p], edge);
      }
    };
    auto put = [&](const T* at, auto v) ALWAYS_LAMBDA { to += pack(to, at, v, lanes_above(highest, v) & ~lanes_above(lowest, v)); };
    const T* x = this->x + from;
    size_t i = 0, end = count(from);
    for (; !kExact && kRegisters < 4 && i + 4 * W <= end; i += 4 * W) {  // four are read before what may lie in the same memory, for all the compiler knows, is written
      auto a = load(x + i), b = load(x + i + W), c = load(x + i + 2 * W), d = load(x + i + 3 * W);
      take(a), take(b), take(c), take(d);
      put(x + i, a), put(x + i + W, b), put(x + i + 2 * W, c), put(x + i + 3 * W, d);
    }
    for (; i < end; i += W) take(vector(x, end, i)), put(x + i, vector(x, end, i));
    list = to;
    all += integer<kExact>(whole);
    return integer<kExact>(head);
  }
  template <bool kExact> ALWAYS uint64_t integer(const f64x8* sums) const {
    if (kExact) return sum_integers(kParts == 2 ? add_integers(sums[0], sums[kParts - 1]) : sums[0]);
    return weigher.integer(reduce_add(kParts == 2 ? add(sums[0], sums[kParts - 1]) : sums[0]));
  }
  // A page's weights, before they are rounded, and the sum of those that the cut keeps, rounded.
  NEVER_INLINE uint64_t weigh(size_t from, double* w) const {
    size_t end = count(from);
    f64x8 sum = splat(0.), edge = splat(cut.z);
    for (size_t i = 0; i < end; i += W) {
      f64x8 z[kParts];
      widen(vector(x + from, end, i), z);
      UNROLL for (size_t p = 0; p < kParts; p++) {
        f64x8 q = weigher.exactly(z[p]);
        store(w + i + 8 * p, q);
        sum = add_integers(sum, zero_below(weigher.integers(q), z[p], edge));
      }
    }
    uint64_t kept = sum_integers(sum);
    if (from + end > cut.index + 1)  // of those at the cut, what comes after it
      for (size_t i = from > cut.index ? 0 : cut.index + 1 - from; i < end; i++) if ((double)x[from + i] == cut.z) kept -= weigher.integer(weigher.rounded(w[i]));
    return kept;
  }
  // Exact sums of what the cut keeps.
  NEVER_INLINE void sum_exactly() {
    double w[kPage];
    for (size_t from = 0; from < n && !run.stopped(); from += kPage) sums[from / kPage] = weigh(from, w);
    add_up(), slack = 0;
  }
  // Sums for a draw, in the least time.
  void sum_quickly(double temperature) {
    T edge = cut.z > -infinity<double>() ? not_below(cut.z, T()) : -largest<T>(), none[W], *list = none;
    uint64_t all = 0;
    bool rough = sizeof(T) == 4 && Rough::fits(weigher, temperature, n);
    if (!rough && !may_be_near()) return sum_exactly();
    if constexpr (sizeof(T) == 4) {
      const Rough quick(weigher, temperature);
      for (size_t from = 0; rough && from < n && !run.stopped(); from += kPage) sums[from / kPage] = quick.sum(x + from, count(from), edge);
    }
    for (size_t from = 0; !rough && from < n && !run.stopped(); from += kPage) sums[from / kPage] = sum<false>(from, edge, edge, all, list);
    add_up(), slack = slack_of(rough ? Rough::kError : kNearError, .5, 0, (double)total);
  }
  void add_up() {
    total = 0;
    for (size_t page = 0; page * kPage < n; page++) total += sums[page];
  }

  // The first token with which the sum exceeds u times the whole.
  NEVER_INLINE uint32_t draw(double u) {
    for (double w[kPage];;) {
      if (run.stopped()) return kNoIndex;
      double target = u * (double)total;
      uint64_t sum = 0, each = 0;
      size_t page = 0, last = (n - 1) / kPage;
      while (page < last && (double)(sum + sums[page]) <= target) sum += sums[page++];
      size_t from = page * kPage, end = count(from), i = 0;
      weigh(from, w);
      for (; i < end && (double)sum <= target; i++) {
        each = weigher.integer(weigher.rounded(w[i]));
        sum += each = cut.keeps((double)x[from + i], from + i) ? each : 0;
      }
      if (slack == 0 || ((double)sum - target > slack && target - (double)(sum - each) > slack)) return (uint32_t)(from + i - 1);
      sum_exactly();
    }
  }
};

}  // namespace
