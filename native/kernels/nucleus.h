// Nucleus (top-p): the smallest set of the most probable tokens that has the share p of all, found without sorting.
//
// A sample of the row tells between which two logits its edge must lie. One reading of the row weighs it, sums what lies above,
// and takes out what lies between; a histogram over the logits of these, and of one bucket of it, and so on, leads to the one
// that is the edge. If the edge was not between them after all, it is looked for above or below: slower, and as right.
#pragma once
#include "rough.h"

namespace {

// The last logit that is kept, in the order of select.h.
struct Cut {
  double z;
  size_t index;
  ALWAYS bool keeps(double other, size_t at) const { return other > z || (other == z && at <= index); }
};

struct NucleusMemory {
  Buffer<uint32_t> inside, bucket;  // the indices of what was taken out, and of what is left of it in one bucket
  Buffer<Item> sorted;
  explicit NucleusMemory(const Run& run) : inside(run), bucket(run), sorted(run) {}
};

template <class T> struct Nucleus {
  static constexpr size_t W = ExpTraits<T>::kLanes, kParts = W / 8, kSample = 4096, kBuckets = 512, kFine = 256, kFew = 1000;
  const Weigher& weigher;
  const T *x, *tops;
  size_t n;
  double p;
  NucleusMemory& memory;
  uint64_t* pages;  // the sum of what is kept in each page
  Cut cut = {0, 0};
  double before = 0, after = 0;  // the sums that refine() started from and found, without and with the last one that is kept

  static ALWAYS auto vector(const T* from, size_t n, size_t i) { return n - i < W ? load_n(from + i, n - i, -infinity<T>()) : load(from + i); }

  // Logits between which the edge lies as far as a sample can tell: three standard deviations; and all above, if that is little.
  // The largest of each group are known, and stand for themselves: a few tokens may outweigh all others.
  void bracket(T& low, T& high) const {
    struct { float mass, square, count; } buckets[kBuckets] = {};
    size_t groups = (n + kTopGroup - 1) / kTopGroup, stride = n / kSample * W, sampled = 0;
    auto deepest = splat((T)0);
    for (size_t i = 0; i + W <= n; i += stride, sampled += W) deepest = max_skip_nan(deepest, sub(splat((T)weigher.top), load(x + i)));
    double range = (double)reduce_max(deepest), most = 46 * 8 / weigher.scale, each = (double)n / (double)sampled;
    if (range > most) range = most;
    if (!(range > 0 && range < 0x1p1000)) return;
    double factor = (kBuckets - 1) / range;
    auto count = [&](double z, double w, double times) ALWAYS_LAMBDA {
      double at = (weigher.top - z) * factor;
      auto& bucket = buckets[at < kBuckets - 1 ? (size_t)at : kBuckets - 1];
      bucket.mass += (float)(w * times), bucket.count += (float)times;
      if (times != 1) bucket.square += (float)(w * w * times * times);
    };
    double w[W];
    for (size_t g = 0; g < groups; g += W) weigh(vector(tops, groups, g), w, [&](size_t j) ALWAYS_LAMBDA { if (g + j < groups) count((double)tops[g + j], w[j], 1); });
    for (size_t i = 0; i + W <= n; i += stride) {
      T top = tops[i / kTopGroup];
      weigh(load(x + i), w, [&](size_t j) ALWAYS_LAMBDA { if (x[i + j] != top) count((double)x[i + j], w[j], each); });
    }
    double all = 0, squares = 0, cumulated = 0, squared = 0, above = 0;
    for (auto& b : buckets) all += b.mass, squares += b.square;
    for (size_t b = 0; b < kBuckets; b++) {
      double off = cumulated - p * all, variance = (1 - p) * (1 - p) * squared + p * p * (squares - squared), edge = weigher.top - (double)b / factor;
      bool sure = off * off > 9 * variance;
      if (sure && off < 0 && above >= kFew) high = (T)edge;
      if (off > 0 && (sure || (all - cumulated) * 8 < (1 - p) * all)) {  // or the sample has too few of what weighs, and its edge lies low
        low = (T)edge;
        return;
      }
      cumulated += buckets[b].mass, squared += buckets[b].square, above += buckets[b].count;
    }
  }
  template <class V, class Use> ALWAYS void weigh(V v, double* w, Use use) const {
    f64x8 z[kParts];
    widen(v, z);
    UNROLL for (size_t part = 0; part < kParts; part++) store(w + 8 * part, weigher.exactly(z[part]));
    for (size_t j = 0; j < W; j++) use(j);
  }

  // Takes out those of a page whose bits are set.
  ALWAYS void take(size_t from, size_t count, const uint64_t* between) {
    uint32_t* to = memory.inside.need(memory.inside.size + count) + memory.inside.size;
    const uint32_t* begin = to;
    for (size_t i = 0; i < count; i += 64)
      for (uint64_t bits = between[i / 64]; bits; bits &= bits - 1) *to++ = (uint32_t)(from + i + lowest_bit(bits));
    memory.inside.size += to - begin;
  }
  // use(index, logit, weight) for all of a list.
  template <class Use> ALWAYS void each_weight(const uint32_t* at, size_t count, Use use) const {
    double z[64], w[64];  // many at a time: a vector is not loaded before the numbers in it have arrived
    for (size_t i = 0; i < count; i += 64) {
      size_t left = count - i < 64 ? count - i : 64;
      for (size_t j = 0; j < left; j++) z[j] = (double)x[at[i + j]];
      for (size_t j = left; j % 8; j++) z[j] = weigher.top;
      for (size_t j = 0; j < left; j += 8) store(w + j, weigher.of(load(z + j)));
      for (size_t j = 0; j < left; j++) use(at[i + j], z[j], w[j]);
    }
  }
  // A page's sum of what is not below `high`, with what lies between taken out; `all` grows by the whole sum.
  uint64_t page(size_t from, T low, T high, uint64_t& all) {
    size_t count = n - from < kPage ? n - from : kPage;
    uint64_t between[kPage / 64] = {};
    f64x8 sum = splat(0.), head = splat(0.), edge = splat((double)high);
    const auto lowest = splat(low), highest = splat(high);
    for (size_t i = 0; i < count; i += W) {
      size_t left = count - i < W ? count - i : W;
      auto v = vector(x + from, count, i);
      f64x8 z[kParts];
      widen(v, z);
      UNROLL for (size_t part = 0; part < kParts; part++) {
        f64x8 q = weigher.of(z[part]);
        sum = add(sum, q), head = add(head, zero_below(q, z[part], edge));
      }
      uint32_t lanes = lanes_above(highest, v) & ~lanes_above(lowest, v) & ((1u << left) - 1);
      between[i / 64] |= (uint64_t)lanes << (i & 63);
    }
    take(from, count, between);
    all += weigher.integer(sum);
    return weigher.integer(head);
  }

  // Finds the first of a list, in order, with which a sum that begins with `sum` reaches the target. False: none does. The list's
  // logits lie from `bottom` to `top`; its indices rise.
  bool refine(const uint32_t* at, size_t count, double top, double bottom, double target, uint64_t sum) {
    for (bool splits = true;;) {
      double range = top - bottom, factor = (kFine - 1) / range;
      if (count <= 32 || top == bottom || !splits || !(range < 0x1p1000 && factor < 0x1p1000)) return walk(at, count, top == bottom, target, sum);
      uint64_t sums[kFine] = {};
      uint32_t counts[kFine] = {};
      auto bucket = [&](double z) ALWAYS_LAMBDA {
        double distance = (top - z) * factor;
        return distance < kFine - 1 ? (size_t)distance : kFine - 1;
      };
      each_weight(at, count, [&](uint32_t, double z, double w) ALWAYS_LAMBDA { sums[bucket(z)] += weigher.integer(w), counts[bucket(z)]++; });
      size_t b = 0, size = 0;
      while (b < kFine && ((double)(sum + sums[b]) < target || counts[b] == 0)) sum += sums[b++];
      if (b == kFine) return false;
      uint32_t* kept = memory.bucket.need(counts[b]);  // no more than before: from the second time on this is in place
      double least = infinity<double>(), most = -least;
      for (size_t i = 0; i < count; i++) {
        double z = (double)x[at[i]];
        if (bucket(z) == b) kept[size++] = at[i], least = z < least ? z : least, most = z > most ? z : most;
      }
      splits = size < count || least > bottom || most < top;
      at = kept, count = size, top = most, bottom = least;
    }
  }
  bool walk(const uint32_t* at, size_t count, bool alike, double target, uint64_t sum) {
    Item* items = memory.sorted.need(alike ? 1 : count);
    size_t i = 0;
    each_weight(at, alike && count ? 1 : count, [&](uint32_t index, double z, double w) ALWAYS_LAMBDA { items[i++] = {z, z, w, index}; });
    if (!alike) sort_items(items, count);
    for (i = 0; i < count; i++) {
      const Item& item = items[alike ? 0 : i];
      before = (double)sum, sum += weigher.integer(item.weight), after = (double)sum;
      cut = {item.z, alike ? at[i] : item.index};
      if (after >= target) return true;
    }
    return false;
  }
  bool refine(T low, T high, double target, uint64_t sum) {
    double top = (double)high < weigher.top ? (double)high : weigher.top, depth = 64 * 8 / weigher.scale;
    // What lies deeper has no weight, but may be the last that a share of all but 1 takes.
    double bottom = weigher.top - depth > (double)low ? weigher.top - depth : (double)low;
    if (!(bottom < top)) {  // so low a temperature that the depth is lost in the logits: what there really is
      bottom = infinity<double>(), top = -bottom;
      for (size_t i = 0; i < memory.inside.size; i++) {
        double z = (double)x[memory.inside.data[i]];
        bottom = z < bottom ? z : bottom, top = z > top ? z : top;
      }
    }
    return refine(memory.inside.data, memory.inside.size, top, bottom, target, sum);
  }

  // Looks above or below what was looked at.
  static void move(T& low, T& high, bool above, double step) {
    double lower = (double)low - step;
    if (above) low = high, high = infinity<T>();
    else high = low, low = lower > -(double)largest<T>() ? (T)lower : -largest<T>();
  }

  // Finds the cut; pages have the sums of what it keeps.
  void find() {
    T low = -largest<T>(), high = infinity<T>();
    if (n >= 4 * kSample) bracket(low, high);
    for (double step = 16 / weigher.scale;; step *= 64) {
      uint64_t all = 0, head = 0;
      memory.inside.size = 0;
      for (size_t from = 0; from < n && !memory.inside.run.stopped(); from += kPage) head += pages[from / kPage] = page(from, low, high, all);
      if (memory.inside.run.stopped()) return;
      double target = p * (double)all;
      bool above = high < infinity<T>() && (double)head >= target;
      if (!above && refine(low, high, target, head)) break;
      move(low, high, above, step);
    }
    each_weight(memory.inside.data, memory.inside.size, [&](uint32_t at, double z, double w) ALWAYS_LAMBDA { if (cut.keeps(z, at)) pages[at / kPage] += weigher.integer(w); });
  }

  // The same from rough sums, for a float row; into `sums`. False: they do not tell.
  bool find(const Rough& rough, double* sums) {
    T low = -largest<T>(), high = infinity<T>();
    if (n >= 4 * kSample) bracket(low, high);
    for (double step = 16 / weigher.scale;; step *= 64) {
      double all = 0, head = 0;
      memory.inside.size = 0;
      for (size_t from = 0; from < n && !memory.inside.run.stopped(); from += kPage) {
        uint64_t between[kPage / 64];
        size_t count = n - from < kPage ? n - from : kPage;
        head += sums[from / kPage] = rough.page(x + from, count, low, high, all, between);
        take(from, count, between);
      }
      if (memory.inside.run.stopped()) return false;
      double target = p * all, error = Rough::error(p, head, all, n, weigher.unit), to = target - head;
      bool above = high < infinity<T>() && -to > error;
      if (!above && to <= error) return false;
      if (!above && refine(low, high, to * weigher.unit, 0)) {
        if (!(to - before / weigher.unit > error && after / weigher.unit - to > error)) return false;
        break;
      }
      if (!above && !(low > -largest<T>())) return false;
      move(low, high, above, step);
    }
    each_weight(memory.inside.data, memory.inside.size, [&](uint32_t at, double z, double w) ALWAYS_LAMBDA { if (cut.keeps(z, at)) sums[at / kPage] += w; });
    return true;
  }
};

}  // namespace
