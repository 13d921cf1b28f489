// The window of the exp core. A value outside must show by a bit of t that no value inside has, by a q that is not
// finite, or by a q near 0. exp_below gives exactly 0 for a value below the window, and NaN for NaN.
#include <cmath>
#include <memory>

#include "isas.h"
#include "order.h"

namespace {

template <class T> const ExpCore<T>& core_of(const Core& c);
template <> const ExpCore<float>& core_of(const Core& c) { return c.f32; }
template <> const ExpCore<double>& core_of(const Core& c) { return c.f64; }

template <class T> struct Window {
  using Bits = std::make_unsigned_t<typename Order<T>::Place>;
  static constexpr size_t kRun = 4096;
  static constexpr Bits kSign = (Bits)1 << (8 * sizeof(T) - 1);
  static constexpr Bits kInfinite = sizeof(T) == 4 ? (Bits)0x7F800000 : (Bits)0x7FF0000000000000;
  static constexpr Bits kNothing = sizeof(T) == 4 ? (Bits)0x03800000 : (Bits)0x0070000000000000;  // 2^−120, 2^−1016

  const Isa& isa;
  const ExpCore<T>& core;
  double temperature, octave;
  T low, inside, end, high;  // a value below `low` or from `high` on must show; one in [inside, end) must not
  T great;                   // from `end` up to `high`, a q that does not show is above this

  Window(const Isa& isa, double temperature, double octave)
      : isa(isa), core(core_of<T>(*isa.core)), temperature(temperature), octave(octave) {
    int octaves = 2 * (-core.bias + core.top / 8) + 2;  // of the window: 256, 2048
    auto from = [&](double k) {
      return first_where<T>(
          [&](T x) { return (double)x * (8 * 1.4426950408889634074 / temperature) - 8 * octave + core.top >= k; });
    };
    // In the last cells q may overflow: g > 1, and S / T is computed before q.
    double early = std::fmin(0, std::log2(temperature));
    low = from(-1);
    inside = from(17);
    end = from(8 * (octaves + early) - 14);
    high = from(8 * octaves + 1);
    great = (T)std::exp2(octaves - 2 + core.bias - core.top / 8 + early);
  }

  struct Values {
    alignas(64) T x[kRun], q[kRun], t[kRun], below[kRun], t_below[kRun];
    bool ordered = false;
  };
  enum Place { under, edge, in, top, over, nan };
  Place place_of(T x) const {
    return x < low ? under : x < inside ? edge : x < end ? in : x < high ? top : x >= high ? over : nan;
  }
  // What all or any of the values [from, to) show. `look` has no branches, so that the compiler uses vectors.
  struct Found {
    Bits all_show = 1, all_nan = 1, all_great_or_show = 1, any_outside = 0, any_infinite = 0, any_below = 0,
         any_other = 0;
  };
  Found look(const Values& r, size_t from, size_t to) const {
    Found f;
    Bits bits = (Bits)core.outside, great_bits = bit_cast<Bits>(great);
    for (size_t i = from; i < to; i++) {
      Bits q = bit_cast<Bits>(r.q[i]), below = bit_cast<Bits>(r.below[i]), magnitude = q & ~kSign;
      Bits infinite = magnitude >= kInfinite, outside = (bit_cast<Bits>(r.t[i]) & bits) != 0,
           shows = outside | infinite;
      f.all_show &= shows | (magnitude < kNothing);
      f.all_nan &= magnitude > kInfinite;
      f.all_great_or_show &= shows | (((q & kSign) == 0) & (magnitude > great_bits));
      f.any_outside |= bit_cast<Bits>(r.t_below[i]) & bits;
      f.any_infinite |= shows;
      f.any_below |= below;
      f.any_other |= q ^ below;
    }
    return f;
  }
  bool is_right(const Found& f, Place place) const {
    switch (place) {
      case under: return f.all_show && !f.any_below && !f.any_outside;
      case in: return !f.any_infinite && !f.any_outside && !f.any_other;
      case top: return f.all_great_or_show;
      case over: return f.all_show;
      case nan: return f.all_nan;
      default: return true;
    }
  }
  void check(Values& r) const {
    core.inside(r.x, kRun, temperature, octave, r.q, r.t);
    core.below(r.x, kRun, temperature, octave, r.below, r.t_below);
    Place first = place_of(r.x[0]), last = place_of(r.x[kRun - 1]);
    if (r.ordered && first == last && is_right(look(r, 0, kRun), first)) return;
    for (size_t i = 0; i < kRun; i++)
      CHECK(is_right(look(r, i, i + 1), place_of(r.x[i])),
            "%s: x = %a, T = %g, octave %g: q = %a, t = %a; exp_below: %a, %a; the window is %a … %a", isa.name,
            (double)r.x[i], temperature, octave, (double)r.q[i], (double)r.t[i], (double)r.below[i],
            (double)r.t_below[i], (double)low, (double)high);
  }
};

// Tests every bit pattern of a float, in runs of kRun; one run of `step` is tested.
void every_float(const Isa& isa, double temperature, double octave, size_t step) {
  using W = Window<float>;
  const W window(isa, temperature, octave);
  each((1ull << 32) / W::kRun / 256, [&](size_t many) {
    auto r = std::make_unique<W::Values>();
    for (size_t run = many * 256; run < many * 256 + 256; run++) {
      if (run % step) continue;
      for (size_t i = 0; i < W::kRun; i++) r->x[i] = bit_cast<float>((uint32_t)(run * W::kRun + i));
      r->ordered = r->x[0] - r->x[0] == 0;  // infinity begins a run of NaNs
      window.check(*r);
    }
  });
}

// Tests the neighbours of the window's ends, all powers of two, and random bits.
template <class T> void ends_and_random(const Isa& isa, double temperature, double octave, size_t runs) {
  using W = Window<T>;
  const W window(isa, temperature, octave);
  each(runs, [&](size_t run) {
    auto r = std::make_unique<typename W::Values>();
    Random random{(uint32_t)run};
    for (size_t i = 0; i < W::kRun; i++) r->x[i] = bit_cast<T>((typename W::Bits)random.bits64());
    T ends[] = {window.low, window.inside, window.end, window.high};
    for (size_t i = 0; run < 4 && i < W::kRun; i++)
      r->x[i] = Order<T>::at(Order<T>::of(ends[run]) + (typename Order<T>::Place)(i - W::kRun / 2));
    for (size_t i = 0; run == 4 && i < W::kRun; i++) r->x[i] = (T)std::ldexp(i & 1 ? -1. : 1., (int)(i / 2) - 1024);
    window.check(*r);
  });
}

}  // namespace

TEST(exp_f32_window) {
  for (auto& isa : isas()) {
    size_t step = (slow(isa) ? 256 : &isa == &isas()[0] ? 1 : 16) * thinning();
    every_float(isa, 1, 0, step);
    for (double octave : {-32768., -7., 2000., 32768.}) every_float(isa, 1, octave, 64 * step);
    for (double temperature : {0x1p-20, 0.7, 1.3, 0x1p20}) {
      every_float(isa, temperature, 100, 64 * step);
      ends_and_random<float>(isa, temperature, -100, 8);
    }
  }
}

TEST(exp_f64_window) {
  for (auto& isa : isas())
    for (double octave : {0., -5., 40., 1e5, -0x1p27, 0x1p27})
      for (double temperature : {1., 0.7, 0x1p-20, 0x1p20})
        ends_and_random<double>(isa, temperature, octave, 8 + 200 / thinning());
}
