// Selection: the largest logit of a row, and the k largest in order. Both begin with one reading of the row, which keeps
// the largest of each group of kTopGroup logits: the k-th largest of those bounds the k-th largest logit from below, so that
// the second reading skips nearly every group.
//
// The order is that of the package's ties everywhere: larger logits first, the lower index first among equals.
#pragma once
#include "../math/formats.h"
#include "../rows/buffer.h"
#include "../rows/share_rows.h"
#include "../rows/scan.h"
#include "items.h"

namespace {

constexpr size_t kTopGroup = 256;

// What one reading tells of a row.
template <class T> struct Look {
  T top;         // −∞ also where nothing is larger
  size_t group;  // the first group of kSize that has it
  bool nan;
};
template <size_t kSize, class T> Look<T> look_at(const T* x, size_t n, T* tops) {
  constexpr size_t W = ExpTraits<T>::kLanes;
  const auto bottom = splat(-infinity<T>()), high = splat(infinity<T>());
  auto odd = splat((T)0), more = odd;  // what is not below +∞: perhaps a NaN. (A sum, which would tell as well, takes half of the time again.)
  Look<T> seen = {-infinity<T>(), 0, false};
  for (size_t g = 0; g * kSize < n; g++) {
    size_t i = g * kSize, end = n - i < kSize ? n : i + kSize;
    auto a = bottom, b = bottom, c = bottom, d = bottom;
    for (; i + 4 * W <= end; i += 4 * W) {
      auto v0 = load(x + i), v1 = load(x + i + W), v2 = load(x + i + 2 * W), v3 = load(x + i + 3 * W);
      a = max_skip_nan(a, v0), b = max_skip_nan(b, v1), c = max_skip_nan(c, v2), d = max_skip_nan(d, v3);
      odd = or_bits(odd, zero_below(v0, v0, high), zero_below(v1, v1, high)), more = or_bits(more, zero_below(v2, v2, high), zero_below(v3, v3, high));
    }
    for (; i < end; i += W) {
      auto v = end - i < W ? load_n(x + i, end - i, x[i]) : load(x + i);
      a = max_skip_nan(a, v), odd = or_bits(odd, zero_below(v, v, high), odd);
    }
    T top = reduce_max(max_skip_nan(max_skip_nan(a, b), max_skip_nan(c, d)));
    if (tops) tops[g] = top;
    if (top > seen.top) seen.top = top, seen.group = g;
  }
  if (any_bits(or_bits(odd, more, more), ~(typename ExpTraits<T>::Bits)0)) seen.nan = has_nan<T>(Plain<T>{x}, 0, n);
  return seen;
}

template <class T> size_t index_of(const T* x, size_t from, size_t n, T value) {
  constexpr size_t W = ExpTraits<T>::kLanes;
  const auto wanted = splat(value);
  for (size_t i = from; i < n; i += W) {
    size_t left = n - i < W ? n - i : W;
    uint32_t below = lanes_above(wanted, left < W ? load_n(x + i, left, x[i]) : load(x + i));
    uint32_t lanes = ~below & ((1u << left) - 1);
    if (lanes) return i + lowest_bit(lanes);
  }
  return from;
}

// All of x[from, to) that is not below `least`, in order, until `take` answers with another bound: then all above that.
template <class T, class Take> SIMD_INLINE void for_each_above(const T* x, size_t from, size_t to, T& bound, bool& strict, Take take) {
  constexpr size_t W = ExpTraits<T>::kLanes;
  for (size_t i = from; i < to; i += W) {
    size_t left = to - i < W ? to - i : W;
    auto v = left < W ? load_n(x + i, left, x[i]) : load(x + i), b = splat(bound);
    uint32_t lanes = (strict ? lanes_above(v, b) : ~lanes_above(b, v)) & ((1u << left) - 1);
    for (; lanes; lanes &= lanes - 1) take(i + lowest_bit(lanes));
  }
}

SIMD_INLINE double sum_lanes(f32x16 v) { return reduce_add(add(low_f64(v), high_f64(v))); }
SIMD_INLINE double sum_lanes(f64x8 v) { return reduce_add(v); }
// A bound that at least k of the groups' largest reach, and not many more: by halves. −∞ if there is none.
template <class T> T bound_of(const T* tops, size_t groups, size_t k, T high) {
  constexpr size_t W = ExpTraits<T>::kLanes;
  const auto finite = splat(-largest<T>()), above = splat(high);
  auto vector = [&](size_t i) ALWAYS_LAMBDA { return groups - i < W ? load_n(tops + i, groups - i, -infinity<T>()) : load(tops + i); };
  auto depth = splat(-infinity<T>());
  if (high - high != 0) return -infinity<T>();
  for (size_t i = 0; i < groups; i += W) depth = max_skip_nan(depth, sub(above, select_bits(above, vector(i), lanes_above(finite, vector(i)))));
  T low = high - reduce_max(depth), bound = -infinity<T>(), tried = low;
  for (int i = 0; i < 40; i++, tried = low / 2 + high / 2) {
    auto count = splat((T)0);
    for (size_t j = 0; j < groups; j += W) count = add(count, zero_below(splat((T)1), vector(j), splat(tried)));
    double reached = sum_lanes(count);
    if (reached < (double)k && i == 0) break;
    reached < (double)k ? high = tried : bound = low = tried;
    if (reached >= (double)k && reached <= (double)(k + k / 8 + 4)) break;
  }
  return bound;
}

// Places items[0, n) in the order of their keys, and among equal ones in that in which they stand: without a branch that is hard to foresee.
// The first `limit` of them go to `out`.
constexpr size_t kFew = 128;
static void place(const Item* items, size_t n, Item* out, size_t limit) {
  double keys[kFew + 8];
  bool taken[2 * kFew] = {};
  for (size_t i = 0; i < n; i++) keys[i] = items[i].key;
  for (size_t i = n; i % 8; i++) keys[i] = -infinity<double>();
  size_t all = (n + 7) / 8 * 8;
  for (size_t i = 0; i < n; i++) {
    f64x8 others = splat(0.), key = splat(keys[i]);
    for (size_t j = 0; j < all; j += 8) others = add(others, zero_below(splat(1.), key, load(keys + j)));
    size_t at = all - (size_t)reduce_add(others);
    while (taken[at]) at++;
    taken[at] = true;
    if (at < limit) out[at] = items[i];
  }
}

// The first k ≤ n logits in order, into items[0, k); `tops` are the largest of each kTopGroup, `top` that of all. No NaN is among them.
template <class T> void top_items(const T* x, size_t n, const T* tops, T top, size_t k, Item* items) {
  size_t groups = (n + kTopGroup - 1) / kTopGroup;
  T bound = k <= groups ? bound_of(tops, groups, k, top) : -infinity<T>();
  // All from the bound on, if these are few; else what is in front so far, which raises it.
  Item found[kFew];
  size_t count = 0;
  bool strict = false, few = k <= kFew / 2;
  First first = {items, k, 0};
  for (size_t g = 0; g < groups; g++) {
    if (strict ? !(tops[g] > bound) : tops[g] < bound) continue;
    size_t from = g * kTopGroup, to = n - from < kTopGroup ? n : from + kTopGroup;
    for_each_above(x, from, to, bound, strict, [&](size_t i) ALWAYS_LAMBDA {
      Item item = {(double)x[i], (double)x[i], 0, i};
      if (few && count < kFew) {
        found[count++] = item;
        return;
      }
      for (size_t j = 0; few && j < kFew; j++) first.offer(found[j]);
      few = false;
      first.offer(item);
      if (first.full()) bound = (T)items[0].key, strict = true;  // those that come later lose a tie
    });
  }
  few ? place(found, count, items, k) : sort_items(items, k);
}

// Logits stored as X as selection computes with them: halves as floats, a row at a time.
template <class X> struct Element {
  using Float = Stored<X>;
  static const Float* floats(const Float* x, size_t, Buffer<Float>&) { return x; }
};
template <class X> struct HalfElement {
  using Float = float;
  // Null: there is no memory.
  static const float* floats(const uint16_t* x, size_t n, Buffer<float>& memory) {
    float* floats = memory.need(n);
    if (floats) to_floats<X>(x, floats, n);
    return floats;
  }
};
template <> struct Element<F16> : HalfElement<F16> {};
template <> struct Element<BF16> : HalfElement<BF16> {};

// What rows are read into.
struct RowMemory {
  Buffer<float> floats, float_bias, float_tops;
  Buffer<double> doubles, no_bias, double_tops;
  explicit RowMemory(const Run& run) : floats(run), float_bias(run), float_tops(run), doubles(run), no_bias(run), double_tops(run) {}
  Buffer<float>& elements(float) { return floats; }
  Buffer<double>& elements(double) { return no_bias; }
  Buffer<float>& tops(float) { return float_tops; }
  Buffer<double>& tops(double) { return double_tops; }
  Buffer<float>& bias(float) { return float_bias; }
  Buffer<double>& bias(double) { return no_bias; }
};
// A row with its bias added, as doubles; what is masked as −∞. Quarters of them, `quartered`, if a sum of two finite numbers
// overflows: distances of such sums may as well. Null: there is no memory.
template <class X, bool kQuarters = false>
const double* with_extras(RowMemory& memory, const Extras<Stored<X>>& extras, const typename Element<X>::Float* floats, size_t cols, size_t index, bool& quartered) {
  using T = typename Element<X>::Float;
  constexpr size_t W = ExpTraits<T>::kLanes, kParts = W / 8;
  double* out = memory.doubles.need(cols);
  bool shared = extras.bias.length == cols;
  const T* bias = extras.bias.data ? Element<X>::floats(extras.bias.data + (shared ? 0 : index * cols), cols, memory.bias(T())) : nullptr;
  if (!out || (extras.bias.data && !bias)) return nullptr;
  size_t mask_at = extras.shared_mask() ? 0 : index * cols;
  uint32_t beyond = 0;
  for (size_t i = 0; i < cols; i += W) {
    size_t left = cols - i < W ? cols - i : W;
    f64x8 z[kParts], b[kParts];
    uint32_t lanes = !extras.has_mask() ? 0xFFFF : mask_lanes(extras.mask.data, extras.mask.layout, mask_at + i, left);
    widen(left < W ? load_n(floats + i, left, (T)0) : load(floats + i), z);
    if (kQuarters) UNROLL for (size_t p = 0; p < kParts; p++) z[p] = mul(z[p], splat(0.25));
    if (bias) {
      widen(left < W ? load_n(bias + i, left, (T)0) : load(bias + i), b);
      if (sizeof(T) == 8 && !kQuarters) beyond |= overflowing(z[0], b[0]) & lanes;
      UNROLL for (size_t p = 0; p < kParts; p++) z[p] = add(z[p], kQuarters ? mul(b[p], splat(0.25)) : b[p]);
    }
    for (size_t p = 0; p < kParts && 8 * p < left; p++) {
      f64x8 v = select_bits(z[p], splat(-infinity<double>()), lanes >> 8 * p & 0xFF);
      left - 8 * p < 8 ? store_n(out + i + 8 * p, v, left - 8 * p) : store(out + i + 8 * p, v);
    }
  }
  quartered = kQuarters;
  if constexpr (sizeof(T) == 8 && !kQuarters)
    if (beyond) return with_extras<X, true>(memory, extras, floats, cols, index, quartered);
  return out;
}

template <class X> struct Argmax {
  using T = typename Element<X>::Float;
  using Memory = Buffer<T>;
  static constexpr size_t kSize = 4096;
  const Stored<X>* x;
  uint32_t* indices;
  size_t cols;

  void row(const Run&, Memory& memory, size_t i) const {
    const T* row = Element<X>::floats(x + i * cols, cols, memory);
    if (!row) return;
    Look<T> seen = look_at<kSize, T>(row, cols, nullptr);
    indices[i] = seen.nan ? kNoIndex : (uint32_t)index_of(row, seen.group * kSize, cols, seen.top);
  }
};

template <class X> struct TopK {
  using T = typename Element<X>::Float;
  struct Memory : RowMemory {
    Buffer<Item> items;
    explicit Memory(const Run& run) : RowMemory(run), items(run) {}
  };
  const Stored<X>* x;
  uint32_t* indices;
  Stored<X>* values;
  size_t cols, k;
  Extras<Stored<X>> extras;

  void row(const Run&, Memory& memory, size_t i) const {
    const T* floats = Element<X>::floats(x + i * cols, cols, memory.elements(T()));
    if (!floats) return;
    bool quartered = false;  // which is the same order
    extras.any() ? choose(memory, with_extras<X>(memory, extras, floats, cols, i, quartered), i) : choose(memory, floats, i);
  }
  template <class F> NEVER_INLINE void choose(Memory& memory, const F* z, size_t i) const {
    F* tops = memory.tops(F()).need(cols / kTopGroup + 1);
    Item* items = memory.items.need(k);
    if (!z || !tops || !items) return;
    Look<F> seen = look_at<kTopGroup, F>(z, cols, tops);
    if (!seen.nan) top_items(z, cols, tops, seen.top, k, items);
    for (size_t j = 0; j < k; j++) {
      indices[i * k + j] = seen.nan ? kNoIndex : (uint32_t)items[j].index;
      values[i * k + j] = seen.nan ? 0 : x[i * cols + items[j].index];
    }
  }
};

template <class X, class Y>
void argmax(const Run& run, const Stored<X>* x, uint32_t* indices, size_t rows, size_t cols) {
  share_rows(for_bytes(run, rows * cols * sizeof *x), rows, cols, Argmax<X>{x, indices, cols});
}
template <class X, class Y>
void top_k(const Run& run, const Stored<X>* x, uint32_t* indices, Stored<X>* values, size_t rows, size_t cols, size_t k,
           const MaskAndBias<Stored<X>>& added) {
  TopK<X> work = {x, indices, values, cols, k, Extras<Stored<X>>(added)};
  share_rows(for_bytes(run, rows * cols * sizeof *x), rows, cols, work);
}

}  // namespace
