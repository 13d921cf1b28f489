// The sum of exponentials of a row, as mantissa · 2^exponent: block by block, part by part.
//
//   1. A row is cut into parts of kSuper elements, which threads share, and parts into blocks of kBlock elements.
//   2. sum_part guesses the exponent of a block from its first vector, and sum_block watches the window of 256 octaves
//      around the guess (block_sum.h).
//   3. A block with a value outside the window (a −∞, a rise by 10^28, a NaN) is summed again by its own maximum.
//   4. A row with a value too large for the reduction of exp is read as distances from its maximum: LogitRow::find_top.
//   5. The sums of blocks merge in order.
//
// Scaling by 2^k is exact: neither the choice of an exponent nor the number of threads changes a bit.
#pragma once
#include "block_sum.h"

namespace {

// One row of logits, the way to read it, and its maximum once find_top has found it.
template <class T> struct LogitRow {
  Logits<T> logits;
  size_t n;
  const ExpScale<T>* scale;
  const ExpScale<double>* double_scale;  // of the temperature that `scale` leaves
  bool is_plain;                         // the logits are x itself
  bool wants_others = false;             // sums without their peaks are wanted too
  bool has_top = false;                  // nothing in the row lies above top_octave
  double top_octave = 0;

  LogitRow(const Logits<T>& l, size_t n, const ExpScale<T>* s, const ExpScale<double>* d)
      : logits(l), n(n), scale(s), double_scale(d), is_plain(!l.mask && !l.bias && !s->scaled) {}
  ALWAYS Plain<T> source() const { return {logits.x}; }
  ALWAYS double octave(T value) const { return nearest((double)value * scale->octaves); }
  // Whether the reduction of exp is exact enough for a value.
  ALWAYS bool is_in_reach(T value) const {
    return 8 * scale->octaves * (value < 0 ? -value : value) <= ExpTraits<T>::kLimit;
  }
  // Finds the row's maximum, and how the row is read from now on. Returns false if the maximum is not finite.
  SELDOM bool find_top() {
    const bool scales_down = scale->scale1 < 1;  // then before all else: a sum or a difference could overflow
    if (scales_down) {
      logits.far = true;
      logits.scale1 = scale->scale1;
      logits.scale2 = scale->scale2;
    }
    T top = is_plain ? maximum<T>(source(), 0, n) : maximum<T>(logits, 0, n);
    const bool is_near_end = logits.bias && !(top < kNearEnd<T> && top > -kNearEnd<T>);
    // At low temperatures the last bits of a half count. Only a sum that overflows is read as halves there.
    const bool wants_halves = top - top == 0 ? scale->scale1 <= 1 : logits.overflows(0, n);
    if (is_near_end && !scales_down && wants_halves) {
      logits.far = logits.halved = true;
      top = maximum<T>(logits, 0, n);
    }
    if (top - top != 0) return false;
    if (logits.far || scale->scaled || !is_in_reach(top)) {
      is_plain = false;
      logits.far = true;
      logits.shift = top;
      // The largest logit is now the rounding error of its x + bias.
      if (logits.bias) logits.second = maximum<T>(logits, 0, n) * (logits.halved ? (T)0.5 : 1);
      logits.scale1 = scale->scale1;
      logits.scale2 = scale->scale2;
      top = 0;
    }
    has_top = true;
    top_octave = octave(top);
    return true;
  }
};

// Sums a block by its true maximum. Returns false if a value is out of reach: the caller must find_top first.
template <class T> NEVER_INLINE bool sum_block_by_top(const LogitRow<T>& row, size_t b, size_t n, T* q, Sum& s) {
  double octave = row.top_octave;
  if (!row.has_top) {
    T top = row.is_plain ? maximum<T>(row.source(), b, n) : maximum<T>(row.logits, b, n);
    if (top - top != 0) {  // no finite logit, or a +∞
      if (row.logits.overflows(b, n)) return false;
      bool has_a_nan = has_nan<T>(row.logits, b, n);
      s = {has_a_nan ? not_a_number<double>() : top > 0 ? (double)top : 0, 0, 0, 0, 0, 0};
      for (size_t i = 0; q && i < n; i++) q[i] = 0;
      return true;
    }
    if (!row.is_in_reach(top)) return false;
    octave = row.octave(top);
  }
  if (row.is_plain)
    sum_block_below<T>(row.source(), b, n, *row.scale, *row.double_scale, octave, row.wants_others, q, s);
  else sum_block_below<T>(row.logits, b, n, *row.scale, *row.double_scale, octave, row.wants_others, q, s);
  return true;
}

// Sums elements [from, to) of a row: at most kSuper, from the start of a block. Writes one BlockSum a block and, if
// kStores, the terms to `out`. Returns false if a value is out of reach: the caller must find_top, and sum again.
template <bool kStores, class T>
bool sum_part(const LogitRow<T>& row, size_t from, size_t to, T* out, BlockSum* blocks, Sum& sum) {
  const ExpScale<T>& scale = *row.scale;
  bool guesses_octave = row.is_plain && !row.has_top;
  sum = kNothing;
  if (scale.scaled && !row.has_top) return false;
  for (size_t b = from; b < to; b += kBlock) {
    size_t n = to - b < kBlock ? to - b : kBlock;
    Sum s = kNothing;
    T* q = kStores ? out + b : nullptr;
    bool is_inside = false;
    constexpr size_t W = ExpTraits<T>::kLanes;
    T guess = n < W ? row.logits.x[b] : reduce_max(max_skip_nan(splat(row.logits.x[b]), load(row.logits.x + b)));
    if (guesses_octave && row.is_in_reach(guess)) {
      // After a block that leaves its window, no octave is guessed any more.
      guesses_octave = is_inside =
          kHasUnitCode<T> && scale.unit
              ? sum_block<kStores, true, kHasUnitCode<T>>(row.source(), b, n, scale, *row.double_scale,
                                                          row.octave(guess), row.wants_others, q, s)
              : sum_block<kStores, true, false>(row.source(), b, n, scale, *row.double_scale, row.octave(guess),
                                                row.wants_others, q, s);
    }
    if (!is_inside && !sum_block_by_top<T>(row, b, n, q, s)) return false;
    *blocks++ = {s.exponent, is_inside};
    sum = merge(sum, s);
  }
  return true;
}

}  // namespace
