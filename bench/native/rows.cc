// Times kernels of rows in C++ beside other libraries, in turns. README.md says how to build and run it.
//
//   rows [--peers FILE]… [--operation NAME] [--values NAME] [--milliseconds N] ROWSxCOLS…
//
// Prints, for each shape and candidate, the least and the median time of a call in microseconds, both as multiples of
// this package's on the best instruction set, and the largest error of a softmax in ULP.
#include <dlfcn.h>
#include <sys/mman.h>
#include <time.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <numeric>
#include <random>
#include <string>
#include <vector>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "../../native/platform/cpu.h"
#include "../../native/platform/plan.h"
#include "peer.h"

namespace {

struct Options {
  std::vector<std::string> libraries, shapes;
  std::string operation = "softmax", values = "normal";
  double milliseconds = 1000;  // a shape
};

struct Candidate {
  std::string name;
  std::function<void()> run;
  std::vector<double> seconds;  // of a call, one a round
};

// Memory for n floats, 64-byte aligned, in ordinary pages.
float* make_floats(size_t n) {
  const size_t bytes = (n * sizeof(float) + 4095) / 4096 * 4096;
  float* data = (float*)std::aligned_alloc(4096, bytes);
  if (!data) std::abort();
  madvise(data, bytes, MADV_NOHUGEPAGE);
  std::memset(data, 0, bytes);
  return data;
}

void fill(float* x, size_t n, const std::string& kind) {
  std::mt19937 bits(12345);
  std::normal_distribution<float> normal(0, 8);
  for (size_t i = 0; i < n; i++) {
    const float v = normal(bits);
    if (kind == "normal") x[i] = v;
    else if (kind == "int8") x[i] = std::nearbyint(v * 4) / 4;
    else if (kind == "clamped") x[i] = i % 2 ? -1e4f : v;
    else if (kind == "constant") x[i] = 1.5f;
    else if (kind == "integers") x[i] = std::nearbyint(v / 4);
    else std::abort();
  }
}

Run make_run() {
  static const volatile int32_t never = 0;
  static volatile size_t missing = 0;
  return {default_plan(), &never, &missing, serial, 1, std::malloc, std::free, {nullptr, 0}};
}

// One call of this package's kernel.
std::function<void()> kernel_call(const Kernels& k, const std::string& operation, const float* x, float* y, size_t rows,
                                  size_t cols) {
  const Run run = make_run();
  const LogitRows<float> logits = {{{rows, cols, 1}, 1, {nullptr, kNoMask}}, {nullptr, 0}};
  if (operation == "softmax") return [=, &k] { k.softmax_f32(run, x, y, logits); };
  if (operation == "log_softmax") return [=, &k] { k.log_softmax_f32(run, x, y, logits); };
  std::vector<double> results(rows);
  if (operation == "log_sum_exp") return [=, &k]() mutable { k.log_sum_exp_f32(run, x, results.data(), logits); };
  std::vector<int32_t> targets(rows);
  for (size_t i = 0; i < rows; i++) targets[i] = (int32_t)(i % cols);
  if (operation == "cross_entropy")
    return [=, &k]() mutable { k.cross_entropy_f32(run, x, targets.data(), results.data(), y, logits); };
  std::abort();
}

#if defined(__SSE2__)
// A copy that does not read its destination: the least traffic of a kernel that reads x and writes y.
void copy_past_caches(const float* x, float* y, size_t n) {
  for (size_t i = 0; i + 4 <= n; i += 4) _mm_stream_ps(y + i, _mm_load_ps(x + i));
  _mm_sfence();
}
#endif

// Of this thread, as others may use the machine.
double processor_seconds() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}
double time_calls(const std::function<void()>& run, size_t calls) {
  const double start = processor_seconds();
  for (size_t i = 0; i < calls; i++) run();
  return (processor_seconds() - start) / (double)calls;
}

// Returns the largest error of softmax rows in ULP.
double error_of(const float* x, const float* y, size_t rows, size_t cols) {
  double worst = 0;
  for (size_t i = 0; i < rows; i++, x += cols, y += cols) {
    const long double top = *std::max_element(x, x + cols);
    long double sum = 0;
    for (size_t j = 0; j < cols; j++) sum += std::exp((long double)x[j] - top);
    for (size_t j = 0; j < cols; j++) {
      const long double exact = std::exp((long double)x[j] - top) / sum;
      if (exact < 0x1p-126L) continue;
      const long double ulp = std::ldexp(1.0L, std::ilogb(exact) - 23);
      worst = std::max(worst, (double)(std::fabs((long double)y[j] - exact) / ulp));
    }
  }
  return worst;
}

