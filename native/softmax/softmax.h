// softmax: y = exp(x / T) / Σ exp(x / T), for each row.
//
//   1. softmax makes what all rows share: scales, mask and bias. Halves go to half_softmax.h.
//   2. Softmax shares short rows among threads. It takes long rows one after the other, and shares the parts of each.
//   3. A row of at most kTinyRow elements is computed in double, in registers: tiny_rows.h. A float row of at most
//      kPairRow elements has terms of two floats: pair_rows.h.
//   4. Any other row is a SoftmaxRow. Its parts are summed: sum_part.
//   5. If a value is out of reach, find_top finds the maximum, and the parts are summed again as distances from it.
//   6. The sums of the parts merge in order, so the number of threads changes no bit.
//   7. The parts are written: y = fma(q, hi, q · lo), where q is a term and hi + lo the reciprocal of the sum.
//   8. A term that is most of the sum is divided exactly. A row with a NaN or +∞ becomes NaN.
//
// Two plans do steps 4 and 7, with the same bits:
//
//   store      Step 4 stores the terms in the output, step 7 scales them. One exp an element: for rows in the cache.
//   two-pass   Step 7 computes the terms from x again, and may write past the caches. Least memory traffic: for rows
//              beyond the cache (Dukhan & Ablavatski 2020).
//
// Max error of a float result: 2 ULP, 3 in rows that README names; of a tiny float row just over ½ ULP, of a row of
// pairs 1 ULP.
#pragma once
#include "../rows/buffer.h"
#include "../rows/half_rows.h"
#include "../rows/share_rows.h"
#include "columns.h"
#include "pair_rows.h"
#include "state.h"
#include "tiny_rows.h"
#include "write_row.h"

