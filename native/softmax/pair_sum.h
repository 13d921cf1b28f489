// Sums of terms that are pairs of floats, S + rest (math/exp_parts.h).
//
// S is added without an error: an accumulator starts above all sums, so that it holds a multiple of its last place, and
// what an addition loses is exact. Rests and losses are added as floats.
#pragma once
#include "../math/exp.h"

namespace {

// The terms of an accumulator add up to less than 32 · 2^kBias: four of them, none above the reference's octave.
struct PairSum {
  static constexpr float kAbove = 0x1p38f;
  static_assert(ExpTraits<float>::kBias == 33, "32 · 2^kBias");
  f32x16 tables[4], rests = splat(0.f);

  ALWAYS PairSum() { UNROLL for (int j = 0; j < 4; j++) tables[j] = splat(kAbove); }
  // Adds S to accumulator j. Returns the rest of the term and what the accumulator lost.
  ALWAYS f32x16 add_table(size_t j, f32x16 s, f32x16 rest) {
    const f32x16 next = add(tables[j], s), lost = sub(s, sub(next, tables[j]));
    tables[j] = next;
    return add(lost, rest);
  }
  // Adds the sums of lanes to those of the lower and the upper eight.
  ALWAYS void add_to(f64x8& low, f64x8& high) const {
    const f32x16 above = splat(kAbove);
    const f32x16 a = add(sub(tables[0], above), sub(tables[1], above));  // exact: a multiple of 2^15 below 2^39
    const f32x16 b = add(sub(tables[2], above), sub(tables[3], above));
    low = add(low, add(add(low_f64(a), low_f64(b)), low_f64(rests)));
    high = add(high, add(add(high_f64(a), high_f64(b)), high_f64(rests)));
  }
};

}  // namespace
