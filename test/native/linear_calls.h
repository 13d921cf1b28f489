// Calls of the kernels of linear attention (see calls.h). A Shape's seed draws their sizes and options; a call has as
// many tokens or queries as the shape has columns, up to 399.
#pragma once
#include "shapes.h"

struct LinearCall : Shape {
  size_t rows_of_head;
  LinearSizes sizes;
  FeatureMap map;
  std::vector<double> sums;

  explicit LinearCall(const Shape& s) : Shape(s), rows_of_head(s.cols % 400) {
    Random random{s.seed * 31 + (uint32_t)(s.cols + 7 * s.layout + s.bias)};
    sizes = {1 + s.outer % 3, 1 + random.bits() % 40, 1 + random.bits() % 150};
    map = {(int32_t)(random.bits() % 4), random.bits() % 3 ? 1 : 0.2};
    sums.resize(sizes.heads * (sizes.depth * sizes.value_depth + sizes.depth + sizes.value_depth));
    for (auto& each : sums) each = random.normal();
  }
  std::vector<float> rows_of(size_t n, uint32_t from) const { return row<float>(*kind, n, seed + from); }
  std::string about() const {
    return text("%zu heads, %zu rows, depths %zu and %zu, feature map %d, %s", sizes.heads, rows_of_head, sizes.depth,
                sizes.value_depth, map.kind, Shape::about().c_str());
  }
};

struct LinearAppendCall : LinearCall {
  using Kernel = void (*)(const Run&, const double*, const float*, const float*, double*, size_t, const LinearSizes&,
                          const FeatureMap&);
  static constexpr bool kInPlace = true;
  std::vector<float> k, v;

  explicit LinearAppendCall(const Shape& s)
      : LinearCall(s),
        k(rows_of(sizes.heads * rows_of_head * sizes.depth, 1)),
        v(rows_of(sizes.heads * rows_of_head * sizes.value_depth, 2)) {}
  std::vector<Span> inputs() const { return {span(sums), span(k), span(v)}; }
  std::vector<Span> outputs() const { return {room<double>(sums.size())}; }
  void run(Kernel kernel, const Run& run, const In& in, const Out& out) const {
    kernel(run, (const double*)in[0], (const float*)in[1], (const float*)in[2], (double*)out[0], rows_of_head, sizes,
           map);
  }
};

struct LinearQueryCall : LinearCall {
  using Kernel = void (*)(const Run&, const float*, const double*, float*, size_t, const LinearSizes&,
                          const FeatureMap&, const LinearForm&);
  static constexpr bool kInPlace = false;
  std::vector<float> q;
  LinearForm form;

  explicit LinearQueryCall(const Shape& s)
      : LinearCall(s), q(rows_of(sizes.heads * rows_of_head * sizes.depth, 3)) {
    Random random{s.seed + 3};
    form = {(double)(random.bits() % 9), (int32_t)(random.bits() % 5), 0.25, random.bits() % 2 ? 1e-6 : 0};
  }
  std::vector<Span> inputs() const { return {span(q), span(sums)}; }
  std::vector<Span> outputs() const { return {room<float>(sizes.heads * rows_of_head * sizes.value_depth)}; }
  void run(Kernel kernel, const Run& run, const In& in, const Out& out) const {
    kernel(run, (const float*)in[0], (const double*)in[1], (float*)out[0], rows_of_head, sizes, map, form);
  }
};

template <bool kBrain, bool kOneARow> LinearAppendCall call_of(LinearAppendCall::Kernel);
template <bool kBrain, bool kOneARow> LinearQueryCall call_of(LinearQueryCall::Kernel);
