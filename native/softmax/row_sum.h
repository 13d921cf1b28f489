// The core: a sum of exponentials held as mantissa · 2^exponent, block by block.
//
// A row is cut into blocks of kBlock elements, whatever thread takes them. A block's shared exponent is guessed from
// its first vector; every vector is watched for a value outside the window of 256 octaves around it, and only such a
// block (a mask of −∞, a rise by 10^28, a NaN) is done again with its true maximum. Inside a block floats are added
// in a tree of sixteen vectors, then in doubles, so the length of a row never enters the error.
// Scaling by 2^k is exact: neither the choice of the exponent nor the cut into threads changes a bit.
#pragma once
#include "../rows/scan.h"
#include "heavy.h"

namespace {

// Float rows of up to so many elements are summed in double by the logarithmic operators: that is as quick.
constexpr size_t kShort = 128;

// Whether the shorter polynomial of temperature 1 is worth code of its own: two operations of nineteen for float.
template <class T> constexpr bool kHasUnit = sizeof(T) == 4;

// How a block was summed: its shared exponent, and whether all of it lay inside the window.
struct Block {
  int32_t exponent, calm;
};
// Vectors of float or double added up without losing what the length of a row would take.
template <class T> struct Total;
template <> struct Total<float> {
  f64x8 a = splat(0.), b = splat(0.);
  ALWAYS void operator+=(f32x16 v) { a = add(a, low_f64(v)), b = add(b, high_f64(v)); }
  ALWAYS Sum sum(int32_t exponent) const { return {reduce_add(add(a, b)), 0, exponent}; }
};
template <> struct Total<double> {
  f64x8 a = splat(0.), rest = splat(0.);
  ALWAYS void add_both(f64x8 v, f64x8 below) {
    f64x8 s = add(a, v), t = sub(s, a);
    rest = add(rest, add(below, add(sub(a, sub(s, t)), sub(v, t))));
    a = s;
  }
  ALWAYS Sum sum(int32_t exponent) const {
    double s[8], r[8];
    store(s, a), store(r, rest);
    Sum total = {0, 0, exponent};
    for (int i = 0; i < 8; i++) {
      double low;
      two_sum(total.mantissa, s[i], total.mantissa, low);
      total.rest += low + r[i];
    }
    return total;
  }
};

// From so many elements on, the roundings of trees of four and of sixteen vectors average out.
constexpr size_t kFour = 512, kSixteen = 4096;

// One block. q goes to `out`, if there is one (kStore says so where that should cost nothing). kWatch: any value may lie
// outside the window around `octave`, and the answer is false if one does; else nothing lies above it.
template <bool kStore, bool kWatch, bool kUnit, class Source>
SIMD_INLINE bool sum_block(const Source& x, size_t from, size_t n, const ExpScale<float>& scale, const ExpScale<double>& fine, double octave, bool parted, float* out, Sum& sum) {
  using X = ExpTraits<float>;
  using V = f32x16;
  constexpr size_t W = 16;
  const ExpVector<float> e(scale, octave);
  const bool keep = kWatch ? kStore : out != nullptr;
  // Sixteen vectors one after the other in the code, where that was measured to pay and is the usual way.
  constexpr bool kUnrolled = kWatch && (kRegisters == 1 ? !kStore : kRegisters == 2 && kStore);
  Total<float> total;
  V seen = splat(2.f);
  Partials partials;
  auto one = [&](size_t i, V& t) ALWAYS_LAMBDA {
    auto v = x.read(from + i);
    if constexpr (kWatch && !kStore) KEEP(v);
    V q = kWatch ? exp_inside<kUnit>(e, v, t) : exp_below<kUnit>(e, v, t);
    if (keep) store(out + i, q);
    return q;
  };
  auto four = [&](size_t i) ALWAYS_LAMBDA {
    // All is read before anything is stored: a load has to wait for an earlier store whose address ends in the same twelve bits,
    // which out and x often have. And in order, or memory is not read ahead. (It takes registers: on AVX2 it costs more than it saves.)
    if constexpr (kWatch && kVectors >= 32) {
      V v[4], q[4], t[4];
      UNROLL
      for (int j = 0; j < 4; j++) {
        v[j] = x.read(from + i + j * W);
        KEEP(v[j]);
      }
      UNROLL
      for (int j = 0; j < 4; j++) q[j] = exp_inside<kUnit>(e, v[j], t[j]);
      UNROLL
      for (int j = 0; kStore && j < 4; j++) store(out + i + j * W, q[j]);
      seen = or_bits(or_bits(seen, t[0], t[1]), t[2], t[3]);
      return add(add(q[0], q[1]), add(q[2], q[3]));
    }
    if constexpr (!Source::kOneNumber || kRegisters == 4) {  // large code
      V sum;
      for (size_t j = 0; j < 2; j++) {
        V t0, t1, a = one(i + 2 * j * W, t0), b = one(i + 2 * j * W + W, t1);
        if (kWatch) seen = or_bits(seen, t0, t1);
        sum = j ? add(sum, add(a, b)) : add(a, b);
      }
      return sum;
    }
    V t0, t1, t2, t3;
    V a = one(i, t0), b = one(i + W, t1);
    if (kWatch) seen = or_bits(seen, t0, t1);
    V c = one(i + 2 * W, t2), d = one(i + 3 * W, t3);
    if (kWatch) seen = or_bits(seen, t2, t3);
    return add(add(a, b), add(c, d));
  };
  constexpr size_t kAtOnce = kStore ? 1 : 4;
  V recent[kAtOnce];
  size_t i = 0, kept = 0;
  for (; n >= kSixteen && i + 16 * W <= n; i += 16 * W) {
    V part[4];
    if (kUnrolled) { part[0] = four(i), part[1] = four(i + 4 * W), part[2] = four(i + 8 * W), part[3] = four(i + 12 * W); }
    else for (size_t j = 0; j < 4; j++) part[j] = four(i + 4 * j * W);
    V a = add(add(part[0], part[1]), add(part[2], part[3]));
    total += a;
    // Where q is not stored four are kept at once: a store every KB, to a line long out of the first cache, upsets what the processor foresees of the row,
    // and such a row that comes from memory takes 1.3 times as long.
    recent[kept++] = a;
    if (kept == kAtOnce) partials.keep(recent, kept), kept = 0;
  }
  partials.keep(recent, kept);
  partials.sixteens = partials.count;
  for (; n >= kFour && i + 4 * W <= n; i += 4 * W) {
    V a = four(i);
    total += a;
    partials.keep(&a, 1);
  }
  partials.fours = partials.count - partials.sixteens;
  for (; i < n; i += W) {
    size_t left = n - i < W ? n - i : W;
    auto v = left == W ? x.at(from + i) : x.at(from + i, left);
    V t, q = kWatch ? exp_inside<kUnit>(e, v, t) : exp_below<kUnit>(e, v, t);
    if (kWatch) seen = or_bits(seen, t, t);
    if (keep) left == W ? store(out + i, q) : store_n(out + i, q, left);
    if (left < W) q = first_n(q, left);
    total += q;
    partials.keep(&q, 1);
  }
  sum = total.sum((int32_t)octave - X::kBias);
  if (kWatch && any_bits(seen, X::kOutside)) return false;
  if (sum.mantissa - sum.mantissa != 0) return !kWatch;
  partials.refine(x, from, n, e, fine, octave, parted, sum);
  return true;
}

// Doubles have no wider type to be added in: every rounding is carried along.
template <bool kStore, bool kWatch, bool kUnit, class Source>
SIMD_INLINE bool sum_block(const Source& x, size_t from, size_t n, const ExpScale<double>& scale, const ExpScale<double>&, double octave, bool, double* out, Sum& sum) {
  using X = ExpTraits<double>;
  using V = f64x8;
  constexpr size_t W = 8;
  const ExpVector<double> e(scale, octave);
  const bool keep = kWatch ? kStore : out != nullptr;
  Total<double> total;
  V seen = splat(2.), top = splat(0.);
  for (size_t i = 0; i < n; i += W) {
    size_t left = n - i < W ? n - i : W;
    auto v = left == W ? x.at(from + i) : x.at(from + i, left);
    V t, rest, q = kWatch ? exp_inside<kUnit>(e, v, t, &rest) : exp_below<kUnit>(e, v, t, &rest);
    if (kWatch) seen = or_bits(seen, t, t);
    if (keep) left == W ? store(out + i, q) : store_n(out + i, q, left);
    if (left < W) q = first_n(q, left), rest = first_n(rest, left);
    total.add_both(q, rest);
    top = max_skip_nan(top, q);
  }
  sum = total.sum((int32_t)octave - X::kBias);
  bool finite = sum.mantissa - sum.mantissa == 0;
  if (kWatch && (!finite || any_bits(seen, X::kOutside))) return false;
  if (!finite || !(reduce_max(top) > sum.mantissa / 2)) return true;
  // The largest term is most of the sum: which one is it?
  double most = maximum<double>(x, from, n);
  for (size_t i = 0; i < n; i += W) {
    double at[W], q[W], r[W];
    auto v = n - i < W ? x.at(from + i, n - i) : x.at(from + i);
    store(at, high_part(v));
    for (size_t j = 0; j < W && i + j < n; j++) {
      if (at[j] != most) continue;
      V t, rest;
      store(q, exp_below<false>(e, v, t, &rest)), store(r, rest);
      sum.peak = q[j], sum.peak_rest = r[j], sum.peak_at = from + i + j;
      return true;
    }
  }
  return true;
}

// Blocks that are not calm.
template <class T, class Source>
NEVER_INLINE void sum_below(const Source& x, size_t from, size_t n, const ExpScale<T>& scale, const ExpScale<double>& fine, double octave, bool parted, T* out, Sum& sum) {
  sum_block<false, false, false>(x, from, n, scale, fine, octave, parted, out, sum);
}

// A row while it is summed: where it is, how its values are read, and what has been found out about it.
template <class T> struct Row {
  Logits<T> logits;
  size_t n;
  const ExpScale<T>* scale;
  const ExpScale<double>* fine;  // the same for doubles, of the temperature that scale leaves
  bool plain;            // the logits are x as it is
  bool parted = false;   // sums without their peaks are wanted too
  bool topped = false;   // nothing in the row lies above the octave `top`
  double top = 0;

  Row(const Logits<T>& l, size_t n, const ExpScale<T>* s, const ExpScale<double>* f) : logits(l), n(n), scale(s), fine(f), plain(!l.mask && !l.bias && !s->scaled) {}
  ALWAYS Plain<T> source() const { return {logits.x}; }
  ALWAYS double octave(T value) const { return nearest((double)value * scale->octaves); }
  ALWAYS bool in_reach(T value) const { return 8 * scale->octaves * (value < 0 ? -value : value) <= ExpTraits<T>::kLimit; }
  // The row's maximum decides how it is read from now on. False: it is not finite.
  SELDOM bool look() {
    const bool down = scale->scale1 < 1;  // first of all then, where a sum or a difference could overflow
    if (down) logits.far = true, logits.scale1 = scale->scale1, logits.scale2 = scale->scale2;
    T m = plain ? maximum<T>(source(), 0, n) : maximum<T>(logits, 0, n);
    const bool is_near_end = logits.bias && !(m < kNearEnd<T> && m > -kNearEnd<T>);
    // At low temperatures the last bits of a half count: there only where a sum overflows.
    const bool wants_halves = m - m == 0 ? scale->scale1 <= 1 : logits.overflows(0, n);
    if (is_near_end && !down && wants_halves) {
      logits.far = logits.halved = true;
      m = maximum<T>(logits, 0, n);
    }
    if (m - m != 0) return false;
    if (logits.far || scale->scaled || !in_reach(m)) {
      plain = false, logits.far = true;
      logits.shift = m;
      if (logits.bias) logits.second = maximum<T>(logits, 0, n) * (logits.halved ? (T)0.5 : 1);  // of what rounding took from x + bias, now all there is
      logits.scale1 = scale->scale1, logits.scale2 = scale->scale2;
      m = 0;
    }
    topped = true, top = octave(m);
    return true;
  }
};

// A block that is not calm, or may not be. False: as below.
template <class T> NEVER_INLINE bool sum_any(const Row<T>& row, size_t b, size_t n, T* q, Sum& s) {
  double top = row.top;
  if (!row.topped) {
    T m = row.plain ? maximum<T>(row.source(), b, n) : maximum<T>(row.logits, b, n);
    if (m - m != 0) {  // nothing finite, or +∞
      if (row.logits.overflows(b, n)) return false;
      bool nan = has_nan<T>(row.logits, b, n);
      s = {nan ? not_a_number<double>() : m > 0 ? (double)m : 0, 0, 0, 0, 0, 0};
      for (size_t i = 0; q && i < n; i++) q[i] = 0;
      return true;
    }
    if (!row.in_reach(m)) return false;
    top = row.octave(m);
  }
  if (row.plain) sum_below<T>(row.source(), b, n, *row.scale, *row.fine, top, row.parted, q, s);
  else sum_below<T>(row.logits, b, n, *row.scale, *row.fine, top, row.parted, q, s);
  return true;
}

// The sum of a part of a row (at most kSuper elements, starting at a block), with a Block each, q stored if kStore.
// False: a value is out of the reduction's reach, and the row must be looked at as a whole first.
template <bool kStore, class T> bool sum_part(const Row<T>& row, size_t from, size_t to, T* out, Block* blocks, Sum& sum) {
  const ExpScale<T>& scale = *row.scale;
  bool calm = row.plain && !row.topped;
  sum = kNothing;
  if (scale.scaled && !row.topped) return false;
  for (size_t b = from; b < to; b += kBlock) {
    size_t n = to - b < kBlock ? to - b : kBlock;
    Sum s = kNothing;
    T* q = kStore ? out + b : nullptr;
    bool done = false;
    constexpr size_t W = ExpTraits<T>::kLanes;
    T first = n < W ? row.logits.x[b] : reduce_max(max_skip_nan(splat(row.logits.x[b]), load(row.logits.x + b)));
    if (calm && row.in_reach(first)) {
      calm = done = kHasUnit<T> && scale.unit ? sum_block<kStore, true, kHasUnit<T>>(row.source(), b, n, scale, *row.fine, row.octave(first), row.parted, q, s)
                                              : sum_block<kStore, true, false>(row.source(), b, n, scale, *row.fine, row.octave(first), row.parted, q, s);
    }
    if (!done && !sum_any<T>(row, b, n, q, s)) return false;
    *blocks++ = {s.exponent, done};
    sum = merge(sum, s);
  }
  return true;
}

}  // namespace
