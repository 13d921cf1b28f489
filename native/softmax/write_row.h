// The second pass of softmax. scale_part scales the terms that the first pass stored; write_part computes them from x
// again. Both give the same bits.
#pragma once
#include "../rows/logit_row.h"
#include "block_sum.h"
#include "reciprocal.h"

namespace {

// Elements of a piece that fits the first-level cache.
constexpr size_t kPiece = 2048;

// Scales the stored terms of a block: the last piece first, as it is still in the cache, but each piece forwards.
// Vectors begin at whole cache lines, which arrays of JavaScript seldom do: a vector across two lines costs as much as
// two.
template <bool kFolded, class T> SIMD_INLINE void scale_block(T* block, size_t length, const Scaler<T>& s) {
  constexpr size_t W = ExpTraits<T>::kLanes;
  auto scale_n = [&](T* y, size_t n) ALWAYS_LAMBDA { store_n(y, s.template apply<kFolded>(load_n(y, n, (T)0)), n); };
  size_t head = (64 - ((uintptr_t)block & 63)) % 64 / sizeof(T);
  if (head > length) head = length;
  T* body = block + head;
  length -= head;
  for (size_t piece = (length + kPiece - 1) / kPiece; piece-- > 0;) {
    T* y = body + piece * kPiece;
    size_t n = length - piece * kPiece < kPiece ? length - piece * kPiece : kPiece, i = 0;
    for (; kRegisters < 4 && i + 4 * W <= n; i += 4 * W) {
      auto a = load(y + i), b = load(y + i + W), c = load(y + i + 2 * W), d = load(y + i + 3 * W);
      store(y + i, s.template apply<kFolded>(a));
      store(y + i + W, s.template apply<kFolded>(b));
      store(y + i + 2 * W, s.template apply<kFolded>(c));
      store(y + i + 3 * W, s.template apply<kFolded>(d));
    }
    for (; i + W <= n; i += W) store(y + i, s.template apply<kFolded>(load(y + i)));
    if (i < n) scale_n(y + i, n - i);
  }
  if (head) scale_n(block, head);
}

// Scales the stored terms [from, to), each block by its own exponent.
template <class T> void scale_part(T* y, size_t from, size_t to, const BlockSum* blocks, const Reciprocal<T>& r) {
  for (size_t b = (to - from + kBlock - 1) / kBlock; b-- > 0;) {
    size_t at = from + b * kBlock, n = to - at < kBlock ? to - at : kBlock;
    Scaler<T> s(r, blocks[b].exponent);
    s.is_folded ? scale_block<true>(y + at, n, s) : scale_block<false>(y + at, n, s);
  }
}

// Computes the terms of a block again and writes its results. kInside: all values lie inside the window of exponents.
template <bool kInside, bool kUnit, class T, class Source>
SIMD_INLINE void write_block(const Source& x, size_t from, size_t n, T* y, const ExpVector<T>& e, const Scaler<T>& s,
                             bool is_streaming) {
  constexpr size_t W = ExpTraits<T>::kLanes;
  auto result = [&](auto v) ALWAYS_LAMBDA {
    decltype(high_part(v)) t;
    return s.template apply<kInside>(kInside ? exp_inside<kUnit>(e, v, t) : exp_below<kUnit>(e, v, t));
  };
  size_t i = 0;
  if (is_streaming && ((uintptr_t)y & 63)) {  // up to the first whole cache line
    i = (64 - ((uintptr_t)y & 63)) / sizeof(T);
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
template <class T>
void write_part(const LogitRow<T>& row, size_t from, size_t to, T* out, const BlockSum* blocks, const Reciprocal<T>& r,
                bool is_streaming) {
  const ExpScale<T>& scale = *row.scale;
  for (size_t b = 0; from + b * kBlock < to; b++) {
    size_t at = from + b * kBlock, n = to - at < kBlock ? to - at : kBlock;
    T* y = out + at;
    ExpVector<T> e(scale, (double)blocks[b].exponent + ExpTraits<T>::kBias);
    Scaler<T> s(r, blocks[b].exponent);
    if (!row.is_plain) write_block<false, false>(row.logits, at, n, y, e, s, false);
    else if (!blocks[b].inside_window || !s.is_folded) write_block<false, false>(row.source(), at, n, y, e, s, false);
    else if (kHasUnitCode<T> && scale.unit)
      write_block<true, kHasUnitCode<T>>(row.source(), at, n, y, e, s, is_streaming);
    else write_block<true, false>(row.source(), at, n, y, e, s, is_streaming);
  }
  if (is_streaming) stream_end();
}

}  // namespace
