// The float exp core on every float and every instruction set: its error is bounded, it never decreases, all
// instruction sets give the same bits, and no value inside the window seems to be outside.
#include <algorithm>
#include <cmath>
#include <memory>

#include "isas.h"

namespace {

constexpr size_t kSegment = 16384;  // floats; they span at most 46 octaves, and the window has 256
constexpr double kLog2e = 1.4426950408889634074, kLn2Hi = 0x1.62e42fefp-1, kLn2Lo = 0x1.473de6af278edp-34;

// Floats in order: … −2^−149, 0, 2^−149 …; both zeros are 0.
float float_at(int32_t i) { return bit_cast<float>(i >= 0 ? (uint32_t)i : 0x80000000u | (uint32_t)-i); }
int32_t place_of(float x) {
  int32_t u = bit_cast<int32_t>(x);
  return u >= 0 ? u : -(u & 0x7FFFFFFF);
}

// g · exp(x / T) · 2^(bias − octave), to about 2^−45.
double exact(const ExpCore<float>& core, float x, double temperature, double octave) {
  double z = x / temperature, rest = std::fma(-z, temperature, x) / temperature;
  double r = std::fma(-octave, kLn2Lo, std::fma(-octave, kLn2Hi, z)) + rest;
  return core.g * std::exp(r) * std::ldexp(1, core.bias);
}

struct Extremes {
  double low = 0, high = 0;
  void take(double e) {
    low = std::min(low, e);
    high = std::max(high, e);
  }
  void take(const Extremes& e) {
    take(e.low);
    take(e.high);
  }
};

// Consecutive floats. The last vector overlaps the next segment.
struct Segment {
  static constexpr size_t all = kSegment + 16;
  alignas(64) float x[all], q[all], other[all], t[all];

  explicit Segment(int32_t from) {
    for (int32_t i = 0; i < (int32_t)all; i++) x[i] = float_at(from + i);
  }

  void compare(const Isa& isa, double temperature, double octave) {
    isa.core->f32.inside(x, all, temperature, octave, other, t);
    if (memcmp(q, other, all * 4) == 0) return;
    for (size_t i = 0; i < all; i++)
      CHECK(bit_cast<uint32_t>(q[i]) == bit_cast<uint32_t>(other[i]),
            "%s and %s differ at x = %a, T = %g, octave %g: %a, %a", isas()[0].name, isa.name, x[i], temperature,
            octave, q[i], other[i]);
  }

  void inside(const ExpCore<float>& core, double temperature, double octave) {
    core.inside(x, all, temperature, octave, q, t);
    uint32_t seen = 0, falling = 0;
    for (size_t i = 0; i < all; i++) seen |= bit_cast<uint32_t>(t[i]);
    for (size_t i = 0; i < kSegment; i++) falling |= !(q[i] <= q[i + 1]);
    CHECK((seen & core.outside) == 0, "a value above %a seems to be outside the window around octave %g, T = %g", x[0],
          octave, temperature);
    for (size_t i = 0; falling && i < kSegment; i++)
      CHECK(q[i] <= q[i + 1], "exp falls from x = %a to %a, T = %g: %a, %a", x[i], x[i + 1], temperature, q[i],
            q[i + 1]);
    core.below(x, all, temperature, octave, other, t);
    CHECK(memcmp(q, other, all * 4) == 0, "exp_below is not exp_inside above x = %a, T = %g", x[0], temperature);
  }
};

// Tests every float within the core's limit at one temperature, and every `step`-th against the oracle.
Extremes scan(double temperature, size_t step) {
  const ExpCore<float>& core = isas()[0].core->f32;
  double octaves = kLog2e / temperature;
  int32_t end = place_of((float)(core.limit / 8 / octaves));
  size_t segments = 2 * (size_t)end / kSegment;
  struct Result {
    Extremes errors;
    float first = 0, next = 0;
    int octave;
  };
  std::vector<Result> results(segments);
  each(segments, [&](size_t i) {
    if (i % thinning()) return;
    auto s = std::make_unique<Segment>((int32_t)(i * kSegment - end));
    // Each segment has its own reference octave, which must not change a result.
    double octave = std::nearbyint(s->x[kSegment / 2] * octaves) + (double)(i * 37 % 101) - 40;
    s->inside(core, temperature, octave);
    for (size_t k = 1; k < isas().size(); k++)
      if (!slow(isas()[k]) || i % (64 * thinning()) == 0) s->compare(isas()[k], temperature, octave);
    Result& r = results[i];
    r.first = s->q[0];
    r.next = s->q[kSegment];
    r.octave = (int)octave;
    size_t stride = std::max(std::fabs(s->x[0]), std::fabs(s->x[kSegment])) < 0x1p-30f ? 4096 : step;  // exp is 1 there
    for (size_t j = i % stride; j < kSegment; j += stride)
      r.errors.take(s->q[j] / exact(core, s->x[j], temperature, octave) - 1);
  });
  Extremes all;
  for (size_t i = 0; i < segments; i++) {
    all.take(results[i].errors);
    if (!results[i].next || i + 1 == segments || !results[i + 1].first) continue;
    CHECK(std::ldexp(results[i].next, results[i].octave - results[i + 1].octave) == results[i + 1].first,
          "exp of %a depends on the reference octave, T = %g", float_at((int32_t)((i + 1) * kSegment - end)),
          temperature);
  }
  for (auto* e : {&all.low, &all.high}) *e *= 0x1p24;
  report(text("T = %g: %+.3f … %+.3f · 2^-24", temperature, all.low, all.high));
  return all;
}

}  // namespace

TEST(exp_f32_every_float) {
  Extremes e = scan(1, 1);
  CHECK(std::max(-e.low, e.high) <= 1.45, "errors up to %g and %g · 2^-24", e.low, e.high);
}

TEST(exp_f32_temperatures) {
  for (double t : {0.7, 1.3}) {
    Extremes e = scan(t, 7);
    CHECK(std::max(-e.low, e.high) <= 1.45, "errors up to %g and %g · 2^-24 at T = %g", e.low, e.high, t);
  }
}
