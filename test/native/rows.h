// Rows of logits: ordinary ones, as models give, and extreme ones.
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>

#include "check.h"

struct Kind {
  const char* name;
  double (*value)(Random& random, size_t i, size_t n);
};

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// x is a parameter so that every compiler draws it before the exponent.
inline double magnitude(Random& r, double x, int least, uint32_t count) {
  return std::ldexp(x, least + (int)(r.bits() % count));
}

// Finite, and so far from ±3.4e38 that the oracle in long double is exact enough.
const Kind kOrdinary[] = {
    {"N(0,1)", [](Random& r, size_t, size_t) { return r.normal(); }},
    {"N(0,3)", [](Random& r, size_t, size_t) { return 3 * r.normal(); }},
    {"N(0,8)", [](Random& r, size_t, size_t) { return 8 * r.normal(); }},
    {"N(0,100)", [](Random& r, size_t, size_t) { return 100 * r.normal(); }},
    {"equal", [](Random&, size_t, size_t) { return 0.7; }},
    {"one peak in the middle", [](Random& r, size_t i, size_t n) { return i == n / 2 ? 40 : r.normal(); }},
    {"two peaks", [](Random& r, size_t i, size_t n) { return i == n / 3 || i == n / 2 ? 30 + r.unit() : r.normal(); }},
    {"a peak first", [](Random& r, size_t i, size_t) { return i ? r.normal() : 60; }},
    {"a first value 60 octaves below", [](Random& r, size_t i, size_t) { return i ? r.normal() : -42; }},
    {"a first value 94 octaves below", [](Random& r, size_t i, size_t) { return i ? r.normal() : -65; }},
    {"a first value 155 octaves above", [](Random& r, size_t i, size_t) { return i ? r.normal() : 108; }},
    {"down into the subnormals", [](Random&, size_t i, size_t n) { return -110. * (double)i / (double)n; }},
    {"rising", [](Random& r, size_t i, size_t) { return (double)(i % 1000000) / 2 + r.normal(); }},
    {"falling", [](Random& r, size_t i, size_t) { return -(double)(i % 1000000) / 2 + r.normal(); }},
    {"blocks far apart", [](Random& r, size_t i, size_t) { return (double)(i / 65536 % 7) * 33 - 100 + r.normal(); }},
    {"about 1e5", [](Random& r, size_t, size_t) { return 1e5 + 8 * r.normal(); }},
    {"about -1e6", [](Random& r, size_t, size_t) { return -1e6 + 8 * r.normal(); }},
    {"about 1e7", [](Random& r, size_t, size_t) { return 1e7 + 8 * r.normal(); }},
    {"about -1e8", [](Random& r, size_t, size_t) { return -1e8 + 32 * r.normal(); }},
    {"every third -∞", [](Random& r, size_t i, size_t) { return i % 3 == 1 ? -kInfinity : 4 * r.normal(); }},
    {"a first value -∞", [](Random& r, size_t i, size_t n) { return i || n == 1 ? 4 * r.normal() : -kInfinity; }},
    {"tiny logits", [](Random& r, size_t, size_t) { return 1e-39 * r.normal(); }},
};

// Extreme magnitudes, infinities and NaN.
const Kind kExtreme[] = {
    {"up to ±3.4e38", [](Random& r, size_t, size_t) { return (2 * r.unit() - 1) * 3.4e38; }},
    {"±3.4e38", [](Random& r, size_t, size_t) { return r.bits() & 1 ? 3.4e38 : -3.4e38; }},
    {"all magnitudes", [](Random& r, size_t, size_t) { return magnitude(r, r.normal(), -130, 250); }},
    {"magnitudes near the core's reach",
     [](Random& r, size_t, size_t) { return magnitude(r, 2 * r.unit() - 1, 13, 4); }},
    {"multiples of a table cell",
     [](Random& r, size_t, size_t) { return ((double)(r.bits() % 3000) - 1500 + 0.5) * 0x1.62e42fefa39efp-4; }},
    {"a NaN last", [](Random& r, size_t i, size_t n) { return i + 1 == n ? NAN : r.normal(); }},
    {"a NaN first", [](Random& r, size_t i, size_t) { return i ? r.normal() : NAN; }},
    {"a NaN, a +∞ and a -∞",
     [](Random& r, size_t i, size_t n) {
       return i == n / 2 ? NAN : i == n / 3 ? kInfinity : i == n / 4 ? -kInfinity : r.normal();
     }},
    {"a +∞ last", [](Random& r, size_t i, size_t n) { return i + 1 == n ? kInfinity : r.normal(); }},
    {"-∞ and a NaN", [](Random&, size_t i, size_t n) { return i == n / 2 ? NAN : -kInfinity; }},
    {"all -∞", [](Random&, size_t, size_t) { return -kInfinity; }},
    {"-∞ but for one", [](Random&, size_t i, size_t n) { return i + 1 == n ? 3 : -kInfinity; }},
    {"zeros of both signs", [](Random& r, size_t, size_t) { return r.bits() & 1 ? 0. : -0.; }},
    {"the lowest float", [](Random&, size_t, size_t) { return -0x1.fffffep127; }},
    {"±1.7e308", [](Random& r, size_t, size_t) { return r.bits() & 1 ? 1.7e308 : -1.7e308; }},
};

