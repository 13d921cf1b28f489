// The kernel of loadBalanceLoss: Σ shares · q for each token, and its gradient by the token's logits.
//
// q are a token's scores over their sum: softmax(x), or σ(x) / Σ σ(x). With D = Σ shares · q the gradient is
//
//     softmax   factor · q · (share − D)        sigmoid   factor · q · σ(−x) · (share − D)
//
// All tokens are read once before anything is written to the gradient: a NaN anywhere leaves it untouched.
#pragma once
#include "../rows/share_rows.h"
#include "token_row.h"

namespace {

// Reads tokens, and writes their status.
template <class X> struct TokenCheck {
  using Memory = Buffer<float>;
  const Stored<X>* x;
  int32_t* status;
  const uint8_t* mask;
  size_t experts;
  int32_t score;

  void row(const Run&, Memory& memory, size_t i) const {
    status[i] = kIsRouted;
    const float* logits = !mask || mask[i] ? read_token<X>(x + i * experts, experts, memory) : nullptr;
    if (logits) status[i] = status_of(scan_token(logits, whole_vectors(experts)), score, kPlainWeights);
  }
};
// Whether a call may write: every token has been read, and none has a NaN or a +∞ without a limit.
static inline bool are_sound(const Run& run, const int32_t* status, size_t tokens) {
  bool is_sound = !run.stopped();
  for (size_t i = 0; i < tokens; i++) is_sound &= status[i] == kIsRouted;
  return is_sound;
}

// What a token needs, in a piece of memory. All pieces are there before a gradient is written.
struct ScoreMemory {
  double *scores, *complements;
  float *logits, *results, *picked;

  // For tokens of so many elements, a multiple of 16.
  static size_t bytes(size_t room) { return room * (2 * sizeof(double) + 3 * sizeof(float)); }
  ScoreMemory(char* at, size_t room)
      : scores((double*)at),
        complements(scores + room),
        logits((float*)(complements + room)),
        results(logits + room),
        picked(results + room) {}
};

// Returns Σ shares · q, and writes the gradient to memory.results if that is wanted.
static NEVER_INLINE double balance_token(ScoreMemory& memory, const float* x, const double* shares, size_t experts,
                                         int32_t score, double factor, bool wants_gradient) {
  size_t room = whole_vectors(experts);
  double *q = memory.scores, *complements = memory.complements, sum = 0;
  float top = scan_token(x, room).top;
  bool is_sigmoid = score == kSigmoidScore && top >= kSigmoidIsExp;
  if (is_sigmoid) sum = write_sigmoids(x, room, q, complements);
  else if (top > -infinity<float>()) sum = write_exponentials(x, room, top, q);
  bool is_uniform = sum == 0;  // 0/0
  if (is_uniform) {
    sum = (double)experts;
    for (size_t i = 0; i < room; i++) q[i] = i < experts;
  }
  auto shares_at = [&](size_t i) ALWAYS_LAMBDA {
    return i + 8 <= experts ? load(shares + i) : i < experts ? load_n(shares + i, experts - i, 0) : splat(0.);
  };
  f64x8 total = splat(0.);
  for (size_t i = 0; i < room; i += 8) total = fma(load(q + i), shares_at(i), total);
  double mean = reduce_add(total) / sum;
  if (!wants_gradient) return mean;
  const f64x8 steepness = splat(is_uniform ? 0 : factor / sum), middle = splat(mean);
  for (size_t i = 0; i < room; i += 16) {
    f64x8 slopes[2];
    for (size_t h = 0; h < 2; h++) {
      f64x8 slope = mul(mul(load(q + i + 8 * h), steepness), sub(shares_at(i + 8 * h), middle));
      slopes[h] = is_sigmoid ? mul(slope, load(complements + i + 8 * h)) : slope;
    }
    store(memory.results + i, narrow(slopes[0], slopes[1]));
  }
  return mean;
}

template <class X> struct LoadBalance {
  using Memory = NoMemory;
  const Pieces& pieces;
  const Stored<X>* x;
  const double* shares;
  double* means;
  Stored<X>* gradient;
  const uint8_t* mask;
  size_t experts;
  int32_t score;
  double factor;

  void row(const Run&, Memory&, size_t i) const {
    Stored<X>* own = gradient ? gradient + i * experts : nullptr;
    if (mask && !mask[i]) {
      means[i] = 0;
      for (size_t j = 0; own && j < experts; j++) own[j] = 0;
      return;
    }
    const Pieces::Taken piece(pieces);
    ScoreMemory memory(piece.data(), whole_vectors(experts));
    const float* logits = read_token<X>(x + i * experts, experts, memory.logits);
    means[i] = balance_token(memory, logits, shares, experts, score, factor, own != nullptr);
    if (own) write_token<X>(memory.results, own, experts);
  }
};

// The kernel.
template <class X, class Y> void load_balance_loss(const Run& run, const Stored<X>* x, const double* shares,
                                                   double* means, Stored<X>* gradient, int32_t* status,
                                                   const uint8_t* mask, size_t tokens, size_t experts, int32_t score,
                                                   double factor) {
  Run r = for_bytes(run, tokens * experts * sizeof *x);
  share_rows(r, tokens, experts, TokenCheck<X>{x, status, mask, experts, score});
  if (!are_sound(run, status, tokens)) return;
  const Pieces pieces(r, ScoreMemory::bytes(whole_vectors(experts)), tokens);
  if (pieces.there())
    share_rows(r, tokens, experts, LoadBalance<X>{pieces, x, shares, means, gradient, mask, experts, score, factor});
}

}  // namespace
