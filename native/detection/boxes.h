// Boxes as four floats in one of four formats, and their intersection over union (IoU) in double.
//
// The far sides are stored with their signs turned, so that an intersection needs no minimum: with left and -right,
// -width = max(left, left') + max(-right, -right'). Differences, products and the quotient are rounded once each,
// without fma: JavaScript takes the same steps and has the same bits.
#pragma once
#include "../math/exp.h"
#include "../rows/parameters.h"

namespace {

// The formats, numbered as in lib/detection/boxes.ts.
enum { kLeftTopRightBottom = 0, kTopLeftBottomRight = 1, kLeftTopSize = 2, kCenterSize = 3 };

// A box. Its area is wrong if it is empty; an empty box meets no other.
struct Box {
  double left, top, minus_right, minus_bottom;
  FORCED double area() const { return (left + minus_right) * (top + minus_bottom); }
};

SIMD_INLINE bool is_finite(double x) { return x - x == 0; }

// The box at `from`, four finite numbers. Far corners lie `edge` behind the given ones; widths are as given.
SIMD_INLINE Box box_of(const float* from, const BoxFormat& format) {
  const double a = from[0], b = from[1], c = from[2], d = from[3];
  switch (format.format) {
    case kTopLeftBottomRight: return {b, a, -(d + format.edge), -(c + format.edge)};
    case kLeftTopSize: return {a, b, -(a + c), -(b + d)};
    case kCenterSize: return {a - c * 0.5, b - d * 0.5, -(a + c * 0.5), -(b + d * 0.5)};
    default: return {a, b, -(c + format.edge), -(d + format.edge)};
  }
}
SIMD_INLINE bool has_finite_sides(const float* from) {
  return is_finite(from[0]) && is_finite(from[1]) && is_finite(from[2]) && is_finite(from[3]);
}

// x or a little less: where floats are compared first, and must not decide.
SIMD_INLINE float float_below(double x) {
  const float most = largest<float>(), f = x > most ? most : (float)x;
  return f - ((f < 0 ? -f : f) * 0x1p-22f + 0x1p-149f);
}

// Columns of boxes, one entry a box. `key` orders boxes; only soft_nms has it.
struct BoxColumns {
  double *left, *top, *minus_right, *minus_bottom, *area, *key;

  // Columns of `length` boxes in memory for 5 * length doubles, or for 6 * length.
  static BoxColumns in(double* memory, size_t length) {
    return {memory,
            memory + length,
            memory + 2 * length,
            memory + 3 * length,
            memory + 4 * length,
            memory + 5 * length};
  }
  FORCED void put(size_t i, const Box& box) const {
    left[i] = box.left;
    top[i] = box.top;
    minus_right[i] = box.minus_right;
    minus_bottom[i] = box.minus_bottom;
    area[i] = box.area();
  }
};

// A box in all lanes.
struct BoxVector {
  f64x8 left, top, minus_right, minus_bottom, area;

  ALWAYS BoxVector(const Box& box, double area)
      : left(splat(box.left)),
        top(splat(box.top)),
        minus_right(splat(box.minus_right)),
        minus_bottom(splat(box.minus_bottom)),
        area(splat(area)) {}
};

// Minus the sides of the intersections of a box with eight others.
struct Sides {
  f64x8 width, height;
  // The lanes whose intersection is not empty.
  ALWAYS uint32_t meeting() const { return lanes_above(splat(0.), max_keep_nan(width, height)); }
  // IoU in these lanes, garbage in the others.
  ALWAYS f64x8 iou(f64x8 area, f64x8 other_area) const {
    const f64x8 common = mul(width, height);
    return div(common, sub(add(area, other_area), common));
  }
};
SIMD_INLINE Sides sides_of(const BoxVector& box, const BoxColumns& others, size_t i) {
  const f64x8 left = max_keep_nan(box.left, load(others.left + i));
  const f64x8 top = max_keep_nan(box.top, load(others.top + i));
  const f64x8 minus_right = max_keep_nan(box.minus_right, load(others.minus_right + i));
  const f64x8 minus_bottom = max_keep_nan(box.minus_bottom, load(others.minus_bottom + i));
  return {add(left, minus_right), add(top, minus_bottom)};
}

}  // namespace
