// The tags of stored element types, and their C++ types.
#pragma once
#include <stdint.h>

// How an array's elements are stored where no C++ type says so: float16, bfloat16, and bytes that share a scale.
struct F16 {
  using T = uint16_t;
};
struct BF16 {
  using T = uint16_t;
};
struct I8 {
  using T = int8_t;
};

// The C++ type of an element: float and double are stored as themselves.
template <class X> struct StoredAs {
  using T = typename X::T;
};
template <> struct StoredAs<float> {
  using T = float;
};
template <> struct StoredAs<double> {
  using T = double;
};
template <class X> using Stored = typename StoredAs<X>::T;
