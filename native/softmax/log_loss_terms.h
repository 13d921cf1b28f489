// What a loss makes of D = −ln p of its target, and of ln p of all classes: cross_entropy.h has the formulas.
#pragma once
#include "../math/log.h"

namespace {

// f(D), numbered as in lib/losses/row-loss.ts.
enum { kPlainLoss = 0, kCompSumLoss = 1, kFocalLoss = 2 };

// exp(v), to 6 ULP. +∞ above the range, 0 below.
static NEVER_INLINE double exp_of(double v) {
  if (!(v < 720)) return v == v ? infinity<double>() : v;
  if (v < -750) return 0;
  const ExpVector<double> e(ExpScale<double>::of(1), 0);
  f64x8 t;
  double q[8];
  store(q, exp_below<true>(e, splat(v / 4), t));
  const double root = q[0] * 0x1p-513 / ExpTraits<double>::kG;  // of the window around 1, which is 512 octaves wide
  return root * root * (root * root);
}
// exp(v) − 1, to 20 ULP.
static NEVER_INLINE double exp_minus_one(double v) {
  if (!(v > -0.5 && v < 0.5)) return exp_of(v) - 1;
  double sum = 0;
  for (int k = 18; k > 0; k--) sum = (sum + 1) * v / k;
  return sum;
}

// The numbers of a call beside logits and targets.
template <class T> struct LossTerms {
  const T* soft;         // a probability an element, in place of targets; or null
  const double* weight;  // one a class; or null
  const double* given;   // two a row: the target's logit, in place of its element of −∞, and its slope; or null
  int32_t kind;
  double parameter, smoothing, lse_penalty, scale;

  bool has_shares() const { return soft || smoothing > 0; }
  double weight_of(size_t c) const { return weight ? weight[c] : 1; }
  // Whether the loss is −ln p, times a number of its row.
  bool is_multiple() const { return kind == kPlainLoss && !has_shares() && !given && lse_penalty == 0; }
  // The share of −ln p of class c in the loss, beside a target's. `classes`: those that are not masked.
  double share_of(size_t at, size_t c, double classes) const {
    const double uniform = smoothing / classes, share = soft ? (1 - smoothing) * (double)soft[at] : 0;
    return weight_of(c) * (share + uniform);
  }
};

// f(D), and f′(D) as factor · more: the product may overflow where a gradient does not.
struct LossOfTarget {
  double loss, factor, more;
};
// D is −ln p, `others` the sum of all terms but the target's, `whole` the sum of all.
template <class T> LossOfTarget loss_of_target(const LossTerms<T>& terms, double D, double others, double whole) {
  if (terms.kind == kCompSumLoss) {
    const double power = 1 - terms.parameter;  // L = (exp(power · D) − 1) / power
    if (power == 0) return {D, 1, 1};
    const double h = D == infinity<double>() ? (power > 0 ? D : -D) : power * D;
    const double loss = exp_minus_one(h) / power;
    if (!(h > 700)) return {loss, exp_of(h), 1};
    const double root = exp_of(h < 1400 ? h / 2 : 700);
    return {loss, root, root};
  }
  if (terms.kind == kFocalLoss) {
    const double gamma = terms.parameter, missed = others / whole;  // 1 − p
    if (gamma == 0) return {D, 1, 1};
    if (!(missed > 0)) return {missed == missed ? 0 : missed, missed == missed ? 0 : missed, 1};
    // ln(1 − p) = −ln(1 + p / (1 − p))
    const double power = exp_of(-gamma * log1p_pair((whole - others) / others, 0).hi);
    const double p = (whole - others) / whole;
    return {power * D, power * (1 + (p > 0 ? gamma * p * (D / missed) : 0)), 1};
  }
  return {D, 1, 1};
}

}  // namespace
