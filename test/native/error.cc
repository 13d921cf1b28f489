// How far the kernels are from the exact result, in units of its last place, for all kinds of values, masks and biases;
// that larger logits never have smaller results; that the length of a row does not matter, up to 2^22 (2^26 with
// FLASH_SOFTMAX_LONG=1); the sum of a row of ten million.
// One instruction set speaks for all: bits.cc shows that they agree.
#include <mutex>

#include "isas.h"
#include "oracle.h"

namespace {

// What rounds in q and in y is 1.4 + ½ ULP; the sum adds next to nothing where the errors of its terms average out, and
// as much as a term's where they are all the same.
constexpr double kBound = 2, kBoundOfAll = 3;

struct Worst {
  std::mutex lock;
  long double error = 0;
  std::string where;
  ~Worst() { report(text("%.3Lf ULP at the most, %s", error, where.c_str())); }
};

template <class T> void check(Worst& worst, const SoftmaxCall<T>& call, typename SoftmaxCall<T>::Kernel kernel, Way way, double bound = kBound) {
  std::vector<char> out = result(call, kernel, make_run(way));
  const T* y = (const T*)out.data();
  for (size_t o = 0; o < call.outer; o++)
    for (size_t i = 0; i < call.inner; i++) {
      ExactRow<T> row(call, o, i);
      long double error = row.error_of(y);
      CHECK(error <= bound, "%.3Lf ULP: %s", error, call.about().c_str());
      size_t wrong = call.cols > 100000 ? call.cols : row.not_monotone(y);
      CHECK(wrong == call.cols, "not monotone at %zu: %s", wrong, call.about().c_str());
      std::lock_guard<std::mutex> hold(worst.lock);
      if (error > worst.error) worst.error = error, worst.where = call.about();
    }
}

// Rows of many lengths of the first `kinds` kinds.
template <class T> void rows(typename SoftmaxCall<T>::Kernel kernel, std::vector<size_t> lengths, size_t kinds) {
  Worst worst;
  std::vector<double> temperatures = {1, 0.7, 1.3, 0.05, 40};
  each(kinds * lengths.size() * temperatures.size(), [&](size_t i) {
    size_t k = i % kinds, n = lengths[i / kinds % lengths.size()];
    if (i % thinning() == 0) check(worst, SoftmaxCall<T>(kOrdinary[k], 1, n, 1, temperatures[i / kinds / lengths.size()], (uint32_t)i), kernel, i & 1 ? Way::store : Way::stream);
  });
}

// Everything that bits.cc compares.
template <class T> void valued(typename SoftmaxCall<T>::Kernel kernel) {
  Worst worst;
  std::vector<SoftmaxCall<T>> calls;
  size_t made = 0;
  auto go = [&] {
    each(calls.size(), [&](size_t i) { check(worst, calls[i], kernel, i & 1 ? Way::store : Way::stream, kBoundOfAll); });
    calls.clear();
  };
  SoftmaxCall<T>::valued([&](const SoftmaxCall<T>& call) {
    if (made++ % thinning() == 0) calls.push_back(call);
    if (calls.size() == 1000) go();
  });
  go();
}

constexpr size_t kKinds = sizeof kOrdinary / sizeof *kOrdinary;

}  // namespace

TEST(error_f32) { rows<float>(isas()[0].kernels->softmax_f32, {1, 2, 3, 5, 8, 16, 17, 33, 64, 100, 183, 256, 300, 1000, 4096, 20001, 70001}, kKinds); }
TEST(error_f64) { rows<double>(isas()[0].kernels->softmax_f64, {1, 2, 3, 5, 8, 9, 16, 33, 64, 100, 183, 256, 300, 1000, 4096, 20001, 70001}, kKinds); }
TEST(error_f32_anything) { valued<float>(isas()[0].kernels->softmax_f32); }
TEST(error_f64_anything) { valued<double>(isas()[0].kernels->softmax_f64); }

TEST(error_of_long_rows) {
  auto go = [](auto kernel, size_t n) {
    Worst worst;
    using T = decltype(call_of(kernel));
    each(3, [&](size_t k) { check(worst, T(kOrdinary[k], 1, n / thinning(), 1, k == 2 ? 0.7 : 1, (uint32_t)k), kernel, Way::stream); });
  };
  go(isas()[0].kernels->softmax_f32, 1 << 22), go(isas()[0].kernels->softmax_f64, (1 << 20) + 17);
  if (longest()) go(isas()[0].kernels->softmax_f32, 1 << 26);
}

TEST(sum_of_a_long_row) {
  size_t n = 10000000 / thinning();
  for (size_t k : {0, 1, 4}) {
    SoftmaxCall<float> call(kOrdinary[k], 1, n, 1, 1, 1);
    std::vector<char> out = result(call, isas()[0].kernels->softmax_f32, make_run(Way::stream));
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += ((const float*)out.data())[i];
    CHECK(std::fabs(sum - 1) <= 1e-6, "the results of %s sum up to 1%+.3g", call.about().c_str(), sum - 1);
    report(text("%s: 1%+.2g", call.kind, sum - 1));
  }
}

// The worst there is for a row: one value nearly everywhere, whose own error is then the sum's, and one other.
TEST(error_f32_of_two_values) {
  Worst worst;
  each(20000 / thinning(), [&](size_t i) {
    SoftmaxCall<float> call(kTwoValues, 1, 100 + i % 200, 1, 1, (uint32_t)i);
    check(worst, call, isas()[0].kernels->softmax_f32, Way::store, kBoundOfAll);
  });
}
