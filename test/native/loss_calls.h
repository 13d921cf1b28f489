// Calls of the kernels of flash-softmax/losses. calls.h includes this file, behind the classes that they stand on.
#pragma once

// As CrossEntropyCall, with soft targets in one of three calls, class weights, smoothing and a kind of loss.
template <class E> struct RowLossCall : CrossEntropyCall<E> {
  using T = typename E::Type;
  using Kernel = void (*)(const Run&, const T*, const int32_t*, const T*, const double*, const double*, double*, T*,
                          int32_t, double, double, double, double, const LogitRows<T>&);
  std::vector<T> soft;
  std::vector<double> weight, given;

  explicit RowLossCall(const Shape& s) : CrossEntropyCall<E>(s) {
    Random random{s.seed + 7};
    if (s.seed % 3 == 1) soft = row_of<E>(kOrdinary[s.seed % 4], s.elements(), s.seed + 1);
    for (size_t i = 0; s.seed % 2 && i < s.cols; i++) weight.push_back((double)(random.bits() % 8) / 4);
    for (size_t i = 0; soft.empty() && s.seed % 7 == 3 && i < 2 * s.rows(); i++)
      given.push_back((double)(random.bits() % 64) / 8 - 3);
  }
  std::vector<Span> inputs() const {
    std::vector<Span> all = CrossEntropyCall<E>::inputs();
    all.push_back(span(soft));
    all.push_back(span(weight));
    all.push_back(span(given));
    return all;
  }
  void run(Kernel kernel, const Run& run, const In& in, const Out& out) const {
    const size_t seed = this->seed;
    kernel(run, this->x_of(in), (const int32_t*)in[3], soft.empty() ? nullptr : (const T*)in[4],
           weight.empty() ? nullptr : (const double*)in[5], given.empty() ? nullptr : (const double*)in[6],
           (double*)out[1], this->with_gradient() ? (T*)out[0] : nullptr, (int32_t)(seed / 5 % 3),
           (double)(seed % 5) / 2, seed % 4 ? 0 : 0.1, seed % 5 ? 0 : 0.01, 1.5, this->rows_of(in));
  }
};

// taylorSoftmax: an order, and all that softmax has.
template <class E, class Result> struct TaylorCall : MapCall<E, Result, false> {
  using T = typename E::Type;
  using Kernel = void (*)(const Run&, const T*, Result*, size_t, const LogitRows<T>&);

  using MapCall<E, Result, false>::MapCall;
  void run(Kernel kernel, const Run& run, const In& in, const Out& out) const {
    kernel(run, this->x_of(in), (Result*)out[0], 2 + this->seed % 3 * 2, this->rows_of(in));
  }
};

// zLoss: the targets of crossEntropy, and two numbers.
template <class E> struct ZLossCall : CrossEntropyCall<E> {
  using T = typename E::Type;
  using Kernel = void (*)(const Run&, const T*, const int32_t*, double*, T*, double, double, const UnscaledRows<T>&);

  using CrossEntropyCall<E>::CrossEntropyCall;
  void run(Kernel kernel, const Run& run, const In& in, const Out& out) const {
    const LogitRows<T> rows = this->rows_of(in);
    kernel(run, this->x_of(in), (const int32_t*)in[3], (double*)out[1], this->with_gradient() ? (T*)out[0] : nullptr,
           0.5, 1.5, {rows.extent, rows.mask, rows.bias});
  }
};

// stableMaxCrossEntropy: the targets of crossEntropy, and a number.
template <class E> struct StableMaxLossCall : CrossEntropyCall<E> {
  using T = typename E::Type;
  using Kernel = void (*)(const Run&, const T*, const int32_t*, double*, T*, double, const UnscaledRows<T>&);

  using CrossEntropyCall<E>::CrossEntropyCall;
  void run(Kernel kernel, const Run& run, const In& in, const Out& out) const {
    const LogitRows<T> rows = this->rows_of(in);
    kernel(run, this->x_of(in), (const int32_t*)in[3], (double*)out[1], this->with_gradient() ? (T*)out[0] : nullptr,
           0.5, {rows.extent, rows.mask, rows.bias});
  }
};

// softTopK: a third of a position, which every row with two has.
template <class E, class Result> struct SoftTopKCall : MapCall<E, Result, false> {
  using T = typename E::Type;
  using Kernel = void (*)(const Run&, const T*, Result*, int32_t*, double, double, const UnscaledRows<T>&);

  using MapCall<E, Result, false>::MapCall;
  std::vector<Span> outputs() const { return {room<Result>(this->elements()), room<int32_t>(this->rows())}; }
  void run(Kernel kernel, const Run& run, const In& in, const Out& out) const {
    const LogitRows<T> rows = this->rows_of(in);
    int32_t* status = (int32_t*)out[1];
    kernel(run, this->x_of(in), (Result*)out[0], status, 1. / 3, 0.75, {rows.extent, rows.mask, rows.bias});
    // Nothing is written if a row has no finite logit: then all calls leave the same.
    bool is_short = false;
    for (size_t i = 0; i < this->rows(); i++) is_short = is_short || status[i] == 1;
    if (is_short) memset(out[0], 0, this->elements() * sizeof(Result));
  }
};

// safeStepRadius: a double for each row.
template <class E> struct RadiusCall : LogitsOf<E> {
  using T = typename E::Type;
  using Kernel = void (*)(const Run&, const T*, double*, double, const UnscaledRows<T>&);
  static constexpr bool kInPlace = false;

  using LogitsOf<E>::LogitsOf;
  std::vector<Span> inputs() const { return this->logits(); }
  std::vector<Span> outputs() const { return {room<double>(this->rows())}; }
  void run(Kernel kernel, const Run& run, const In& in, const Out& out) const {
    const LogitRows<T> rows = this->rows_of(in);
    kernel(run, this->x_of(in), (double*)out[0], 3, {rows.extent, rows.mask, rows.bias});
  }
};

// softTopKBackward: any numbers as results of softTopK, without a mask.
template <class E, class Result> struct SoftTopKBackwardCall : BackwardCall<E, Result> {
  using T = typename E::Type;
  using Kernel = void (*)(const Run&, const T*, const T*, Result*, double, size_t, size_t, size_t);

  using BackwardCall<E, Result>::BackwardCall;
  void run(Kernel kernel, const Run& run, const In& in, const Out& out) const {
    kernel(run, this->x_of(in), (const T*)in[2], (Result*)out[0], 0.75, this->outer, this->cols, this->inner);
  }
};
