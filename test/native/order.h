// Numbers the floats, and the doubles, in their order: −2^−149 is −1, 0 is 0, 2^−149 is 1. Infinities end the range.
#pragma once
#include <limits>

#include "check.h"

template <class T> struct Order;
template <> struct Order<float> {
  using Place = int32_t;
  static float at(int32_t i) { return bit_cast<float>(i >= 0 ? (uint32_t)i : 0x80000000u | (uint32_t)-i); }
  static int32_t of(float x) {
    int32_t u = bit_cast<int32_t>(x);
    return u >= 0 ? u : -(u & 0x7FFFFFFF);
  }
};
template <> struct Order<double> {
  using Place = int64_t;
  static double at(int64_t i) { return bit_cast<double>(i >= 0 ? (uint64_t)i : 1ull << 63 | (uint64_t)-i); }
  static int64_t of(double x) {
    int64_t u = bit_cast<int64_t>(x);
    return u >= 0 ? u : -(u & INT64_MAX);
  }
};

// The first number for which a condition holds that holds for all numbers above it too; +∞ if there is none.
template <class T, class Condition> T first_where(Condition holds) {
  using Place = typename Order<T>::Place;
  T inf = std::numeric_limits<T>::infinity();
  Place low = Order<T>::of(-inf), high = Order<T>::of(inf);
  while (low < high) {
    Place middle = low + (Place)(((uint64_t)high - (uint64_t)low) / 2);
    holds(Order<T>::at(middle)) ? high = middle : low = middle + 1;
  }
  return Order<T>::at(low);
}
