// One row of logits: its filters, and draws from the tokens that they keep.
//
// Filters have the order of the transformers library: temperature, top-k, top-p, min-p, typical-p, epsilon. Each filter
// looks at the probabilities that the filters before it left.
//
// The kept tokens are a list, or all tokens down to a cutoff with a sum for each chunk, if they may be most of the row.
// A draw goes through them in the order of indices, to the first with which the sum exceeds u times the total.
#pragma once
#include "filter_list.h"

namespace {

// A row and its kept tokens: filter() first, then draws and write_row.
template <class T> struct RowSampler : KeptList {
  const T* x;
  size_t n;
  bool wants_exact;  // probabilities are written, from exact sums
  const T* group_tops = nullptr;
  ChunkSums<T> chunks;

  RowSampler(SampleMemory& memory, const FiltersInUnits& filters, const T* x, size_t n, bool wants_exact)
      : KeptList(memory, filters, n), x(x), n(n), wants_exact(wants_exact), chunks(weights, memory.list.run, x, n) {}

  // Applies the filters and returns the row's status. Without memory the call has stopped: the status means nothing.
  NEVER_INLINE int32_t filter() {
    T* tops = memory.group_tops(T()).need(n / kGroup + 1);
    if (!tops) return kSampled;
    RowScan<T> scan = scan_row<kGroup>(x, n, tops);
    if (scan.has_nan) return kHasNaN;
    if (scan.top - scan.top != 0) return kNothingFinite;
    group_tops = tops;
    weights.top = (double)scan.top;
    memory.list.size = 0;
    bool wants_list = filters.top_k < n || filters.typical_p < 1;
    if (filters.temperature == 0 || (filters.top_p <= 0 && !wants_list)) {
      size_t first = find_index(x, scan.group * kGroup, n, scan.top);
      memory.list.push({0, (double)x[first], 1, first});  // `top` may be a zero of the other sign
      finish_list();
    } else if (wants_list) {
      size_t k = filters.top_k < n ? filters.top_k : n;
      if (!memory.list.need(k)) return kSampled;
      find_top_items(x, n, group_tops, scan.top, k, memory.list.data);
      memory.list.size = k;
      weigh_list();
      filter_list();
    } else if (filters.top_p >= 1 && has_few_from(weights.top + filters.min_distance)) {
      list_from(weights.top + filters.min_distance);
      weigh_list();
      keep_likely();
    } else if (!(filters.top_p < 1 ? filter_few(scan.top) : filters.epsilon > 0 && filter_likely())) {
      filter_chunks();
    }
    return kSampled;
  }

  // Applies the filters to a list of the most probable tokens, if these are sure to hold the nucleus. Returns false,
  // without effect, if they do not, or if rough sums do not decide where it ends.
  bool filter_few(T top) {
    if constexpr (sizeof(T) == 4) {
      if (!has_rough_sum()) return false;
      constexpr size_t kFew = 64;
      double least_total = sum_group_tops();
      // The first kFew tokens weigh at most 1 each.
      if (filters.top_p * least_total > (double)kFew) return false;
      double listed = list_top_items(top, kFew);
      if (listed < filters.top_p * least_total * weights.integer_of_one) return drop_list();
      double all = sum_roughly(), target = filters.top_p * all, slack = filters.top_p * rough_error(all);
      if (listed < target && n >= 4 * kFew * kGroup && listed * 4 > target * 3) listed = list_top_items(top, 4 * kFew);
      if (listed - target < slack || !is_apart(target, slack)) return drop_list();
      filter_list_to(target);
      return true;
    }
    return false;
  }
  bool drop_list() {
    memory.list.size = 0;
    return false;
  }
  static constexpr size_t kFewestForRough = 1 << 14;
  bool has_rough_sum() const {
    return n >= kFewestForRough && RoughSum::is_usable(weights, filters.temperature, n);
  }
  // Returns the sum of all weights as an integer. Max error: rough_error.
  NEVER_INLINE double sum_roughly() const {
    const RoughSum rough(weights, filters.temperature);
    double all = 0;
    for (size_t from = 0; from < n && !stopped(); from += kSuper)
      all += (double)rough.sum(x + from, n - from < kSuper ? n - from : kSuper, -largest<T>());
    return all;
  }
  double rough_error(double all) const { return all * (RoughSum::kError + 0x1p-44) + (double)n; }

  // Lists the tokens of at least the probability epsilon, and the largest, if no other filter comes before. Returns
  // false, without effect, if these may be many, or if a rough sum does not decide which they are.
  bool filter_likely() {
    if constexpr (sizeof(T) == 4) {
      if (filters.min_distance > -infinity<double>() || !has_rough_sum()) return false;
      double all = sum_roughly(), bound = filters.epsilon * all, slack = filters.epsilon * rough_error(all) + 1;
      double share = (bound - slack) / weights.integer_of_one, octaves = 0;
      if (!(share > 0x1p-40)) return false;
      for (; share < 1; share *= 2) octaves--;
      double least = weights.top + (8 * octaves - 1) / weights.eighths;
      if (!has_few_from(least, 2)) return false;
      list_from(least);
      weigh_list();
      for (size_t i = 0; i < memory.list.size; i++) {
        double off = (double)weights.to_integer(memory.list.data[i].weight) - bound;
        if (off <= slack && off >= -slack && memory.list.data[i].z != weights.top) return drop_list();
      }
      keep_if([&](const Item& item) ALWAYS_LAMBDA {
        return (double)weights.to_integer(item.weight) >= bound || item.z == weights.top;
      });
      finish_list();
      return true;
    }
    return false;
  }
  // Returns a lower bound of the sum of weights, in weights of 1: that of the group tops, less their error.
  double sum_group_tops() const {
    constexpr size_t W = ExpTraits<T>::kLanes;
    const double deepest = weights.top - 512 / weights.eighths;
    f64x8 sum = splat(0.);
    for (size_t g = 0, groups = (n + kGroup - 1) / kGroup; g < groups; g += W) {
      f64x8 z[W / 8];
      widen(ChunkSums<T>::load_vector(group_tops, groups, g), z);
      UNROLL for (size_t p = 0; p < W / 8; p++)
        sum = add_from(sum, weights.approximate(max_keep_nan(splat(deepest), z[p])), z[p], splat(deepest));
    }
    return reduce_add(sum) * (1 - 0x1p-30);
  }
  // Lists the first k tokens with their weights. Returns the sum of these.
  double list_top_items(T top, size_t k) {
    memory.list.size = 0;
    if (!memory.list.need(k)) return 0;
    find_top_items(x, n, group_tops, top, k, memory.list.data);
    memory.list.size = k;
    weigh_list();
    return (double)sum_list();
  }

  // Whether few groups, 1 of `part`, have a logit of at least `least`: few enough for a list.
  bool has_few_from(double least, size_t part = 16) const {
    size_t groups = (n + kGroup - 1) / kGroup, count = 0;
    for (size_t g = 0; g < groups; g++) count += (double)group_tops[g] >= least;
    return count <= 1 + groups / part;
  }
  // Lists all logits that are not below `least`, by index.
  void list_from(double least) {
    T bound = (T)least;
    bool is_strict = false;
    for (size_t g = 0; g * kGroup < n; g++) {
      size_t from = g * kGroup, to = n - from < kGroup ? n : from + kGroup;
      if (group_tops[g] < bound) continue;
      visit_from_bound(x, from, to, bound, is_strict, [&](size_t i) ALWAYS_LAMBDA {
        double z = (double)x[i];
        if (z >= least || z == weights.top) memory.list.push({0, z, 0, i});
      });
    }
  }

  // Applies top-p, min-p and epsilon to the whole row, as a cutoff.
  void filter_chunks() {
    uint64_t* sums = memory.sums.need(n / kChunk + 1);
    if (!sums) return;
    chunks.set_memory(sums);
    bool is_exact = wants_exact || filters.epsilon > 0;
    if (filters.top_p < 1) {
      Nucleus<T> nucleus(chunks, group_tops, filters.top_p, memory.nucleus(T()));
      if (is_exact || !chunks.is_approximable() || !nucleus.find_cutoff(false)) nucleus.find_cutoff(true);
      if (stopped()) return;
    }
    if (raise_cutoff() || filters.top_p >= 1)
      is_exact ? chunks.sum_exactly() : chunks.sum_quickly(filters.temperature);
    total = chunks.total;
    if (filters.epsilon > 0) list_likely();
  }
  // Raises the cutoff to min_distance below the top. Returns false if it is as high already.
  bool raise_cutoff() {
    double least = weights.top + filters.min_distance;
    bool is_raised = least > chunks.cutoff.z;
    if (is_raised) chunks.cutoff = {least < weights.top ? least : weights.top, n};
    return is_raised;
  }
  // Lists the kept tokens of at least the probability epsilon, and the largest.
  void list_likely() {
    double w[kChunk], bound = filters.epsilon * (double)total;
    for (size_t from = 0; from < n; from += kChunk) {
      chunks.weigh(from, w);
      for (size_t i = 0, end = chunks.chunk_size(from); i < end; i++) {
        double z = (double)x[from + i], rounded = weights.round(w[i]);
        if (chunks.cutoff.keeps(z, from + i) && ((double)weights.to_integer(rounded) >= bound || z == weights.top))
          memory.list.push({0, z, rounded, from + i});
      }
    }
    finish_list();
  }

  // Returns the token that a uniform number u in [0, 1) draws.
  uint32_t draw(double u) {
    if (!list) return chunks.draw(u);
    double target = u * (double)total;
    uint64_t sum = 0;
    size_t i = 0;
    while ((double)(sum += weights.to_integer(list[i].weight)) <= target) i++;
    return (uint32_t)list[i].index;
  }

  // Returns the zero point of kept logits: 0, or the largest logit if its quotient by the temperature is no finite R.
  template <class R> double origin() const {
    R largest = (R)(weights.top / filters.divisor());
    return largest - largest != 0 ? weights.top : 0;
  }
  // Writes one kept token: its logit z over the divisor, and its probability from the weight w.
  template <class R>
  void write_token(R* kept, R* probabilities, size_t i, double z, double w, double origin, double divisor) const {
    if (kept) kept[i] = (R)((z - origin) / divisor);
    if (probabilities)
      probabilities[i] = (R)(weights.distance(z) > -512 ? w / ((double)total / weights.integer_of_one) : 0);
  }
  // Writes columns [from, to): kept logits and probabilities, −∞ and 0 where a token is not kept.
  template <class R> NEVER_INLINE void write_columns(R* kept, R* probabilities, size_t from, size_t to) const {
    if (kept)
      for (size_t i = from; i < to; i++) kept[i] = -infinity<R>();
    if (probabilities)
      for (size_t i = from; i < to; i++) probabilities[i] = 0;
    double w[kChunk], origin = this->template origin<R>(), divisor = filters.divisor();
    for (size_t i = 0; list && i < size; i++) {
      if (list[i].index < from || list[i].index >= to || list[i].z - list[i].z != 0) continue;
      store(w, weights.exact(splat(list[i].z)));
      write_token(kept, probabilities, list[i].index, list[i].z, w[0], origin, divisor);
    }
    for (size_t chunk = from; !list && chunk < to; chunk += kChunk) {
      chunks.weigh(chunk, w);
      for (size_t i = chunk; i < to && i < chunk + kChunk; i++) {
        double z = (double)x[i];
        if (chunks.cutoff.keeps(z, i) && z - z == 0)
          write_token(kept, probabilities, i, z, w[i - chunk], origin, divisor);
      }
    }
  }
  // Writes the row. Threads share the parts of a long row.
  template <class R> void write_row(R* kept, R* probabilities) const {
    struct PartTasks {
      const RowSampler& row;
      R *kept, *probabilities;
      static void part(void* self, size_t i) {
        const PartTasks& tasks = *(const PartTasks*)self;
        size_t from = i * kSuper, to = tasks.row.n - from < kSuper ? tasks.row.n : from + kSuper;
        if (!tasks.row.stopped()) tasks.row.write_columns(tasks.kept, tasks.probabilities, from, to);
      }
    } tasks = {*this, kept, probabilities};
    if (n <= kSuper) PartTasks::part(&tasks, 0);
    else memory.list.run.parallel((n + kSuper - 1) / kSuper, PartTasks::part, &tasks);
  }
  bool stopped() const { return memory.list.run.stopped(); }
};

}  // namespace
