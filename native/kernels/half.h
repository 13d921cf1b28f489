// Every operator on float16 and bfloat16: float copies of some rows at a time, small enough to stay in the cache, go
// through the float kernel, and its results are rounded to the half type. So a result is the float32 result, rounded once.
#pragma once
#include "../math/formats.h"
#include "log_softmax.h"
#include "partial.h"
#include "softmax.h"
#include "softmax_backward.h"

namespace {

template <class H> void to_floats(const uint16_t* from, float* to, size_t n) {
  size_t i = 0;
  for (; i + 16 <= n; i += 16) store(to + i, H::load(from + i));
  uint16_t last[16] = {};
  COPY(last, from + i, (n - i) * sizeof *from);
  if (i < n) store_n(to + i, H::load(last), n - i);
}
template <class H> void from_floats(const float* from, uint16_t* to, size_t n) {
  size_t i = 0;
  for (; i + 16 <= n; i += 16) H::store(to + i, load(from + i));
  uint16_t last[16];
  if (i < n) H::store(last, load_n(from + i, n - i, 0));
  COPY(to + i, last, (n - i) * sizeof *to);
}

// A call on [outer, cols, inner], cut along outer. `Call` has what a kernel takes besides, and
// void run(run, o, n, in, other, result): outer indices [o, o + n), floats in `in` (and `other`) to floats in `result`.
template <class H, class Call> struct Halves {
  static constexpr size_t kBatch = 1 << 16, kPiece = 1 << 14;  // elements of a batch; of a piece of a conversion
  const Run& run;
  const uint16_t *in, *other;  // the second may be null
  uint16_t* out;               // null: results are no halves
  float* wide;                 // instead of out
  size_t outer, cols, inner;
  const Call& call;
  size_t batch;

  // n elements each way, in pieces shared among threads.
  struct Conversion {
    const uint16_t* from; uint16_t* to; float* floats; size_t n;
    static void widen(void* self, size_t i) { const Conversion& c = *(Conversion*)self; to_floats<H>(c.from + i * kPiece, c.floats + i * kPiece, c.left(i)); }
    static void narrow(void* self, size_t i) { const Conversion& c = *(Conversion*)self; from_floats<H>(c.floats + i * kPiece, c.to + i * kPiece, c.left(i)); }
    size_t left(size_t i) const { return n - i * kPiece < kPiece ? n - i * kPiece : kPiece; }
    size_t pieces() const { return (n + kPiece - 1) / kPiece; }
  };
  static void one(void* self, size_t index) {
    const Halves& s = *(const Halves*)self;
    Run alone = s.run;
    alone.parallel = serial, alone.threads = 1;
    s.batch_of(alone, index);
  }
  void batch_of(const Run& r, size_t index) const {
    if (r.stopped()) return;
    size_t first = index * batch, n = outer - first < batch ? outer - first : batch, each = cols * inner, size = n * each, at = first * each;
    float* memory = (float*)r.allocate(size * sizeof(float) * (1 + (other != nullptr) + (out != nullptr)));
    float *x = memory, *y = other ? x + size : nullptr, *result = wide ? wide + at : out ? memory + size * (other ? 2 : 1) : nullptr;
    auto convert = [&](const uint16_t* from, float* to) {
      Conversion c{from, nullptr, to, size};
      r.parallel(c.pieces(), Conversion::widen, &c);
    };
    convert(in + at, x);
    if (other) convert(other + at, y);
    call.run(r, first, n, x, y, result);
    if (out && !r.stopped()) {
      Conversion c{nullptr, out + at, result, size};
      r.parallel(c.pieces(), Conversion::narrow, &c);
    }
    r.release(memory);
  }
  // `eighths`: batches begin at whole bytes of a mask of bits.
  void go(bool eighths) {
    size_t each = cols * inner;
    if (outer * each == 0) return;
    Run r = run;
    if (outer * each * sizeof(float) < run.plan.parallel_bytes) r.parallel = serial, r.threads = 1;
    batch = each > kBatch ? 1 : kBatch / each;
    if (eighths) batch = (batch + 7) / 8 * 8;
    size_t batches = (outer + batch - 1) / batch;
    if (batch * each <= kSuper && batches > 1) r.parallel(batches, one, this);
    else for (size_t i = 0; i < batches; i++) batch_of(r, i);
  }
};

// Mask and bias of a call, and those of its outer indices from o on. The bias is a float copy, made once.
template <class H> struct HalfExtras {
  const Run& run;
  size_t length, cols, inner;
  const uint8_t* mask;
  int32_t layout;
  Slice<const uint16_t> bias;
  float* floats;

  HalfExtras(const Run& r, size_t outer, size_t cols, size_t inner, const uint8_t* mask, int32_t layout, Slice<const uint16_t> bias)
      : run(r), length(outer * cols * inner), cols(cols), inner(inner), mask(mask), layout(layout), bias(bias), floats(nullptr) {
    if (!bias.data) return;
    floats = (float*)run.allocate(bias.length * sizeof(float) + 1);
    to_floats<H>(bias.data, floats, bias.length);
  }
  ~HalfExtras() { if (floats) run.release(floats); }
  const uint8_t* mask_from(size_t o) const {
    size_t at = o * cols * inner;
    return layout == kMaskBytes ? mask + at : layout == kMaskBits ? mask + at / 8 : mask;
  }
  Slice<const float> bias_of(size_t o, size_t n) const {
    if (!floats || bias.length == cols) return {floats, bias.length};
    return {floats + o * cols * inner, n * cols * inner};
  }
};

#define COMMON size_t outer, size_t cols, size_t inner, double temperature, const uint8_t* mask, int32_t layout
#define REST(o, n) n, e.cols, e.inner, temperature, e.mask_from(o), e.layout, e.bias_of(o, n)

template <class H, void (*kKernel)(const Run&, const float*, float*, COMMON, Slice<const float>)>
void half_map(const Run& run, const uint16_t* x, uint16_t* out, float* wide, COMMON, Slice<const uint16_t> bias) {
  const HalfExtras<H> extras(run, outer, cols, inner, mask, layout, bias);
  struct Call {
    const HalfExtras<H>& e;
    double temperature;
    void run(const Run& r, size_t o, size_t n, const float* in, const float*, float* result) const { kKernel(r, in, result, REST(o, n)); }
  } call{extras, temperature};
  Halves<H, Call>{run, x, nullptr, out, wide, outer, cols, inner, call, 1}.go(layout == kMaskBits);
}
template <class H> void half_log_sum_exp(const Run& run, const uint16_t* x, double* sums, COMMON, Slice<const uint16_t> bias) {
  const HalfExtras<H> extras(run, outer, cols, inner, mask, layout, bias);
  struct Call {
    const HalfExtras<H>& e;
    double temperature;
    double* sums;
    void run(const Run& r, size_t o, size_t n, const float* in, const float*, float*) const { log_sum_exp_f32(r, in, sums + o * e.inner, REST(o, n)); }
  } call{extras, temperature, sums};
  Halves<H, Call>{run, x, nullptr, nullptr, nullptr, outer, cols, inner, call, 1}.go(layout == kMaskBits);
}
template <class H> void half_exp_sum(const Run& run, const uint16_t* x, double* mantissa, int32_t* exponent, COMMON, Slice<const uint16_t> bias) {
  const HalfExtras<H> extras(run, outer, cols, inner, mask, layout, bias);
  struct Call {
    const HalfExtras<H>& e;
    double temperature;
    double* mantissa;
    int32_t* exponent;
    void run(const Run& r, size_t o, size_t n, const float* in, const float*, float*) const { exp_sum_f32(r, in, mantissa + o * e.inner, exponent + o * e.inner, REST(o, n)); }
  } call{extras, temperature, mantissa, exponent};
  Halves<H, Call>{run, x, nullptr, nullptr, nullptr, outer, cols, inner, call, 1}.go(layout == kMaskBits);
}
template <class H> void half_normalize(const Run& run, const uint16_t* x, uint16_t* out, float* wide, const double* mantissa, const int32_t* exponent, COMMON, Slice<const uint16_t> bias) {
  const HalfExtras<H> extras(run, outer, cols, inner, mask, layout, bias);
  struct Call {
    const HalfExtras<H>& e;
    double temperature;
    const double* mantissa;
    const int32_t* exponent;
    void run(const Run& r, size_t o, size_t n, const float* in, const float*, float* result) const { normalize_f32(r, in, result, mantissa + o * e.inner, exponent + o * e.inner, REST(o, n)); }
  } call{extras, temperature, mantissa, exponent};
  Halves<H, Call>{run, x, nullptr, out, wide, outer, cols, inner, call, 1}.go(layout == kMaskBits);
}
template <class H> void half_cross_entropy(const Run& run, const uint16_t* x, const int32_t* targets, double* loss, uint16_t* gradient, COMMON, Slice<const uint16_t> bias) {
  const HalfExtras<H> extras(run, outer, cols, inner, mask, layout, bias);
  struct Call {
    const HalfExtras<H>& e;
    double temperature;
    const int32_t* targets;
    double* loss;
    void run(const Run& r, size_t o, size_t n, const float* in, const float*, float* result) const {
      cross_entropy_f32(r, in, targets + o * e.inner, loss + o * e.inner, result, REST(o, n));
    }
  } call{extras, temperature, targets, loss};
  Halves<H, Call>{run, x, nullptr, gradient, nullptr, outer, cols, inner, call, 1}.go(layout == kMaskBits);
}
template <class H> void half_backward(const Run& run, const uint16_t* y, const uint16_t* dy, uint16_t* out, float* wide, COMMON) {
  const HalfExtras<H> extras(run, outer, cols, inner, mask, layout, {nullptr, 0});
  struct Call {
    const HalfExtras<H>& e;
    double temperature;
    void run(const Run& r, size_t o, size_t n, const float* in, const float* other, float* result) const {
      softmax_backward_f32(r, in, other, result, n, e.cols, e.inner, temperature, e.mask_from(o), e.layout);
    }
  } call{extras, temperature};
  Halves<H, Call>{run, y, dy, out, wide, outer, cols, inner, call, 1}.go(layout == kMaskBits);
}

#define ARGUMENTS outer, cols, inner, temperature, mask, layout
#define HALF_KERNELS(H, name) \
  void softmax_##name(const Run& run, const uint16_t* x, uint16_t* out, COMMON, Slice<const uint16_t> bias) { half_map<H, softmax_f32>(run, x, out, nullptr, ARGUMENTS, bias); } \
  void softmax_##name##_f32(const Run& run, const uint16_t* x, float* out, COMMON, Slice<const uint16_t> bias) { half_map<H, softmax_f32>(run, x, nullptr, out, ARGUMENTS, bias); } \
  void log_softmax_##name(const Run& run, const uint16_t* x, uint16_t* out, COMMON, Slice<const uint16_t> bias) { half_map<H, log_softmax_f32>(run, x, out, nullptr, ARGUMENTS, bias); } \
  void log_softmax_##name##_f32(const Run& run, const uint16_t* x, float* out, COMMON, Slice<const uint16_t> bias) { half_map<H, log_softmax_f32>(run, x, nullptr, out, ARGUMENTS, bias); } \
  void log_sum_exp_##name(const Run& run, const uint16_t* x, double* out, COMMON, Slice<const uint16_t> bias) { half_log_sum_exp<H>(run, x, out, ARGUMENTS, bias); } \
  void cross_entropy_##name(const Run& run, const uint16_t* x, const int32_t* targets, double* loss, uint16_t* gradient, COMMON, Slice<const uint16_t> bias) { \
    half_cross_entropy<H>(run, x, targets, loss, gradient, ARGUMENTS, bias); \
  } \
  void exp_sum_##name(const Run& run, const uint16_t* x, double* mantissa, int32_t* exponent, COMMON, Slice<const uint16_t> bias) { half_exp_sum<H>(run, x, mantissa, exponent, ARGUMENTS, bias); } \
  void normalize_##name(const Run& run, const uint16_t* x, uint16_t* out, const double* mantissa, const int32_t* exponent, COMMON, Slice<const uint16_t> bias) { \
    half_normalize<H>(run, x, out, nullptr, mantissa, exponent, ARGUMENTS, bias); \
  } \
  void normalize_##name##_f32(const Run& run, const uint16_t* x, float* out, const double* mantissa, const int32_t* exponent, COMMON, Slice<const uint16_t> bias) { \
    half_normalize<H>(run, x, nullptr, out, mantissa, exponent, ARGUMENTS, bias); \
  } \
  void softmax_backward_##name(const Run& run, const uint16_t* y, const uint16_t* dy, uint16_t* out, COMMON) { half_backward<H>(run, y, dy, out, nullptr, ARGUMENTS); } \
  void softmax_backward_##name##_f32(const Run& run, const uint16_t* y, const uint16_t* dy, float* out, COMMON) { half_backward<H>(run, y, dy, nullptr, out, ARGUMENTS); }
HALF_KERNELS(Half, f16)
HALF_KERNELS(Brain, bf16)
#undef HALF_KERNELS
#undef ARGUMENTS
#undef REST
#undef COMMON

}  // namespace
