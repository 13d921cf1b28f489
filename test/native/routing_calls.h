// Calls of route, its gradient and the load-balance loss (see calls.h). A row is a token; every third call has a mask.
#pragma once

// Tokens of a call, and the choices that a call makes: how experts are scored, chosen and weighed.
template <class E> struct TokensOf : LogitsOf<E> {
  std::vector<uint8_t> token_mask;
  std::vector<double> select_bias;

  explicit TokensOf(const Shape& s) : LogitsOf<E>(s) {
    Random random{s.seed};
    for (size_t i = 0; i < s.rows() && s.seed % 3 == 0; i++) token_mask.push_back((uint8_t)(random.bits() % 4));
    for (size_t i = 0; i < s.cols && s.seed % 2; i++)
      select_bias.push_back(random.bits() % 9 ? random.unit() / 4 : -kInfinity);
  }
  size_t k() const { return 1 + this->seed * 7 % (kept_experts() < 40 ? kept_experts() : 40); }
  int32_t score() const { return (int32_t)(this->seed / 2 % 2); }
  int32_t normalize() const { return (int32_t)(this->seed / 4 % 3); }
  size_t groups() const { return this->seed % 5 == 0 && this->cols % 5 == 0 ? 5 : this->cols % 3 ? 1 : 3; }
  size_t top_groups() const { return (groups() + 1) / 2; }
  size_t kept_experts() const { return this->cols / groups() * top_groups(); }
  template <class T> static const T* given(const std::vector<T>& v, const void* data) {
    return v.empty() ? nullptr : (const T*)data;
  }
};

// Whether a kernel has found that a token has no route. A kernel that stops leaves other numbers behind.
static inline bool is_unsound(int32_t status) { return status > 0 && status < 4; }
static inline bool are_unsound(const int32_t* status, size_t tokens) {
  bool unsound = false;
  for (size_t i = 0; i < tokens; i++) unsound = unsound || is_unsound(status[i]);
  return unsound;
}

template <class E> struct RouteCallOf : TokensOf<E> {
  using T = typename E::Type;
  using Kernel = void (*)(const Run&, const T*, uint32_t*, float*, uint32_t*, int32_t*, const double*, const uint8_t*,
                          size_t, size_t, size_t, size_t, size_t, int32_t, int32_t, double);
  static constexpr bool kInPlace = false;

  using TokensOf<E>::TokensOf;
  std::vector<Span> inputs() const { return {span(this->x), span(this->select_bias), span(this->token_mask)}; }
  std::vector<Span> outputs() const {
    size_t n = this->rows() * this->k();
    return {room<uint32_t>(n), room<float>(n), room<uint32_t>(this->cols), room<int32_t>(this->rows())};
  }
  // Results of a token without a route do not count, and are cleared.
  void run(Kernel kernel, const Run& run, const In& in, const Out& out) const {
    size_t k = this->k();
    uint32_t* chosen = (uint32_t*)out[0];
    float* weights = (float*)out[1];
    int32_t* status = (int32_t*)out[3];
    kernel(run, this->x_of(in), chosen, weights, (uint32_t*)out[2], status, this->given(this->select_bias, in[1]),
           this->given(this->token_mask, in[2]), this->rows(), this->cols, k, this->groups(), this->top_groups(),
           this->score(), this->normalize(), 2.5);
    for (size_t i = 0; i < this->rows(); i++)
      for (size_t j = 0; j < k && is_unsound(status[i]); j++) {
        chosen[i * k + j] = 0;
        weights[i * k + j] = 0;
      }
  }
};

template <class E> struct LoadBalanceCall : TokensOf<E> {
  using T = typename E::Type;
  using Kernel = void (*)(const Run&, const T*, const double*, double*, T*, int32_t*, const uint8_t*, size_t, size_t,
                          int32_t, double);
  static constexpr bool kInPlace = true;
  std::vector<double> shares;

  explicit LoadBalanceCall(const Shape& s) : TokensOf<E>(s) {
    Random random{s.seed};
    for (size_t i = 0; i < s.cols; i++) shares.push_back(random.unit());
  }
  std::vector<Span> inputs() const { return {span(this->x), span(shares), span(this->token_mask)}; }
  std::vector<Span> outputs() const {
    return {room<T>(this->elements()), room<double>(this->rows()), room<int32_t>(this->rows())};
  }
  // Nothing is written to the gradient and the means if a token is no sound one: they are cleared then.
  void run(Kernel kernel, const Run& run, const In& in, const Out& out) const {
    const int32_t* status = (const int32_t*)out[2];
    kernel(run, this->x_of(in), (const double*)in[1], (double*)out[1], (T*)out[0], (int32_t*)out[2],
           this->given(this->token_mask, in[2]), this->rows(), this->cols, this->score(), 0.5);
    if (!are_unsound(status, this->rows())) return;
    memset(out[0], 0, this->elements() * sizeof(T));
    memset(out[1], 0, this->rows() * sizeof(double));
  }
};

template <class E> struct RouteBackwardCall : TokensOf<E> {
  using T = typename E::Type;
  using Kernel = void (*)(const Run&, const T*, const uint32_t*, const float*, const float*, T*, int32_t*, size_t,
                          size_t, size_t, int32_t, int32_t, double);
  static constexpr bool kInPlace = true;
  std::vector<uint32_t> chosen;
  std::vector<float> weights, slopes;

  explicit RouteBackwardCall(const Shape& s) : TokensOf<E>(s) {
    Random random{s.seed};
    for (size_t i = 0; i < s.rows() * this->k(); i++) {
      chosen.push_back((uint32_t)(random.bits() % s.cols));
      weights.push_back(random.bits() % 4 ? 0.5f : 0);
      slopes.push_back((float)random.normal());
    }
  }
  std::vector<Span> inputs() const { return {span(this->x), span(chosen), span(weights), span(slopes)}; }
  std::vector<Span> outputs() const { return {room<T>(this->elements()), room<int32_t>(this->rows())}; }
  void run(Kernel kernel, const Run& run, const In& in, const Out& out) const {
    kernel(run, this->x_of(in), (const uint32_t*)in[1], (const float*)in[2], (const float*)in[3], (T*)out[0],
           (int32_t*)out[1], this->rows(), this->cols, this->k(), this->score(), this->normalize(), 2.5);
    if (are_unsound((const int32_t*)out[1], this->rows())) memset(out[0], 0, this->elements() * sizeof(T));
  }
};
