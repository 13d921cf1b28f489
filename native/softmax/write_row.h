// The second pass of softmax: q scaled where it was stored, or computed from x once more. Both give the same bits.
#pragma once
#include "reciprocal.h"
#include "row_sum.h"

namespace {

// Backwards, as what was stored last is nearest: in pieces, each forwards, that fit the first-level cache.
constexpr size_t kPiece = 2048;

// From the first whole cache line on: arrays of JavaScript seldom begin with one, and a vector across two costs as two.
template <bool kFolded, class T> SIMD_INLINE void scale_block(T* block, size_t length, const Scaler<T>& s) {
  constexpr size_t W = ExpTraits<T>::kLanes;
  auto some = [&](T* y, size_t n) ALWAYS_LAMBDA { store_n(y, s.template apply<kFolded>(load_n(y, n, (T)0)), n); };
  size_t head = (64 - ((uintptr_t)block & 63)) % 64 / sizeof(T);
  if (head > length) head = length;
  T* body = block + head;
  length -= head;
  for (size_t piece = (length + kPiece - 1) / kPiece; piece-- > 0;) {
    T* y = body + piece * kPiece;
    size_t n = length - piece * kPiece < kPiece ? length - piece * kPiece : kPiece, i = 0;
    for (; kRegisters < 4 && i + 4 * W <= n; i += 4 * W) {
      auto a = load(y + i), b = load(y + i + W), c = load(y + i + 2 * W), d = load(y + i + 3 * W);
      store(y + i, s.template apply<kFolded>(a)), store(y + i + W, s.template apply<kFolded>(b));
      store(y + i + 2 * W, s.template apply<kFolded>(c)), store(y + i + 3 * W, s.template apply<kFolded>(d));
    }
    for (; i + W <= n; i += W) store(y + i, s.template apply<kFolded>(load(y + i)));
    if (i < n) some(y + i, n - i);
  }
  if (head) some(block, head);
}

template <class T> void scale_part(T* y, size_t from, size_t to, const Block* blocks, const Reciprocal<T>& r) {
  for (size_t b = (to - from + kBlock - 1) / kBlock; b-- > 0;) {
    size_t at = from + b * kBlock, n = to - at < kBlock ? to - at : kBlock;
    Scaler<T> s(r, blocks[b].exponent);
    s.folded ? scale_block<true>(y + at, n, s) : scale_block<false>(y + at, n, s);
  }
}

template <bool kCalm, bool kUnit, class T, class Source>
SIMD_INLINE void write_block(const Source& x, size_t from, size_t n, T* y, const ExpVector<T>& e, const Scaler<T>& s, bool streaming) {
  constexpr size_t W = ExpTraits<T>::kLanes;
  auto value = [&](auto v) ALWAYS_LAMBDA {
    decltype(high_part(v)) t;
    return s.template apply<kCalm>(kCalm ? exp_inside<kUnit>(e, v, t) : exp_below<kUnit>(e, v, t));
  };
  size_t i = 0;
  if (streaming && ((uintptr_t)y & 63)) {  // up to the first whole line
    i = (64 - ((uintptr_t)y & 63)) / sizeof(T);
    if (i > n) i = n;
    store_n(y, value(x.at(from, i)), i);
  }
  for (; Source::kOneNumber && kRegisters < 4 && i + 4 * W <= n; i += 4 * W)  // four registers keep a processor as busy, be they of one vector
    UNROLL
    for (size_t j = 0; j < 4; j++) {
      auto z = x.at(from + i + j * W);
      if constexpr (kCalm && kVectors >= 32) KEEP(z);  // read in order, or memory is not read ahead
      auto v = value(z);
      streaming ? stream(y + i + j * W, v) : store(y + i + j * W, v);
    }
  for (; i < n; i += W) {
    size_t left = n - i;
    auto v = value(left < W ? x.at(from + i, left) : x.at(from + i));
    left < W ? store_n(y + i, v, left) : store(y + i, v);
  }
}

// A part of a row from x once more, each block with the exponent it was summed with.
template <class T> void write_part(const Row<T>& row, size_t from, size_t to, T* out, const Block* blocks, const Reciprocal<T>& r, bool streaming) {
  const ExpScale<T>& scale = *row.scale;
  for (size_t b = 0; from + b * kBlock < to; b++) {
    size_t at = from + b * kBlock, n = to - at < kBlock ? to - at : kBlock;
    T* y = out + at;
    ExpVector<T> e(scale, (double)blocks[b].exponent + ExpTraits<T>::kBias);
    Scaler<T> s(r, blocks[b].exponent);
    if (!row.plain) write_block<false, false>(row.logits, at, n, y, e, s, false);
    else if (!blocks[b].calm || !s.folded) write_block<false, false>(row.source(), at, n, y, e, s, false);
    else if (kHasUnit<T> && scale.unit) write_block<true, kHasUnit<T>>(row.source(), at, n, y, e, s, streaming);
    else write_block<true, false>(row.source(), at, n, y, e, s, streaming);
  }
  if (streaming) stream_end();
}

}  // namespace
