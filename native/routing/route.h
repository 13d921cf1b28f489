// The kernel of route: the experts of each token of a mixture of experts, and their weights.
//
//   1. A token's logits become choices. Without a bias the logits are the choices, as scores rise with them; with one
//      they are score + bias, in double.
//   2. Of groups, those worth most are kept: groups.h.
//   3. The k largest choices are found: choose.h.
//   4. Weights are computed from the logits of the chosen, in double, and rounded once.
//   5. Counts are added when all tokens have been routed, so that no thread waits for another.
//
// Max error of a weight: just over ½ ULP; 2 ULP for the softmax of all experts, whose sum is one of float terms.
#pragma once
#include "../rows/share_rows.h"
#include "groups.h"

namespace {

// The numbers of a call.
struct RouteCall {
  size_t experts, k;
  Groups groups;
  const double* bias;  // null: none
  int32_t score, normalize;
  double scale;
};

struct RouteMemory {
  const Run& run;
  Buffer<float> logits, kept_logits, picked;
  Buffer<double> choices, kept_choices, terms;
  ChoiceMemory<float> by_logit;
  ChoiceMemory<double> by_choice;
  GroupMemory groups;
  explicit RouteMemory(const Run& run)
      : run(run),
        logits(run),
        kept_logits(run),
        picked(run),
        choices(run),
        kept_choices(run),
        terms(run),
        by_logit(run),
        by_choice(run),
        groups(run) {}
  ChoiceMemory<float>& of(float) { return by_logit; }
  ChoiceMemory<double>& of(double) { return by_choice; }
  Buffer<float>& kept(float) { return kept_logits; }
  Buffer<double>& kept(double) { return kept_choices; }
};

// Chooses k of n choices, with −∞ behind them up to a whole vector. Out of line, as the code is large.
template <class T> NEVER_INLINE void choose(const T* x, size_t n, size_t k, const Sixteen<T>& lane_tops,
                                            RouteMemory& memory, uint32_t* chosen) {
  if (k > kFewChosen || !choose_few(x, whole_vectors(n), lane_tops, k, chosen))
    choose_many(x, n, k, memory.of(T()), chosen);
}
template <class T> SIMD_INLINE Sixteen<T> lane_tops_of(const T* x, size_t n) {
  Sixteen<T> tops = Sixteen<T>::at(x);
  for (size_t i = 16; i < n; i += 16) tops = tops.larger(Sixteen<T>::at(x + i));
  return tops;
}
// Chooses experts of the groups worth most. Writes nothing without memory.
template <class T>
NEVER_INLINE void choose_in_groups(const RouteCall& call, const T* x, RouteMemory& memory, uint32_t* chosen) {
  const Groups& groups = call.groups;
  size_t n = groups.kept_experts();
  T* kept = memory.kept(T()).need(whole_vectors(n));
  if (!kept || !keep_groups(x, groups, call.bias != nullptr, memory.groups)) return;
  copy_kept(x, groups, memory.groups.kept.data, kept);
  choose(kept, n, call.k, lane_tops_of(kept, whole_vectors(n)), memory, chosen);
  for (size_t j = 0; j < call.k && !memory.run.stopped(); j++) {
    size_t group = chosen[j] / groups.size;
    chosen[j] = (uint32_t)(memory.groups.kept.data[group] * groups.size + chosen[j] - group * groups.size);
  }
}

// Writes score + bias for each expert, and −∞ up to a whole vector. Returns the sum of exponentials.
static NEVER_INLINE TokenSum write_choices(const RouteCall& call, const float* x, float top, double* choices) {
  size_t n = call.experts, room = whole_vectors(n);
  bool is_sigmoid = call.score == kSigmoidScore;
  double sum = 0;
  if (is_sigmoid) write_sigmoids(x, room, choices, nullptr);
  else if (top > -infinity<float>()) sum = write_exponentials(x, room, top, choices);
  else
    for (size_t i = 0; i < room; i++) choices[i] = 0;
  const f64x8 inverse = splat(is_sigmoid || sum == 0 ? 1 : 1 / sum);
  for (size_t i = 0; i < n; i += 8) {
    size_t left = n - i;
    f64x8 bias = left < 8 ? load_n(call.bias + i, left, -infinity<double>()) : load(call.bias + i);
    store(choices + i, fma(load(choices + i), inverse, bias));
  }
  for (size_t i = n; i < room; i++) choices[i] = -infinity<double>();
  return {sum, (double)top};
}

// Writes the weights of the chosen experts, whose logits are z: −∞ behind them up to a whole vector. `all` is
// the sum over all experts, where it is wanted.
static NEVER_INLINE void write_weights(const RouteCall& call, const float* z, const TokenSum& all, double* terms,
                                       float* weights) {
  size_t k = call.k, room = whole_vectors(k);
  bool is_sigmoid = call.score == kSigmoidScore, is_over_sum = call.normalize == kWeightsOverSum;
  f32x16 tops = load(z);
  for (size_t i = 16; i < room; i += 16) tops = max_skip_nan(tops, load(z + i));
  float chosen_top = reduce_max(tops);
  // Scores over their sum are a softmax of the chosen logits alone, whose exponentials cannot all vanish.
  bool is_softmax = !is_sigmoid || chosen_top < kSigmoidIsExp;
  bool is_relative = call.normalize == kWeightsOverLogits || (is_over_sum && is_softmax);
  double total = 1;
  if (is_relative) total = chosen_top > -infinity<float>() ? write_exponentials(z, room, chosen_top, terms) : 0;
  else if (is_sigmoid) {
    double chosen_sum = write_sigmoids(z, room, terms, nullptr);
    if (is_over_sum) total = chosen_sum;
  } else {
    if (all.sum != 0) write_exponentials(z, room, all.reference, terms);
    total = all.sum;
  }
  const f64x8 factor = splat(call.scale / (total == 0 ? (double)k : total));
  for (size_t i = 0; i < k; i += 16) {
    f64x8 one = splat(1.), low = total == 0 ? one : load(terms + i), high = total == 0 ? one : load(terms + i + 8);
    f32x16 w = narrow(mul(low, factor), mul(high, factor));
    k - i < 16 ? store_n(weights + i, w, k - i) : store(weights + i, w);
  }
}

// Routes a token. Returns its status; then nothing counts that was written. x has −∞ behind its last whole vector.
static NEVER_INLINE int32_t route_token(const RouteCall& call, RouteMemory& memory, const float* x, uint32_t* chosen,
                                        float* weights) {
  size_t room = whole_vectors(call.experts), picked_room = whole_vectors(call.k);
  TokenScan scan = scan_token(x, room);
  int32_t status = status_of(scan, call.score, call.normalize);
  if (status != kIsRouted) return status;
  float* picked = memory.picked.need(picked_room);
  double* terms = memory.terms.need(picked_room);
  double* choices = call.bias ? memory.choices.need(room) : nullptr;
  if (!picked || !terms || (call.bias && !choices)) return kIsRouted;
  bool has_groups = call.groups.kept < call.groups.count;
  bool wants_sum = call.score == kSoftmaxScore && call.normalize == kPlainWeights && scan.top > -infinity<float>();
  TokenSum all;
  if (choices) {
    all = write_choices(call, x, scan.top, choices);
    if (has_groups) choose_in_groups(call, choices, memory, chosen);
    else choose(choices, call.experts, call.k, lane_tops_of(choices, room), memory, chosen);
  } else {
    if (has_groups) choose_in_groups(call, x, memory, chosen);
    else choose(x, call.experts, call.k, Sixteen<float>{scan.lane_tops}, memory, chosen);
    if (wants_sum) all = sum_exponentials(x, room, scan.top);
  }
  if (memory.run.stopped()) return kIsRouted;
  if (choices && choices[chosen[call.k - 1]] == -infinity<double>()) return kTokenHasTooFew;
  for (size_t j = 0; j < call.k; j++) picked[j] = x[chosen[j]];
  for (size_t j = call.k; j < picked_room; j++) picked[j] = -infinity<float>();
  write_weights(call, picked, all, terms, weights);
  return kIsRouted;
}

// The work of route.
template <class X> struct Route {
  using Memory = RouteMemory;
  const Stored<X>* x;
  uint32_t* chosen;
  float* weights;
  int32_t* status;
  const uint8_t* mask;
  RouteCall call;

  void row(const Run&, Memory& memory, size_t i) const {
    status[i] = kIsRouted;
    for (size_t j = 0; mask && !mask[i] && j < call.k; j++) {
      chosen[i * call.k + j] = 0;
      weights[i * call.k + j] = 0;
    }
    if (mask && !mask[i]) return;
    const float* logits = read_token<X>(x + i * call.experts, call.experts, memory.logits);
    if (logits) status[i] = route_token(call, memory, logits, chosen + i * call.k, weights + i * call.k);
  }
};

// The kernel.
template <class X, class Y> void route(const Run& run, const Stored<X>* x, uint32_t* chosen, float* weights,
                                       uint32_t* counts, int32_t* status, const double* bias, const uint8_t* mask,
                                       size_t tokens, size_t experts, size_t k, size_t groups, size_t top_groups,
                                       int32_t score, int32_t normalize, double scale) {
  RouteCall call = {experts, k, {groups, top_groups, experts / groups}, bias, score, normalize, scale};
  Run r = for_bytes(run, tokens * experts * sizeof *x);
  if (k > 0) share_rows(r, tokens, experts, Route<X>{x, chosen, weights, status, mask, call});
  if (run.stopped()) return;
  for (size_t e = 0; e < experts; e++) counts[e] = 0;
  for (size_t t = 0; k > 0 && t < tokens; t++) {
    if (status[t] != kIsRouted || (mask && !mask[t])) continue;
    for (size_t j = 0; j < k; j++) counts[chosen[t * k + j]]++;
  }
}

}  // namespace
