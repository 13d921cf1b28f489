// Hidden states as bytes with a scale for each block of 32 columns:
//
//   scale = max(max |h| / 127, 2^-126)      q = h / scale, rounded to the nearest integer, ties to even
//
// Both quotients are rounded to float. So |q| ≤ 127, and |h − scale · q| ≤ scale / 2 + 2^-24 · |h|. A block with a
// number that is not finite has the scale NaN, and zeros.
#pragma once
#include "../math/sum.h"
#include "../rows/buffer.h"

namespace {

constexpr size_t kStateBlock = 32;  // columns

struct ByteBlock {
  alignas(64) int8_t q[kStateBlock];
  float scale;
  int32_t sums[2];  // of q, of sixteen columns each

  // n ≤ 32 columns; zeros stand behind them.
  ALWAYS ByteBlock(const float* h, size_t n) {
    const f32x16 none = splat(0.f);
    const f32x16 v[2] = {n < 16 ? load_n(h, n, 0) : load(h), n > 16 ? load_n(h + 16, n - 16, 0) : none};
    f32x16 size = none;
    uint32_t non_finite = 0;
    UNROLL for (int i = 0; i < 2; i++) {
      non_finite |= lanes_outside(v[i], splat(-largest<float>()), splat(largest<float>()));
      size = max_skip_nan(max_skip_nan(size, v[i]), sub(none, v[i]));
    }
    const float quotient = reduce_max(size) / 127;
    scale = non_finite ? not_a_number<float>() : quotient > 0x1p-126f ? quotient : 0x1p-126f;
    // The sum of a small number and 1.5 · 2^23 has its nearest integer in the low bits.
    const f32x16 shift = splat(0x1.8p23f);
    UNROLL for (int i = 0; i < 2; i++) {
      const f32x16 rounded = non_finite ? shift : add(div(v[i], splat(scale)), shift);
      store_low_bytes((uint8_t*)q + 16 * i, rounded);
      const f32x16 numbers = sub(rounded, shift);
      sums[i] = (int32_t)reduce_add(add(low_f64(numbers), high_f64(numbers)));
    }
  }
};

// States side by side, as products read them: a block of `width` states has, of each state in turn, four columns, the
// scale of a block of columns, and what a sum of a unit of columns begins with (integer_weights.h). Zeros stand behind
// the last state.
struct StateBytes {
  int8_t* q;        // [columns / 4, width, 4]
  float* scales;    // [columns / 32, width]
  int32_t* starts;  // [columns / unit, width]: −zero · Σ q
  float* totals;    // [columns / unit, width]: Σ q
};

// All states of a call. `unit` is 16 or 32 columns.
class IntegerStates {
 public:
  IntegerStates(const Run& run, size_t count, size_t cols, size_t unit_columns)
      : unit(unit_columns),
        blocks((cols + kStateBlock - 1) / kStateBlock),
        states(count),
        columns(cols),
        memory(run, (count + 8) * blocks * kBytes + 64) {
    first = memory.data ? (char*)(((uintptr_t)memory.data + 63) & ~(uintptr_t)63) : nullptr;
  }
  bool there() const { return first != nullptr; }

  // How many states go together from `state` on, of at most `most`.
  static size_t width_of(size_t left, size_t most) {
    size_t width = 1;
    while (width < left && width < most) width *= 2;
    return width;
  }
  // The states from `state` on, from a unit of columns on.
  StateBytes at(size_t state, size_t width, size_t column) const {
    char* from = first + state * blocks * kBytes;
    const size_t n = width * blocks, block = column / kStateBlock * width, of_unit = column / unit * width;
    return {(int8_t*)from + column * width, (float*)(from + 32 * n) + block, (int32_t*)(from + 36 * n) + of_unit,
            (float*)(from + 44 * n) + of_unit};
  }
  // Writes the states [state, state + width) of `hidden`.
  void place(const float* hidden, size_t state, size_t width, int32_t zero) const {
    for (size_t b = 0; b < blocks; b++) {
      const StateBytes to = at(state, width, b * kStateBlock);
      const size_t left = columns - b * kStateBlock;
      for (size_t i = 0; i < width; i++) {
        const bool is_there = state + i < states;
        const float* from = hidden + (is_there ? (state + i) * columns + b * kStateBlock : 0);
        const ByteBlock block(from, !is_there ? 0 : left < kStateBlock ? left : kStateBlock);
        for (size_t quad = 0; quad < 8; quad++) COPY(to.q + (quad * width + i) * 4, block.q + 4 * quad, 4);
        to.scales[i] = block.scale;
        for (size_t u = 0; u < kStateBlock / unit; u++) {
          const int32_t sum = unit == kStateBlock ? block.sums[0] + block.sums[1] : block.sums[u];
          to.starts[u * width + i] = -zero * sum;
          to.totals[u * width + i] = (float)sum;
        }
      }
    }
  }

 private:
  static constexpr size_t kBytes = 52;  // of a block of columns: 32 of q, 4 of a scale, 8 of starts, 8 of totals

  const size_t unit, blocks, states, columns;
  Buffer<char> memory;
  char* first;
};

}  // namespace
