// The weights of a block's scores, and the gradient of each score: members of BackwardBlock (backward_block.h).
//
// A float score of up to kLargestRaw octaves is near enough to the exact one. Larger scores near the log-sum-exp are
// computed again in double, as in attention itself (attention_weights.h).
#pragma once
#include "backward_block.h"

namespace {

constexpr double kLog2G = 0x1.00cb2164916e6p-5;  // log2 of ExpTraits<float>::kG, which exp_below multiplies by

// Turns scores into weights p, and products dp into gradients of scores, where the row sees the key; others are 0.
// The gradients are those of the products q · k · scale, or with is_bias those of the scores after all changes.
NEVER_INLINE void BackwardBlock::weigh_rows(size_t first_key, bool wants_slopes, bool is_bias) {
  const ExpVector<float> exp(ExpScale<float>::of(kLog2E), ExpTraits<float>::kBias);
  const double scale = shape.scale * kLog2E, size = scale < 0 ? -scale : scale;
  const float most = size * largest<float>() > kLargestRaw ? (float)(kLargestRaw / size) : largest<float>();
  const bool is_changed = shape.softcap > 0 || data.changes.slopes || data.changes.bias;
  for (size_t r = 0; r < row_count; r++) {
    const f64x8 lse = splat(rows[r].lse), d = splat(rows[r].d);
    for (size_t t = 0; t * kTile < key_count; t++) {
      float *p_at = weights + r * kBlockRows + t * kTile, *ds_at = slopes + r * kBlockRows + t * kTile;
      const uint32_t lanes = seen[r][t];
      f32x16 s = load(p_at), p = splat(0.f), ds = p;
      if (lanes) {
        f64x8 z[2] = {mul(low_f64(s), splat(scale)), mul(high_f64(s), splat(scale))};
        f64x8 steep[2] = {splat(1.), splat(1.)};
        uint32_t large = lanes_outside(s, splat(-most), splat(most)) & lanes;
        if (large) recompute(r, t, is_changed, large, z);
        if (is_changed) change(r, t, first_key, z, steep);
        // A weight is at most 1, whatever the rounding of a large lse.
        f64x8 below[2];
        UNROLL
        for (int i = 0; i < 2; i++)
          below[i] = sub(splat(-kLog2G), max_keep_nan(splat(0.), sub(lse, z[i])));
        f32x16 high = narrow(below[0], below[1]), unused;
        f32x16 low = narrow(sub(below[0], low_f64(high)), sub(below[1], high_f64(high)));
        p = select_bits(exp_below<false>(exp, Two<f32x16>{high, low}, unused), p, lanes);
        if (wants_slopes) {
          f32x16 dp = load(ds_at);
          f64x8 g[2] = {mul(low_f64(p), sub(low_f64(dp), d)), mul(high_f64(p), sub(high_f64(dp), d))};
          if (is_changed && !is_bias) g[0] = mul(g[0], steep[0]), g[1] = mul(g[1], steep[1]);
          ds = select_bits(narrow(g[0], g[1]), ds, lanes);
        }
      }
      store(p_at, p);
      if (wants_slopes) store(ds_at, ds);
    }
  }
}
// Replaces large scores by exact ones. Far below the log-sum-exp no rounding shows, unless a cap or bias is to come.
void BackwardBlock::recompute(size_t r, size_t t, bool is_changed, uint32_t lanes, f64x8* z) const {
  f64x8 near = splat(is_changed ? -infinity<double>() : rows[r].lse - kNear);
  f32x16 s = load(weights + r * kBlockRows + t * kTile);
  lanes &= lanes_above(z[0], near) | lanes_above(z[1], near) << 8 |
           lanes_outside(s, splat(-largest<float>()), splat(largest<float>()));
  if (!lanes) return;
  double scores[kTile];
  score_exactly<Format<float>>(keys + t * kTile * depth, &rows[r].query.q, 1, depth, scores);
  for (size_t i = 0; i < 2; i++)
    z[i] = select_bits(mul(load(scores + 8 * i), splat(shape.scale * kLog2E)), z[i], lanes >> 8 * i);
}
// Applies softcap, slope and bias to scores in octaves. `steep` gets the derivative of the cap.
void BackwardBlock::change(size_t r, size_t t, size_t first_key, f64x8* z, f64x8* steep) const {
  const Query& query = rows[r].query;
  double cap = shape.softcap * kLog2E, inverse = cap > 0x1p-1020 ? 1 / cap : 0x1p1020, scores[kTile];  // finite
  for (size_t i = 0; i < 2; i++) {
    if (shape.softcap > 0) {
      f64x8 y = tanh_f64(mul(z[i], splat(inverse)));
      z[i] = mul(y, splat(cap));
      steep[i] = mul(sub(splat(1.), y), add(splat(1.), y));
    }
    store(scores + 8 * i, z[i]);
  }
  if (query.slope == 0 && !query.bias) return;
  for (size_t i = 0; i < kTile; i++) {
    if (!(seen[r][t] >> i & 1)) continue;
    size_t key = first_key + t * kTile + i;
    double distance = query.position - (double)key;
    if (query.slope != 0) scores[i] -= query.slope * (distance < 0 ? -distance : distance);
    if (query.bias) scores[i] += query.bias[key] * kLog2E;
  }
  for (size_t i = 0; i < 2; i++) z[i] = load(scores + 8 * i);
}

}  // namespace
