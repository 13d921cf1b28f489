// Calls of the attention kernels on arrays (see attention_calls.h), of floats, halves and doubles.
#pragma once
#include "attention_calls.h"

// Floats as the elements of an array.
template <class T, bool kBrain> std::vector<T> stored_as(const std::vector<float>& floats) {
  std::vector<T> x;
  for (float f : floats) x.push_back(sizeof(T) > 2 ? (T)f : kBrain ? (T)Brain16::of(f) : (T)Float16::of(f));
  return x;
}

// What the calls of both dense kernels share: arrays of X, and results in arrays of Y.
template <class X, class Y, bool kBrain> struct DenseCall : AttentionSizes {
  static constexpr bool kInPlace = false;
  std::vector<X> q, k, v;
  std::vector<float> slopes, sinks, biases;
  std::vector<uint8_t> mask;

  explicit DenseCall(const Shape& s)
      : AttentionSizes(s),
        q(stored_as<X, kBrain>(queries_of())),
        k(stored_as<X, kBrain>(keys_of(batch_ * kv_heads * keys))),
        v(stored_as<X, kBrain>(normal(batch_ * kv_heads * keys * value_depth, 3))),
        biases(biases_of()),
        mask(mask_of()) {
    if (with_slopes) slopes = std::vector<float>(heads(), 0.25f);
    if (with_sinks && !as_state) sinks = normal(heads(), 4);
    // What lies behind the keys of a sequence does not matter.
    for (size_t b = 0; b < key_lengths.size(); b++)
      for (size_t row = 0; row < kv_heads * keys; row++)
        if (position_of(row) >= (size_t)key_lengths[b]) {
          size_t at = b * kv_heads * keys + row;
          for (size_t d = 0; d < depth; d++) k[at * depth + d] = not_a_number();
          for (size_t d = 0; d < value_depth; d++) v[at * value_depth + d] = not_a_number();
        }
  }
  static X not_a_number() { return stored_as<X, kBrain>({NAN})[0]; }
  // The position of a row of k or v in its sequence.
  size_t position_of(size_t row) const { return positions_first ? row / kv_heads : row % keys; }
  const int32_t* lengths_in(const In& in) const { return key_lengths.empty() ? nullptr : (const int32_t*)in[7]; }
  std::vector<Span> inputs() const {
    return {span(q), span(k), span(v), span(slopes), span(sinks), span(mask), span(biases), span(key_lengths)};
  }
  std::vector<Span> outputs() const {
    std::vector<Span> all = results();
    if (!as_state) all[0] = room<Y>(rows() * value_depth);
    return all;
  }
  ScoreChanges changes(const In& in) const {
    auto given = [&](size_t i, bool is) { return is ? (const float*)in[i] : nullptr; };
    return {given(3, !slopes.empty()), given(4, !sinks.empty()), mask.empty() ? nullptr : (const uint8_t*)in[5],
            given(6, !biases.empty())};
  }
  // The spans of a state; null otherwise.
  const double* spans_in(std::vector<double>& spans) const {
    for (size_t b = 0; b < batch_; b++) {
      spans.push_back(causal_kind == 2 ? 1 : 100);
      spans.push_back(spans.back() + (double)keys + (double)(seed % 3));
    }
    return as_state ? spans.data() : nullptr;
  }
  AttentionSums sums_in(const Out& out) const {
    AttentionResults all = results_in(out);
    return {all.lse, all.sums, all.mantissa, all.exponent};
  }
};

template <class X, class Y, bool kBrain> struct AttentionCall : DenseCall<X, Y, kBrain> {
  using DenseCall<X, Y, kBrain>::DenseCall;
  using Kernel = void (*)(const Run&, const double*, const double*, const int32_t*, const X*, const X*, const X*,
                          const ScoreChanges&, Y*, const AttentionSums&);
  void run(Kernel kernel, const Run& run, const In& in, const Out& out) const {
    std::vector<double> numbers = this->shape(true), spans;
    kernel(run, numbers.data(), this->spans_in(spans), this->lengths_in(in), (const X*)in[0], (const X*)in[1],
           (const X*)in[2], this->changes(in), this->as_state ? nullptr : (Y*)out[0], this->sums_in(out));
  }
};

// With weights, and scores of a stage that the seed draws. Calls on doubles have slopes, sinks and biases of doubles.
template <class X, class Y, bool kBrain> struct ExactCall : DenseCall<X, Y, kBrain> {
  using Base = DenseCall<X, Y, kBrain>;
  using Kernel = void (*)(const Run&, const double*, const double*, const int32_t*, const X*, const X*, const X*,
                          const ScoreChanges&, const WideScoreChanges&, Y*, Y*, Y*, int32_t, const AttentionSums&);
  std::vector<double> wide_slopes, wide_sinks, wide_bias;
  int32_t stage;

  explicit ExactCall(const Shape& s) : Base(s), stage((int32_t)(s.seed % 4)) {
    if (sizeof(X) < 8) return;
    wide_slopes.assign(this->slopes.begin(), this->slopes.end());
    wide_sinks.assign(this->sinks.begin(), this->sinks.end());
    wide_bias.assign(this->biases.begin(), this->biases.end());
  }
  std::vector<Span> inputs() const {
    std::vector<Span> all = Base::inputs();
    for (const auto& x : {&wide_slopes, &wide_sinks, &wide_bias}) all.push_back(span(*x));
    return all;
  }
  std::vector<Span> outputs() const {
    std::vector<Span> all = Base::outputs();
    all.push_back(room<Y>(this->entries()));
    all.push_back(room<Y>(this->entries()));
    return all;
  }
  void run(Kernel kernel, const Run& run, const In& in, const Out& out) const {
    std::vector<double> numbers = this->shape(true), spans;
    auto given = [&](size_t i, bool is) { return is ? (const double*)in[i] : nullptr; };
    WideScoreChanges wide = {given(8, !wide_slopes.empty()), given(9, !wide_sinks.empty()),
                             given(10, !wide_bias.empty())};
    size_t at = this->as_state ? 3 : 2;
    kernel(run, numbers.data(), this->spans_in(spans), this->lengths_in(in), (const X*)in[0], (const X*)in[1],
           (const X*)in[2], this->changes(in), wide, this->as_state ? nullptr : (Y*)out[0], (Y*)out[at],
           (Y*)out[at + 1], stage, this->sums_in(out));
  }
};

template <bool kBrain, bool kOneARow, class X, class Y>
AttentionCall<X, Y, kBrain> call_of(void (*)(const Run&, const double*, const double*, const int32_t*, const X*,
                                             const X*, const X*, const ScoreChanges&, Y*, const AttentionSums&));
template <bool kBrain, bool kOneARow, class X, class Y>
ExactCall<X, Y, kBrain> call_of(void (*)(const Run&, const double*, const double*, const int32_t*, const X*,
                                         const X*, const X*, const ScoreChanges&, const WideScoreChanges&, Y*, Y*, Y*,
                                         int32_t, const AttentionSums&));