namespace {

// Bytes of a row up to which the next one is prefetched: a longer one would push this one out of the first cache.
constexpr size_t kAheadBytes = 8192;

// ---- Steps 4 to 8: one row, whose parts `run` may share among threads.
// Source and Out: pointers to floats or to halves (formats.h).
template <class T, class Source = const T*, class Out = T*> struct SoftmaxRow {
  const Run& run;
  LogitRow<T, Source> row;
  Out out;
  T* terms;  // `out`, if its elements are of type T
  bool is_storing, is_streaming;
  Sum* sums;                 // one a part
  BlockSum* blocks;          // one a block
  const T* ahead = nullptr;  // the next row, to be prefetched
  Sum total = kNothing;

  ALWAYS Parts parts() const { return {row.n}; }

  // Step 4. A part whose values are out of reach gets the sum kOutOfReach.
  static void sum(void* self, size_t i) {
    SoftmaxRow& s = *(SoftmaxRow*)self;
    if (s.run.stopped()) return;
    size_t from = i * kSuper;
    bool is_summed =
        s.is_storing ? sum_part<true>(s.row, from, s.parts().end(i), s.terms, s.blocks + from / kBlock, s.sums[i])
                     : sum_part<false>(s.row, from, s.parts().end(i), (T*)nullptr, s.blocks + from / kBlock, s.sums[i]);
    if (!is_summed) s.sums[i] = kOutOfReach;
  }
  // Step 7. One thread scales stored parts backwards, as the last part is still in the cache.
  static void write(void* self, size_t i) {
    SoftmaxRow& s = *(SoftmaxRow*)self;
    if (s.run.stopped()) return;
    size_t part = s.run.threads > 1 || !s.is_storing ? i : s.parts().count() - 1 - i, from = part * kSuper;
    Reciprocal<T> r(s.total);
    if (s.is_storing) scale_part(s.terms, s.out, from, s.parts().end(part), s.blocks + from / kBlock, r, s.ahead);
    else write_part(s.row, from, s.parts().end(part), s.out, s.blocks + from / kBlock, r, s.is_streaming);
  }

  void sum_and_write() {
    // 4. Sum.
    bool is_finite = true;
    parts().each(run, sum, this);
    if (run.stopped()) return;
    // 5. Sum again by the row's maximum.
    if (!all_reached(sums, parts().count())) {
      is_finite = row.find_top();
      if (is_finite) parts().each(run, sum, this);
      if (run.stopped()) return;
    }
    // 6. Merge.
    if (is_finite && sizeof(T) == 4) total = from_state<T>(merge_states<T>(sums, parts().count()));
    else if (is_finite)
      for (size_t i = 0; i < parts().count(); i++) total = merge(total, sums[i]);
    // 7. Write.
    if (total.mantissa > 0 && total.mantissa - total.mantissa == 0) {
      parts().each(run, write, this);
      // 8. A result near 1 must not exceed 1, nor carry the rounding error of its term.
      if (total.peak > 0.75 * total.mantissa)
        write_at(out, total.peak_at, Reciprocal<T>(total).quotient(total.peak, total.peak_rest));
    } else {
      // 8. A NaN, a +∞, or no logit above −∞. The last is no fault where a mask was given.
      fill_visible(row.logits, out, row.n, masked_to_nothing(row.logits, row.n) ? 0 : not_a_number<T>());
    }
  }
};

// ---- Step 2: all rows of a call. share_rows calls row().
template <class T> struct Softmax {
  const Run& run;
  const T* x;
  T* out;
  size_t rows, cols;
  Extras<T> extras;
  ExpScale<T> scale;
  ExpScale<double> double_scale;
  bool is_plain = !extras.any();  // the logits are x itself
  bool tries_tiny = cols <= kTinyRow<T> && !scale.scaled;
  bool tries_pairs = sizeof(T) == 4 && cols > kTinyRow<T> && cols <= kPairRow && !scale.scaled;

  // The sums of a row that is one part.
  struct Memory {
    Sum sum;
    BlockSum blocks[kSuper / kBlock];
    explicit Memory(const Run&) {}
  };
  // Returns row i with its plan.
  SoftmaxRow<T> softmax_row(const Run& r, size_t i, Sum* sums, BlockSum* blocks) const {
    size_t bytes = cols * sizeof(T);
    bool is_storing = bytes < run.plan.two_pass_bytes && x != out;  // in place, a term would overwrite its logit
    bool is_streaming = bytes >= run.plan.stream_bytes && x != out;
    LogitRow<T> row(extras.row(x + i * cols, i, cols), cols, &scale, &double_scale);
    const bool prefetches = bytes <= kAheadBytes && i + 1 < rows;
    const T* ahead = prefetches ? x + (i + 1) * cols : nullptr;
    return {r, row, out + i * cols, out + i * cols, is_storing, is_streaming, sums, blocks, ahead};
  }
  ALWAYS bool write_tiny(const T* from, T* to, size_t i) const {
    if (is_plain) return write_tiny_row(double_scale, Plain<T>{from}, to, cols);
    return write_tiny_row(double_scale, extras.row(from, i, cols), to, cols);
  }
  ALWAYS void row(const Run& alone, Memory& memory, size_t i) const {
    if (tries_tiny && write_tiny(x + i * cols, out + i * cols, i)) return;
    softmax_row(alone, i, &memory.sum, memory.blocks).sum_and_write();
  }
  // Rows of terms of two floats.
  struct Pairs {
    const Softmax& s;
    using Memory = typename Softmax::Memory;
    PairScale scale = PairScale(s.scale);
    ALWAYS bool write(size_t i) const {
      const T* from = s.x + i * s.cols;
      T* to = s.out + i * s.cols;
      const PairRow row = {scale, s.cols, i + 1 < s.rows ? from + s.cols : nullptr};
      return s.is_plain ? row.write(Plain<T>{from}, to) : row.write(s.extras.row(from, i, s.cols), to);
    }
    void row(const Run& alone, Memory& memory, size_t i) const {
      if (!write(i)) s.row(alone, memory, i);
    }
  };
  // Sixteen neighbouring tiny rows at a time.
  struct Tiles {
    const Softmax& s;
    using Memory = typename Softmax::Memory;
    void row(const Run& alone, Memory& memory, size_t tile) const {
      size_t i = 16 * tile, at = i * s.cols;
      if (s.rows - i >= 16 && write_tiny_tile(s.double_scale, s.x + at, s.out + at, s.cols)) return;
      for (size_t end = s.rows - i < 16 ? s.rows : i + 16; i < end; i++) s.row(alone, memory, i);
    }
  };
  void write_rows() {
    Run r = for_bytes(run, rows * cols * sizeof(T));
    if (tries_tiny && is_plain && cols <= kTileRow<T>) return share_rows(r, (rows + 15) / 16, cols * 16, Tiles{*this});
    if constexpr (sizeof(T) == 4)
      if (tries_pairs) return share_rows(r, rows, cols, Pairs{*this});
    if (cols <= kSuper) return share_rows(r, rows, cols, *this);
    PartSums memory(run, cols);
    for (size_t i = 0; i < rows && !run.stopped(); i++) softmax_row(r, i, memory.sums, memory.blocks).sum_and_write();
  }
};

// ---- Step 1: the call. An axis that is not the last goes to columns.h.
template <class T> void softmax_floats(const Run& run, const T* x, T* out, const LogitRows<T>& rows) {
  const Extent& e = rows.extent;
  if (e.elements() == 0) return;
  ExpScale<T> scale = ExpScale<T>::of_call(rows.temperature);
  if (e.inner > 1)
    return Columns<T>{run, x, out, nullptr, nullptr, e.outer, e.cols, e.inner, scale, Extras<T>(rows)}.run_tiles();
  ExpScale<double> double_scale = ExpScale<double>::of_call(scale.temperature);
  Softmax<T>{run, x, out, e.outer, e.cols, Extras<T>(rows), scale, double_scale}.write_rows();
}

// Rows of halves, read and written where they lie. Steps 4 to 8 have the bits of a float copy that is rounded once.
struct SoftmaxHalves : RowOfHalves {
  const HalfCall& call;
  AnyHalves<const uint16_t> x;
  AnyHalves<uint16_t> out;
  Extras<float> extras;
  ExpScale<float> scale;
  ExpScale<double> double_scale;

