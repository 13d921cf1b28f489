// Calls of the detection kernels (see calls.h). A Shape's seed draws boxes, scores and options; a call has as many
// boxes as the shape has columns, up to 1,999.
#pragma once
#include "shapes.h"

struct BoxesCall : Shape {
  size_t batch, n;
  int32_t format;
  double edge;
  std::vector<float> boxes;

  explicit BoxesCall(const Shape& s) : Shape(s), batch(1 + s.outer % 3), n(s.cols % 2000) {
    Random random{s.seed * 31 + (uint32_t)(s.cols + 7 * s.layout + s.bias)};
    format = (int32_t)(random.bits() % 4);
    edge = random.bits() % 3 ? 0 : 1;
    boxes = boxes_of(batch * n, random);
    if (boxes.size() && random.bits() % 16 == 0) boxes[random.bits() % boxes.size()] = NAN;
  }
  // Near corners and sizes of boxes in 640 pixels; one in eight repeats the box before it, one in sixteen is empty.
  std::vector<float> boxes_of(size_t count, Random& random) const {
    std::vector<float> all(count * 4);
    for (size_t i = 0; i < count; i++) {
      const float x = (float)(random.unit() * 640), y = (float)(random.unit() * 640);
      float width = (float)(8 + 192 * random.unit());
      const float height = (float)(8 + 192 * random.unit());
      if (random.bits() % 16 == 0) width = -width;
      const bool has_size = format >= 2, is_turned = format == 1;
      float box[4] = {is_turned ? y : x, is_turned ? x : y, has_size ? width : is_turned ? y + height : x + width,
                      has_size ? height : is_turned ? x + width : y + height};
      const bool is_repeated = i > 0 && random.bits() % 8 == 0;
      memcpy(&all[4 * i], is_repeated ? &all[4 * i - 4] : box, sizeof box);
    }
    return all;
  }
  // Scores u⁴, a quarter of the calls in steps of 1/16.
  std::vector<float> scores_of(size_t count, Random& random) const {
    const bool has_ties = random.bits() % 4 == 0;
    std::vector<float> all(count);
    for (auto& score : all) {
      const double u = random.unit();
      score = has_ties ? (float)std::floor(u * 16) / 16 : (float)(u * u * u * u);
    }
    return all;
  }
};

struct SoftNmsCall : BoxesCall {
  using Kernel = void (*)(const Run&, const float*, const float*, const int32_t*, uint32_t*, float*, uint32_t*,
                          uint32_t*, size_t, size_t, size_t, const BoxFormat&, const Suppression&);
  static constexpr bool kInPlace = false;
  std::vector<float> scores;
  std::vector<int32_t> classes;
  size_t most;
  Suppression suppression;

  explicit SoftNmsCall(const Shape& s) : BoxesCall(s) {
    Random random{s.seed * 17 + (uint32_t)s.cols};
    scores = scores_of(batch * n, random);
    const uint32_t groups = 1 + random.bits() % 100;
    if (random.bits() % 2) classes.resize(batch * n);
    for (auto& each : classes) each = (int32_t)(random.bits() % groups * 70000);
    most = random.bits() % 3 ? n : n / 3;
    const int32_t method = (int32_t)(random.bits() % 3);
    suppression = {method, 0.1 + random.unit(), method == 2 && random.bits() % 2 ? kInfinity : random.unit(),
                   random.bits() % 4 ? 0.001 : -kInfinity};
  }
  std::vector<Span> inputs() const { return {span(boxes), span(scores), span(classes)}; }
  std::vector<Span> outputs() const {
    return {room<uint32_t>(batch * most), room<float>(batch * most), room<uint32_t>(batch), room<uint32_t>(batch)};
  }
  void run(Kernel kernel, const Run& run, const In& in, const Out& out) const {
    kernel(run, (const float*)in[0], (const float*)in[1], classes.empty() ? nullptr : (const int32_t*)in[2],
           (uint32_t*)out[0], (float*)out[1], (uint32_t*)out[2], (uint32_t*)out[3], batch, n, most, {format, edge},
           suppression);
  }
};

struct IouMatrixCall : BoxesCall {
  using Kernel = void (*)(const Run&, const float*, const float*, float*, uint32_t*, size_t, size_t,
                          const BoxFormat&);
  static constexpr bool kInPlace = false;
  std::vector<float> others;

  explicit IouMatrixCall(const Shape& s) : BoxesCall(s) {
    Random random{s.seed + 5};
    boxes.resize(4 * (n % 97));
    others = boxes_of(n, random);
  }
  size_t rows() const { return boxes.size() / 4; }
  std::vector<Span> inputs() const { return {span(boxes), span(others)}; }
  std::vector<Span> outputs() const { return {room<float>(rows() * n), room<uint32_t>(2)}; }
  void run(Kernel kernel, const Run& run, const In& in, const Out& out) const {
    kernel(run, (const float*)in[0], (const float*)in[1], (float*)out[0], (uint32_t*)out[1], rows(), n,
           {format, edge});
  }
};

struct DecodeYoloCall : BoxesCall {
  using Kernel = void (*)(const Run&, const float*, float*, float*, int32_t*, uint32_t*, uint32_t*, uint32_t*, size_t,
                          size_t, size_t, int32_t, int32_t, double);
  static constexpr bool kInPlace = false;
  size_t classes;
  int32_t layout_of_output;
  double threshold;
  std::vector<float> x;

  explicit DecodeYoloCall(const Shape& s) : BoxesCall(s) {
    Random random{s.seed * 13 + (uint32_t)s.cols};
    classes = 1 + random.bits() % 40;
    layout_of_output = (int32_t)(random.bits() % 2);
    threshold = random.bits() % 3 ? random.unit() : -kInfinity;
    x = scores_of(batch * n * (4 + classes), random);
    if (x.size() && random.bits() % 8 == 0) x[random.bits() % x.size()] = NAN;
  }
  std::vector<Span> inputs() const { return {span(x)}; }
  std::vector<Span> outputs() const {
    return {room<float>(batch * n * 4),    room<float>(batch * n), room<int32_t>(batch * n),
            room<uint32_t>(batch * n), room<uint32_t>(batch),  room<uint32_t>(batch)};
  }
  void run(Kernel kernel, const Run& run, const In& in, const Out& out) const {
    kernel(run, (const float*)in[0], (float*)out[0], (float*)out[1], (int32_t*)out[2], (uint32_t*)out[3],
           (uint32_t*)out[4], (uint32_t*)out[5], batch, n, classes, layout_of_output, format, threshold);
  }
};

template <bool kBrain, bool kOneARow> SoftNmsCall call_of(SoftNmsCall::Kernel);
template <bool kBrain, bool kOneARow> IouMatrixCall call_of(IouMatrixCall::Kernel);
template <bool kBrain, bool kOneARow> DecodeYoloCall call_of(DecodeYoloCall::Kernel);
