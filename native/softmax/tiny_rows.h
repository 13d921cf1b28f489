// Rows of few elements, summed in double, in registers: that costs less than the correction of a float sum
// (largest_terms.h).
//
//   write_tiny_row    One row, whose elements are lanes.
//   write_tiny_tile   Sixteen neighbouring float rows of at most twelve elements: a lane is a row. One row would leave
//                     lanes of its vectors unused. The bits are those of write_tiny_row.
#pragma once
#include "row_sum.h"
#include "reciprocal.h"

namespace {

template <class T> constexpr size_t kTinyRow = sizeof(T) == 4 ? 256 : 8;  // elements

// Writes a tiny float row. Returns false, with nothing written, if the row is not ordinary.
template <class Source>
SIMD_INLINE bool write_tiny_row(const ExpScale<double>& scale, const Source& x, float* y, size_t n) {
  f64x8 q[kTinyRow<float> / 8], tops = splat(-infinity<double>()), total = splat(0.);
  size_t vectors = (n + 7) / 8;
  for (size_t i = 0; i < vectors; i += 2) {
    size_t left = n - 8 * i;
    to_doubles(left < 16 ? x.at(8 * i, left) : x.read(8 * i), q[i], q[i + 1]);
    tops = max_skip_nan(max_skip_nan(tops, q[i]), q[i + 1]);
  }
  // Distances from the maximum let one exponent serve all rows. They are exact enough for floats, and for sums x + bias
  // near 0; for sums far from 0 they are not.
  double top = reduce_max(tops);
  if (!Source::kOneNumber && !(8 * scale.octaves * (top < 0 ? -top : top) <= ExpTraits<double>::kLimit)) return false;
  const f64x8 top_vector = splat(top);
  const ExpVector<double> e(scale, 0);
  for (size_t i = 0; i < vectors; i++) {
    q[i] = exp_for_float(e, sub(q[i], top_vector));
    total = add(total, n - 8 * i < 8 ? first_n(q[i], n - 8 * i) : q[i]);
  }
  double sum = reduce_add(total);
  if (sum - sum != 0) return false;
  f64x8 inverse = splat(1 / sum);
  for (size_t i = 0; i < vectors; i += 2) {
    f32x16 v = narrow(mul(q[i], inverse), mul(q[i + 1], inverse));
    n - 8 * i < 16 ? store_n(y + 8 * i, v, n - 8 * i) : store(y + 8 * i, v);
  }
  return true;
}
// Writes a tiny double row, which is one vector. Returns false, with nothing written, if the row is not ordinary.
template <class Source>
SIMD_INLINE bool write_tiny_row(const ExpScale<double>& scale, const Source& x, double* y, size_t n) {
  auto v = x.at(0, n);
  double top = reduce_max(max_skip_nan(splat(-infinity<double>()), high_part(v)));
  if (!(8 * scale.octaves * (top < 0 ? -top : top) <= ExpTraits<double>::kLimit)) return false;
  const ExpVector<double> e(scale, nearest(top * scale.octaves));
  f64x8 t, rest, q = exp_below<false>(e, v, t, &rest);
  VectorTotal<double> total;
  total.add_pair(first_n(q, n), first_n(rest, n));
  Sum sum = total.reduce(0);
  if (sum.mantissa - sum.mantissa != 0) return false;
  Reciprocal<double> r(sum);
  f64x8 down = splat(pow2(-r.shift)), hi = splat(r.hi), lo = splat(r.lo);  // the largest term is near 2^513
  q = mul(q, down);
  rest = mul(rest, down);
  store_n(y, fma(q, hi, fma(rest, hi, mul(q, lo))), n);
  return true;
}

// Elements up to which sixteen rows are a tile.
template <class T> constexpr size_t kTileRow = sizeof(T) == 4 ? 12 : 0;

// The sum that write_tiny_row makes of terms q, in each lane.
SIMD_INLINE f64x8 sum_of_lanes(const f64x8* q, size_t n) {
  const f64x8 zero = splat(0.);
  f64x8 t[8];
  for (size_t j = 0; j < 8; j++) t[j] = j >= n ? zero : j + 8 < n ? add(q[j], q[j + 8]) : q[j];
  f64x8 even = add(add(t[0], t[4]), add(t[2], t[6])), odd = add(add(t[1], t[5]), add(t[3], t[7]));
  return add(even, odd);
}
// Turns eight rows of logits q, a row a lane, into probabilities. Returns false if a row is not ordinary.
SIMD_INLINE bool tiny_softmax(const ExpVector<double>& e, f64x8* q, size_t n) {
  f64x8 top = q[0];
  for (size_t c = 1; c < n; c++) top = max_skip_nan(top, q[c]);
  for (size_t c = 0; c < n; c++) q[c] = exp_for_float(e, sub(q[c], top));
  const f64x8 sum = sum_of_lanes(q, n);
  if (lanes_above(splat(infinity<double>()), sum) != 0xFF) return false;
  const f64x8 inverse = div(splat(1.), sum);
  for (size_t c = 0; c < n; c++) q[c] = mul(q[c], inverse);
  return true;
}
// Writes sixteen rows of n elements. Returns false, with nothing written, if a row is not ordinary.
static NEVER_INLINE bool write_tiny_tile(const ExpScale<double>& scale, const float* x, float* y, size_t n) {
  alignas(64) float rows[256], columns[256];
  for (size_t i = 0; i < 16; i++) store(rows + 16 * i, load_n(x + i * n, n, 0.f));
  transpose16(rows, 16, columns);
  const ExpVector<double> e(scale, 0);
  f64x8 low[16], high[16];
  for (size_t c = 0; c < n; c++) to_doubles(load(columns + 16 * c), low[c], high[c]);
  if (!tiny_softmax(e, low, n) || !tiny_softmax(e, high, n)) return false;
  for (size_t c = 0; c < n; c++) store(columns + 16 * c, narrow(low[c], high[c]));
  transpose16(columns, 16, rows);
  for (size_t i = 0; i < 16; i++) {
    // A whole vector reaches into rows that are written later, which is faster.
    const f32x16 row = load(rows + 16 * i);
    (16 - i) * n >= 16 ? store(y + i * n, row) : store_n(y + i * n, row, n);
  }
  return true;
}
// A tile of double rows is never asked for.
static inline bool write_tiny_tile(const ExpScale<double>&, const double*, double*, size_t) { return false; }

}  // namespace
