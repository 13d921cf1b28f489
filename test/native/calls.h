// Calls of kernels, as tests make them: each signature of kernels.def has a class here with what a call reads, how
// much it writes and how it is made. Tests that stamp their loops from kernels.def find it by the kernel's type; a
// kernel with a new signature does not compile until it has one.
//
// A Call has: `inputs()`, the buffers it reads, the first of them the one that the output may replace; `bytes`, the
// size of its output; `run`, given those buffers wherever a test put them; `about()`, for messages.
// small(use) and large(use) pass on calls of many shapes; valued(use) calls of few shapes with all kinds of values.
#pragma once
#include <cstdlib>

#include "../../native/kernels.h"
#include "../../native/plan.h"
#include "../../native/threads/pool.h"
#include "rows.h"

struct Span {
  const void* data;
  size_t bytes;
};

enum class Way { store, two_pass, stream };  // the plans: q is stored and scaled; x is read twice; and past the caches

// What a kernel allocates it must release.
inline std::atomic<long> allocated{0};
inline void* allocate(size_t bytes) { return allocated++, std::malloc(bytes); }
inline void release(void* p) { allocated--, std::free(p); }

inline Run make_run(Way way, unsigned threads = 1) {
  static const volatile int32_t never = 0;
  const size_t on = 0, off = (size_t)-1;
  Plan plan = {way == Way::store ? off : on, way == Way::stream ? on : off, threads > 1 ? on : off};
  return {plan, &never, threads > 1 ? pool::parallel : serial, threads, allocate, release};
}

template <class T> struct SoftmaxCall {
  using Kernel = void (*)(const Run&, const T*, T*, size_t, size_t, size_t, double, const uint8_t*, int32_t, Slice<const T>);
  static constexpr size_t element = sizeof(T);

  std::vector<T> x, bias;
  std::vector<uint8_t> mask;
  size_t outer, cols, inner, bytes;
  double temperature;
  int32_t layout = 0;
  const char *kind, *bias_kind = "";

  SoftmaxCall(const Kind& k, size_t outer, size_t cols, size_t inner, double temperature, uint32_t seed)
      : x(row<T>(k, outer * cols * inner, seed)), outer(outer), cols(cols), inner(inner), bytes(x.size() * sizeof(T)), temperature(temperature), kind(k.name) {}

  // Layouts as in lib/backend/backend.ts: 0 none, bytes 1 or bits 3 an element, bytes 2 or bits 4 a row.
  void set_mask(int32_t which, uint32_t seed) {
    Random random{seed};
    layout = which;
    size_t entries = layout == 2 || layout == 4 ? cols : x.size();
    mask.assign(layout == 0 ? 0 : layout < 3 ? entries : (entries + 7) / 8, 0);
    for (auto& m : mask) m = (uint8_t)(layout < 3 ? random.bits() % 4 * 85 : random.bits());
  }
  void set_bias(int which, uint32_t seed) {  // 0 none, 1 an element, 2 a row
    bias_kind = which ? kBiases[seed % 5].name : "";
    bias = which == 0 ? std::vector<T>() : row<T>(kBiases[seed % 5], which == 1 ? x.size() : cols, seed);
  }

  std::vector<Span> inputs() const { return {{x.data(), bytes}, {mask.data(), mask.size()}, {bias.data(), bias.size() * sizeof(T)}}; }
  void run(Kernel kernel, const Run& run, const std::vector<const void*>& in, void* out) const {
    kernel(run, (const T*)in[0], (T*)out, outer, cols, inner, temperature, layout ? (const uint8_t*)in[1] : nullptr, layout, {bias.empty() ? nullptr : (const T*)in[2], bias.size()});
  }
  std::string about() const {
    return text("[%zu, %zu, %zu] of %s, T = %g, mask layout %d, %zu biases%s%s", outer, cols, inner, kind, temperature, layout, bias.size(), bias.empty() ? "" : " of ", bias_kind);
  }

  // Every mask with every bias.
  template <class Use> void dressed(Use use) {
    for (int32_t m = 0; m <= 4; m++)
      for (int b = 0; b <= 2; b++) {
        set_mask(m, (uint32_t)(cols + m)), set_bias(b, (uint32_t)cols);
        use(*this);
      }
  }
  template <class Use> static void small(Use use) {
    for (size_t n = 1; n <= 300; n++) SoftmaxCall(kOrdinary[2], 1, n, 1, n % 3 ? 1 : 0.7, (uint32_t)n).dressed(use);
    for (size_t n : {1, 2, 3, 8, 15, 16, 17, 31, 63, 100}) SoftmaxCall(kOrdinary[2], 5, n, 1, 1.3, (uint32_t)n).dressed(use);
    for (size_t inner : {2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 33})
      for (size_t cols : {1, 2, 5, 17})
        for (size_t outer : {1, 3}) SoftmaxCall(kOrdinary[2], outer, cols, inner, 0.7, (uint32_t)inner).dressed(use);
  }
  template <class Use> static void large(Use use) {  // across the kernels' blocks of 2^16 and the parts of 2^18 that threads share
    for (size_t n : {1023, 4097, 65535, 65536, 65537, 65552, 100001}) SoftmaxCall(kOrdinary[2], 1, n, 1, 1, (uint32_t)n).dressed(use);
    for (size_t n : {262143, 262145, 600013}) use(SoftmaxCall(kOrdinary[2], 1, n, 1, 1, (uint32_t)n));
    for (auto* far : {&kOrdinary[14], &kOrdinary[17], &kExtreme[5]}) use(SoftmaxCall(*far, 1, 600013, 1, 1, 1));
    for (size_t n : {1000, 20000}) use(SoftmaxCall(kOrdinary[2], 31, n, 1, 1, (uint32_t)n));
    SoftmaxCall(kOrdinary[2], 3, 70, 50, 1.3, 1).dressed(use);
  }
  template <class Use> static void valued(Use use) {
    const double temperatures[] = {1, 0.7, 1.3, 0x1p-20, 0x1p20, 1e-6, 1e6, 1e-40, 1e-300, 1e30, 1e300};
    uint32_t seed = 1;
    auto all = [&](const Kind& kind) {
      for (double t : temperatures)
        for (size_t n : {3, 16, 45, 1000, 5003}) {
          SoftmaxCall call(kind, 1, n, 1, t, seed++);
          use(call);
          for (int32_t m : {0, 1 + (int32_t)(seed % 4)}) {
            call.set_bias(1 + (int)(n & 1), seed), call.set_mask(m, seed);
            use(call);
          }
          if (n < 45 || n > 1000) continue;
          SoftmaxCall columns(kind, 1, n / 9, 9, t, seed);
          use(columns);
          columns.set_bias(1 + (int)(seed & 1), seed), columns.set_mask((int32_t)(seed % 5), seed + 1);
          use(columns);
        }
      use(SoftmaxCall(kind, 1, 40000, 1, seed & 1 ? 1 : 0.7, seed));
    };
    for (auto& k : kOrdinary) all(k);
    for (auto& k : kExtreme) all(k);
  }
};

template <class T> SoftmaxCall<T> call_of(void (*)(const Run&, const T*, T*, size_t, size_t, size_t, double, const uint8_t*, int32_t, Slice<const T>));

// What a kernel makes of a call, its buffers wherever the heap puts them.
template <class Call> std::vector<char> result(const Call& call, typename Call::Kernel kernel, const Run& run) {
  std::vector<char> out(call.bytes);
  std::vector<const void*> in;
  for (auto& each : call.inputs()) in.push_back(each.data);
  call.run(kernel, run, in, out.data());
  return out;
}
