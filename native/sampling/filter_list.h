// The kept tokens of a row as a list, and the filters that work on a list.
//
// filter_list takes items in the order of logits and applies top-p, min-p, typical-p and epsilon, in this order.
// finish_list orders the kept tokens by index, and sums them for draws.
#pragma once
#include "../rows/logit_reader.h"
#include "nucleus.h"

namespace {

// The filters of a row whose logits are multiples of a unit.
struct FiltersInUnits : Filters {
  double unit;  // 1; 4 for quarters; less for logits that were raised

  FiltersInUnits(const Filters& filters, double unit) : Filters(filters), unit(unit) {}
  // Returns the filters for logits in units of `other`, a power of two.
  FiltersInUnits in_units(double other) const {
    FiltersInUnits scaled = *this;
    double least = 0x1p-1074, t = temperature / other;
    scaled.temperature = temperature == 0 || t > least ? t : least;
    scaled.min_distance = min_distance / other;
    scaled.unit = other * unit;
    return scaled;
  }
  // Returns the divisor that makes a logit a kept logit. Greedy rows keep their logits as they were.
  double divisor() const { return temperature > 0 ? temperature : 1 / unit; }
};

// The status of a row.
enum { kSampled = 0, kHasNaN = 1, kNothingFinite = 2 };

// The memory of a task: for reading rows, for lists, and for the nucleus of either type.
struct SampleMemory : RowMemory {
  Buffer<Item> list;
  NucleusMemory<float> float_nucleus;
  NucleusMemory<double> double_nucleus;
  Buffer<uint64_t> sums;
  explicit SampleMemory(const Run& run)
      : RowMemory(run), list(run), float_nucleus(run), double_nucleus(run), sums(run) {}
  NucleusMemory<float>& nucleus(float) { return float_nucleus; }
  NucleusMemory<double>& nucleus(double) { return double_nucleus; }
};

// The part of a row's sampling that does not depend on the type of the row.
struct KeptList {
  SampleMemory& memory;
  const FiltersInUnits& filters;
  TokenWeights weights;
  Item* list = nullptr;  // the kept tokens, by index; null: the chunks' cutoff says which are kept
  size_t size = 0;
  uint64_t total = 0;

  KeptList(SampleMemory& memory, const FiltersInUnits& filters, size_t n)
      : memory(memory), filters(filters),
        weights(0, filters.temperature == 0 ? 1 : eighths_per_logit(filters.temperature), n) {}

  // Applies the filters after top-k to a list in the order of logits.
  void filter_list() { filter_list_to(filters.top_p < 1 ? filters.top_p * (double)sum_list() : infinity<double>()); }
  // Keeps the first items whose sum reaches `target`, then applies the filters after top-p.
  NEVER_INLINE void filter_list_to(double target) {
    Buffer<Item>& items = memory.list;
    uint64_t sum = 0;
    size_t kept = 0;
    do sum += weights.to_integer(items.data[kept++].weight);
    while (kept < items.size && (double)sum < target);
    items.size = kept;
    keep_if([&](const Item& item) ALWAYS_LAMBDA {
      return item.z >= weights.top + filters.min_distance || item.z == weights.top;
    });
    if (filters.typical_p < 1) keep_typical();
    keep_likely();
  }
  // Keeps the smallest set with the probability typical_p, in the order of the distance of −log p from its mean.
  SELDOM void keep_typical() {
    Buffer<Item>& items = memory.list;
    double sum = 0, weight_sum = 0;
    for (size_t i = 0; i < items.size; i++) {
      sum += items.data[i].weight * weights.distance(items.data[i].z);
      weight_sum += items.data[i].weight;
    }
    double mean = sum / weight_sum;
    for (size_t i = 0; i < items.size; i++) {
      double off = weights.distance(items.data[i].z) - mean;
      items.data[i].key = off < 0 ? off : -off;
    }
    double target = filters.typical_p * (double)sum_list();
    sort_items(items.data, items.size);
    uint64_t reached = 0;
    size_t kept = 0;
    do reached += weights.to_integer(items.data[kept++].weight);
    while (kept < items.size && (double)reached < target);
    items.size = kept;
  }
  // Keeps tokens of at least the probability epsilon, and the largest. It finishes the list.
  NEVER_INLINE void keep_likely() {
    if (filters.epsilon > 0) {
      double least = filters.epsilon * (double)sum_list(), most = -infinity<double>();
      for (size_t i = 0; i < memory.list.size; i++)
        most = memory.list.data[i].z > most ? memory.list.data[i].z : most;
      keep_if([&](const Item& item) ALWAYS_LAMBDA {
        return (double)weights.to_integer(item.weight) >= least || item.z == most;
      });
    }
    finish_list();
  }
  template <class Condition> ALWAYS void keep_if(Condition condition) {
    Buffer<Item>& items = memory.list;
    size_t kept = 0;
    for (size_t i = 0; i < items.size; i++)
      if (condition(items.data[i])) items.data[kept++] = items.data[i];
    items.size = kept;
  }
  // Returns the sum of the list's weights as an integer.
  uint64_t sum_list() const {
    uint64_t sum = 0;
    for (size_t i = 0; i < memory.list.size; i++) sum += weights.to_integer(memory.list.data[i].weight);
    return sum;
  }
  // Whether no sum of the first items is within `slack` of `target`.
  bool is_apart(double target, double slack) const {
    uint64_t sum = 0;
    for (size_t i = 0; i < memory.list.size && (double)sum < target + slack; i++) {
      sum += weights.to_integer(memory.list.data[i].weight);
      if ((double)sum - target <= slack && target - (double)sum <= slack) return false;
    }
    return true;
  }
  void weigh_list() { weigh_items(weights, memory.list.data, memory.list.size); }
  // Makes the list the kept tokens: by index, with its total.
  NEVER_INLINE void finish_list() {
    list = memory.list.data;
    size = memory.list.size;
    bool is_sorted = true;
    for (size_t i = 0; i < size; i++) {
      list[i].key = -(double)list[i].index;
      is_sorted = is_sorted && (i == 0 || list[i - 1].index < list[i].index);
    }
    if (!is_sorted && size <= kFewItems) {
      Item items[kFewItems];
      for (size_t i = 0; i < size; i++) items[i] = list[i];
      rank_items(items, size, list, size);
    } else if (!is_sorted) {
      sort_items(list, size);
    }
    total = sum_list();
  }
};

}  // namespace
