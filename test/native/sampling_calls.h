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
  using Kernel = void (*)(const Run&, const T*, uint32_t*, T*, size_t, size_t, size_t, const MaskAndBias<T>&);
  static constexpr bool kInPlace = false;

  using LogitsOf<E>::LogitsOf;
  size_t k() const { return 1 + this->seed * 7 % (this->cols < 90 ? this->cols : 90); }
  std::vector<Span> inputs() const { return this->logits(); }
  std::vector<Span> outputs() const { return {room<uint32_t>(this->rows() * k()), room<T>(this->rows() * k())}; }
  void run(Kernel kernel, const Run& run, const In& in, const Out& out) const {
    kernel(run, this->x_of(in), (uint32_t*)out[0], (T*)out[1], this->rows(), this->cols, k(), this->added_of(in));
  }
};

// Draws with some of the filters. Every second call writes no probabilities, so that it needs no exact sums.
template <class E, class Result> struct SampleCall : LogitsOf<E> {
  using T = typename E::Type;
  using Kernel = void (*)(const Run&, const T*, uint32_t*, Result*, Result*, int32_t*, const double*, size_t, size_t,
                          size_t, const Filters&, const MaskAndBias<T>&);
  static constexpr bool kInPlace = false;
  static constexpr size_t kDraws = 3;
  std::vector<double> uniforms;
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
  }
  size_t written() const { return this->seed % 2 ? this->elements() : 0; }
  std::vector<Span> inputs() const {
    std::vector<Span> all = this->logits();
    all.push_back(span(uniforms));
    return all;
  }
  std::vector<Span> outputs() const {
    return {room<uint32_t>(uniforms.size()), room<Result>(written()), room<Result>(written()),
            room<int32_t>(this->rows())};
  }
  void run(Kernel kernel, const Run& run, const In& in, const Out& out) const {
    Result *kept = written() ? (Result*)out[1] : nullptr, *probabilities = written() ? (Result*)out[2] : nullptr;
    kernel(run, this->x_of(in), (uint32_t*)out[0], kept, probabilities, (int32_t*)out[3], (const double*)in[3],
           this->rows(), this->cols, kDraws, {top_k, this->temperature, top_p, min_distance, typical_p, epsilon},
           this->added_of(in));
  }
};