std::vector<RowPeer> load_peers(const Options& options) {
  std::vector<RowPeer> peers;
  for (const std::string& file : options.libraries) {
    void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    const auto* peer = library ? (const RowPeer*)dlsym(library, "flash_softmax_row_peers") : nullptr;
    if (!peer) {
      std::fprintf(stderr, "%s: %s\n", file.c_str(), dlerror());
      std::exit(1);
    }
    for (; peer->name; peer++)
      if (options.operation == peer->operation) peers.push_back(*peer);
  }
  return peers;
}

void compare(const Options& options, const std::vector<RowPeer>& peers, size_t rows, size_t cols) {
  const size_t n = rows * cols;
  float *x = make_floats(n), *y = make_floats(n);
  fill(x, n, options.values);
  std::vector<Candidate> candidates;
  for (auto* k = machine().usable; *k; k++)
    candidates.push_back({(*k)->isa, kernel_call(**k, options.operation, x, y, rows, cols), {}});
  for (const RowPeer& peer : peers) candidates.push_back({peer.name, [=] { peer.run(x, y, rows, cols); }, {}});
  candidates.push_back({"memcpy", [=] { std::memcpy(y, x, n * sizeof(float)); }, {}});
#if defined(__SSE2__)
  candidates.push_back({"streaming copy", [=] { copy_past_caches(x, y, n); }, {}});
#endif
  // A sample lasts 200 µs, as reading the clock takes one. More rounds rather than longer samples, as others may use
  // the machine.
  std::vector<size_t> calls;
  double round = 0;
  for (Candidate& c : candidates) {
    c.run();
    const size_t few = n < 100000 ? 100 : 3;
    const double once = time_calls(c.run, few);
    calls.push_back((size_t)(200e-6 / once) + 1);
    round += once * (double)calls.back();
  }
  const size_t rounds = std::max<size_t>(7, (size_t)(options.milliseconds / 1e3 / round));
  // In another order each round: a call finds in the caches what the one before left there.
  std::vector<size_t> order(candidates.size());
  std::iota(order.begin(), order.end(), 0);
  std::mt19937 bits(1);
  for (size_t r = 0; r < rounds; r++) {
    std::shuffle(order.begin(), order.end(), bits);
    for (size_t i : order) candidates[i].seconds.push_back(time_calls(candidates[i].run, calls[i]));
  }
  std::printf("\n%zu × %zu, %s, %s, %zu rounds\n", rows, cols, options.operation.c_str(), options.values.c_str(),
              rounds);
  for (Candidate& c : candidates) std::sort(c.seconds.begin(), c.seconds.end());
  const std::vector<double>& base = candidates[0].seconds;
  for (Candidate& c : candidates) {
    const double least = c.seconds[0], median = c.seconds[rounds / 2];
    std::printf("  %-28s %10.3f (%.2f) %10.3f (%.2f)", c.name.c_str(), least * 1e6, least / base[0], median * 1e6,
                median / base[rounds / 2]);
    if (options.operation == "softmax" && n <= 1 << 22 && c.name != "memcpy" && c.name != "streaming copy") {
      c.run();
      std::printf("   %.2f ULP", error_of(x, y, std::min<size_t>(rows, 1 + (1 << 18) / cols), cols));
    }
    std::printf("\n");
  }
  std::free(x);
  std::free(y);
}

}  // namespace

int main(int count, char** arguments) {
  Options options;
  for (int i = 1; i < count; i++) {
    const std::string word = arguments[i];
    const bool has_value = word.rfind("--", 0) == 0;
    if (has_value && i + 1 == count) return 2;
    if (word == "--peers") options.libraries.push_back(arguments[++i]);
    else if (word == "--operation") options.operation = arguments[++i];
    else if (word == "--values") options.values = arguments[++i];
    else if (word == "--milliseconds") options.milliseconds = std::atof(arguments[++i]);
    else options.shapes.push_back(word);
  }
  const std::vector<RowPeer> peers = load_peers(options);
  std::printf("%s\nleast and median µs a call (× the first row)\n", machine().processor);
  for (const std::string& shape : options.shapes) {
    size_t rows = 0, cols = 0;
    if (std::sscanf(shape.c_str(), "%zux%zu", &rows, &cols) != 2 || !rows || !cols) return 2;
    compare(options, peers, rows, cols);
  }
}
