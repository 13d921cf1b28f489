// The order in which boxes of an image lie in memory: by class, then by size, then by place, so that eight neighbours
// have tight bounds. It decides nothing but speed.
#pragma once
#include "../rows/buffer.h"
#include "boxes.h"

namespace {

// Items sorted by keys, in as many passes as keys have bytes that differ.
struct RadixSort {
  uint32_t *items, *spare;
  size_t n;

  void by(const uint32_t* keys) {
    for (unsigned shift = 0; shift < 32; shift += 8) pass(keys, shift);
  }

 private:
  void pass(const uint32_t* keys, unsigned shift) {
    size_t end[256] = {};
    for (size_t i = 0; i < n; i++) end[keys[items[i]] >> shift & 255]++;
    if (n == 0 || end[keys[items[0]] >> shift & 255] == n) return;
    for (size_t digit = 0, before = 0; digit < 256; digit++) {
      const size_t count = end[digit];
      end[digit] = before;
      before += count;
    }
    for (size_t i = 0; i < n; i++) spare[end[keys[items[i]] >> shift & 255]++] = items[i];
    uint32_t* sorted = spare;
    spare = items;
    items = sorted;
  }
};

// Cells of a square grid over the centres of boxes, numbered row by row, every second row backwards: first for boxes
// above half of the largest side, then for the others.
class BoxCells {
  static constexpr uint32_t kSizes = 2, kBoxesACell = 8;
  double low[2], step[2], largest = 0;
  uint32_t grid;

  static double size_of(const BoxColumns& c, size_t i) {
    const double width = -(c.left[i] + c.minus_right[i]), height = -(c.top[i] + c.minus_bottom[i]);
    return width > height ? width : height;
  }
  // Twice the centre.
  static double middle(const BoxColumns& c, size_t i, int axis) {
    return axis == 0 ? c.left[i] - c.minus_right[i] : c.top[i] - c.minus_bottom[i];
  }

 public:
  BoxCells(const BoxColumns& c, const uint32_t* items, size_t n) : grid(1) {
    while (grid < 256 && (size_t)grid * grid * kSizes * kBoxesACell < n) grid++;
    for (int axis = 0; axis < 2; axis++) {
      double high = -infinity<double>();
      low[axis] = infinity<double>();
      for (size_t i = 0; i < n; i++) {
        const double at = middle(c, items[i], axis);
        low[axis] = at < low[axis] ? at : low[axis];
        high = at > high ? at : high;
      }
      step[axis] = high > low[axis] ? (grid - 0.5) / (high - low[axis]) : 0;
    }
    for (size_t i = 0; i < n; i++) largest = size_of(c, items[i]) > largest ? size_of(c, items[i]) : largest;
  }
  uint32_t of(const BoxColumns& c, size_t i) const {
    const uint32_t x = (uint32_t)((middle(c, i, 0) - low[0]) * step[0]);
    const uint32_t y = (uint32_t)((middle(c, i, 1) - low[1]) * step[1]);
    const uint32_t size = 2 * size_of(c, i) < largest;
    return (size * grid + y) * grid + (y % 2 ? grid - 1 - x : x);
  }
};

}  // namespace
