// Products of a segment of some rows of weights with hidden states, in registers: sixteen lanes, each a chain of fmas.
#pragma once
#include "weight_formats.h"

namespace {

constexpr size_t kSegment = 512;  // columns

// A run of columns of some rows: `n` vectors or steps. The bytes of the next segment lie `ahead` of these; the loops
// prefetch them, as the processor does not foresee the step from row to row.
struct Segment {
  size_t n, ahead;
};

// States of a block whose sums fit into registers; the rows beside so many states; the rows of add_blocks.
constexpr size_t kMostStates = kVectors >= 32 ? 8 : 2, kFusedRows = 4;
constexpr size_t rows_beside(size_t states) { return kVectors >= 32 ? (states > 2 ? 16 / states : 8) : 4 / states; }

// Adds the products of rows of numbers and a block of states to `lanes`: those of row r and state i are at
// (i · 16 + r) · 16.
template <class X, size_t kStates>
NEVER_INLINE void add_products(const uint8_t* const* rows, const Segment& segment, const float* x, float* lanes) {
  using T = typename Format<X>::T;
  constexpr size_t kRows = rows_beside(kStates);
  f32x16 sum[kRows][kStates];
  const T* at[kRows];
  UNROLL for (size_t r = 0; r < kRows; r++) {
    at[r] = (const T*)rows[r];
    UNROLL for (size_t i = 0; i < kStates; i++) sum[r][i] = splat(0.f);
  }
  for (size_t v = 0; v < 16 * segment.n; v += 16, x += 16 * kStates) {
    f32x16 w[kRows];
    UNROLL for (size_t r = 0; r < kRows; r++) {
      w[r] = Format<X>::load(at[r] + v);
      prefetch((const char*)(at[r] + v) + segment.ahead);
    }
    UNROLL for (size_t i = 0; i < kStates; i++) {
      f32x16 state = load(x + 16 * i);
      KEEP(state);
      UNROLL for (size_t r = 0; r < kRows; r++) sum[r][i] = fma(w[r], state, sum[r][i]);
    }
  }
  UNROLL for (size_t r = 0; r < kRows; r++) UNROLL for (size_t i = 0; i < kStates; i++) {
    float* to = lanes + (i * 16 + r) * 16;
    store(to, add(load(to), sum[r][i]));
  }
}

// Writes `n` steps of a row from `step` on as floats.
template <class Reader>
NEVER_INLINE void decode(const WeightRow& row, const uint8_t* at, size_t step, size_t n, size_t ahead, float* to) {
  for (size_t s = 0; s < n; s++, at += Reader::kStepBytes, to += Steps<Reader>::kColumns) {
    const typename Reader::Step values(at, row, step + s);
    for (size_t part = 0; part < Reader::kParts; part++) {
      f32x16 w[Reader::kVectors];
      values.read(part, w);
      UNROLL for (size_t v = 0; v < Reader::kVectors; v++) store(to + 16 * (Reader::first_vector(part) + v), w[v]);
    }
    for (size_t b = 0; b < Reader::kStepBytes; b += 64) prefetch(at + b + ahead);
  }
}

// Adds the products of rows of blocks and one state: the sums of decode and add_products, with weights in registers.
template <class Reader> NEVER_INLINE void add_blocks(const WeightRow* rows, const uint8_t* const* from, size_t step,
                                                     const Segment& segment, const float* x, float* lanes) {
  constexpr size_t kRows = kFusedRows;
  f32x16 sum[kRows];
  const uint8_t* at[kRows];
  UNROLL for (size_t r = 0; r < kRows; r++) {
    sum[r] = splat(0.f);
    at[r] = from[r];
  }
  for (size_t s = 0; s < segment.n; s++, x += Steps<Reader>::kColumns) UNROLL for (size_t r = 0; r < kRows; r++) {
      const typename Reader::Step values(at[r], rows[r], step + s);
      UNROLL for (size_t part = 0; part < Reader::kParts; part++) {
        f32x16 w[Reader::kVectors];
        values.read(part, w);
        const float* state = x + 16 * Reader::first_vector(part);
        UNROLL for (size_t v = 0; v < Reader::kVectors; v++) sum[r] = fma(w[v], load(state + 16 * v), sum[r]);
      }
      for (size_t b = 0; b < Reader::kStepBytes; b += 64) prefetch(at[r] + b + segment.ahead);
      at[r] += Reader::kStepBytes;
    }
  UNROLL for (size_t r = 0; r < kRows; r++) store(lanes + r * 16, add(load(lanes + r * 16), sum[r]));
}

// How rows of a format are cut into steps.
struct HeadSteps {
  size_t row_bytes, whole, rest, bytes, columns;  // of a row; of a step
  void (*decode)(const WeightRow&, const uint8_t*, size_t, size_t, size_t, float*) = nullptr;
  void (*add_blocks)(const WeightRow*, const uint8_t* const*, size_t, const Segment&, const float*, float*) = nullptr;

  size_t count() const { return whole + (rest > 0); }
  // The segment that begins with a step: how many steps it has. The rest of a row is a segment of its own.
  size_t segment_at(size_t step) const {
    const size_t most = kSegment / columns;
    return step == whole ? 1 : step + most < whole ? most : whole - step;
  }
};

}  // namespace
