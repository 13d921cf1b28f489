// Calls of the kernels of an output head (see calls.h). A Shape's seed draws the format, the sizes and the bytes of the
// weights; its columns are rows of the matrix, up to 199.
#pragma once
#include "shapes.h"

struct HeadCall : Shape {
  HeadWeights weights;
  std::vector<uint8_t> bytes, zeros;
  std::vector<float> scales, factors;

  explicit HeadCall(const Shape& s) : Shape(s) {
    Random random{s.seed * 29 + (uint32_t)(s.cols + 5 * s.layout + s.bias)};
    const int32_t format = (int32_t)(random.bits() % 10);
    const size_t unit = format < 4 || format > 7 ? 1 : format < 6 ? 32 : 256;
    const size_t block = format < 8 ? 1 : (size_t)16 << random.bits() % 3;
    const size_t rows = s.cols % 200, cols = unit * (1 + random.bits() % (unit > 32 ? 4 : unit > 1 ? 20 : 600));
    const size_t row_bytes[10] = {4 * cols, 2 * cols, 2 * cols, cols, cols / 32 * 34, cols / 32 * 18, cols / 256 * 144,
                                  cols / 256 * 210, (cols + block - 1) / block * block / 2,
                                  (cols + block - 1) / block * block};
    bytes.resize(rows * row_bytes[format]);
    for (auto& each : bytes) each = (uint8_t)random.bits();
    const size_t blocks = format < 8 ? 0 : (cols + block - 1) / block;
    if (random.bits() % 2) zeros.resize(rows * (format == 8 ? (blocks + 1) / 2 : blocks));
    for (auto& each : zeros) each = (uint8_t)random.bits();
    for (size_t i = 0; i < rows * blocks; i++) scales.push_back((float)random.normal());
    for (size_t i = 0; s.seed % 2 && i < rows; i++) factors.push_back((float)random.normal());
    weights = {nullptr, nullptr, nullptr, rows, cols, block, format};
  }
  // Numbers are aligned, as those of typed arrays are; bytes of blocks begin anywhere.
  std::vector<Span> of_weights() const {
    const size_t element = weights.format == 0 ? 4 : weights.format < 3 ? 2 : 1;
    return {{bytes.data(), bytes.size(), element}, span(scales), span(zeros), span(factors)};
  }
  HeadWeights weights_of(const In& in, size_t at) const {
    HeadWeights w = weights;
    w.data = (const uint8_t*)in[at];
    w.scales = scales.empty() ? nullptr : (const float*)in[at + 1];
    w.zero_points = zeros.empty() ? nullptr : (const uint8_t*)in[at + 2];
    return w;
  }
  const float* factors_of(const In& in, size_t at) const {
    return factors.empty() ? nullptr : (const float*)in[at + 3];
  }
  std::string about() const {
    return text("weights of format %d, %zu rows, %zu columns, %s", weights.format, weights.rows, weights.cols,
                Shape::about().c_str());
  }
};

struct HeadLogitsCall : HeadCall {
  using Kernel = void (*)(const Run&, const float*, const float*, const float*, float*, size_t, double,
                          const HeadWeights&);
  static constexpr bool kInPlace = false;
  size_t count;
  std::vector<float> hidden, biases;

  explicit HeadLogitsCall(const Shape& s)
      : HeadCall(s), count(1 + s.outer * 3 % 11), hidden(row<float>(*kind, count * weights.cols, seed + 1)) {
    if (s.bias) biases = row<float>(kOrdinary[2], weights.rows, seed + 2);
  }
  std::vector<Span> inputs() const {
    std::vector<Span> all = {span(hidden), span(biases)};
    for (auto& each : of_weights()) all.push_back(each);
    return all;
  }
  std::vector<Span> outputs() const { return {room<float>(count * weights.rows)}; }
  void run(Kernel kernel, const Run& run, const In& in, const Out& out) const {
    kernel(run, (const float*)in[0], factors_of(in, 2), biases.empty() ? nullptr : (const float*)in[1], (float*)out[0],
           count, seed % 3 ? 0 : 30, weights_of(in, 2));
  }
};

struct HeadRowsCall : HeadCall {
  using Kernel = void (*)(const Run&, const float*, float*, const HeadWeights&);
  static constexpr bool kInPlace = false;

  using HeadCall::HeadCall;
  std::vector<Span> inputs() const { return of_weights(); }
  std::vector<Span> outputs() const { return {room<float>(weights.rows * weights.cols)}; }
  void run(Kernel kernel, const Run& run, const In& in, const Out& out) const {
    kernel(run, factors_of(in, 0), (float*)out[0], weights_of(in, 0));
  }
};

struct HeadSumsCall : Shape {
  using Kernel = void (*)(const Run&, const double*, const float*, const float*, double*, size_t, size_t, size_t);
  static constexpr bool kInPlace = true;
  size_t count, rows, width;
  std::vector<double> sums;
  std::vector<float> factors, vectors;

  explicit HeadSumsCall(const Shape& s) : Shape(s), count(1 + s.outer % 7), rows(s.cols % 150) {
    Random random{s.seed + 5};
    width = 1 + random.bits() % 200;
    sums = row<double>(*kind, count * width, seed);
    factors = row<float>(*kind, count * rows, seed + 1);
    vectors = row<float>(*kind, rows * width, seed + 2);
  }
  std::vector<Span> inputs() const { return {span(sums), span(factors), span(vectors)}; }
  std::vector<Span> outputs() const { return {room<double>(count * width)}; }
  std::string about() const {
    return text("%zu sums of %zu vectors of %zu, %s", count, rows, width, Shape::about().c_str());
  }
  void run(Kernel kernel, const Run& run, const In& in, const Out& out) const {
    kernel(run, (const double*)in[0], (const float*)in[1], (const float*)in[2], (double*)out[0], count, rows, width);
  }
};

template <bool kBrain, bool kOneARow> HeadLogitsCall call_of(HeadLogitsCall::Kernel);
template <bool kBrain, bool kOneARow> HeadRowsCall call_of(HeadRowsCall::Kernel);
template <bool kBrain, bool kOneARow> HeadSumsCall call_of(HeadSumsCall::Kernel);
