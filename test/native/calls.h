// Calls of kernels: each signature of kernels.def has a class here. Tests that stamp their loops from kernels.def find
// it by CALL_OF(name); a kernel with a new signature does not compile until it has a class.
// A call is made of a Shape. `inputs()` are the buffers that it reads and `outputs()` the buffers that it writes.
// `kInPlace`: the first output may be the first input. `run` calls the kernel on buffers that a test has placed.
#pragma once
#include <cstdlib>
#include <cstring>
#include <type_traits>

#include "../../native/kernels.h"
#include "../../native/platform/cpu.h"
#include "../../native/platform/plan.h"
#include "../../native/platform/pool.h"
#include "shapes.h"

struct Span {
  const void* data;  // null for an output
  size_t bytes, element;
};
template <class T> Span span(const std::vector<T>& v) { return {v.data(), v.size() * sizeof(T), sizeof(T)}; }
template <class T> Span room(size_t n) { return {nullptr, n * sizeof(T), sizeof(T)}; }

// A plan: q is stored and scaled; x is read twice, and no fused dot products; x is read twice and y is written past the
// caches.
enum class Way { store, two_pass, stream };

// Pieces of memory that kernels hold: 0 between calls.
inline std::atomic<long> allocated{0};
inline void* allocate(size_t bytes) {
  allocated++;
  return std::malloc(bytes);
}
inline void release(void* p) {
  allocated--;
  std::free(p);
}

inline Run make_run(Way way, unsigned threads = 1) {
  static const volatile int32_t never = 0;
  static volatile size_t missing = 0;
  const size_t on = 0, off = (size_t)-1;
  Plan plan = {way == Way::store ? off : on, way == Way::stream ? on : off, threads > 1 ? on : off};
  Run run = {plan, &never, &missing, threads > 1 ? pool::parallel : serial, threads, allocate, release, {nullptr, 0}};
  run.has_fused_dots = machine().has_fused_dots && way != Way::two_pass;
  return run;
}

using In = std::vector<const void*>;
using Out = std::vector<void*>;

// Logits of type E, with an optional mask and bias.
template <class E> struct LogitsOf : Shape {
  using T = typename E::Type;
  std::vector<T> x, biases;
  std::vector<uint8_t> mask;

  explicit LogitsOf(const Shape& s) : Shape(s), x(row_of<E>(*kind, elements(), seed)), mask(s.mask()) {
    if (bias) biases = row_of<E>(bias_kind(), Shape::biases(), bias_seed);
  }
  std::vector<Span> logits() const { return {span(x), span(mask), span(biases)}; }
  static const T* x_of(const In& in) { return (const T*)in[0]; }
  Mask mask_of(const In& in) const { return {layout ? (const uint8_t*)in[1] : nullptr, layout}; }
  Slice<const T> bias_of(const In& in) const { return {bias ? (const T*)in[2] : nullptr, biases.size()}; }
  LogitRows<T> rows_of(const In& in) const { return {{{outer, cols, inner}, temperature, mask_of(in)}, bias_of(in)}; }
  MaskAndBias<T> added_of(const In& in) const { return {mask_of(in), bias_of(in)}; }
};

// One result for each element, or for each row: softmax, logSoftmax, logSumExp.
template <class E, class Result, bool kOneARow> struct MapCall : LogitsOf<E> {
  using T = typename E::Type;
  using Kernel = void (*)(const Run&, const T*, Result*, const LogitRows<T>&);
  static constexpr bool kInPlace = !kOneARow && sizeof(T) == sizeof(Result);

  using LogitsOf<E>::LogitsOf;
  std::vector<Span> inputs() const { return this->logits(); }
  std::vector<Span> outputs() const { return {room<Result>(kOneARow ? this->rows() : this->elements())}; }
  void run(Kernel kernel, const Run& run, const In& in, const Out& out) const {
    kernel(run, this->x_of(in), (Result*)out[0], this->rows_of(in));
  }
};

