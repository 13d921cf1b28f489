// One row of logits: its filters, and draws from what they leave. Filters and their order are those of transformers: temperature,
// top-k, top-p, min-p, typical-p, epsilon; each looks at the probabilities that the ones before it left.
//
// What is left of a row is a list of items, or, where it may be most of the row, all down to a cut, with a sum for each page.
// A draw goes through what is left in the order of indices: the first token with which the sum exceeds u times the whole.
#pragma once
#include "nucleus.h"

namespace {

// The filters of a row whose logits are held in another unit.
struct FiltersInUnits : Filters {
  double unit;  // 1; 4 of quarters; less of logits that have been raised

  FiltersInUnits(const Filters& filters, double unit) : Filters(filters), unit(unit) {}
  // For logits in units of `other`, a power of two.
  FiltersInUnits in_units(double other) const {
    FiltersInUnits same = *this;
    double least = 0x1p-1074, t = temperature / other;
    same.temperature = temperature == 0 || t > least ? t : least, same.min_distance = min_distance / other;
    same.unit = other * unit;
    return same;
  }
  // What logits are divided by to be kept; greedy ones are as they were.
  double divisor() const { return temperature > 0 ? temperature : 1 / unit; }
};

enum { kSampled = 0, kHasNaN = 1, kNothingFinite = 2 };

struct SampleMemory : RowMemory {
  Buffer<Item> list;
  NucleusMemory<float> float_nucleus;
  NucleusMemory<double> double_nucleus;
  Buffer<uint64_t> sums;
  explicit SampleMemory(const Run& run) : RowMemory(run), list(run), float_nucleus(run), double_nucleus(run), sums(run) {}
  NucleusMemory<float>& nucleus(float) { return float_nucleus; }
  NucleusMemory<double>& nucleus(double) { return double_nucleus; }
};

// What is left of a row as a list, of whatever type the row is.
struct SampleList {
  SampleMemory& memory;
  const FiltersInUnits& filters;
  Weigher weigher;
  Item* list = nullptr;  // what is left, by index; null: all that the cut of the row's pages keeps
  size_t size = 0;
  uint64_t total = 0;

  SampleList(SampleMemory& m, const FiltersInUnits& f, size_t n) : memory(m), filters(f), weigher(0, f.temperature == 0 ? 1 : eighths_of(f.temperature), n) {}

