// The exp core of each instruction set as functions on arrays, so that tests can feed it every float there is.
#pragma once
#include <stddef.h>
#include <stdint.h>

template <class T> struct ExpCore {
  // q and t of n values (n a multiple of the lanes), at a temperature and with a reference octave: math/exp.h.
  void (*inside)(const T* x, size_t n, double temperature, double octave, T* q, T* t);
  void (*below)(const T* x, size_t n, double temperature, double octave, T* q, T* t);
  double g;          // q = g · exp(x / T) · 2^(bias − octave)
  int bias, top;     // `top` is the number of the reference octave's first table cell
  uint64_t outside;  // bits of t that no value inside the window has
  double limit;      // of |x| · 8 log2(e) / T
};

struct Core {
  const char* isa;
  ExpCore<float> f32;
  ExpCore<double> f64;
};

#if defined(__x86_64__) || defined(_M_X64)
extern const Core core_avx512, core_avx2;
#elif defined(__aarch64__) || defined(_M_ARM64)
extern const Core core_neon;
#endif
extern const Core core_scalar;