  SoftmaxHalves(const HalfCall& c, const uint16_t* from, uint16_t* to)
      : RowOfHalves{kReadsHalves ? write_row : nullptr},
        call(c),
        x{from, &c.format},
        out{to, &c.format},
        extras(c.part(0, c.rows.extent.outer)),
        scale(ExpScale<float>::of_call(c.rows.temperature)),
        double_scale(ExpScale<double>::of_call(scale.temperature)) {}
  // Terms are stored in `memory`, so a row may be written in place.
  static bool write_row(const RowOfHalves* self, const Run& run, size_t i, float* memory) {
    const SoftmaxHalves& s = *(const SoftmaxHalves*)self;
    const size_t cols = s.call.rows.extent.cols, at = i * cols;
    PartSums sums(run, cols);
    LogitRow<float, AnyHalves<const uint16_t>> row(s.extras.row(s.x + at, i, cols), cols, &s.scale, &s.double_scale);
    const bool is_storing = cols * sizeof(float) < run.plan.two_pass_bytes;
    SoftmaxRow<float, AnyHalves<const uint16_t>, AnyHalves<uint16_t>>{run,        row,   s.out + at, memory,
                                                                      is_storing, false, sums.sums,  sums.blocks}
        .sum_and_write();
    return true;
  }
};
void softmax_halves(const HalfCall& call, const uint16_t* x, HalfResult to) {
  const SoftmaxHalves rows(call, x, to.halves);
  static_assert(kCopiedRow >= kPairRow, "rows of up to these have other bits");
  map_halves(call, x, to, softmax_floats<float>, call.has_long_rows() && to.halves ? &rows : nullptr);
}
template <class X, class Y>
void softmax(const Run& run, const Stored<X>* x, Stored<Y>* out, const LogitRows<Stored<X>>& rows) {
  if constexpr (kIsHalf<X>) softmax_halves(HalfCall(kFormat<X>, run, rows), x, out);
  else softmax_floats(run, x, out, rows);
}

}  // namespace
