// The second pass of softmax. scale_part scales the terms that the first pass stored; write_part computes them from x
// again. Both give the same bits.
#pragma once
#include "../math/formats.h"
#include "../rows/logit_row.h"
#include "block_sum.h"
#include "reciprocal.h"

namespace {

// Elements of a piece that fits the first-level cache.
constexpr size_t kPiece = 2048;

// Elements before the first whole cache line of y. 0 for halves, whose vectors are half a line.
template <class T> SIMD_INLINE size_t before_line(T* y) { return (64 - ((uintptr_t)y & 63)) % 64 / sizeof(T); }
template <class X> SIMD_INLINE size_t before_line(HalvesOf<X, uint16_t>) { return 0; }
SIMD_INLINE size_t before_line(AnyHalves<uint16_t>) { return 0; }
// Halves do not pass the cache.
template <class X> SIMD_INLINE void stream(HalvesOf<X, uint16_t> y, f32x16 v) { store(y, v); }
SIMD_INLINE void stream(AnyHalves<uint16_t> y, f32x16 v) { store(y, v); }

// Scales the stored terms of a block: the last piece first, as it is still in the cache, but each piece forwards. `out`
// may be `terms`. `ahead`, if not null, is prefetched meanwhile: as many elements.
// Vectors begin at whole cache lines, which arrays of JavaScript seldom do: a vector across two lines costs as much as
// two.
template <bool kFolded, class T, class Out>
SIMD_INLINE void scale_block(const T* terms, Out out, size_t length, const Scaler<T>& s, const T* ahead) {
  constexpr size_t W = ExpTraits<T>::kLanes;
  auto scale_n = [&](const T* q, Out y, size_t n)
                     ALWAYS_LAMBDA { store_n(y, s.template apply<kFolded>(load_n(q, n, (T)0)), n); };
  size_t head = before_line(out);
  if (head > length) head = length;
  length -= head;
  for (size_t piece = (length + kPiece - 1) / kPiece; piece-- > 0;) {
    const T* q = terms + head + piece * kPiece;
    const Out y = out + head + piece * kPiece;
    const T* next = ahead ? ahead + head + piece * kPiece : nullptr;
    size_t n = length - piece * kPiece < kPiece ? length - piece * kPiece : kPiece, i = 0;
    for (; kRegisters < 4 && i + 4 * W <= n; i += 4 * W) {
      if (next) UNROLL for (size_t j = 0; j < 4; j++) prefetch(next + i + j * W);
      auto a = load(q + i), b = load(q + i + W), c = load(q + i + 2 * W), d = load(q + i + 3 * W);
      store(y + i, s.template apply<kFolded>(a));
      store(y + i + W, s.template apply<kFolded>(b));
      store(y + i + 2 * W, s.template apply<kFolded>(c));
      store(y + i + 3 * W, s.template apply<kFolded>(d));
    }
    for (; i + W <= n; i += W) store(y + i, s.template apply<kFolded>(load(q + i)));
    if (i < n) scale_n(q + i, y + i, n - i);
  }
  if (head) scale_n(terms, out, head);
}

// Scales the stored terms [from, to), each block by its own exponent. `ahead`: for a row of one block, or null.
template <class T, class Out> void scale_part(const T* terms, Out out, size_t from, size_t to, const BlockSum* blocks,
                                              const Reciprocal<T>& r, const T* ahead = nullptr) {
  for (size_t b = (to - from + kBlock - 1) / kBlock; b-- > 0;) {
    size_t at = from + b * kBlock, n = to - at < kBlock ? to - at : kBlock;
    Scaler<T> s(r, blocks[b].exponent);
    in_known_format(out + at, out + at, [&](auto y, auto) ALWAYS_LAMBDA {
      s.is_folded ? scale_block<true>(terms + at, y, n, s, ahead) : scale_block<false>(terms + at, y, n, s, ahead);
    });
  }
}

// Computes the terms of a block again and writes its results. kInside: all values lie inside the window of exponents.
template <bool kInside, bool kUnit, class T, class Source, class Out>
SIMD_INLINE void write_block(const Source& x, size_t from, size_t n, Out y, const ExpVector<T>& e, const Scaler<T>& s,
                             bool is_streaming) {
  constexpr size_t W = ExpTraits<T>::kLanes;
  auto result = [&](auto v) ALWAYS_LAMBDA {
    decltype(high_part(v)) t;
    return s.template apply<kInside>(kInside ? exp_inside<kUnit>(e, v, t) : exp_below<kUnit>(e, v, t));
  };
  size_t i = 0;
  if (is_streaming && before_line(y)) {
    i = before_line(y);
    if (i > n) i = n;
    store_n(y, result(x.at(from, i)), i);
  }
  // Four vectors at a time, unless one vector is four registers and keeps the processor as busy.
  for (; Source::kOneNumber && kRegisters < 4 && i + 4 * W <= n; i += 4 * W) {
    UNROLL
    for (size_t j = 0; j < 4; j++) {
      auto z = x.at(from + i + j * W);
      if constexpr (kInside && kVectors >= 32) KEEP(z);  // loads stay in order, or the processor does not prefetch
      auto v = result(z);
      is_streaming ? stream(y + i + j * W, v) : store(y + i + j * W, v);
    }
  }
  for (; i < n; i += W) {
    size_t left = n - i;
    auto v = result(left < W ? x.at(from + i, left) : x.at(from + i));
    left < W ? store_n(y + i, v, left) : store(y + i, v);
  }
}

// Writes the results [from, to) from x, each block with the exponent of its first pass.
template <class T, class Source, class Out> void write_part(const LogitRow<T, Source>& row, size_t from, size_t to,
                                                            Out out, const BlockSum* blocks, const Reciprocal<T>& r,
                                                            bool is_streaming) {
  const ExpScale<T>& scale = *row.scale;
  for (size_t b = 0; from + b * kBlock < to; b++) {
    size_t at = from + b * kBlock, n = to - at < kBlock ? to - at : kBlock;
    const Out y = out + at;
    ExpVector<T> e(scale, (double)blocks[b].exponent + ExpTraits<T>::kBias);
    Scaler<T> s(r, blocks[b].exponent);
    if (!row.is_plain) write_block<false, false>(row.logits, at, n, y, e, s, false);
    else if (!blocks[b].inside_window || !s.is_folded) write_block<false, false>(row.source(), at, n, y, e, s, false);
    else
      in_known_format(row.logits.x, y, [&](auto x, auto known_y) ALWAYS_LAMBDA {
        const Plain<T, decltype(x)> source = {x};
        kHasUnitCode<Source>&& scale.unit
            ? write_block<true, kHasUnitCode<Source>>(source, at, n, known_y, e, s, is_streaming)
            : write_block<true, false>(source, at, n, known_y, e, s, is_streaming);
      });
  }
  if (is_streaming) stream_end();
}

}  // namespace
