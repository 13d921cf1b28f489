// Every operator on float16 and bfloat16: float copies of some rows at a time, small enough to stay in the cache, go
// through the float kernel, and its results are rounded to the half type. So a result is the float32 result, rounded once.
#pragma once
#include "../math/formats.h"
#include "log_softmax.h"
#include "exp_sum.h"
#include "softmax.h"
#include "softmax_backward.h"

namespace {

// A half type, as all but the conversions themselves know it.
struct HalfFormat {
  void (*widen)(const uint16_t*, float*, size_t);
  void (*narrow)(const float*, uint16_t*, size_t);
};
template <class H> constexpr HalfFormat kFormat = {to_floats<H>, from_floats<H>};

// What every call has: its shape, its mask and its bias, of which a float copy is made once.
struct HalfCall {
  const HalfFormat& format;
  const Run& run;
  size_t outer, cols, inner;
  double temperature;
  const uint8_t* mask;
  int32_t layout;
  Slice<const uint16_t> bias;
  float* floats = nullptr;

  NEVER_INLINE HalfCall(const HalfFormat& format, const Run& run, size_t outer, size_t cols, size_t inner, double temperature, const uint8_t* mask, int32_t layout, Slice<const uint16_t> bias)
      : format(format), run(run), outer(outer), cols(cols), inner(inner), temperature(temperature), mask(mask), layout(layout), bias(bias) {
    if (!bias.data) return;
    floats = (float*)memory_of(run, bias.length * sizeof(float));
    if (floats) format.widen(bias.data, floats, bias.length);
  }
  ~HalfCall() { if (floats) run.release(floats); }
  // Those of the outer indices from o on.
  const uint8_t* mask_from(size_t o) const {
    size_t at = o * cols * inner;
    return layout == kMaskBytes ? mask + at : layout == kMaskBits ? mask + at / 8 : mask;
  }
  Slice<const float> bias_of(size_t o, size_t n) const {
    if (!floats || bias.length == cols) return {floats, bias.length};
    return {floats + o * cols * inner, n * cols * inner};
  }
};

// The work of a call, cut along outer. `kernel` is run(run, o, n, in, other, result): outer indices [o, o + n), floats in `in`
// (and `other`) to floats in `result`.
struct Halves {
  static constexpr size_t kBatch = 1 << 16, kPiece = 1 << 14;  // elements of a batch; of a piece of a conversion
  const HalfCall& call;
  const uint16_t *in, *other;  // the second may be null
  uint16_t* out;               // null: results are no halves
  float* wide;                 // instead of out
  const void* kernel;
  void (*run_kernel)(const void* kernel, const Run& run, size_t o, size_t n, const float* in, const float* other, float* result);
  size_t batch = 1;

