// Calls of the gradients of attention (see calls.h and attention_calls.h).
#pragma once
#include "attention_calls.h"

// The gradients of attention, for outputs and log-sum-exps that need not be right. A third of the calls share a row of
// biases.
struct AttentionBackwardCall : AttentionSizes {
  using Kernel = void (*)(const Run&, const double*, const double*, const int32_t*, const float*, const float*,
                          const float*, const ScoreChanges&, const float*, const double*, const float*, float*, float*,
                          float*, float*, float*);
  static constexpr bool kInPlace = false;
  std::vector<float> q, k, v, slopes, sinks, biases, out, d_out;
  std::vector<uint8_t> mask;
  std::vector<double> lse;

  static Shape with_few_keys(Shape s) {
    s.cols %= 700;
    return s;
  }
  explicit AttentionBackwardCall(const Shape& s)
      : AttentionSizes(with_few_keys(s)),
        q(queries_of()),
        k(keys_of(batch_ * kv_heads * keys)),
        v(normal(batch_ * kv_heads * keys * value_depth, 3)),
        biases(biases_of()),
        out(normal(rows() * value_depth, 5)),
        d_out(normal(rows() * value_depth, 6)),
        mask(mask_of()) {
    if (with_slopes) slopes = std::vector<float>(heads(), 0.25f);
    if (with_sinks) sinks = normal(heads(), 4);
    Random random{seed + 7};
    for (size_t i = 0; i < rows(); i++)
      lse.push_back(i % 17 == 3 ? -INFINITY : i % 19 == 5 ? NAN : 4 + 3 * random.normal());
  }
  bool shares_bias() const { return seed % 3 == 0; }
  size_t bias_entries() const { return !with_bias() ? 0 : shares_bias() ? keys : entries(); }
  std::vector<Span> inputs() const {
    return {span(q), span(k), span(v), span(slopes), span(sinks), span(mask), span(biases), span(out), span(d_out),
            span(lse), span(key_lengths)};
  }
  std::vector<Span> outputs() const {
    return {room<float>(q.size()), room<float>(k.size()), room<float>(v.size()), room<float>(bias_entries()),
            room<float>(sinks.size())};
  }
  void run(Kernel kernel, const Run& run, const In& in, const Out& to) const {
    std::vector<double> numbers = shape(true);
    for (size_t i = 17; shares_bias() && i < 20; i++) numbers[i] = 0;
    auto given = [&](size_t i, bool is) { return is ? (const float*)in[i] : nullptr; };
    ScoreChanges changes = {given(3, with_slopes), given(4, with_sinks), with_mask() ? (const uint8_t*)in[5] : nullptr,
                            given(6, with_bias())};
    bool wants_queries = seed % 5 != 1, wants_keys = seed % 5 != 2;
    const int32_t* lengths = key_lengths.empty() ? nullptr : (const int32_t*)in[10];
    kernel(run, numbers.data(), nullptr, lengths, (const float*)in[0], (const float*)in[1], (const float*)in[2],
           changes, (const float*)in[7], (const double*)in[9], (const float*)in[8],
           wants_queries ? (float*)to[0] : nullptr, wants_keys ? (float*)to[1] : nullptr,
           wants_keys ? (float*)to[2] : nullptr,
           with_bias() ? (float*)to[3] : nullptr, with_sinks ? (float*)to[4] : nullptr);
  }
};

template <bool kBrain, bool kOneARow> AttentionBackwardCall call_of(AttentionBackwardCall::Kernel);
