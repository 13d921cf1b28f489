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
#include "../rows/buffer.h"
#include "../rows/logit_row.h"
#include "../rows/share_rows.h"
#include "block_sum.h"

namespace {

// Memory for the sums of one row's parts and blocks.
struct PartSums {
  Sum one_sum;
  BlockSum one_block[kSuper / kBlock];
  LongRow memory;
  Sum* sums = &one_sum;
  BlockSum* blocks = one_block;

  static size_t bytes(size_t cols) {
    return cols <= kSuper ? 0 : Parts{cols}.count() * sizeof(Sum) + (cols + kBlock - 1) / kBlock * sizeof(BlockSum);
  }
  PartSums(const Run& run, size_t cols) : memory(run, bytes(cols)) {
    if (cols <= kSuper) return;
    sums = (Sum*)memory.data;
    blocks = (BlockSum*)(sums + Parts{cols}.count());
  }
};

// Sums a block by its true maximum. Returns false if a value is out of reach: the caller must find_top first.
template <class T, class Source>
NEVER_INLINE bool sum_block_by_top(const LogitRow<T, Source>& row, size_t b, size_t n, T* q, Sum& s) {
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
template <bool kStores, class T, class Source>
bool sum_part(const LogitRow<T, Source>& row, size_t from, size_t to, T* out, BlockSum* blocks, Sum& sum) {
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
    const Source x = row.logits.x;
    T guess = n < W ? x[b] : reduce_max(max_skip_nan(splat(x[b]), load(x + b)));
    if (guesses_octave && row.is_in_reach(guess)) {
      // After a block that leaves its window, no octave is guessed any more.
      guesses_octave = is_inside = in_known_format(x, x, [&](auto known, auto) ALWAYS_LAMBDA {
        const Plain<T, decltype(known)> source = {known};
        return kHasUnitCode<Source> && scale.unit
                   ? sum_block<kStores, true, kHasUnitCode<Source>>(source, b, n, scale, *row.double_scale,
                                                                    row.octave(guess), row.wants_others, q, s)
                   : sum_block<kStores, true, false>(source, b, n, scale, *row.double_scale, row.octave(guess),
                                                     row.wants_others, q, s);
      });
    }
    if (!is_inside && !sum_block_by_top(row, b, n, q, s)) return false;
    *blocks++ = {s.exponent, is_inside};
    sum = merge(sum, s);
  }
  return true;
}

}  // namespace
