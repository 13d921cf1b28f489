// Calls of the attention kernels (see calls.h). A Shape's seed draws their sizes and options. A call has one key for
// each column of the shape, up to 2,599, and scores of the shape's kind.
#pragma once
#include "linear_calls.h"
#include "shapes.h"

struct AttentionSizes : Shape {
  size_t kv_heads, shared, queries, keys, depth, value_depth, page;
  bool positions_first, causal, with_slopes, with_sinks, as_state;
  double causal_kind, window_left, window_right, softcap, scale;
  std::vector<int32_t> key_lengths;

  explicit AttentionSizes(const Shape& s) : Shape(s) {
    Random random{s.seed * 31 + (uint32_t)(s.cols + 7 * s.layout + s.bias)};
    auto one_of = [&](uint32_t n) { return (size_t)(random.bits() % n); };
    kv_heads = 1 + one_of(2);
    shared = 1 + one_of(9);
    queries = 1 + one_of(3);
    keys = s.cols % 2600;
    page = 16 * (1 + one_of(5));
    depth = 1 + one_of(40);
    value_depth = 1 + one_of(60);
    if (s.outer > 1) batch_ = 1 + s.outer % 2;
    positions_first = random.bits() & 1;
    causal = random.bits() & 1;
    with_slopes = one_of(4) == 0;
    with_sinks = one_of(4) == 0;
    as_state = one_of(3) == 0;
    if (keys < 200 && one_of(4) == 0) {
      shared = 1;
      queries = 30 + one_of(100);
    }
    window_left = one_of(3) ? 0 : 1 + (double)one_of(300);
    softcap = one_of(4) ? 0 : 20;
    scale = 1;
    window_right = one_of(3) ? window_left : 1 + (double)one_of(40);
    causal_kind = causal ? 1 + (double)(one_of(4) == 0) : 0;
    bool has_lengths = one_of(3) == 0;
    for (size_t b = 0; has_lengths && b < batch_; b++) key_lengths.push_back((int32_t)one_of((uint32_t)keys + 1));
  }
  size_t batch_ = 1;
  size_t heads() const { return kv_heads * shared; }
  size_t rows() const { return batch_ * heads() * queries; }
  size_t width() const { return (value_depth + 15) / 16 * 16; }
  bool with_mask() const { return layout > 0 && layout < 3; }
  bool with_bias() const { return bias == 1; }
  size_t entries() const { return rows() * keys; }
  std::vector<double> shape(bool whole) const {
    double per_query = (double)keys, per_head = per_query * (double)queries, per_batch = per_head * (double)heads();
    return {(double)batch_,
            (double)heads(),
            (double)kv_heads,
            (double)queries,
            (double)keys,
            (double)depth,
            (double)value_depth,
            (double)page,
            (double)positions_first,
            causal_kind,
            window_left,
            window_right,
            scale,
            softcap,
            whole ? per_batch : 0,
            whole ? per_head : 0,
            whole ? per_query : 0,
            whole ? per_batch : 0,
            whole ? per_head : 0,
            whole ? per_query : 0};
  }
  // The first number of a query is 1 and the others are small, so that scores have the shape's kind.
  std::vector<float> queries_of() const {
    Random random{seed + 1};
    std::vector<float> q(rows() * depth);
    for (size_t i = 0; i < q.size(); i++) q[i] = i % depth == 0 ? 1 : (float)(random.normal() / 8);
    return q;
  }
  std::vector<float> keys_of(size_t n) const {
    Random random{seed + 2};
    std::vector<float> scores = row<float>(*kind, n, seed), k(n * depth);
    for (size_t i = 0; i < k.size(); i++) k[i] = i % depth == 0 ? scores[i / depth] : (float)random.normal();
    return k;
  }
  std::vector<float> normal(size_t n, uint32_t from) const { return row<float>(kOrdinary[0], n, seed + from); }
  std::vector<uint8_t> mask_of() const {
    Random random{mask_seed};
    std::vector<uint8_t> mask(with_mask() ? entries() : 0);
    for (auto& x : mask) x = (uint8_t)(random.bits() % 3);
    return mask;
  }
  std::vector<float> biases_of() const {
    return with_bias() ? row<float>(bias_kind(), entries(), bias_seed) : std::vector<float>();
  }
  std::string about() const {
    return text(
        "%zu sequences, %zu/%zu heads, %zu queries, %zu keys, depths %zu and %zu, window %g/%g, cap %g, %s%s%s%s",
        batch_, heads(), kv_heads, queries, keys, depth, value_depth, window_left, window_right, softcap,
        causal_kind == 2 ? "top left, "
        : causal         ? "causal, "
                         : "",
        with_slopes ? "slopes, " : "", key_lengths.empty() ? "" : "key lengths, ", Shape::about().c_str());
  }
  std::vector<Span> results() const {
    if (as_state) return {room<double>(rows() * value_depth), room<double>(rows()), room<int32_t>(rows())};
    return {room<float>(rows() * value_depth), room<double>(rows())};
  }
  AttentionResults results_in(const Out& out) const {
    if (as_state) return {nullptr, nullptr, (double*)out[0], (double*)out[1], (int32_t*)out[2]};
    return {(float*)out[0], (double*)out[1], nullptr, nullptr, nullptr};
  }
};

