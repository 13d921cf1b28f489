// Nucleus (top-p): the smallest set of the most probable tokens that has the share p of all, found without sorting.
//
// A sample of the row tells between which two logits its edge must lie. One reading of the row weighs it, sums what lies above,
// and takes out what lies between; a histogram over the logits of these, and of one bucket of it, and so on, leads to the one
// that is the edge. If the edge was not between them after all, it is looked for above or below: slower, and as right.
#pragma once
#include "weights.h"

namespace {

// The last logit that is kept, in the order of select.h.
struct Cut {
  double z;
  size_t index;
  ALWAYS bool keeps(double other, size_t at) const { return other > z || (other == z && at <= index); }
};

template <class T> struct Nucleus {
  static constexpr size_t W = ExpTraits<T>::kLanes, kParts = W / 8, kSample = 4096, kBuckets = 1024, kFine = 256, kFew = 64;
  const Weigher& weigher;
  const T* x;
  size_t n;
  double p;
  Buffer<Item>&inside, &work;
  uint64_t* pages;  // the sum of what is kept in each page
  Cut cut = {0, 0};

  ALWAYS auto vector(size_t i, size_t left) const { return left < W ? load_n(x + i, left, -infinity<T>()) : load(x + i); }

  // Logits between which the edge lies as far as a sample can tell: three standard deviations; and all above, if that is little.
  void bracket(T& low, T& high) const {
    double mass[kBuckets] = {}, square[kBuckets] = {}, w[W], all = 0, squares = 0;
    uint32_t counts[kBuckets] = {}, count = 0;
    size_t stride = n / kSample * W;
    auto deepest = splat((T)0);
    for (size_t i = 0; i + W <= n; i += stride) deepest = max_skip_nan(deepest, sub(splat((T)weigher.top), load(x + i)));
    double range = (double)reduce_max(deepest), most = 46 * 8 / weigher.scale;
    if (range > most) range = most;
    if (!(range > 0 && range < 0x1p1000)) return;
    double factor = (kBuckets - 1) / range;
    for (size_t i = 0; i + W <= n; i += stride) {
      f64x8 z[kParts];
      widen(load(x + i), z);
      for (size_t part = 0; part < kParts; part++) store(w + 8 * part, weigher.exactly(z[part]));
      for (size_t j = 0; j < W; j++) {
        double at = (weigher.top - (double)x[i + j]) * factor;
        size_t b = at < kBuckets - 1 ? (size_t)at : kBuckets - 1;
        mass[b] += w[j], square[b] += w[j] * w[j], all += w[j], squares += w[j] * w[j], counts[b]++;
      }
    }
    double cumulated = 0, squared = 0;
    for (size_t b = 0; b < kBuckets; b++) {
      double off = cumulated - p * all, variance = (1 - p) * (1 - p) * squared + p * p * (squares - squared), edge = weigher.top - (double)b / factor;
      bool sure = off * off > 9 * variance;
      if (sure && off < 0 && count >= kFew) high = (T)edge;
      if (off > 0 && (sure || (all - cumulated) * 8 < (1 - p) * all)) {  // or few tokens outweigh the others, and the sample's edge lies low
        low = (T)edge;
        return;
      }
      cumulated += mass[b], squared += square[b], count += counts[b];
    }
  }

  // A page's sum of what is not below `high`, with what lies between taken out; `all` grows by the whole sum.
  uint64_t page(size_t from, T low, T high, uint64_t& all) {
    size_t count = n - from < kPage ? n - from : kPage;
    double w[kPage];
    uint64_t between[kPage / 64] = {};
    f64x8 sum = splat(0.), head = splat(0.), edge = splat((double)high);
    const auto lowest = splat(low), highest = splat(high);
    for (size_t i = 0; i < count; i += W) {
      size_t left = count - i < W ? count - i : W;
      auto v = vector(from + i, left);
      f64x8 z[kParts];
      widen(v, z);
      for (size_t part = 0; part < kParts; part++) {
        f64x8 q = weigher.of(z[part]);
        store(w + i + 8 * part, q);
        sum = add(sum, q), head = add(head, zero_below(q, z[part], edge));
      }
      uint32_t lanes = lanes_above(highest, v) & ~lanes_above(lowest, v) & ((1u << left) - 1);
      between[i / 64] |= (uint64_t)lanes << (i & 63);
    }
    for (size_t i = 0; i < count; i += 64)
      for (uint64_t bits = between[i / 64]; bits; bits &= bits - 1) {
        size_t at = i + lowest_bit(bits);
        double z = (double)x[from + at];
        inside.push({z, z, w[at], from + at});
      }
    all += weigher.integer(sum);
    return weigher.integer(head);
  }

  // The first item, in order, with which the sum reaches the target.
  void walk(const Item* items, double target, uint64_t sum) {
    for (;; items++) {
      sum += weigher.integer(items->weight);
      if ((double)sum >= target) break;
    }
    cut = {items->z, items->index};
  }
  void refine(double target, uint64_t sum) {
    const Item* items = inside.data;
    for (size_t count = inside.size;;) {
      double top = items[0].z, bottom = top;
      for (size_t i = 1; i < count; i++) top = items[i].z > top ? items[i].z : top, bottom = items[i].z < bottom ? items[i].z : bottom;
      double range = top - bottom;
      if (range == 0) return walk(items, target, sum);  // taken out in the order of their indices
      uint64_t sums[kFine] = {};
      size_t counts[kFine] = {}, b = 0;
      double factor = (kFine - 1) / range;
      bool splits = count > 32 && range < 0x1p1000 && factor < 0x1p1000;
      if (splits) {
        auto bucket = [&](const Item& item) ALWAYS_LAMBDA { return (size_t)((top - item.z) * factor); };
        for (size_t i = 0; i < count; i++) sums[bucket(items[i])] += weigher.integer(items[i].weight), counts[bucket(items[i])]++;
        while ((double)(sum + sums[b]) < target || counts[b] == 0) sum += sums[b++];
        splits = counts[b] < count;
        work.size = items == inside.data ? 0 : work.size;
        Item* kept = work.need(count);
        const Item* from = items == inside.data ? items : kept;
        size_t size = 0;
        for (size_t i = 0; i < count; i++) if (bucket(from[i]) == b) kept[size++] = from[i];
        items = kept, count = work.size = size;
      }
      if (!splits) {
        Item* all = work.need(count);
        if (items == inside.data) for (size_t i = 0; i < count; i++) all[i] = items[i];
        sort_items(all, count);
        return walk(all, target, sum);
      }
    }
  }

  // Finds the cut; pages have the sums of what it keeps.
  void find() {
    T low = -largest<T>(), high = infinity<T>();
    if (n >= 4 * kSample) bracket(low, high);
    for (double step = 16 / weigher.scale;; step *= 8) {
      uint64_t all = 0, head = 0, middle = 0;
      inside.size = 0;
      for (size_t from = 0; from < n; from += kPage) head += pages[from / kPage] = page(from, low, high, all);
      for (size_t i = 0; i < inside.size; i++) middle += weigher.integer(inside.data[i].weight);
      double target = p * (double)all;
      bool is_above = high < infinity<T>() && (double)head >= target, is_below = (double)(head + middle) < target;
      if (!is_above && !is_below) {
        refine(target, head);
        break;
      }
      double lower = (double)low - step;
      if (is_above) low = high, high = infinity<T>();
      else high = low, low = lower > -(double)largest<T>() ? (T)lower : -largest<T>();
    }
    for (size_t i = 0; i < inside.size; i++) {
      const Item& item = inside.data[i];
      if (cut.keeps(item.z, item.index)) pages[item.index / kPage] += weigher.integer(item.weight);
    }
  }
};

}  // namespace
