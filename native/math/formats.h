// The types that numbers are stored in, as kernels of any of them read and write sixteen at a time.
#pragma once
#include "../simd/inline.h"

namespace {

struct Single {
  using T = float;
  static ALWAYS f32x16 load(const float* p) { return ::load(p); }
  static ALWAYS void store(float* p, f32x16 v) { ::store(p, v); }
};
struct Half {
  using T = uint16_t;
  static ALWAYS f32x16 load(const uint16_t* p) { return load_half(p); }
  static ALWAYS void store(uint16_t* p, f32x16 v) { store_half(p, v); }
};
struct Brain {
  using T = uint16_t;
  static ALWAYS f32x16 load(const uint16_t* p) { return load_brain(p); }
  static ALWAYS void store(uint16_t* p, f32x16 v) { store_brain(p, v); }
};
struct Byte {  // how it is written depends on a scale
  using T = int8_t;
  static ALWAYS f32x16 load(const int8_t* p) { return load_bytes(p); }
};

}  // namespace
