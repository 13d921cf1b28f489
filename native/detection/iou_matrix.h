// iou_matrix: the IoU of each box with each other box, in double, rounded once to a float. Max error: 0.51 ULP.
#pragma once
#include "../rows/items.h"
#include "../rows/buffer.h"
#include "../rows/share_rows.h"
#include "boxes.h"

namespace {

// The first of n boxes with a coordinate that is not finite; kNoIndex if there is none.
static NEVER_INLINE uint32_t first_unbounded(const float* boxes, size_t n) {
  size_t i = 0;
  for (; i + 4 <= n; i += 4) {
    const f32x16 four = load(boxes + 4 * i);
    if (any_nan(sub(four, four))) break;
  }
  for (; i < n; i++)
    if (!has_finite_sides(boxes + 4 * i)) return (uint32_t)i;
  return kNoIndex;
}

struct IouMatrix {
  using Memory = NoMemory;
  const float* boxes;
  float* out;
  size_t cols;
  BoxFormat format;
  BoxColumns others;  // filled up to a multiple of 16 boxes

  void row(const Run&, const NoMemory&, size_t i) const {
    const Box box = box_of(boxes + 4 * i, format);
    const BoxVector one(box, box.area());
    float* to = out + i * cols;
    for (size_t j = 0; j < cols; j += 16) {
      const f32x16 iou = narrow(eight(one, j), eight(one, j + 8));
      cols - j < 16 ? store_n(to + j, iou, cols - j) : store(to + j, iou);
    }
  }
  ALWAYS f64x8 eight(const BoxVector& one, size_t j) const {
    const Sides sides = sides_of(one, others, j);
    return select_bits(sides.iou(one.area, load(others.area + j)), splat(0.), sides.meeting());
  }
};

template <class X, class Y>
void iou_matrix(const Run& run, const float* boxes, const float* others, float* out, uint32_t* status, size_t rows,
                size_t cols, const BoxFormat& format) {
  const size_t padded = (cols + 15) / 16 * 16;
  Buffer<double> memory(run, 5 * padded);
  if (!memory.data || run.stopped()) return;
  status[0] = first_unbounded(boxes, rows);
  status[1] = first_unbounded(others, cols);
  if (status[0] != kNoIndex || status[1] != kNoIndex || cols == 0) return;
  const BoxColumns columns = BoxColumns::in(memory.data, padded);
  for (size_t j = 0; j < cols; j++) columns.put(j, box_of(others + 4 * j, format));
  for (size_t j = cols; j < padded; j++) columns.put(j, {0, 0, 0, 0});
  share_rows(for_bytes(run, rows * cols * sizeof *out), rows, cols, IouMatrix{boxes, out, cols, format, columns});
}

}  // namespace
