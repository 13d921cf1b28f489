// Products of a segment of some rows of weights with hidden states, in registers: sixteen lanes, each a chain of fmas.
#pragma once
#include "weight_formats.h"

namespace {

constexpr size_t kSegment = 512;  // columns

// A run of columns of some rows: `n` vectors or steps. Loops prefetch what lies `ahead` bytes of it. Its products are
// added to lanes, or stored in their place if it is the first of a row; lanes of rows are `stride` floats apart.
struct Segment {
  size_t n, ahead, stride;
  bool is_first;

  ALWAYS void put(float* to, f32x16 sum) const { store(to, is_first ? sum : add(load(to), sum)); }
};

// States of a block whose sums fit into registers; the rows beside so many states; the rows of add_blocks.
constexpr size_t kMostStates = kVectors >= 32 ? 8 : 2, kFusedRows = 4;
constexpr size_t rows_beside(size_t states) {
  return kVectors < 32 ? 4 / states : states > 4 ? 3 : states > 2 ? 4 : states > 1 ? 8 : 4;
}

// Adds the products of rows of numbers and a block of states to `lanes`, side by side.
template <class X, size_t kStates>
ALWAYS void add_products(const uint8_t* const* rows, const Segment& segment, const float* x, float* lanes) {
  using T = typename Format<X>::T;
  constexpr size_t kRows = rows_beside(kStates);
  f32x16 sum[kRows][kStates];
  const T* at[kRows];
  UNROLL for (size_t r = 0; r < kRows; r++) {
    at[r] = (const T*)rows[r];
    UNROLL for (size_t i = 0; i < kStates; i++) sum[r][i] = splat(0.f);
  }
  const auto add_vector = [&](size_t v) ALWAYS_LAMBDA {
    f32x16 w[kRows];
    UNROLL for (size_t r = 0; r < kRows; r++) w[r] = Format<X>::load(at[r] + v);
    UNROLL for (size_t i = 0; i < kStates; i++) {
      f32x16 state = load(x + 16 * i);
      KEEP(state);
      UNROLL for (size_t r = 0; r < kRows; r++) sum[r][i] = fma(w[r], state, sum[r][i]);
    }
    x += 16 * kStates;
  };
  constexpr size_t kLine = 64 / sizeof(T);
  size_t v = 0;
  for (; v + kLine <= 16 * segment.n; v += kLine) {
    UNROLL for (size_t r = 0; r < kRows; r++) prefetch((const char*)(at[r] + v) + segment.ahead);
    UNROLL for (size_t u = 0; u < kLine; u += 16) add_vector(v + u);
  }
  for (; v < 16 * segment.n; v += 16) add_vector(v);
  UNROLL for (size_t r = 0; r < kRows; r++) UNROLL for (size_t i = 0; i < kStates; i++) {
    segment.put(lanes + r * segment.stride + i * 16, sum[r][i]);
  }
}

// Writes `n` steps of a row from `step` on as floats.
template <class Reader>
NEVER_INLINE void decode(WeightRow& row, const uint8_t* at, size_t step, size_t n, size_t ahead, float* to) {
  Reader::prepare(row, step, n);
  for (size_t s = 0; s < n; s++, at += Reader::kStepBytes, to += Steps<Reader>::kColumns) {
    const typename Reader::Step values(at, row, Reader::place(row, step + s));
    for (size_t part = 0; part < Reader::kParts; part++) {
      f32x16 w[Reader::kVectors];
      values.read(part, w);
      UNROLL for (size_t v = 0; v < Reader::kVectors; v++) store(to + 16 * (Reader::first_vector(part) + v), w[v]);
    }
    for (size_t b = 0; b < Reader::kStepBytes; b += 64) prefetch(at + b + ahead);
  }
}

// Adds the products of rows of blocks and one state: the sums of decode and add_products, with weights in registers.
template <class Reader> NEVER_INLINE void add_blocks(WeightRow* rows, const uint8_t* const* from, size_t step,
                                                     const Segment& segment, const float* x, float* lanes) {
  constexpr size_t kRows = kFusedRows;
  f32x16 sum[kRows];
  const uint8_t* at[kRows];
  UNROLL for (size_t r = 0; r < kRows; r++) {
    sum[r] = splat(0.f);
    at[r] = from[r];
    Reader::prepare(rows[r], step, segment.n);
  }
  using Step = typename Reader::Step;
  for (size_t s = 0; s < segment.n; s++, x += Steps<Reader>::kColumns) {
    const BlockPlace place = Reader::place(rows[0], step + s);
    const Step values[kRows] = {Step(at[0], rows[0], place), Step(at[1], rows[1], place), Step(at[2], rows[2], place),
                                Step(at[3], rows[3], place)};
    UNROLL for (size_t part = 0; part < Reader::kParts; part++) UNROLL for (size_t r = 0; r < kRows; r++) {
      f32x16 w[Reader::kVectors];
      values[r].read(part, w);
      const float* state = x + 16 * Reader::first_vector(part);
      UNROLL for (size_t v = 0; v < Reader::kVectors; v++) sum[r] = fma(w[v], load(state + 16 * v), sum[r]);
    }
    UNROLL for (size_t r = 0; r < kRows; r++) {
      for (size_t b = 0; b < Reader::kStepBytes; b += 64) prefetch(at[r] + b + segment.ahead);
      at[r] += Reader::kStepBytes;
    }
  }
  UNROLL for (size_t r = 0; r < kRows; r++) segment.put(lanes + r * segment.stride, sum[r]);
}

// How rows of a format are cut into steps.
struct HeadSteps {
  size_t row_bytes, whole, rest, bytes, columns;  // of a row; of a step
  size_t segment;                                 // steps of a segment
  void (*decode)(WeightRow&, const uint8_t*, size_t, size_t, size_t, float*) = nullptr;
  void (*add_blocks)(WeightRow*, const uint8_t* const*, size_t, const Segment&, const float*, float*) = nullptr;

  size_t count() const { return whole + (rest > 0); }
  // The segment that begins with a step: how many steps it has. The rest of a row is a segment of its own.
  size_t segment_at(size_t step) const { return step == whole ? 1 : step + segment < whole ? segment : whole - step; }
};

}  // namespace
