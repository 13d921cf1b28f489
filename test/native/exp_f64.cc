// The double exp core on every instruction set: its error at ten million random values is bounded, it never decreases
// (at no boundary between two table cells either), and all instruction sets give the same bits.
#include <algorithm>
#include <cmath>
#include <memory>

#include "isas.h"
#include "order.h"

namespace {

constexpr size_t kRun = 1024;

// exp(x / T) · 2^−n with n = round(x / T · log2 e), to about 2^−63: x / T is two doubles, ln 2 three short numbers.
long double exact(double x, double temperature, double& n) {
  double z = x / temperature, rest = std::fma(-z, temperature, x) / temperature;
  n = std::nearbyint(z * 0x1.71547652b82fep+0);
  long double r = z - n * 0x1.62e42fep-1L;
  r -= n * 0x1.f473de6p-30L;
  r -= n * 0x1.5e4f1d9cc01f97cp-59L;
  return expl(r + rest);
}

struct Values {
  alignas(64) double x[kRun], q[kRun], other[kRun], t[kRun];

  void fill(double octave, double temperature, bool with_slow) {
    isas()[0].core->f64.inside(x, kRun, temperature, octave, q, t);
    for (size_t k = 1; k < isas().size(); k++) {
      if (slow(isas()[k]) && !with_slow) continue;
      isas()[k].core->f64.inside(x, kRun, temperature, octave, other, t);
      for (size_t i = 0; i < kRun; i++)
        CHECK(bit_cast<uint64_t>(q[i]) == bit_cast<uint64_t>(other[i]),
              "%s and %s differ at x = %a, T = %g, octave %g: %a, %a", isas()[0].name, isas()[k].name, x[i],
              temperature, octave, q[i], other[i]);
    }
  }
  void rises(double temperature) const {
    for (size_t i = 1; i < kRun; i++)
      CHECK(q[i - 1] <= q[i], "exp falls from x = %a to %a, T = %g: %a, %a", x[i - 1], x[i], temperature, q[i - 1],
            q[i]);
  }
};

// Tests random values of all magnitudes up to the core's limit, around random octaves.
void errors(double temperature, size_t runs) {
  const ExpCore<double>& core = isas()[0].core->f64;
  double unit = temperature * 0x1.62e42fefa39efp-1;  // x of one octave
  std::atomic<int64_t> low{0}, high{0};              // in 2^−73
  each(runs, [&](size_t run) {
    Random random{(uint32_t)run};
    auto r = std::make_unique<Values>();
    double reach = std::ldexp(1, (int)(run % 28)), octave = std::nearbyint((2 * random.unit() - 1) * (reach - 1));
    for (double& x : r->x)
      x = (octave + (2 * random.unit() - 1 + random.unit() * 0x1p-32) * std::min(reach, 500.)) * unit;
    r->fill(octave, temperature, run % 8 == 0);
    long double least = 0, most = 0;
    for (size_t i = 0; i < kRun; i++) {
      double n;
      long double e = exact(r->x[i], temperature, n),
                  error = std::ldexp(r->q[i], (int)(octave - core.bias - n)) / (core.g * e) - 1;
      least = std::min(least, error);
      most = std::max(most, error);
      CHECK(std::fabs((double)error) <= 1.45 * 0x1p-53, "error %g · 2^-53 at x = %a, T = %g", (double)error * 0x1p53,
            r->x[i], temperature);
    }
    int64_t l = (int64_t)(least * 0x1p73L), m = (int64_t)(most * 0x1p73L);
    for (int64_t now = low; l < now && !low.compare_exchange_weak(now, l);) {}
    for (int64_t now = high; m > now && !high.compare_exchange_weak(now, m);) {}
  });
  report(text("T = %g: %+.3f … %+.3f · 2^-53", temperature, low * 0x1p-20, high * 0x1p-20));
}

}  // namespace

TEST(exp_f64_error) {
  errors(1, 10000 / thinning() + 28);
  errors(0.7, 2000 / thinning() + 28);
  errors(1.3, 2000 / thinning() + 28);
}

TEST(exp_f64_rises) {
  for (double temperature : {1., 0.7, 1.3}) {
    double cell = temperature * 0x1.62e42fefa39efp-4;
    each(2 * 12000 / thinning(), [&](size_t i) {
      Random random{(uint32_t)i};
      // Odd i: every cell of one window. Even i: cells of other windows.
      double far = i % 2 ? 0 : std::nearbyint((2 * random.unit() - 1) * 0x1p26);
      double boundary = ((double)(i / 2 * thinning()) - 8000 + 8 * far + 0.5) * cell;
      auto r = std::make_unique<Values>();
      for (size_t k = 0; k < kRun; k++)
        r->x[k] = Order<double>::at(Order<double>::of(boundary) + (int64_t)k - (int64_t)kRun / 2);
      r->fill(far + 100, temperature, i % 32 < 2);
      r->rises(temperature);
      for (double& x : r->x) x = boundary + (double)(&x - r->x) * (cell / kRun);  // the whole cell
      r->fill(far + 100, temperature, i % 32 < 2);
      r->rises(temperature);
    });
  }
}
