// Calls of argmax, top-k and sampling (see calls.h).
#pragma once

// Rows of logits, without a mask or bias.
template <class E> struct ArgmaxCall : LogitsOf<E> {
  using T = typename E::Type;
  using Kernel = void (*)(const Run&, const T*, uint32_t*, size_t, size_t);
  static constexpr bool kInPlace = false;

  using LogitsOf<E>::LogitsOf;
  std::vector<Span> inputs() const { return {span(this->x)}; }
  std::vector<Span> outputs() const { return {room<uint32_t>(this->rows())}; }
  void run(Kernel kernel, const Run& run, const In& in, const Out& out) const {
    kernel(run, this->x_of(in), (uint32_t*)out[0], this->rows(), this->cols);
  }
};

template <class E> struct TopKCall : LogitsOf<E> {
  using T = typename E::Type;
  using Kernel = void (*)(const Run&, const T*, uint32_t*, T*, const uint32_t*, uint32_t*, size_t, size_t, size_t,
                          const MaskAndBias<T>&);
  static constexpr bool kInPlace = false;
  std::vector<uint32_t> targets;  // of every second call

  explicit TopKCall(const Shape& s) : LogitsOf<E>(s) {
    for (size_t r = 0; s.seed % 2 && r < s.rows(); r++) targets.push_back((uint32_t)((r * 7 + s.seed) % s.cols));
  }
  size_t k() const { return 1 + this->seed * 7 % (this->cols < 90 ? this->cols : 90); }
  std::vector<Span> inputs() const {
    std::vector<Span> all = this->logits();
    all.push_back(span(targets));
    return all;
  }
  std::vector<Span> outputs() const {
    return {room<uint32_t>(this->rows() * k()), room<T>(this->rows() * k()), room<uint32_t>(targets.size())};
  }
  void run(Kernel kernel, const Run& run, const In& in, const Out& out) const {
    bool has_targets = !targets.empty();
    kernel(run, this->x_of(in), (uint32_t*)out[0], (T*)out[1], has_targets ? (const uint32_t*)in[3] : nullptr,
           has_targets ? (uint32_t*)out[2] : nullptr, this->rows(), this->cols, k(), this->added_of(in));
  }
};

// Draws with some of the filters. Every second call writes no probabilities, so that it needs no exact sums.
template <class E, class Result> struct SampleCall : LogitsOf<E> {
  using T = typename E::Type;
  using Kernel = void (*)(const Run&, const T*, uint32_t*, Result*, Result*, int32_t*, const double*, const double*,
                          size_t, size_t, size_t, const Filters&, const MaskAndBias<T>&);
  static constexpr bool kInPlace = false;
  static constexpr size_t kDraws = 3;
  std::vector<double> uniforms, row_filters;  // every third call has filters a row
  size_t top_k;
  double top_p, min_distance, typical_p, epsilon;

  explicit SampleCall(const Shape& s) : LogitsOf<E>(s) {
    Random random{s.seed};
    for (size_t i = 0; i < s.rows() * kDraws; i++) uniforms.push_back(random.unit());
    top_k = random.bits() % 3 ? s.cols : 1 + random.bits() % 60;
    top_p = random.bits() % 3 ? random.unit() : 1;
    min_distance = random.bits() % 3 ? -kInfinity : -5 * s.temperature * random.unit();
    typical_p = random.bits() % 4 ? 1 : random.unit();
    epsilon = random.bits() % 4 ? 0 : random.unit() * random.unit() / 10;
    for (size_t r = 0; s.seed % 3 == 0 && r < s.rows(); r++) {
      double each[] = {(double)(1 + random.bits() % (2 * s.cols + 1)), r % 5 ? s.temperature : 0, random.unit(),
                       min_distance, random.bits() % 4 ? 1 : random.unit(), epsilon};
      row_filters.insert(row_filters.end(), each, each + 6);
    }
  }
  size_t written() const { return this->seed % 2 ? this->elements() : 0; }
  std::vector<Span> inputs() const {
    std::vector<Span> all = this->logits();
    all.push_back(span(uniforms));
    all.push_back(span(row_filters));
    return all;
  }
  std::vector<Span> outputs() const {
    return {room<uint32_t>(uniforms.size()), room<Result>(written()), room<Result>(written()),
            room<int32_t>(this->rows())};
  }
  void run(Kernel kernel, const Run& run, const In& in, const Out& out) const {
    Result *kept = written() ? (Result*)out[1] : nullptr, *probabilities = written() ? (Result*)out[2] : nullptr;
    kernel(run, this->x_of(in), (uint32_t*)out[0], kept, probabilities, (int32_t*)out[3], (const double*)in[3],
           row_filters.empty() ? nullptr : (const double*)in[4], this->rows(), this->cols, kDraws,
           {top_k, this->temperature, top_p, min_distance, typical_p, epsilon}, this->added_of(in));
  }
};

// Every second call measures the spread alone.
template <class E> struct MomentsCall : LogitsOf<E> {
  using T = typename E::Type;
  using Kernel = void (*)(const Run&, const T*, const double*, double*, double*, int32_t*, size_t, size_t,
                          const MaskAndBias<T>&);
  static constexpr bool kInPlace = false;
  std::vector<double> temperatures;

  explicit MomentsCall(const Shape& s) : LogitsOf<E>(s), temperatures(s.rows(), s.temperature) {}
  size_t measured() const { return this->seed % 2 ? this->rows() : 0; }
  std::vector<Span> inputs() const {
    std::vector<Span> all = this->logits();
    all.push_back(span(temperatures));
    return all;
  }
  // Rows without a number are not written.
  std::vector<Span> outputs() const {
    return {room<double>(this->rows() * 3), room<double>(measured() * 4), room<int32_t>(this->rows())};
  }
  void run(Kernel kernel, const Run& run, const In& in, const Out& out) const {
    kernel(run, this->x_of(in), (const double*)in[3], (double*)out[0], measured() ? (double*)out[1] : nullptr,
           (int32_t*)out[2], this->rows(), this->cols, this->added_of(in));
  }
};