// A call without a temperature.
template <class E, class Result> struct UnscaledCall : MapCall<E, Result, false> {
  using T = typename E::Type;
  using Kernel = void (*)(const Run&, const T*, Result*, const UnscaledRows<T>&);

  using MapCall<E, Result, false>::MapCall;
  void run(Kernel kernel, const Run& run, const In& in, const Out& out) const {
    const LogitRows<T> rows = this->rows_of(in);
    kernel(run, this->x_of(in), (Result*)out[0], {rows.extent, rows.mask, rows.bias});
  }
};

// One target for each row, −1 for a row that does not count. Two of three calls write the gradient.
template <class E> struct CrossEntropyCall : LogitsOf<E> {
  using T = typename E::Type;
  using Kernel = void (*)(const Run&, const T*, const int32_t*, double*, T*, const LogitRows<T>&);
  static constexpr bool kInPlace = true;
  std::vector<int32_t> targets;

  explicit CrossEntropyCall(const Shape& s) : LogitsOf<E>(s) {
    Random random{s.seed};
    for (size_t i = 0; i < s.rows(); i++) targets.push_back(random.bits() % 8 ? (int32_t)(random.bits() % s.cols) : -1);
  }
  bool with_gradient() const { return this->seed % 3 != 0; }
  std::vector<Span> inputs() const {
    std::vector<Span> all = this->logits();
    all.push_back(span(targets));
    return all;
  }
  std::vector<Span> outputs() const {
    return {room<T>(with_gradient() ? this->elements() : 0), room<double>(this->rows())};
  }
  void run(Kernel kernel, const Run& run, const In& in, const Out& out) const {
    kernel(run, this->x_of(in), (const int32_t*)in[3], (double*)out[1], with_gradient() ? (T*)out[0] : nullptr,
           this->rows_of(in));
  }
};

// The kernel does not ask that probabilities sum to 1, so that y is a row of any numbers. One of two calls is is_log.
template <class E, class Result> struct BackwardCall : LogitsOf<E> {
  using T = typename E::Type;
  using Kernel = void (*)(const Run&, const T*, const T*, Result*, int32_t, const MaskedRows&);
  static constexpr bool kInPlace = sizeof(T) == sizeof(Result);
  std::vector<T> dy;

  explicit BackwardCall(const Shape& s)
      : LogitsOf<E>(s), dy(row_of<E>(kOrdinary[s.seed % 4], s.elements(), s.seed + 1)) {}
  std::vector<Span> inputs() const { return {span(this->x), span(this->mask), span(dy)}; }
  std::vector<Span> outputs() const { return {room<Result>(this->elements())}; }
  void run(Kernel kernel, const Run& run, const In& in, const Out& out) const {
    kernel(run, this->x_of(in), (const T*)in[2], (Result*)out[0], (int32_t)(this->seed % 2), this->rows_of(in));
  }
};

template <class E> struct ExpSumCall : LogitsOf<E> {
  using T = typename E::Type;
  using Kernel = void (*)(const Run&, const T*, double*, int32_t*, const LogitRows<T>&);
  static constexpr bool kInPlace = false;

  using LogitsOf<E>::LogitsOf;
  std::vector<Span> inputs() const { return this->logits(); }
  std::vector<Span> outputs() const { return {room<double>(this->rows()), room<int32_t>(this->rows())}; }
  void run(Kernel kernel, const Run& run, const In& in, const Out& out) const {
    kernel(run, this->x_of(in), (double*)out[0], (int32_t*)out[1], this->rows_of(in));
  }
};

