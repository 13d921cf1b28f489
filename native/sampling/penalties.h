// Sampling from rows whose logits penalties change, without a copy of the row where few logits matter.
//
// The changed tokens of a row are a hash table, which lib/sampling/token-table.ts keeps from draw to draw. Penalties
// mostly lower logits. So the largest changed logits are among those that were large before, and only these are looked
// up. Where a penalty may raise a logit, and for filters that read all tokens, the row is copied and changed.
#pragma once
#include "../rows/share_rows.h"
#include "filter.h"

namespace {

// The changed tokens of a row, and what happens to them.
struct PenaltyTable {
  static constexpr size_t kWords = 8, kSettings = 11, kFirstSetting = 6;
  enum Flag { kCountsPrompt = 1, kMayRaise = 2 };

  // Of a slot: token + 1 (0: it is empty), times in the output, times in the prompt, 1 if in the encoder; and two
  // doubles, added before penalties, and after. −∞ bans.
  const uint32_t* words;
  size_t capacity;  // a power of two
  double encoder, repetition, frequency, presence;
  int flags;
  int shift = 32;  // takes a hash to a slot

  // `settings` has the numbers of a row, from kFirstSetting on.
  PenaltyTable(const uint32_t* words, size_t capacity, const double* settings)
      : words(words), capacity(capacity), encoder(settings[0]), repetition(settings[1]), frequency(settings[2]),
        presence(settings[3]), flags(settings[4] >= 0 && settings[4] < 4 ? (int)settings[4] : 0) {
    for (size_t c = capacity; c > 1; c /= 2) shift--;
    shift = shift < 31 ? shift : 31;  // without slots
  }
  // Returns the changed logit of a token in a slot, rounded to T after each step.
  template <class T> T change(T x, size_t slot) const {
    const uint32_t* w = words + kWords * slot;
    double before, after;
    COPY(&before, w + 4, 8);
    COPY(&after, w + 6, 8);
    if (before == -infinity<double>() || after == -infinity<double>()) return -infinity<T>();
    T z = (T)((double)x + before);
    if (w[3] && encoder != 1) z = (T)(z > 0 ? (double)z * encoder : (double)z / encoder);
    if (w[1] | w[2]) {
      double times = (double)w[1] + (flags & kCountsPrompt ? (double)w[2] : 0), v = (double)z;
      if (repetition != 1) v = v > 0 ? v / repetition : v * repetition;
      v = v - times * frequency;
      z = (T)(v - (times > 0 ? presence : 0));
    }
    return (T)((double)z + after);
  }
  // Returns the first slot to look for a token in.
  ALWAYS size_t slot_of(size_t token) const { return (uint32_t)(((uint32_t)token + 1) * 0x9E3779B1u) >> shift; }
  // Returns the word that tells the token of a slot.
  ALWAYS uint32_t key_at(size_t slot) const { return capacity ? words[kWords * slot] : 0; }
  // Returns the logit of a token, changed if the table has it. `key` is the key at slot_of(token).
  template <class T> ALWAYS T value(T x, size_t token, uint32_t key) const {
    size_t slot = slot_of(token);
    for (size_t tried = 0; tried < capacity && key; tried++) {
      if (key == (uint32_t)token + 1) return change(x, slot);
      slot = (slot + 1) & (capacity - 1);
      key = key_at(slot);
    }
    return x;
  }
  // Changes the logits of items. All keys are read first: a read waits for memory, but not for the reads before it.
  template <class T> void change_items(Item* found, size_t n) const {
    uint32_t keys[kFewItems];
    for (size_t i = 0; i < n; i++) keys[i] = key_at(slot_of(found[i].index));
    for (size_t i = 0; i < n; i++) found[i].key = found[i].z = (double)value((T)found[i].z, found[i].index, keys[i]);
  }
  // Changes a whole row.
  template <class T> void apply(T* row, size_t n) const {
    for (size_t slot = 0; slot < capacity; slot++) {
      size_t token = (size_t)words[kWords * slot] - 1;
      if (words[kWords * slot] && token < n) row[token] = change(row[token], slot);
    }
  }
};

// The search for the first k changed logits of a row. Penalties lower logits only; the row has no NaN.
//
// A pass looks at the logits from `lowest` on. The k largest changed ones of them are those of the row if none of them
// is below `lowest`. If one is, it bounds the next pass, which then finds them.
template <class T> struct ChangedSearch {
  const RowSampler<T>& row;
  const PenaltyTable& table;
  size_t k;
  Item* items;  // the results: k in order
  size_t groups = (row.n + kGroup - 1) / kGroup;

  // Returns the last of the k items that a pass finds; −∞ if it finds fewer. No result is below `least`.
  NEVER_INLINE double pass(T lowest, double least) const {
    // A few items are collected, changed, and ranked if they are all. More of them go to a heap of the best.
    Item found[kFewItems];
    size_t count = 0, changed = 0;
    T bound = lowest;
    bool is_strict = false, has_heap = k > kFewItems / 2;
    BestItems best = {items, k, 0};
    auto change = [&]() {
      table.template change_items<T>(found + changed, count - changed);
      for (size_t i = changed; i < count; i++)
        if (!(found[i].key < least)) found[changed++] = found[i];
      count = changed;
    };
    auto offer = [&]() {
      for (size_t i = 0; i < count; i++) best.offer(found[i]);
      count = changed = 0;
      has_heap = true;
      if (!best.is_full() || items[0].key < (double)lowest) return;
      bound = (T)items[0].key;
      is_strict = true;  // a later item loses a tie
    };
    for (size_t g = 0; g < groups; g++) {
      T top = row.group_tops[g];
      if (is_strict ? !(top > bound) : top < bound) continue;
      size_t from = g * kGroup, to = row.n - from < kGroup ? row.n : from + kGroup;
      visit_from_bound(row.x, from, to, bound, is_strict, [&](size_t i) ALWAYS_LAMBDA {
        if (count == kFewItems) {
          change();
          if (has_heap || count > kFewItems * 3 / 4) offer();
        }
        found[count++] = {0, (double)row.x[i], 0, i};
      });
    }
    change();
    if (has_heap) {
      offer();
      if (!best.is_full()) return -infinity<double>();
      sort_items(items, k);
    } else {
      if (count < k) return -infinity<double>();
      rank_items(found, count, items, k);
    }
    return items[k - 1].key;
  }
  // Writes the items.
  void run(T top) const {
    for (size_t wanted = k + k / 2;; wanted *= 4) {
      T lowest = wanted <= groups ? find_bound(row.group_tops, groups, wanted, top) : -infinity<T>();
      double last = pass(lowest, -infinity<double>());
      if (last >= (double)lowest) return;
      if (last > -infinity<double>()) return (void)pass((T)last, last);
    }
  }
};

// Filters a row by its largest changed logits and sets its status. Returns false, without effect, if that needs a copy.
template <class T> bool filter_largest(RowSampler<T>& row, const PenaltyTable& table, int32_t& status) {
  const FiltersInUnits& filters = row.filters;
  const bool is_greedy = filters.temperature == 0;
  const size_t k = is_greedy ? 1 : filters.top_k;
  if ((!is_greedy && filters.top_k >= row.n) || table.flags & PenaltyTable::kMayRaise || row.n == 0) return false;
  T* tops = row.memory.group_tops(T()).need(row.n / kGroup + 1);
  if (!tops || !row.memory.list.need(k)) return true;
  RowScan<T> scan = scan_row<kGroup>(row.x, row.n, tops);
  if (scan.has_nan || scan.top - scan.top != 0) return false;
  row.group_tops = tops;
  Item* items = row.memory.list.data;
  ChangedSearch<T>{row, table, k, items}.run(scan.top);
  row.memory.list.size = k;
  row.weights.top = items[0].z;
  status = items[0].z - items[0].z != 0 ? kNothingFinite : kSampled;
  if (status != kSampled) return true;
  if (is_greedy) {
    items[0] = {0, items[0].z, 1, items[0].index};
    row.finish_list();
  } else {
    row.weigh_list();
    row.filter_list();
  }
  return true;
}

static inline Buffer<float>& copies_of(SampleMemory& memory, float) { return memory.floats; }
static inline Buffer<double>& copies_of(SampleMemory& memory, double) { return memory.doubles; }

// The work of sample_penalized.
template <class T> struct SamplePenalized {
  using Memory = SampleMemory;
  const T* x;
  uint32_t* tokens;
  int32_t* status;
  const double* uniforms;
  const uint32_t* words;
  const uint32_t* regions;  // of each row: the first slot of its table, and how many slots it has
  const double* settings;   // of each row: filters, then penalties
  size_t cols, slots;

  static size_t top_k_of(double k, size_t n) { return k >= 1 && k < (double)n ? (size_t)k : n; }
  void row(const Run&, Memory& memory, size_t i) const {
    const double* s = settings + i * PenaltyTable::kSettings;
    size_t start = regions[2 * i], capacity = regions[2 * i + 1];
    if (start > slots || capacity > slots - start || capacity < 2 || (capacity & (capacity - 1))) capacity = 0;
    const PenaltyTable table(words + PenaltyTable::kWords * (capacity ? start : 0), capacity,
                             s + PenaltyTable::kFirstSetting);
    const Filters filters = {top_k_of(s[0], cols), s[1], s[2], s[3], s[4], s[5]};
    const FiltersInUnits in_units(filters, 1);
    RowSampler<T> plain(memory, in_units, x + i * cols, cols, false);
    int32_t outcome = kSampled;
    if (filter_largest(plain, table, outcome)) return finish(plain, outcome, i);
    T* copy = copies_of(memory, T()).need(cols);
    if (!copy) return;
    for (size_t j = 0; j < cols; j++) copy[j] = x[i * cols + j];
    table.apply(copy, cols);
    RowSampler<T> changed(memory, in_units, copy, cols, false);
    outcome = changed.filter();
    finish(changed, outcome, i);
  }
  void finish(RowSampler<T>& row, int32_t outcome, size_t i) const {
    if (row.stopped()) return;
    status[i] = outcome;
    tokens[i] = outcome == kSampled ? row.draw(uniforms[i]) : kNoIndex;
  }
};

// The kernel.
template <class X, class Y>
void sample_penalized(const Run& run, const Stored<X>* x, uint32_t* tokens, int32_t* status, const double* uniforms,
                      const uint32_t* table, const uint32_t* regions, const double* settings, size_t rows, size_t cols,
                      size_t slots) {
  SamplePenalized<Stored<X>> work = {x, tokens, status, uniforms, table, regions, settings, cols, slots};
  share_rows(for_bytes(run, rows * cols * sizeof *x), rows, cols, work);
}

}  // namespace
