// Calls of sample_penalized (see calls.h).
#pragma once

// Draws from rows with tables of 64 slots: two that rows share, none, and a broken region, which
// is as none.
template <class E> struct SamplePenalizedCall : LogitsOf<E> {
  using T = typename E::Type;
  using Kernel = void (*)(const Run&, const T*, uint32_t*, int32_t*, const double*, const uint32_t*, const uint32_t*,
                          const double*, size_t, size_t, size_t);
  static constexpr bool kInPlace = false;
  static constexpr size_t kSlots = 128;
  std::vector<double> uniforms, settings;
  std::vector<uint32_t> table, regions;

  explicit SamplePenalizedCall(const Shape& s) : LogitsOf<E>(s), table(8 * kSlots) {
    Random random{s.seed};
    for (size_t i = 0; i < 50; i++) add(random, i < 25 ? 0 : 64);
    for (size_t r = 0; r < s.rows(); r++) {
      uniforms.push_back(random.unit());
      const uint32_t region[4][2] = {{0, 64}, {64, 64}, {0, 0}, {100, 64}};
      const uint32_t* own_region = region[random.bits() % 4];
      regions.insert(regions.end(), own_region, own_region + 2);
      double k = random.bits() % 3 ? 1 + random.bits() % 60 : 1e9, t = random.bits() % 5 ? s.temperature : 0;
      const double own[11] = {k, t, random.bits() % 2 ? random.unit() : 1, random.bits() % 2 ? -3. : -kInfinity, 1,
                              0, 1, 1 + random.unit(), random.unit(), random.unit(), (double)(random.bits() % 4)};
      settings.insert(settings.end(), own, own + 11);
    }
  }
  void add(Random& random, size_t start) {
    uint32_t key = 1 + (uint32_t)(random.bits() % (this->cols + 1));
    size_t at = (uint32_t)(key * 0x9E3779B1u) >> 26;
    while (table[8 * (start + at)] && table[8 * (start + at)] != key) at = (at + 1) % 64;
    uint32_t* w = &table[8 * (start + at)];
    w[0] = key, w[1] = random.bits() % 3, w[2] = random.bits() % 3, w[3] = random.bits() % 2;
    const double numbers[2] = {random.bits() % 3 ? 0 : -random.unit(), random.bits() % 5 ? 0 : -kInfinity};
    memcpy(w + 4, numbers, sizeof numbers);
  }
  std::vector<Span> inputs() const {
    return {span(this->x), span(uniforms), span(table), span(regions), span(settings)};
  }
  std::vector<Span> outputs() const { return {room<uint32_t>(this->rows()), room<int32_t>(this->rows())}; }
  void run(Kernel kernel, const Run& run, const In& in, const Out& out) const {
    kernel(run, this->x_of(in), (uint32_t*)out[0], (int32_t*)out[1], (const double*)in[1], (const uint32_t*)in[2],
           (const uint32_t*)in[3], (const double*)in[4], this->rows(), this->cols, kSlots);
  }
};

template <bool kBrain, bool kOneARow, class T>
SamplePenalizedCall<ElementOf<T, kBrain>> call_of(void (*)(const Run&, const T*, uint32_t*, int32_t*, const double*,
                                                           const uint32_t*, const uint32_t*, const double*, size_t,
                                                           size_t, size_t));
