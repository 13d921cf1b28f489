// The arguments of head_logits and head_integer_logits, and what is made of a dot product.
#pragma once
#include "../math/sum.h"
#include "../math/tanh.h"
#include "../rows/run.h"

namespace {

struct HeadLogits {
  const Run& run;
  const float *hidden, *factors, *bias;
  float* out;
  size_t count;
  double softcap;
  const HeadWeights& weights;

  ALWAYS f64x8 capped(f64x8 z) const { return mul(tanh_f64(div(z, splat(softcap))), splat(softcap)); }
  // Writes the logits of a state for n rows from `row` on, whose dot products are the first lanes.
  NEVER_INLINE void write(size_t state, size_t row, size_t n, f32x16 dot) const {
    const f32x16 factor = factors ? load_n(factors + row, n, 0) : splat(1.f);
    f32x16 z = fma(dot, factor, bias ? load_n(bias + row, n, 0) : splat(0.f));
    if (softcap > 0) z = narrow(capped(low_f64(z)), capped(high_f64(z)));
    const f32x16 most = splat(infinity<float>()), nan = splat(not_a_number<float>());
    z = select_bits(nan, z, lanes_outside(z, sub(splat(0.f), most), most));  // the lanes of NaN
    store_n(out + state * weights.rows + row, z, n);
  }
};

}  // namespace
