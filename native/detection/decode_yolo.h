// decode_yolo: of each box of a detector's output, its largest class score and that class, the lowest among equals; the
// boxes whose score reaches the threshold, in their order.
//
// An image is [4 + classes, n] (channels first) or [n, 4 + classes]: the centre, the width, the height, then a score
// for each class.
#pragma once
#include "../rows/items.h"
#include "../rows/share_rows.h"
#include "boxes.h"

namespace {

// The layouts, numbered as in lib/detection/decode-yolo.ts.
enum { kChannelsFirst = 0, kBoxesFirst = 1 };

struct DecodeYolo {
  static constexpr size_t kPart = 256;  // boxes read at a time: a kilobyte of each channel
  const float* x;
  float *boxes, *scores;
  int32_t* labels;
  uint32_t *indices, *counts, *status;
  size_t n, classes;
  int32_t layout, format;
  double score_threshold;

  // The largest scores of a part's boxes, and their classes, which are exact as floats.
  struct Memory {
    float score[kPart], label[kPart];
    explicit Memory(const Run&) {}
  };
  size_t channels() const { return 4 + classes; }
  // Number c of box i of an image.
  float at(const float* image, size_t i, size_t c) const {
    return layout == kChannelsFirst ? image[c * n + i] : image[i * channels() + c];
  }
  static ALWAYS f32x16 load_some(const float* from, size_t count) {
    return count < 16 ? load_n(from, count, -infinity<float>()) : load(from);
  }

  // Fills `best` for boxes [from, from + count). Returns whether a score may be NaN or a coordinate not finite.
  bool read_channels(const float* image, size_t from, size_t count, Memory& best) const {
    bool is_wrong = false;
    for (size_t c = 0; c < 4; c++) {
      for (size_t i = 0; i < count; i += 16) {
        const float* side = image + c * n + from + i;
        const f32x16 v = count - i < 16 ? load_n(side, count - i, 0) : load(side);
        is_wrong |= any_nan(sub(v, v));
      }
    }
    for (size_t c = 0; c < classes; c++) {
      for (size_t i = 0; i < count; i += 16) {
        const f32x16 score = load_some(image + (4 + c) * n + from + i, count - i);
        const f32x16 most = c == 0 ? splat(-infinity<float>()) : load(best.score + i);
        is_wrong |= any_nan(score);
        store(best.score + i, max_keep_nan(most, score));
        const uint32_t above = lanes_above(score, most);
        if (c == 0) store(best.label + i, splat(0.f));
        else if (above) store(best.label + i, select_bits(splat((float)c), load(best.label + i), above));
      }
    }
    return is_wrong;
  }
  bool read_boxes(const float* image, size_t from, size_t count, Memory& best) const {
    bool is_wrong = false;
    for (size_t i = 0; i < count; i++) {
      const float *box = image + (from + i) * channels(), *score = box + 4;
      is_wrong |= !has_finite_sides(box);
      f32x16 most = splat(-infinity<float>());
      for (size_t c = 0; c < classes; c += 16) {
        const f32x16 v = load_some(score + c, classes - c);
        is_wrong |= any_nan(v);
        most = max_keep_nan(most, v);
      }
      best.score[i] = reduce_max(most);
      size_t c = 0;
      uint32_t equal = 0;
      for (; c < classes; c += 16)
        if ((equal = lanes_equal(load_some(score + c, classes - c), splat(best.score[i])))) break;
      best.label[i] = equal ? (float)(c + lowest_bit(equal)) : 0;
    }
    return is_wrong;
  }
  // The first box of [from, end) with a NaN or a coordinate that is not finite; kNoIndex if there is none.
  SELDOM uint32_t first_wrong(const float* image, size_t from, size_t end) const {
    for (size_t i = from; i < end; i++) {
      for (size_t c = 0; c < channels(); c++) {
        const float v = at(image, i, c);
        if (c < 4 ? !is_finite(v) : v != v) return (uint32_t)i;
      }
    }
    return kNoIndex;
  }
  void write(float* to, const float* image, size_t i) const {
    const double x0 = at(image, i, 0), y0 = at(image, i, 1), width = at(image, i, 2), height = at(image, i, 3);
    const float left = (float)(x0 - width * 0.5), top = (float)(y0 - height * 0.5);
    const float right = (float)(x0 + width * 0.5), bottom = (float)(y0 + height * 0.5);
    const bool is_turned = format == kTopLeftBottomRight, has_size = format == kLeftTopSize;
    to[0] = format == kCenterSize ? (float)x0 : is_turned ? top : left;
    to[1] = format == kCenterSize ? (float)y0 : is_turned ? left : top;
    to[2] = format == kCenterSize || has_size ? (float)width : is_turned ? bottom : right;
    to[3] = format == kCenterSize || has_size ? (float)height : is_turned ? right : bottom;
  }
  void row(const Run& run, Memory& best, size_t index) const {
    const float *image = x + index * channels() * n, coarse = float_below(score_threshold);
    counts[index] = 0;
    status[index] = kNoIndex;
    for (size_t from = 0; from < n && !run.stopped(); from += kPart) {
      const size_t count = n - from < kPart ? n - from : kPart;
      const bool is_wrong = layout == kChannelsFirst ? read_channels(image, from, count, best)
                                                     : read_boxes(image, from, count, best);
      if (is_wrong) {
        status[index] = first_wrong(image, from, from + count);
        if (status[index] != kNoIndex) return;
      }
      for (size_t i = 0; i < count; i += 16) {
        uint32_t lanes = ~lanes_above(splat(coarse), load(best.score + i)) & 0xFFFF;
        if (count - i < 16) lanes &= (1u << (count - i)) - 1;
        for (; lanes; lanes &= lanes - 1) keep(image, index, from, i + lowest_bit(lanes), best);
      }
    }
  }
  // Writes box i of a part if its score reaches the threshold.
  void keep(const float* image, size_t index, size_t from, size_t i, const Memory& best) const {
    if (!(best.score[i] >= score_threshold)) return;
    const size_t to = index * n + counts[index]++;
    write(boxes + 4 * to, image, from + i);
    // Not best.score[i]: which of +0 and -0 a maximum is depends on the instruction set.
    scores[to] = at(image, from + i, 4 + (size_t)best.label[i]);
    labels[to] = (int32_t)best.label[i];
    indices[to] = (uint32_t)(from + i);
  }
};

template <class X, class Y>
void decode_yolo(const Run& run, const float* x, float* boxes, float* scores, int32_t* labels, uint32_t* indices,
                 uint32_t* counts, uint32_t* status, size_t batch, size_t n, size_t classes, int32_t layout,
                 int32_t format, double score_threshold) {
  const DecodeYolo work = {x, boxes,   scores, labels, indices, counts,         status,
                           n, classes, layout, format, score_threshold};
  share_rows(for_bytes(run, batch * n * (4 + classes) * sizeof *x), batch, n * (4 + classes), work);
}

}  // namespace
