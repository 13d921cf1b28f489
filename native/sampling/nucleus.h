// Nucleus (top-p): the smallest set of the most probable tokens that has the share p of all, found without sorting.
//
// A sample of the row tells between which two logits its edge must lie. One reading of the row weighs it, sums what lies above,
// and marks what lies between; a histogram over the logits of these, and of one bucket of it, and so on, leads to the one
// that is the edge. If the edge was not between them after all, it is looked for above or below: slower, and as right.
#pragma once
#include "../math/formats.h"
#include "../rows/buffer.h"
#include "../selection/select.h"
#include "pages.h"

namespace {

template <class T> struct NucleusMemory {
  Buffer<T> list, left;         // the logits about the edge, in the order of the row; what is left of them in one bucket
  Buffer<double> weights;       // those of the list: integers, as bits
  Buffer<uint32_t> at, starts;  // where these are in the list; where each page's begin there
  Buffer<uint16_t> buckets;
  Buffer<Item> sorted;
  explicit NucleusMemory(const Run& run) : list(run), left(run), weights(run), at(run), starts(run), buckets(run), sorted(run) {}
};

template <class T> struct Nucleus {
  static constexpr size_t W = ExpTraits<T>::kLanes, kParts = W / 8, kSample = 4096, kBuckets = 512, kFine = 256, kAbove = 1000;
  Paged<T>& paged;
  const T* tops;
  double p;
  NucleusMemory<T>& memory;
  const Weigher& weigher = paged.weigher;
  const T* x = paged.x;
  size_t n = paged.n, stride = n / kSample * W;
  size_t place = 0;              // of the last one that is kept, in the list,
  double before = 0, after = 0;  // and the sums without and with it

  Nucleus(Paged<T>& paged, const T* tops, double p, NucleusMemory<T>& memory) : paged(paged), tops(tops), p(p), memory(memory) {}

  // Logits between which the edge lies as far as a sample can tell: four standard deviations; and all above, if that is little.
  // The largest of each group are known, and stand for themselves: a few tokens may outweigh all others.
  void bracket(T& low, T& high) const {
    const auto top = splat((T)weigher.top);
    auto deepest = splat((T)0);
    size_t groups = (n + kTopGroup - 1) / kTopGroup, sampled = 0;
    for (size_t i = 0; i + W <= n; i += stride, sampled += W) deepest = max_skip_nan(deepest, sub(top, load(x + i)));
    double range = (double)reduce_max(deepest), most = 46 * 8 / weigher.scale, each = (double)n / (double)sampled;
    if (range > most) range = most;
    if (!(range > 0 && range < 0x1p1000)) return;
    double factor = (kBuckets - 1) / range;
    const auto steps = splat((T)factor), end = splat((T)(1 - (double)kBuckets)), nowhere = splat(-(T)kBuckets), shifter = splat(kShifter);
    float mass[kBuckets + 1] = {}, w[kBuckets];
    uint32_t counts[kBuckets + 1] = {};
    T at[W];
    auto place = [&](auto v, auto least) ALWAYS_LAMBDA { store(at, sub(shifter, select_bits(max_keep_nan(end, mul(sub(v, top), steps)), nowhere, lanes_above(least, v)))); };
    for (size_t g = 0; g < groups; g += W) {
      auto v = paged.vector(tops, groups, g);
      f64x8 z[kParts];
      double q[W];
      widen(max_keep_nan(splat(paged.floor), v), z);
      UNROLL for (size_t part = 0; part < kParts; part++) store(q + 8 * part, weigher.nearly(z[part]));
      place(v, splat(infinity<T>()));
      for (size_t j = 0; j < W; j++) mass[bits_of(at[j])] += (float)q[j];
    }
    for (size_t i = 0; i + W <= n; i += stride) {
      place(load(x + i), splat(tops[i / kTopGroup]));
      for (size_t j = 0; j < W; j++) counts[bits_of(at[j])]++;
    }
    double all = 0, squares = 0, cumulated = 0, squared = 0, above = 0, fall = weight_at((T)(weigher.top - 1 / factor)), middle = weight_at((T)(weigher.top - .5 / factor));
    for (size_t b = 0; b < kBuckets; b++, middle *= fall) {
      double one = each * middle;
      w[b] = (float)one, mass[b] += (float)(counts[b] * one);
      all += mass[b], squares += counts[b] * one * one;
    }
    for (size_t b = 0; b < kBuckets; b++) {
      double off = cumulated - p * all, variance = (1 - p) * (1 - p) * squared + p * p * (squares - squared), edge = weigher.top - (double)b / factor;
      bool sure = off * off > 16 * variance;
      if (sure && off < 0 && above >= kAbove) high = (T)edge;
      if (off > 0 && (sure || (all - cumulated) * 8 < (1 - p) * all)) {  // or the sample has too few of what weighs, and its edge lies low
        low = (T)edge;
        return;
      }
      cumulated += mass[b], squared += (double)counts[b] * w[b] * w[b], above += counts[b] * each;
    }
  }
  // A number from 0 to 1,023 that was added to kShifter, rounded.
  static constexpr T kShifter = sizeof(T) == 4 ? (T)0x1p23 : (T)0x1p52;
  static ALWAYS size_t bits_of(T shifted) {
    uint16_t low;
    COPY(&low, &shifted, 2);
    return low & 1023;
  }
  double weight_at(T z) const {
    double w[8];
    store(w, weigher.exactly(splat((double)z)));
    return w[0];
  }
  // If one logit alone makes up most of the sample between them, the edge is likely to be one of many equal ones.
  SELDOM void look_for_ties(T& low, T& high) const {
    const auto lowest = splat(low), highest = splat(high);
    T most = 0;
    size_t votes = 0, seen = 0, alike = 0;
    auto each = [&](auto use) ALWAYS_LAMBDA {
      for (size_t i = 0; i + W <= n; i += stride)
        for (uint32_t lanes = lanes_above(highest, load(x + i)) & ~lanes_above(lowest, load(x + i)); lanes; lanes &= lanes - 1) use(x[i + lowest_bit(lanes)]);
    };
    each([&](T z) ALWAYS_LAMBDA { seen++, votes += z == most ? 1 : votes ? (size_t)-1 : (most = z, 1); });  // Boyer and Moore's majority
    if (!votes || seen < 16) return;
    each([&](T z) ALWAYS_LAMBDA { alike += z == most; });
    if (2 * alike > seen) low = most, high = next(most);
  }

  // Finds the first of many equal ones with which a sum that begins with `sum` reaches the target. False: none does.
  SELDOM bool find_tie(T z, double target, uint64_t sum) {
    uint64_t each = weigher.integer(weigher.rounded(weight_at(z))), count = memory.starts.data[last_page() + 1];
    double share = each ? (target - (double)sum) / (double)each : infinity<double>();
    if (!(share <= (double)count)) return false;
    uint64_t k = (uint64_t)share;  // but for rounding
    while (k > 0 && (double)(sum + k * each) >= target) k--;
    while ((double)(sum + k * each) < target) k++;
    if (k > count) return false;
    return found((double)z, k - 1, (double)(sum + (k - 1) * each), (double)(sum + k * each)), true;
  }

  // Finds the first of the list, in order, with which a sum that begins with `sum` reaches the target. False: none
  // does, or there is no memory.
  bool refine(T low, T high, double target, uint64_t sum) {
    double depth = 64 * 8 / weigher.scale, deepest = weigher.top - depth;
    // What lies deeper has no weight, but may be the last that a share of all but 1 takes.
    T top = (double)high < weigher.top ? high : (T)weigher.top, bottom = deepest > (double)low ? (T)deepest : low;
    size_t count = memory.list.size;
    const T* z = memory.list.data;
    const uint32_t* at = nullptr;
    if (!(bottom < top)) {  // so low a temperature that the depth is lost in the logits: what there really is
      bottom = infinity<T>(), top = -bottom;
      for (size_t i = 0; i < count; i++) bottom = z[i] < bottom ? z[i] : bottom, top = z[i] > top ? z[i] : top;
    }
    double* weights = memory.weights.need(count + W);
    if (!weights) return false;
    for (size_t i = 0; i < count; i += W) {
      f64x8 wide[kParts];
      widen(paged.vector(z, count, i), wide);
      UNROLL for (size_t part = 0; part < kParts; part++) store(weights + i + 8 * part, weigher.integers(weigher.exactly(wide[part])));
    }
    for (bool splits = true;;) {
      T range = top - bottom, factor = (kFine - 1) / range;
      if (count <= 32 || top == bottom || !splits || !(range < largest<T>() && factor < largest<T>())) return walk(z, at, count, top == bottom, target, sum);
      uint64_t sums[kFine] = {};
      uint16_t* of = memory.buckets.need(count);
      if (!of) return false;
      for (size_t i = 0; i < count; i += W) {
        auto v = paged.vector(z, count, i);
        T bucket[W];
        store(bucket, sub(splat(kShifter), max_keep_nan(splat((T)(1 - (double)kFine)), mul(sub(v, splat(top)), splat(factor)))));
        for (size_t j = 0, end = count - i < W ? count - i : W; j < end; j++) {
          size_t b = bits_of(bucket[j]);
          sums[b] += integer(weights[at ? at[i + j] : i + j]), of[i + j] = (uint16_t)b;
        }
      }
      size_t b = 0, size = 0;
      while (b < kFine && (double)(sum + sums[b]) < target) sum += sums[b++];
      if (b == kFine) return false;
      T* left = memory.left.need(count);  // from the second time on this is in place
      uint32_t* where = memory.at.need(count);
      if (!left || !where) return false;
      T least = infinity<T>(), most = -least;
      for (size_t i = 0; i < count; i++) {
        if (of[i] != b) continue;
        least = z[i] < least ? z[i] : least, most = z[i] > most ? z[i] : most;
        where[size] = at ? at[i] : (uint32_t)i, left[size++] = z[i];
      }
      splits = size < count || least > bottom || most < top;
      z = left, at = where, count = size, top = most, bottom = least;
    }
  }
  static ALWAYS uint64_t integer(double bits) {
    uint64_t integer;
    COPY(&integer, &bits, 8);
    return integer;
  }
  SELDOM bool walk(const T* z, const uint32_t* at, size_t count, bool alike, double target, uint64_t sum) {
    size_t different = alike && count ? 1 : count;
    Item* items = memory.sorted.need(different);
    if (!items) return false;
    for (size_t i = 0; i < different; i++) items[i] = {(double)z[i], (double)z[i], 0, at ? at[i] : i};
    sort_items(items, different);
    for (size_t i = 0; i < count; i++) {
      const Item& item = items[alike ? 0 : i];
      double before = (double)sum;
      sum += integer(memory.weights.data[item.index]);
      if ((double)sum >= target) return found(item.z, !alike ? item.index : at ? at[i] : i, before, (double)sum), true;
    }
    return false;
  }
  void found(double z, size_t in_list, double without, double with) { paged.cut.z = z, place = in_list, before = without, after = with; }

  size_t last_page() const { return (n - 1) / kPage; }
  // Where in the row the list's element `place` is.
  SELDOM size_t index_of_place(T low, T high) const {
    size_t page = 0;
    while (memory.starts.data[page + 1] <= place) page++;
    size_t i = page * kPage, more = place - memory.starts.data[page];
    for (;; i++) if (x[i] >= low && x[i] < high && more-- == 0) return i;
  }
  // Adds to the sums of pages what is kept of the list; of equal ones, that is what comes first.
  void keep(bool ties) {
    uint64_t each = weigher.integer(weigher.rounded(weight_at((T)paged.cut.z)));
    for (size_t page = 0; page <= last_page(); page++) {
      size_t from = memory.starts.data[page], to = memory.starts.data[page + 1], end = place + 1 < from ? from : place + 1 < to ? place + 1 : to;
      paged.sums[page] += ties ? (end - from) * each : sum_from((T)paged.cut.z, from, end) + sum_from(next((T)paged.cut.z), end, to);
    }
  }
  uint64_t sum_from(T low, size_t i, size_t end) const {
    f64x8 sum = splat(0.), z[kParts];
    for (; i < end; i += W) {
      widen(paged.vector(memory.list.data, end, i), z);
      UNROLL for (size_t part = 0; part < kParts; part++) sum = add_integers(sum, zero_below(load(memory.weights.data + i + 8 * part), z[part], splat((double)low)));
    }
    return sum_integers(sum);
  }

  // Looks above or below what was looked at.
  static void move(T& low, T& high, bool above, double step) {
    double lower = (double)low - step, higher = (double)high + step;
    if (above) low = high, high = higher < (double)largest<T>() ? (T)higher : infinity<T>();
    else high = low, low = lower > -(double)largest<T>() ? (T)lower : -largest<T>();
  }

  // Finds the cut and the sums of what it keeps, unless the call has stopped. False: near sums do not tell.
  bool find(bool exactly) {
    T low = -largest<T>(), high = infinity<T>();
    if (n >= 4 * kSample) bracket(low, high);
    double step = high < infinity<T>() && low > -largest<T>() && high > low ? (double)high - (double)low : 16 / weigher.scale;
    if (n >= 4 * kSample) look_for_ties(low, high);
    uint32_t* starts = memory.starts.need(last_page() + 2);
    if (!starts || !memory.list.need(n / 16 + kPage + W)) return true;
    for (;; step *= 16) {
      uint64_t all = 0, head = 0;
      bool ties = high == next(low);
      memory.list.size = starts[0] = 0;
      for (size_t page = 0; page <= last_page(); page++) {
        if (paged.run.stopped()) return true;
        T* all_of_list = memory.list.need(memory.list.size + kPage + W);
        if (!all_of_list) return true;
        T *begin = all_of_list + memory.list.size, *list = begin;
        head += paged.sums[page] = exactly ? paged.template sum<true>(page * kPage, low, high, all, list) : paged.template sum<false>(page * kPage, low, high, all, list);
        starts[page + 1] = starts[page] + (uint32_t)(list - begin);
        if (!ties) memory.list.size = starts[page + 1];
      }
      double target = p * (double)all, to = target - (double)head, slack = exactly ? 0 : paged.slack_of(paged.kNearError, p, (double)head, (double)all);
      bool above = high < infinity<T>() && (exactly ? (double)head >= target : -to > slack);
      if (!exactly && !above && to <= slack) return false;
      if (!exactly) target = to, head = 0;
      bool found = !above && (ties ? find_tie(low, target, head) : refine(low, high, target, head));
      if (paged.run.stopped()) return true;
      if (found) {
        if (!exactly && !(target - before > slack && after - target > slack)) return false;
        paged.cut.index = index_of_place(low, high);
        keep(ties), paged.add_up();
        if (!exactly) paged.slack = paged.slack_of(paged.kNearError, .5, 0, (double)paged.total);
        return true;
      }
      if (!exactly && !above && !(low > -largest<T>())) return false;
      move(low, high, above, step);
    }
  }
};

}  // namespace
