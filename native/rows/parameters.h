// The parameters of kernels besides pointers and numbers: one struct for each group of parameters in operators.def.
#pragma once
#include <stddef.h>
#include <stdint.h>

// An optional array with its length. data is null where it was not given.
template <class T> struct Slice {
  T* data;
  size_t length;
};

// The pieces of one store. A store grows by a piece at a time.
template <class T> struct Slabs {
  static constexpr size_t kMost = 64;
  T* data[kMost];
  size_t length[kMost];
  size_t count;
};

// Rows along one axis: a dense array [outer, cols, inner], reduced along cols.
struct Extent {
  size_t outer, cols, inner;
  FORCED size_t rows() const { return outer * inner; }
  FORCED size_t elements() const { return outer * cols * inner; }
};

// The layouts of a mask, numbered as in lib/backend/backend.ts: bytes or bits, for every element or for one row.
enum { kNoMask = 0, kMaskBytes = 1, kMaskRowBytes = 2, kMaskBits = 3, kMaskRowBits = 4 };
struct Mask {
  const uint8_t* data;
  int32_t layout;

  // The mask of the rows from outer index o on. A bit mask must begin at a whole byte there.
  FORCED Mask from(size_t o, const Extent& e) const {
    size_t at = o * e.cols * e.inner;
    return {layout == kMaskBytes ? data + at : layout == kMaskBits ? data + at / 8 : data, layout};
  }
};

// Rows that are scaled by 1 / temperature, with a mask. The values themselves are parameters of their own.
struct MaskedRows {
  Extent extent;
  double temperature;
  Mask mask;
};

// Rows of logits: a bias is added to each element, or one row of biases to all rows.
template <class T> struct LogitRows : MaskedRows {
  Slice<const T> bias;
};

// Rows of logits that no temperature scales.
template <class T> struct UnscaledRows {
  Extent extent;
  Mask mask;
  Slice<const T> bias;
  FORCED LogitRows<T> logits() const { return {{extent, 1, mask}, bias}; }
};

// The mask and the bias of rows that selection reads.
template <class T> struct MaskAndBias {
  Mask mask;
  Slice<const T> bias;
};

// Which tokens of a row may be drawn. No filter: top_k >= cols, top_p >= 1, min_distance = -infinity, typical_p >= 1,
// epsilon = 0. temperature 0 selects the largest logit.
struct Filters {
  size_t top_k;
  double temperature, top_p, min_distance, typical_p, epsilon;

  // Returns the filters of one row of `cols` logits, six numbers in the order of the members.
  static Filters of_row(const double* f, size_t cols) {
    return {f[0] >= 1 && f[0] < (double)cols ? (size_t)f[0] : cols, f[1], f[2], f[3], f[4], f[5]};
  }
};

// How the four floats of a box are read: a format (detection/boxes.h), and what is added to its far corners.
struct BoxFormat {
  int32_t format;
  double edge;
};

// How scores of overlapping boxes are lowered (detection/soft_nms.h). An iou_threshold of infinity cuts nothing.
struct Suppression {
  int32_t method;
  double sigma, iou_threshold, score_threshold;
};

// Changes of attention scores: ALiBi slopes and sinks (one number a head), a mask and a bias. Null: none.
struct ScoreChanges {
  const float *slopes, *sinks;
  const uint8_t* mask;
  const float* bias;
};

// The same numbers as doubles, for calls on doubles.
struct WideScoreChanges {
  const double *slopes, *sinks, *bias;
};

// Where an attention call writes log-sum-exps, or a state of sums. Null: not wanted.
struct AttentionSums {
  double *lse, *sums, *mantissa;
  int32_t* exponent;
};

// Where an attention call writes: values, log-sum-exps, or a state of sums. Null: not wanted.
struct AttentionResults {
  float* out;
  double *lse, *sums, *mantissa;
  int32_t* exponent;
};

// States of linear attention (attention/linear_features.h): how many heads, and the sizes of each.
struct LinearSizes {
  size_t heads, depth, value_depth;
};

// φ, and what queries and keys are multiplied by before it.
struct FeatureMap {
  int32_t kind;
  double scale;
};

// The weights of an output head (head/weight_formats.h): [rows, cols] in a format, whose blocks may have scales and
// zero points in arrays of their own.
struct HeadWeights {
  const uint8_t* data;
  const float* scales;
  const uint8_t* zero_points;
  size_t rows, cols, block;
  int32_t format;
};

// How a result follows from a state over `keys` keys (attention/linear_query.h).
struct LinearForm {
  double keys;
  int32_t kind;
  double scale, epsilon;
};