// Pages in two slabs, in no order. They hold random numbers, and NaN where there is no token.
template <class T, bool kBrain> struct CacheOf : AttentionSizes {
  static constexpr bool kScales = sizeof(T) == 1;
  std::vector<T> slabs[2];
  std::vector<float> scales[2];
  std::vector<uint32_t> table;
  std::vector<int32_t> lengths;

  explicit CacheOf(const Shape& s) : AttentionSizes(s) {
    size_t pages = 0;
    for (size_t b = 0; b < batch_; b++) {
      lengths.push_back((int32_t)(b ? keys / 2 : keys));
      pages += ((size_t)lengths[b] + page - 1) / page;
    }
    for (size_t i = 0; i < pages; i++) table.push_back((uint32_t)((i & 1) << 26 | (pages / 2 - i / 2)));
    for (int i = 0; i < 2; i++) {
      slabs[i].resize((pages / 2 + 1) * page_size());
      scales[i].resize(kScales ? (pages / 2 + 1) * page * kv_heads * 2 : 0);
    }
  }
  size_t page_size() const { return page * kv_heads * (depth + width()); }
};

template <class T, bool kBrain> struct CachedCall : CacheOf<T, kBrain> {
  using Base = CacheOf<T, kBrain>;
  using Kernel = void (*)(const Run&, const double*, const double*, const float*, const Slabs<const T>&,
                          const Slabs<const float>&, const uint32_t*, const int32_t*, const ScoreChanges&,
                          const AttentionResults&);
  static constexpr bool kInPlace = false;
  using Base::as_state;
  std::vector<float> q, biases;
  std::vector<uint8_t> mask;

  explicit CachedCall(const Shape& s)
      : Base(s), q(this->queries_of()), biases(this->biases_of()), mask(this->mask_of()) {
    Random random{s.seed};
    for (auto& slab : this->slabs)
      for (auto& x : slab) x = number(random.normal());
    for (auto& slab_scales : this->scales)
      for (auto& x : slab_scales) x = (float)random.unit();
    if (Base::kScales) return;
    // The first number of each key is its score; it is NaN where there is no token.
    std::vector<float> scores =
        row<float>(*this->kind, this->batch_ * this->kv_heads * (this->keys + this->page), s.seed);
    size_t at = 0, first = 0, tile = 16 * (this->depth + this->width());
    for (size_t b = 0; b < this->batch_; b++) {
      size_t n = (size_t)this->lengths[b], pages = (n + this->page - 1) / this->page;
      for (size_t i = 0; i < pages * this->page; i++)
        for (size_t head = 0; head < this->kv_heads; head++, at++) {
          uint32_t entry = this->table[first + i / this->page];
          std::vector<T>& slab = this->slabs[entry >> 26];
          size_t capacity = slab.size() / this->page_size(),
                 index = ((head * capacity + (entry & 0x3FFFFFF)) * this->page + i % this->page) / 16;
          slab[index * tile + i % 16] = number(i < n ? (double)scores[at] : NAN);
        }
      first += pages;
    }
  }
  static T number(double x) {
    if (sizeof(T) == 1) return (T)(x * 30);
    if (sizeof(T) == 4) return (T)(float)x;
    return kBrain ? (T)Brain16::of((float)x) : (T)Float16::of((float)x);
  }
  std::vector<Span> inputs() const {
    return {span(q),           span(this->slabs[0]), span(this->slabs[1]), span(this->scales[0]), span(this->scales[1]),
            span(this->table), span(this->lengths),  span(mask),           span(biases)};
  }
  std::vector<Span> outputs() const { return this->results(); }
  void run(Kernel kernel, const Run& run, const In& in, const Out& out) const {
    std::vector<double> numbers = this->shape(true);
    Slabs<const T> slabs = {{(const T*)in[1], (const T*)in[2]}, {this->slabs[0].size(), this->slabs[1].size()}, 2};
    Slabs<const float> scales = {{(const float*)in[3], (const float*)in[4]},
                                 {this->scales[0].size(), this->scales[1].size()},
                                 Base::kScales ? (size_t)2 : 0};
    kernel(run, numbers.data(), nullptr, (const float*)in[0], slabs, scales, (const uint32_t*)in[5],
           (const int32_t*)in[6],
           {nullptr, nullptr, mask.empty() ? nullptr : (const uint8_t*)in[7],
            biases.empty() ? nullptr : (const float*)in[8]},
           this->results_in(out));
  }
};

