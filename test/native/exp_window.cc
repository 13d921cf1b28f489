// The window of the exp core. A value outside of it must show: by a bit of t that no value inside has, by a q that
// is not finite, or by being nothing. exp_below must make exactly 0 of what lies below and let a NaN through.
#include <cmath>
#include <memory>

#include "isas.h"
#include "order.h"

namespace {

template <class T> const ExpCore<T>& core_of(const Core& c);
template <> const ExpCore<float>& core_of(const Core& c) { return c.f32; }
template <> const ExpCore<double>& core_of(const Core& c) { return c.f64; }

template <class T> struct Window {
  using Place = typename Order<T>::Place;
  using Bits = std::make_unsigned_t<Place>;
  static constexpr size_t kRun = 4096;
  static constexpr Bits kInfinite = sizeof(T) == 4 ? (Bits)0x7F800000 : (Bits)0x7FF0000000000000;
  static constexpr Bits kNothing = sizeof(T) == 4 ? (Bits)0x03800000 : (Bits)0x0070000000000000;  // 2^−120, 2^−1016

  const Isa& isa;
  const ExpCore<T>& core;
  double temperature, octave;
  T low, inside, end, high;  // below `low` and from `high` on it must show; from `inside` up to `end` it must not

  Window(const Isa& isa, double temperature, double octave) : isa(isa), core(core_of<T>(*isa.core)), temperature(temperature), octave(octave) {
    int octaves = 2 * (-core.bias + core.top / 8) + 2;  // in the window: 256, 2048
    auto from = [&](double k) { return first_where<T>([&](T x) { return (double)x * (8 * 1.4426950408889634074 / temperature) - 8 * octave + core.top >= k; }); };
    // The last dozen may be infinite already: by g > 1, and S / T comes before q.
    low = from(-1), inside = from(17), end = from(8 * octaves - 14 + 8 * std::fmin(0, std::log2(temperature))), high = from(8 * octaves + 1);
  }

  struct Values {
    alignas(64) T x[kRun], q[kRun], t[kRun], below[kRun], t_below[kRun];
  };
  // By whole-number operations, which a compiler makes vectors of.
  Bits is_wrong(const Values& r, size_t i) const {
    T x = r.x[i];
    Bits q = bit_cast<Bits>(r.q[i]), below = bit_cast<Bits>(r.below[i]), bits = (Bits)core.outside;
    Bits magnitude = q & ~((Bits)1 << (8 * sizeof(T) - 1));
    Bits infinite = magnitude >= kInfinite, outside = (bit_cast<Bits>(r.t[i]) & bits) != 0, outside_below = (bit_cast<Bits>(r.t_below[i]) & bits) != 0;
    Bits shows = outside | infinite | (magnitude < kNothing);
    Bits under = x < low, over = x >= high, in = (x >= inside) & (x < end), nan = x != x;
    return (under & (!shows | (below != 0) | outside_below)) | (over & !shows) | (in & (outside | outside_below | infinite | (below != q))) | (nan & (magnitude <= kInfinite));
  }
  void check(Values& r) const {
    core.inside(r.x, kRun, temperature, octave, r.q, r.t);
    core.below(r.x, kRun, temperature, octave, r.below, r.t_below);
    Bits wrong = 0;
    for (size_t i = 0; i < kRun; i++) wrong |= is_wrong(r, i);
    for (size_t i = 0; wrong && i < kRun; i++)
      CHECK(!is_wrong(r, i), "%s: x = %a, T = %g, octave %g: q = %a, t = %a; exp_below: %a, %a; the window is %a … %a", isa.name, (double)r.x[i], temperature, octave, (double)r.q[i], (double)r.t[i], (double)r.below[i], (double)r.t_below[i], (double)low, (double)high);
  }
};

// Every bit pattern of a float, one run of them in `step`.
void every_float(const Isa& isa, double temperature, double octave, size_t step) {
  using W = Window<float>;
  const W window(isa, temperature, octave);
  each((1ull << 32) / W::kRun / 256, [&](size_t many) {
    auto r = std::make_unique<W::Values>();
    for (size_t run = many * 256; run < many * 256 + 256; run++) {
      if (run % step) continue;
      for (size_t i = 0; i < W::kRun; i++) r->x[i] = bit_cast<float>((uint32_t)(run * W::kRun + i));
      window.check(*r);
    }
  });
}

// The neighbours of the window's ends and of all powers of two, and random bits.
template <class T> void some(const Isa& isa, double temperature, double octave, size_t runs) {
  using W = Window<T>;
  const W window(isa, temperature, octave);
  each(runs, [&](size_t run) {
    auto r = std::make_unique<typename W::Values>();
    Random random{(uint32_t)run};
    for (size_t i = 0; i < W::kRun; i++) r->x[i] = bit_cast<T>((typename W::Bits)random.bits64());
    T ends[] = {window.low, window.inside, window.end, window.high};
    for (size_t i = 0; run < 4 && i < W::kRun; i++) r->x[i] = Order<T>::at(Order<T>::of(ends[run]) + (typename W::Place)(i - W::kRun / 2));
    for (size_t i = 0; run == 4 && i < W::kRun; i++) r->x[i] = (T)std::ldexp(i & 1 ? -1. : 1., (int)(i / 2) - 1024);
    window.check(*r);
  });
}

}  // namespace

TEST(exp_f32_window) {
  for (auto& isa : isas()) {
    size_t step = (slow(isa) ? 256 : 1) * thinning();
    every_float(isa, 1, 0, step);
    for (double octave : {-32768., -7., 2000., 32768.}) every_float(isa, 1, octave, 16 * step);
    for (double temperature : {0x1p-20, 0.7, 1.3, 0x1p20}) every_float(isa, temperature, 100, 16 * step), some<float>(isa, temperature, -100, 8);
  }
}

TEST(exp_f64_window) {
  for (auto& isa : isas())
    for (double octave : {0., -5., 40., 1e5, -0x1p27, 0x1p27})
      for (double temperature : {1., 0.7, 0x1p-20, 0x1p20}) some<double>(isa, temperature, octave, 8 + 200 / thinning());
}