  // Each piece has a batch's floats, and behind them what a long row needs.
  struct Batches {
    const Halves& halves;
    const Pieces& pieces;
  };
  // n elements each way, in pieces shared among threads.
  struct Conversion {
    const HalfFormat& format; const uint16_t* from; uint16_t* to; float* floats; size_t n;
    static void widen(void* self, size_t i) { const Conversion& c = *(Conversion*)self; c.format.widen(c.from + i * kPiece, c.floats + i * kPiece, c.left(i)); }
    static void narrow(void* self, size_t i) { const Conversion& c = *(Conversion*)self; c.format.narrow(c.floats + i * kPiece, c.to + i * kPiece, c.left(i)); }
    size_t left(size_t i) const { return n - i * kPiece < kPiece ? n - i * kPiece : kPiece; }
    size_t pieces() const { return (n + kPiece - 1) / kPiece; }
  };
  static void one(void* self, size_t index) {
    const Batches& b = *(const Batches*)self;
    Run alone = b.halves.call.run;
    alone.parallel = serial, alone.threads = 1;
    b.halves.batch_of(alone, b.pieces, index);
  }
  void batch_of(const Run& r, const Pieces& pieces, size_t index) const {
    if (r.stopped()) return;
    size_t first = index * batch, n = call.outer - first < batch ? call.outer - first : batch, each = call.cols * call.inner, size = n * each, at = first * each;
    Pieces::Taken piece(pieces);
    float* memory = (float*)piece.data();
    Run inner = r;
    inner.reserve = {piece.data() + bytes_of_floats(), long_row_bytes()};
    float *x = memory, *y = other ? x + size : nullptr, *result = wide ? wide + at : out ? memory + size * (other ? 2 : 1) : nullptr;
    auto convert = [&](const uint16_t* from, float* to) {
      Conversion c{call.format, from, nullptr, to, size};
      r.parallel(c.pieces(), Conversion::widen, &c);
    };
    convert(in + at, x);
    if (other) convert(other + at, y);
    run_kernel(kernel, inner, first, n, x, y, result);
    if (out && !r.stopped()) {
      Conversion c{call.format, nullptr, out + at, result, size};
      r.parallel(c.pieces(), Conversion::narrow, &c);
    }
  }
  // 64-byte aligned, as pieces are.
  size_t bytes_of_floats() const {
    size_t arrays = 1 + (other != nullptr) + (out != nullptr);
    return (batch * call.cols * call.inner * sizeof(float) * arrays + 63) / 64 * 64;
  }
  // The most that a float kernel needs of one batch.
  size_t long_row_bytes() const {
    if (call.inner > 1 || call.cols <= kSuper) return 0;
    size_t parts = (call.cols + kSuper - 1) / kSuper, blocks = (call.cols + kBlock - 1) / kBlock;
    static_assert(sizeof(Backward<float>::Tile::Sums) <= sizeof(Lanes<float>));
    return parts * (sizeof(Lanes<float>) + batch * sizeof(Sum)) + blocks * sizeof(Block);
  }
  void go() {
    size_t each = call.cols * call.inner;
    if (call.outer * each == 0 || call.run.stopped()) return;
    Run r = call.run;
    if (call.outer * each * sizeof(float) < r.plan.parallel_bytes) r.parallel = serial, r.threads = 1;
    batch = each > kBatch ? 1 : kBatch / each;
    if (call.layout == kMaskBits) batch = (batch + 7) / 8 * 8;  // batches begin at whole bytes of it
    if (batch > call.outer) batch = call.outer;
    size_t batches = (call.outer + batch - 1) / batch;
    bool shared = batch * each <= kSuper && batches > 1;
    Pieces memory(r, bytes_of_floats() + long_row_bytes(), shared ? batches : 1);
    if (!memory.there()) return;
    Batches all = {*this, memory};
    if (shared) r.parallel(batches, one, &all);
    else for (size_t i = 0; i < batches; i++) batch_of(r, memory, i);
  }
};
template <class Kernel> void in_floats(const HalfCall& call, const uint16_t* in, const uint16_t* other, uint16_t* out, float* wide, const Kernel& kernel) {
  Halves{call, in, other, out, wide, &kernel, [](const void* self, const Run& r, size_t o, size_t n, const float* x, const float* y, float* result) {
           (*(const Kernel*)self)(r, o, n, x, y, result);
         }}.go();
}

#define COMMON size_t outer, size_t cols, size_t inner, double temperature, const uint8_t* mask, int32_t layout
#define ARGUMENTS outer, cols, inner, temperature, mask, layout
#define REST(o, n) n, call.cols, call.inner, call.temperature, call.mask_from(o), call.layout, call.bias_of(o, n)

using FloatMap = void(const Run&, const float*, float*, COMMON, Slice<const float>);
void half_map(const HalfCall& call, FloatMap* kernel, const uint16_t* x, uint16_t* out, float* wide) {
  in_floats(call, x, nullptr, out, wide, [&](const Run& r, size_t o, size_t n, const float* in, const float*, float* result) { kernel(r, in, result, REST(o, n)); });
}
void half_log_sum_exp(const HalfCall& call, const uint16_t* x, double* sums) {
  in_floats(call, x, nullptr, nullptr, nullptr, [&](const Run& r, size_t o, size_t n, const float* in, const float*, float*) { log_sum_exp_f32(r, in, sums + o * call.inner, REST(o, n)); });
}
void half_exp_sum(const HalfCall& call, const uint16_t* x, double* mantissa, int32_t* exponent) {
  in_floats(call, x, nullptr, nullptr, nullptr, [&](const Run& r, size_t o, size_t n, const float* in, const float*, float*) {
    exp_sum_f32(r, in, mantissa + o * call.inner, exponent + o * call.inner, REST(o, n));
  });
}
void half_normalize(const HalfCall& call, const uint16_t* x, uint16_t* out, float* wide, const double* mantissa, const int32_t* exponent) {
  in_floats(call, x, nullptr, out, wide, [&](const Run& r, size_t o, size_t n, const float* in, const float*, float* result) {
    normalize_f32(r, in, result, mantissa + o * call.inner, exponent + o * call.inner, REST(o, n));
  });
}
void half_cross_entropy(const HalfCall& call, const uint16_t* x, const int32_t* targets, double* loss, uint16_t* gradient) {
  in_floats(call, x, nullptr, gradient, nullptr, [&](const Run& r, size_t o, size_t n, const float* in, const float*, float* result) {
    cross_entropy_f32(r, in, targets + o * call.inner, loss + o * call.inner, result, REST(o, n));
  });
}
void half_backward(const HalfCall& call, const uint16_t* y, const uint16_t* dy, uint16_t* out, float* wide) {
  in_floats(call, y, dy, out, wide, [&](const Run& r, size_t o, size_t n, const float* in, const float* other, float* result) {
    softmax_backward_f32(r, in, other, result, n, call.cols, call.inner, call.temperature, call.mask_from(o), call.layout);
  });
}

#define CALL(H, bias) HalfCall(kFormat<H>, run, ARGUMENTS, bias)
#define HALF_KERNELS(H, name) \
  void softmax_##name(const Run& run, const uint16_t* x, uint16_t* out, COMMON, Slice<const uint16_t> bias) { half_map(CALL(H, bias), softmax_f32, x, out, nullptr); } \
  void softmax_##name##_f32(const Run& run, const uint16_t* x, float* out, COMMON, Slice<const uint16_t> bias) { half_map(CALL(H, bias), softmax_f32, x, nullptr, out); } \
  void log_softmax_##name(const Run& run, const uint16_t* x, uint16_t* out, COMMON, Slice<const uint16_t> bias) { half_map(CALL(H, bias), log_softmax_f32, x, out, nullptr); } \
  void log_softmax_##name##_f32(const Run& run, const uint16_t* x, float* out, COMMON, Slice<const uint16_t> bias) { half_map(CALL(H, bias), log_softmax_f32, x, nullptr, out); } \
  void log_sum_exp_##name(const Run& run, const uint16_t* x, double* out, COMMON, Slice<const uint16_t> bias) { half_log_sum_exp(CALL(H, bias), x, out); } \
  void cross_entropy_##name(const Run& run, const uint16_t* x, const int32_t* targets, double* loss, uint16_t* gradient, COMMON, Slice<const uint16_t> bias) { \
    half_cross_entropy(CALL(H, bias), x, targets, loss, gradient); \
  } \
  void exp_sum_##name(const Run& run, const uint16_t* x, double* mantissa, int32_t* exponent, COMMON, Slice<const uint16_t> bias) { half_exp_sum(CALL(H, bias), x, mantissa, exponent); } \
  void normalize_##name(const Run& run, const uint16_t* x, uint16_t* out, const double* mantissa, const int32_t* exponent, COMMON, Slice<const uint16_t> bias) { \
    half_normalize(CALL(H, bias), x, out, nullptr, mantissa, exponent); \
  } \
  void normalize_##name##_f32(const Run& run, const uint16_t* x, float* out, const double* mantissa, const int32_t* exponent, COMMON, Slice<const uint16_t> bias) { \
    half_normalize(CALL(H, bias), x, nullptr, out, mantissa, exponent); \
  } \
  void softmax_backward_##name(const Run& run, const uint16_t* y, const uint16_t* dy, uint16_t* out, COMMON) { half_backward(CALL(H, {}), y, dy, out, nullptr); } \
  void softmax_backward_##name##_f32(const Run& run, const uint16_t* y, const uint16_t* dy, float* out, COMMON) { half_backward(CALL(H, {}), y, dy, nullptr, out); }
HALF_KERNELS(Half, f16)
HALF_KERNELS(Brain, bf16)
#undef HALF_KERNELS
#undef CALL
#undef REST
#undef ARGUMENTS
#undef COMMON

}  // namespace