// Writes the tokens of one sequence from token `from` on.
template <class T, bool kBrain> struct AppendCall : CacheOf<T, kBrain> {
  using Base = CacheOf<T, kBrain>;
  using Kernel = void (*)(const Run&, const double*, const float*, const float*, const Slabs<T>&, const Slabs<float>&,
                          const uint32_t*, size_t);
  static constexpr bool kInPlace = false;
  size_t from, tokens;
  std::vector<float> k, v;

  static Shape one_sequence(Shape s) {
    s.outer = 1;
    return s;
  }
  explicit AppendCall(const Shape& s)
      : Base(one_sequence(s)),
        from(this->keys / 3),
        tokens(this->keys - from),
        k(this->keys_of(tokens * this->kv_heads)),
        v(this->normal(tokens * this->kv_heads * this->value_depth, 3)) {}
  std::vector<Span> inputs() const { return {span(k), span(v), span(this->table)}; }
  std::vector<Span> outputs() const {
    return {room<T>(this->slabs[0].size()), room<T>(this->slabs[1].size()), room<float>(this->scales[0].size()),
            room<float>(this->scales[1].size())};
  }
  void run(Kernel kernel, const Run& run, const In& in, const Out& out) const {
    std::vector<double> numbers = this->shape(false);
    numbers[4] = (double)tokens;
    Slabs<T> slabs = {{(T*)out[0], (T*)out[1]}, {this->slabs[0].size(), this->slabs[1].size()}, 2};
    Slabs<float> scales = {{(float*)out[2], (float*)out[3]},
                           {this->scales[0].size(), this->scales[1].size()},
                           Base::kScales ? (size_t)2 : 0};
    kernel(run, numbers.data(), (const float*)in[0], (const float*)in[1], slabs, scales, (const uint32_t*)in[2], from);
  }
};

template <bool kBrain, bool kOneARow, class T>
CachedCall<T, kBrain> call_of(void (*)(const Run&, const double*, const double*, const float*, const Slabs<const T>&,
                                       const Slabs<const float>&, const uint32_t*, const int32_t*, const ScoreChanges&,
                                       const AttentionResults&));
template <bool kBrain, bool kOneARow, class T>
AppendCall<T, kBrain> call_of(void (*)(const Run&, const double*, const float*, const float*, const Slabs<T>&,
                                       const Slabs<float>&, const uint32_t*, size_t));
