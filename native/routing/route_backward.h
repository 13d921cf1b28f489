// The kernel of routeBackward: the gradient by a token's logits, from the gradient by the weights of its experts.
//
// The choice itself has no gradient. With g the gradients by the weights scale · u, and G = Σ g · u over the chosen:
//
//     softmax of the chosen alone   scale · u · (g − G)
//     sigmoids over their sum       scale · u · σ(−x) · (g − G)
//     sigmoids                      scale · σ(x) · σ(−x) · g
//     softmax of all experts        scale · u · (g − G), with g = 0 for experts that were not chosen
//
// A weight of 0 was dropped: its gradient counts as 0. A token without a weight has the gradient 0, whatever its
// logits are.
#pragma once
#include "load_balance.h"

namespace {

struct BackwardCall {
  size_t experts, k;
  int32_t score, normalize;
  double scale;
};

static bool has_weight(const float* weights, size_t k) {
  bool has = false;
  for (size_t j = 0; j < k; j++) has |= weights[j] != 0;
  return has;
}

// Writes the gradient of a token whose weights depend on all logits, a softmax.
static NEVER_INLINE void spread_backward(const BackwardCall& call, ScoreMemory& memory, const float* x,
                                         const uint32_t* chosen, const float* weights, const float* slopes) {
  size_t room = whole_vectors(call.experts);
  double *u = memory.scores, *g = memory.complements, mean = 0;
  float top = scan_token(x, room).top;
  double sum = top > -infinity<float>() ? write_exponentials(x, room, top, u) : 0;
  for (size_t i = 0; i < room; i++) g[i] = 0;
  for (size_t j = 0; j < call.k; j++)
    if (weights[j] != 0) g[chosen[j]] += slopes[j];
  for (size_t j = 0; sum != 0 && j < call.k; j++)
    if (weights[j] != 0) mean += slopes[j] * (u[chosen[j]] / sum);
  const f64x8 steepness = splat(sum != 0 ? call.scale / sum : 0), middle = splat(mean);
  if (sum == 0)
    for (size_t i = 0; i < room; i++) u[i] = 0;
  for (size_t i = 0; i < room; i += 16) {
    f64x8 low = mul(mul(load(u + i), steepness), sub(load(g + i), middle));
    f64x8 high = mul(mul(load(u + i + 8), steepness), sub(load(g + i + 8), middle));
    store(memory.results + i, narrow(low, high));
  }
}

// Adds the gradient of the chosen logits, which the weights depend on alone, to memory.results.
static NEVER_INLINE void sparse_backward(const BackwardCall& call, ScoreMemory& memory, const float* x,
                                         const uint32_t* chosen, const float* weights, const float* slopes) {
  size_t k = call.k, room = whole_vectors(k);
  float *z = memory.picked, top = -infinity<float>();
  for (size_t j = 0; j < room; j++) z[j] = j < k ? x[chosen[j]] : -infinity<float>();
  for (size_t j = 0; j < k; j++) top = z[j] > top ? z[j] : top;
  double *u = memory.scores, *complements = memory.complements, sum = 0, mean = 0;
  bool is_sigmoid = call.score == kSigmoidScore && call.normalize != kWeightsOverLogits;
  bool is_plain = call.normalize == kPlainWeights;
  if (is_sigmoid && !is_plain && top < kSigmoidIsExp) is_sigmoid = false;
  if (is_sigmoid) sum = write_sigmoids(z, room, u, complements);
  else if (top > -infinity<float>()) sum = write_exponentials(z, room, top, u);
  if (sum == 0) return;
  if (is_plain) sum = 1;
  for (size_t j = 0; j < k && !is_plain; j++) mean += weights[j] != 0 ? slopes[j] * (u[j] / sum) : 0;
  for (size_t j = 0; j < k; j++) {
    double slope = call.scale * (u[j] / sum) * ((weights[j] != 0 ? slopes[j] : 0) - mean);
    memory.results[chosen[j]] += (float)(is_sigmoid ? slope * complements[j] : slope);
  }
}

template <class X> struct RouteBackward {
  using Memory = NoMemory;
  const Pieces& pieces;
  const Stored<X>* x;
  const uint32_t* chosen;
  const float *weights, *slopes;
  Stored<X>* out;
  BackwardCall call;

  // Elements of a token's memory: its experts, or the vectors of the chosen.
  static size_t room_of(const BackwardCall& call) {
    return whole_vectors(call.experts < 16 + call.k ? 16 + call.k : call.experts);
  }
  void row(const Run&, Memory&, size_t i) const {
    size_t at = i * call.k, room = whole_vectors(call.experts);
    Stored<X>* own = out + i * call.experts;
    if (!has_weight(weights + at, call.k)) {
      for (size_t j = 0; j < call.experts; j++) own[j] = 0;
      return;
    }
    const Pieces::Taken piece(pieces);
    ScoreMemory memory(piece.data(), room_of(call));
    const float* logits = read_token<X>(x + i * call.experts, call.experts, memory.logits);
    if (call.score == kSoftmaxScore && call.normalize == kPlainWeights)
      spread_backward(call, memory, logits, chosen + at, weights + at, slopes + at);
    else {
      for (size_t j = 0; j < room; j++) memory.results[j] = 0;
      sparse_backward(call, memory, logits, chosen + at, weights + at, slopes + at);
    }
    write_token<X>(memory.results, own, call.experts);
  }
};
// Reads tokens that have a weight, and writes their status.
template <class X> struct BackwardCheck {
  using Memory = Buffer<float>;
  TokenCheck<X> check;
  const float* weights;
  size_t k;
  int32_t normalize;

  void row(const Run&, Memory& memory, size_t i) const {
    check.status[i] = kIsRouted;
    if (!has_weight(weights + i * k, k)) return;
    const float* logits = read_token<X>(check.x + i * check.experts, check.experts, memory);
    if (logits) check.status[i] = status_of(scan_token(logits, whole_vectors(check.experts)), check.score, normalize);
  }
};

// The kernel. `out` may be x: a token is read before it is written.
template <class X, class Y> void route_backward(const Run& run, const Stored<X>* x, const uint32_t* chosen,
                                                const float* weights, const float* slopes, Stored<X>* out,
                                                int32_t* status, size_t tokens, size_t experts, size_t k, int32_t score,
                                                int32_t normalize, double scale) {
  Run r = for_bytes(run, tokens * experts * sizeof *x);
  TokenCheck<X> check = {x, status, nullptr, experts, score};
  share_rows(r, tokens, experts, BackwardCheck<X>{check, weights, k, normalize});
  if (!are_sound(run, status, tokens)) return;
  const BackwardCall call = {experts, k, score, normalize, scale};
  const Pieces pieces(r, ScoreMemory::bytes(RouteBackward<X>::room_of(call)), tokens);
  if (pieces.there()) share_rows(r, tokens, experts, RouteBackward<X>{pieces, x, chosen, weights, slopes, out, call});
}

}  // namespace