// One value everywhere but at index 7.
const Kind kTwoValues = {"two values", [](Random& r, size_t i, size_t) {
                           static thread_local double value, other;
                           if (i == 0) {
                             value = r.unit();
                             other = value + 4 * r.unit() - 2;
                           }
                           return i == 7 ? other : value;
                         }};

// One value everywhere but at index 70, which is up to 90 larger.
const Kind kPeakOverEqual = {"a peak over equal values", [](Random& r, size_t i, size_t) {
                               static thread_local double value, peak;
                               if (i == 0) {
                                 value = 8 * r.unit() - 4;
                                 peak = value + 90 * r.unit();
                               }
                               return i == 70 ? peak : value;
                             }};

// One value nearly everywhere, and copies of one to three others in a share of the row: e^-7 to 1.
const Kind kCopies = {"copies of a few values", [](Random& r, size_t i, size_t) {
                        static thread_local double values[4], share;
                        static thread_local uint32_t few;
                        if (i == 0) {
                          double reach = r.bits() % 2 ? 16 : 4;
                          for (double& v : values) v = (r.unit() - 0.5) * reach;
                          few = 1 + r.bits() % 3;
                          share = std::exp(-7 * r.unit());
                        }
                        return r.unit() < share ? values[1 + r.bits() % few] : values[0];
                      }};

// Copies of up to four values, far above the others (noise or −∞), and one peak, above the sum of the copies or below.
const Kind kPeakOverCopies = {"a peak over copies", [](Random& r, size_t i, size_t n) {
                                static thread_local double values[4], share, peak;
                                static thread_local uint32_t few, noisy;
                                static thread_local size_t peak_at;
                                if (i == 0) {
                                  double base = 10 * r.normal();
                                  for (double& v : values) v = base - 3 * r.unit();
                                  few = 1 + r.bits() % 4;
                                  noisy = r.bits() % 2;
                                  share = std::pow(8. / (double)n, r.unit());
                                  peak = base + std::log((double)n * share) + 16 * r.unit() - 4;
                                  peak_at = r.bits() % n;
                                }
                                double copy = values[r.bits() % few],
                                       other = noisy ? copy - 12 - std::fabs(3 * r.normal()) : -kInfinity;
                                return i == peak_at ? peak : r.unit() < share ? copy : other;
                              }};

// Biases: smaller than logits, as large, or so large that they decide alone.
const Kind kBiases[] = {
    {"N(0,3)", [](Random& r, size_t, size_t) { return 3 * r.normal(); }},
    {"all magnitudes", [](Random& r, size_t, size_t) { return magnitude(r, r.normal(), -100, 200); }},
    {"far below", [](Random& r, size_t, size_t) { return -1e6 - 1e4 * r.unit(); }},
    {"0 or -∞", [](Random& r, size_t, size_t) { return r.bits() % 4 ? 0 : -kInfinity; }},
    {"0 or -3.4e38", [](Random& r, size_t, size_t) { return r.bits() % 4 ? 0 : -3.4e38; }},
    {"the lowest float", [](Random&, size_t, size_t) { return -0x1.fffffep127; }},
    {"the largest float", [](Random&, size_t, size_t) { return 0x1.fffffep127; }},
    {"the lowest double", [](Random&, size_t, size_t) { return -0x1.fffffffffffffp1023; }},
};

// Element types, by how they take a double. Half types take a number near it, as any bits make a row.
template <class T> struct Plainly {
  using Type = T;
  static T of(double x) { return (T)x; }
};
struct Float16 {
  using Type = uint16_t;
  static uint16_t of(double x) {
    uint16_t sign = std::signbit(x) ? 0x8000 : 0;
    if (std::isnan(x)) return 0x7E00;
    if (std::fabs(x) >= 65520) return sign | 0x7C00;
    int e = std::max(x == 0 ? -14 : std::ilogb(x), -14);
    return (uint16_t)(sign + ((e + 14) << 10) + std::lrint(std::ldexp(std::fabs(x), 10 - e)));
  }
};
struct Brain16 {
  using Type = uint16_t;
  static uint16_t of(double x) { return (uint16_t)(bit_cast<uint32_t>((float)x) >> 16); }
};

template <class E> std::vector<typename E::Type> row_of(const Kind& kind, size_t n, uint32_t seed) {
  Random random{seed};
  std::vector<typename E::Type> x(n);
  for (size_t i = 0; i < n; i++) x[i] = E::of(kind.value(random, i, n));
  return x;
}
template <class T> std::vector<T> row(const Kind& kind, size_t n, uint32_t seed) {
  return row_of<Plainly<T>>(kind, n, seed);
}
