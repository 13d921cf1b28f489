// The kernels' errors in ULP, for all kinds of values, masks and biases, and for rows of up to 2^22 (2^26 with
// FLASH_SOFTMAX_LONG=1). A larger logit never has a smaller result; ten million results sum to 1.
// Only the best instruction set is tested: bits.cc proves that all agree.
#include <mutex>

#include "isas.h"
#include "oracle.h"

namespace {

// q and y round by 1.4 + ½ ULP. The sum adds almost nothing if the errors of its terms average out, and as much as one
// term if they are equal.
constexpr double kBound = 2;
constexpr double kBoundOfAll = 2.3;  // includes results between 2^-126 and 2^-125

struct Worst {
  std::mutex lock;
  long double error = 0;
  std::string where;
  ~Worst() { report(text("at most %.3Lf ULP, %s", error, where.c_str())); }
};

// An operator with an oracle, and its bounds in ULP: on ordinary rows, and on all.
struct Operator {
  bool logarithms;
  double bound, bound_of_all;
};
constexpr Operator kSoftmax = {false, kBound, kBoundOfAll}, kLogSoftmax = {true, 1, 1},
                   kLogSoftmaxOfDoubles = {true, 3, 3};

template <class T> using KernelOf = typename SoftmaxCall<T>::Kernel;

template <class T>
void check(Worst& worst, const Operator& is, const Shape& shape, KernelOf<T> kernel, Way way, double bound) {
  const SoftmaxCall<T> call(shape);
  const Results out = result(call, kernel, make_run(way));
  const T* y = (const T*)out[0].data();
  for (size_t o = 0; o < call.outer; o++)
    for (size_t i = 0; i < call.inner; i++) {
      ExactRow<T> row(call, o, i, is.logarithms);
      long double error = row.error_of(y);
      CHECK(error <= bound, "%.3Lf ULP: %s", error, call.about().c_str());
      size_t wrong = call.cols > 100000 ? call.cols : row.not_monotone(y);
      CHECK(wrong == call.cols, "not monotone at %zu: %s", wrong, call.about().c_str());
      std::lock_guard<std::mutex> hold(worst.lock);
      if (error <= worst.error) continue;
      worst.error = error;
      worst.where = call.about();
    }
}

// Tests rows of many lengths and of every ordinary kind.
template <class T> void rows(const Operator& is, KernelOf<T> kernel, size_t one_in = 1) {
  constexpr size_t kKinds = sizeof kOrdinary / sizeof *kOrdinary;
  const std::vector<size_t> lengths = {1, 2, 3, 5, 8, 9, 16, 17, 33, 64, 100, 183, 256, 300, 1000, 4096, 20001, 70001};
  const std::vector<double> temperatures = {1, 0.7, 1.3, 0.05, 40};
  Worst worst;
  each(kKinds * lengths.size() * temperatures.size(), [&](size_t i) {
    size_t k = i % kKinds, n = lengths[i / kKinds % lengths.size()];
    if (i % (thinning() * one_in)) return;
    check<T>(worst, is, {&kOrdinary[k], 1, n, 1, temperatures[i / kKinds / lengths.size()], (uint32_t)i}, kernel,
             i & 1 ? Way::store : Way::stream, is.bound);
  });
}

// Tests every shape that bits.cc compares.
template <class T> void anything(const Operator& is, KernelOf<T> kernel, size_t one_in = 1) {
  Worst worst;
  std::vector<Shape> shapes;
  size_t made = 0;
  valued([&](const Shape& shape) {
    if (made++ % (thinning() * one_in) == 0) shapes.push_back(shape);
  });
  each(shapes.size(),
       [&](size_t i) { check<T>(worst, is, shapes[i], kernel, i & 1 ? Way::store : Way::stream, is.bound_of_all); });
}

const Kernels& best() { return *isas()[0].kernels; }

}  // namespace

TEST(error_f32) { rows<float>(kSoftmax, best().softmax_f32); }
TEST(error_f64) { rows<double>(kSoftmax, best().softmax_f64); }
TEST(error_f32_anything) { anything<float>(kSoftmax, best().softmax_f32); }
TEST(error_f64_anything) { anything<double>(kSoftmax, best().softmax_f64); }
TEST(error_of_log_softmax_f32) {
  rows<float>(kLogSoftmax, best().log_softmax_f32, 3);
  anything<float>(kLogSoftmax, best().log_softmax_f32, 3);
}
TEST(error_of_log_softmax_f64) {
  rows<double>(kLogSoftmaxOfDoubles, best().log_softmax_f64, 3);
  anything<double>(kLogSoftmaxOfDoubles, best().log_softmax_f64, 3);
}

TEST(error_of_long_rows) {
  auto check_rows = [](auto kernel, auto T, size_t n) {
    Worst worst;
    each(3, [&](size_t k) {
      check<decltype(T)>(worst, kSoftmax, {&kOrdinary[k], 1, n / thinning(), 1, k == 2 ? 0.7 : 1, (uint32_t)k}, kernel,
                         Way::stream, kBound);
    });
  };
  check_rows(best().softmax_f32, 0.f, 1 << 22);
  check_rows(best().softmax_f64, 0., (1 << 20) + 17);
  if (longest()) check_rows(best().softmax_f32, 0.f, 1 << 26);
}

TEST(sum_of_a_long_row) {
  size_t n = 10000000 / thinning();
  for (size_t k : {0, 1, 4}) {
    const SoftmaxCall<float> call(Shape{&kOrdinary[k], 1, n, 1, 1, 1});
    const Results out = result(call, best().softmax_f32, make_run(Way::stream));
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += ((const float*)out[0].data())[i];
    CHECK(std::fabs(sum - 1) <= 1e-6, "the results of %s sum up to 1%+.3g", call.about().c_str(), sum - 1);
    report(text("%s: 1%+.2g", call.kind->name, sum - 1));
  }
}

namespace {
// Tests rows of a few different values. Their rounding errors do not average out: the sum has the error of a term.
void few_values(const Operator& is, std::vector<const Kind*> kinds, SoftmaxCall<float>::Kernel kernel) {
  Worst worst;
  each(20000 * kinds.size() / thinning(), [&](size_t i) {
    size_t j = i / kinds.size(), n = 100 + j % 500 * (j % 16 ? 1 : 40) + (j % 8 == 7 ? 400 : 0);
    check<float>(worst, is, {kinds[i % kinds.size()], 1, n, 1, 1, (uint32_t)i}, kernel, Way::store, is.bound);
  });
}
}  // namespace

// Terms of two floats (pair_rows.h): no copies and no peaks make an error.
TEST(error_f32_of_pair_rows) {
  const Kind* kinds[] = {&kOrdinary[0], &kOrdinary[1], &kOrdinary[4], &kOrdinary[5], &kTwoValues, &kCopies};
  Worst worst;
  each(30000 / thinning(), [&](size_t i) {
    const double temperature = i % 3 == 0 ? 0.7 : i % 3 == 1 ? 1 : 40;
    const size_t n = 257 + i * 37 % 768;
    check<float>(worst, kSoftmax, {kinds[i / 3 % 6], 1, n, 1, temperature, (uint32_t)i}, best().softmax_f32, Way::store,
                 1);
  });
}
TEST(error_f32_of_few_values) { few_values(kSoftmax, {&kTwoValues, &kCopies}, best().softmax_f32); }
TEST(error_of_log_softmax_f32_of_few_values) {
  few_values(kLogSoftmax, {&kTwoValues, &kPeakOverEqual, &kPeakOverCopies}, best().log_softmax_f32);
}