// States lie near the row's own. One of sixteen is 0, NaN or infinite.
template <class E, class Result> struct NormalizeCall : LogitsOf<E> {
  using T = typename E::Type;
  using Kernel = void (*)(const Run&, const T*, Result*, const double*, const int32_t*, const LogitRows<T>&);
  static constexpr bool kInPlace = sizeof(T) == sizeof(Result);
  std::vector<double> mantissas;
  std::vector<int32_t> exponents;

  explicit NormalizeCall(const Shape& s) : LogitsOf<E>(s) {
    Random random{s.seed};
    for (size_t i = 0; i < s.rows(); i++) {
      T logit = this->x[i / s.inner * s.cols * s.inner + i % s.inner];
      double about =
          (std::is_integral_v<T> ? 1 : (double)logit * 1.4426950408889634 / s.temperature) + random.bits() % 16;
      mantissas.push_back(1 + random.unit());
      exponents.push_back(std::fabs(about) < 1e9 ? (int32_t)about : 0);
      if (random.bits() % 16) continue;
      exponents.back() = 0;
      mantissas.back() = std::vector<double>{0, NAN, kInfinity}[random.bits() % 3];
    }
  }
  std::vector<Span> inputs() const {
    std::vector<Span> all = this->logits();
    all.push_back(span(mantissas));
    all.push_back(span(exponents));
    return all;
  }
  std::vector<Span> outputs() const { return {room<Result>(this->elements())}; }
  void run(Kernel kernel, const Run& run, const In& in, const Out& out) const {
    kernel(run, this->x_of(in), (Result*)out[0], (const double*)in[3], (const int32_t*)in[4], this->rows_of(in));
  }
};

#include "attention_backward_calls.h"
#include "dense_calls.h"
#include "detection_calls.h"
#include "head_calls.h"
#include "routing_calls.h"
#include "loss_calls.h"
#include "sampling_calls.h"

// A kernel's name and signature give the element type of its logits and the class of its calls.
constexpr bool has(const char* name, const char* part) {
  for (; *name; name++)
    for (size_t i = 0; name[i] == part[i] || !part[i]; i++)
      if (!part[i]) return true;
  return false;
}
template <class T, bool kBrain> struct Element {
  using Is = Plainly<T>;
};
template <bool kBrain> struct Element<uint16_t, kBrain> {
  using Is = std::conditional_t<kBrain, Brain16, Float16>;
};
template <class T, bool kBrain> using ElementOf = typename Element<T, kBrain>::Is;

template <bool kBrain, bool kOneARow, class T, class R>
MapCall<ElementOf<T, kBrain>, R, kOneARow> call_of(void (*)(const Run&, const T*, R*, const LogitRows<T>&));
template <bool kBrain, bool kOneARow, class T, class R>
UnscaledCall<ElementOf<T, kBrain>, R> call_of(void (*)(const Run&, const T*, R*, const UnscaledRows<T>&));
template <bool kBrain, bool kOneARow, class T>
CrossEntropyCall<ElementOf<T, kBrain>> call_of(void (*)(const Run&, const T*, const int32_t*, double*, T*,
                                                        const LogitRows<T>&));
template <bool kBrain, bool kOneARow, class T>
RowLossCall<ElementOf<T, kBrain>> call_of(void (*)(const Run&, const T*, const int32_t*, const T*, const double*,
                                                   const double*, double*, T*, int32_t, double, double, double, double,
                                                   const LogitRows<T>&));
template <bool kBrain, bool kOneARow, class T, class R>
TaylorCall<ElementOf<T, kBrain>, R> call_of(void (*)(const Run&, const T*, R*, size_t, const LogitRows<T>&));
template <bool kBrain, bool kOneARow, class T>
ZLossCall<ElementOf<T, kBrain>> call_of(void (*)(const Run&, const T*, const int32_t*, double*, T*, double, double,
                                                 const UnscaledRows<T>&));
template <bool kBrain, bool kOneARow, class T>
StableMaxLossCall<ElementOf<T, kBrain>> call_of(void (*)(const Run&, const T*, const int32_t*, double*, T*, double,
                                                         const UnscaledRows<T>&));
template <bool kBrain, bool kOneARow, class T, class R>
SoftTopKCall<ElementOf<T, kBrain>, R> call_of(void (*)(const Run&, const T*, R*, int32_t*, double, double,
                                                       const UnscaledRows<T>&));
template <bool kBrain, bool kOneARow, class T, class R>
SoftTopKBackwardCall<ElementOf<T, kBrain>, R> call_of(void (*)(const Run&, const T*, const T*, R*, double, size_t,
                                                               size_t, size_t));
