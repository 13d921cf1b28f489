// A row of logits at a temperature, and how it is read so that all its values are in reach of the reduction of exp.
#pragma once
#include "scan.h"

namespace {

// One row of logits, the way to read it, and its maximum once find_top has found it.
template <class T, class Source = const T*> struct LogitRow {
  Logits<T, Source> logits;
  size_t n;
  const ExpScale<T>* scale;
  const ExpScale<double>* double_scale;  // of the temperature that `scale` leaves
  bool is_plain;                         // the logits are x itself
  bool wants_others = false;             // sums without their peaks are wanted too
  bool has_top = false;                  // nothing in the row lies above top_octave
  double top_octave = 0;

  LogitRow(const Logits<T, Source>& l, size_t n, const ExpScale<T>* s, const ExpScale<double>* d)
      : logits(l), n(n), scale(s), double_scale(d), is_plain(!l.mask && !l.bias && !s->scaled) {}
  ALWAYS Plain<T, Source> source() const { return {logits.x}; }
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

}  // namespace