  // A list in the order of logits, cut by the other filters.
  NEVER_INLINE void cut_list() {
    Buffer<Item>& items = memory.list;
    if (filters.top_p < 1) {
      double target = filters.top_p * (double)sum_list();
      uint64_t sum = 0;
      size_t kept = 0;
      do sum += weigher.integer(items.data[kept++].weight); while (kept < items.size && (double)sum < target);
      items.size = kept;
    }
    keep([&](const Item& item) ALWAYS_LAMBDA { return item.z >= weigher.top + filters.min_distance || item.z == weigher.top; });
    if (filters.typical_p < 1) keep_typical();
    keep_likely();
  }
  // By the distance of −log p from its mean: the smallest set with the share typical_p.
  SELDOM void keep_typical() {
    Buffer<Item>& items = memory.list;
    double sum = 0, weights = 0;
    for (size_t i = 0; i < items.size; i++) sum += items.data[i].weight * weigher.distance(items.data[i].z), weights += items.data[i].weight;
    double mean = sum / weights;
    for (size_t i = 0; i < items.size; i++) {
      double off = weigher.distance(items.data[i].z) - mean;
      items.data[i].key = off < 0 ? off : -off;
    }
    double target = filters.typical_p * (double)sum_list();
    sort_items(items.data, items.size);
    uint64_t reached = 0;
    size_t kept = 0;
    do reached += weigher.integer(items.data[kept++].weight); while (kept < items.size && (double)reached < target);
    items.size = kept;
  }
  NEVER_INLINE void keep_likely() {
    if (filters.epsilon > 0) {
      double least = filters.epsilon * (double)sum_list(), most = -infinity<double>();
      for (size_t i = 0; i < memory.list.size; i++) most = memory.list.data[i].z > most ? memory.list.data[i].z : most;
      keep([&](const Item& item) ALWAYS_LAMBDA { return (double)weigher.integer(item.weight) >= least || item.z == most; });
    }
    use_list();
  }
  template <class Which> ALWAYS void keep(Which which) {
    Buffer<Item>& items = memory.list;
    size_t kept = 0;
    for (size_t i = 0; i < items.size; i++) if (which(items.data[i])) items.data[kept++] = items.data[i];
    items.size = kept;
  }
  uint64_t sum_list() const {
    uint64_t sum = 0;
    for (size_t i = 0; i < memory.list.size; i++) sum += weigher.integer(memory.list.data[i].weight);
    return sum;
  }
  void weigh_list() { weigh_items(weigher, memory.list.data, memory.list.size); }
  NEVER_INLINE void use_list() {
    list = memory.list.data, size = memory.list.size;
    bool sorted = true;
    for (size_t i = 0; i < size; i++) list[i].key = -(double)list[i].index, sorted = sorted && (i == 0 || list[i - 1].index < list[i].index);
    if (!sorted && size <= kFew) {
      Item items[kFew];
      for (size_t i = 0; i < size; i++) items[i] = list[i];
      place(items, size, list, size);
    } else if (!sorted) {
      sort_items(list, size);
    }
    total = sum_list();
  }
};

template <class T> struct SampleRow : SampleList {
  const T* x;
  size_t n;
  bool writes;  // probabilities are wanted, which need exact sums
  const T* tops = nullptr;
  Paged<T> pages;

  SampleRow(SampleMemory& m, const FiltersInUnits& f, const T* x, size_t n, bool writes) : SampleList(m, f, n), x(x), n(n), writes(writes), pages(weigher, m.list.run, x, n) {}

  // Whether the row could be sampled. Without memory the call has stopped, and this tells nothing.
  NEVER_INLINE int32_t filter() {
    T* groups = memory.tops(T()).need(n / kTopGroup + 1);
    if (!groups) return kSampled;
    Look<T> seen = look_at<kTopGroup>(x, n, groups);
    if (seen.nan) return kHasNaN;
    if (seen.top - seen.top != 0) return kNothingFinite;
    tops = groups, weigher.top = (double)seen.top;
    memory.list.size = 0;
    bool listed = filters.top_k < n || filters.typical_p < 1;
    if (filters.temperature == 0 || (filters.top_p <= 0 && !listed)) {
      size_t first = index_of(x, seen.group * kTopGroup, n, seen.top);
      memory.list.push({0, (double)x[first], 1, first});  // `top` may be the zero of another sign
      use_list();
    } else if (listed) {
      size_t k = filters.top_k < n ? filters.top_k : n;
      if (!memory.list.need(k)) return kSampled;
      top_items(x, n, tops, seen.top, k, memory.list.data);
      memory.list.size = k;
      weigh_list();
      cut_list();
    } else if (filters.top_p >= 1 && is_rare(weigher.top + filters.min_distance)) {
      take_from(weigher.top + filters.min_distance);
      weigh_list();
      keep_likely();
    } else {
      use_pages();
    }
    return kSampled;
  }

  // Whether few groups have a logit as large: few enough for a list.
  bool is_rare(double least) const {
    size_t groups = (n + kTopGroup - 1) / kTopGroup, count = 0;
    for (size_t g = 0; g < groups; g++) count += (double)tops[g] >= least;
    return count <= 1 + groups / 16;
  }
  // All that is not below a logit, by index.
  void take_from(double least) {
    T bound = (T)least;
    bool strict = false;
    for (size_t g = 0; g * kTopGroup < n; g++) {
      size_t from = g * kTopGroup, to = n - from < kTopGroup ? n : from + kTopGroup;
      if (tops[g] < bound) continue;
      for_each_above(x, from, to, bound, strict, [&](size_t i) ALWAYS_LAMBDA {
        double z = (double)x[i];
        if (z >= least || z == weigher.top) memory.list.push({0, z, 0, i});
      });
    }
  }

  void use_pages() {
    uint64_t* sums = memory.sums.need(n / kPage + 1);
    if (!sums) return;
    pages.begin(sums);
    bool exactly = writes || filters.epsilon > 0;
    if (filters.top_p < 1) {
      Nucleus<T> nucleus(pages, tops, filters.top_p, memory.nucleus(T()));
      if (exactly || !pages.may_be_near() || !nucleus.find(false)) nucleus.find(true);
      if (stopped()) return;
    }
    if (raise_cut() || filters.top_p >= 1) exactly ? pages.sum_exactly() : pages.sum_quickly(filters.temperature);
    total = pages.total;
    if (filters.epsilon > 0) keep_likely_of_pages();
  }
  bool raise_cut() {
    double least = weigher.top + filters.min_distance;
    bool raised = least > pages.cut.z;
    if (raised) pages.cut = {least < weigher.top ? least : weigher.top, n};
    return raised;
  }
  void keep_likely_of_pages() {
    double w[kPage], bound = filters.epsilon * (double)total;
    for (size_t from = 0; from < n; from += kPage) {
      pages.weigh(from, w);
      for (size_t i = 0, end = pages.count(from); i < end; i++) {
        double z = (double)x[from + i], rounded = weigher.rounded(w[i]);
        if (pages.cut.keeps(z, from + i) && ((double)weigher.integer(rounded) >= bound || z == weigher.top)) memory.list.push({0, z, rounded, from + i});
      }
    }
    use_list();
  }

  uint32_t draw(double u) {
    if (!list) return pages.draw(u);
    double target = u * (double)total;
    uint64_t sum = 0;
    size_t i = 0;
    while ((double)(sum += weigher.integer(list[i].weight)) <= target) i++;
    return (uint32_t)list[i].index;
  }

  // What kept logits are relative to: nothing, or the largest one, if that divided by the temperature is no finite R.
  template <class R> double origin() const {
    R largest = (R)(weigher.top / filters.divisor());
    return largest - largest != 0 ? weigher.top : 0;
  }
  template <class R> void put(R* kept, R* probabilities, size_t i, double z, double w, double origin, double divisor) const {
    if (kept) kept[i] = (R)((z - origin) / divisor);
    if (probabilities) probabilities[i] = (R)(weigher.distance(z) > -512 ? w / ((double)total / weigher.unit) : 0);
  }
  // What is left of columns [from, to), and −∞ and 0 elsewhere.
  template <class R> NEVER_INLINE void write(R* kept, R* probabilities, size_t from, size_t to) const {
    if (kept) for (size_t i = from; i < to; i++) kept[i] = -infinity<R>();
    if (probabilities) for (size_t i = from; i < to; i++) probabilities[i] = 0;
    double w[kPage], origin = this->template origin<R>(), divisor = filters.divisor();
    for (size_t i = 0; list && i < size; i++) {
      if (list[i].index < from || list[i].index >= to || list[i].z - list[i].z != 0) continue;
      store(w, weigher.exactly(splat(list[i].z)));
      put(kept, probabilities, list[i].index, list[i].z, w[0], origin, divisor);
    }
    for (size_t page = from; !list && page < to; page += kPage) {
      pages.weigh(page, w);
      for (size_t i = page; i < to && i < page + kPage; i++) {
        double z = (double)x[i];
        if (pages.cut.keeps(z, i) && z - z == 0) put(kept, probabilities, i, z, w[i - page], origin, divisor);
      }
    }
  }
  // All of it, long rows with their parts shared among threads.
  template <class R> void write(R* kept, R* probabilities) const {
    struct Parts {
      const SampleRow& row;
      R *kept, *probabilities;
      static void part(void* self, size_t i) {
        const Parts& p = *(const Parts*)self;
        size_t from = i * kSuper, to = p.row.n - from < kSuper ? p.row.n : from + kSuper;
        if (!p.row.stopped()) p.row.write(p.kept, p.probabilities, from, to);
      }
    } parts = {*this, kept, probabilities};
    if (n <= kSuper) Parts::part(&parts, 0);
    else memory.list.run.parallel((n + kSuper - 1) / kSuper, Parts::part, &parts);
  }
  bool stopped() const { return memory.list.run.stopped(); }
};

}  // namespace