template <bool kBrain, bool kOneARow, class T>
RadiusCall<ElementOf<T, kBrain>> call_of(void (*)(const Run&, const T*, double*, double, const UnscaledRows<T>&));
template <bool kBrain, bool kOneARow, class T, class R>
BackwardCall<ElementOf<T, kBrain>, R> call_of(void (*)(const Run&, const T*, const T*, R*, int32_t,
                                                       const MaskedRows&));
template <bool kBrain, bool kOneARow, class T>
ExpSumCall<ElementOf<T, kBrain>> call_of(void (*)(const Run&, const T*, double*, int32_t*, const LogitRows<T>&));
template <bool kBrain, bool kOneARow, class T, class R>
NormalizeCall<ElementOf<T, kBrain>, R> call_of(void (*)(const Run&, const T*, R*, const double*, const int32_t*,
                                                        const LogitRows<T>&));
template <bool kBrain, bool kOneARow, class T>
ArgmaxCall<ElementOf<T, kBrain>> call_of(void (*)(const Run&, const T*, uint32_t*, size_t, size_t));
template <bool kBrain, bool kOneARow, class T>
TopKCall<ElementOf<T, kBrain>> call_of(void (*)(const Run&, const T*, uint32_t*, T*, const uint32_t*, uint32_t*, size_t,
                                                size_t, size_t, const MaskAndBias<T>&));
template <bool kBrain, bool kOneARow, class T, class R>
SampleCall<ElementOf<T, kBrain>, R> call_of(
    void (*)(const Run&, const T*, uint32_t*, R*, R*, int32_t*, const double*, const double*, size_t, size_t, size_t,
             const Filters&, const MaskAndBias<T>&));
template <bool kBrain, bool kOneARow, class T>
MomentsCall<ElementOf<T, kBrain>> call_of(void (*)(const Run&, const T*, const double*, double*, double*, int32_t*,
                                                   size_t, size_t, const MaskAndBias<T>&));
template <bool kBrain, bool kOneARow, class T>
RouteCallOf<ElementOf<T, kBrain>> call_of(void (*)(const Run&, const T*, uint32_t*, float*, uint32_t*, int32_t*,
                                                   const double*, const uint8_t*, size_t, size_t, size_t, size_t,
                                                   size_t, int32_t, int32_t, double));
template <bool kBrain, bool kOneARow, class T>
LoadBalanceCall<ElementOf<T, kBrain>> call_of(void (*)(const Run&, const T*, const double*, double*, T*, int32_t*,
                                                       const uint8_t*, size_t, size_t, int32_t, double));
template <bool kBrain, bool kOneARow, class T>
RouteBackwardCall<ElementOf<T, kBrain>> call_of(void (*)(const Run&, const T*, const uint32_t*, const float*,
                                                         const float*, T*, int32_t*, size_t, size_t, size_t, int32_t,
                                                         int32_t, double));
#include "penalized_calls.h"
#define CALL_OF(name) decltype(call_of<has(#name, "bf16"), has(#name, "log_sum_exp")>(decltype(Kernels::name)()))
template <class T> using SoftmaxCall = MapCall<Plainly<T>, T, false>;

// Every shape is tried on softmax. Other kernels share its parts and get a sample, half types the smallest one. The
// steps are prime, so that they fall into step with no loop of shapes.h.
inline size_t one_in(const char* kernel) {
  return !strcmp(kernel, "softmax_f32") || !strcmp(kernel, "softmax_f64") ? 1 : has(kernel, "f16") ? 41 : 17;
}
inline size_t thinning_of(const char* kernel) { return thinning() * one_in(kernel); }

// A kernel's outputs for a call whose buffers lie on the heap.
using Results = std::vector<std::vector<char>>;
template <class Call> Results result(const Call& call, typename Call::Kernel kernel, const Run& run) {
  Results results;
  In in;
  Out out;
  for (auto& each : call.outputs()) results.emplace_back(each.bytes);
  for (auto& each : results) out.push_back(each.data());
  for (auto& each : call.inputs()) in.push_back(each.data);
  call.run(kernel, run, in, out);
  return results;
}
