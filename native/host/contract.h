// The contract of operators.def: the true length of each array against the sizes of the call, and the pages of a cache
// against its slabs. lib/ has checked the same with messages for people. These checks keep memory safe if an array has
// changed since, or if lib/ has a fault.
//
// Sizes are doubles, so that no product overflows.
#pragma once
#include <cmath>

#include "arguments.h"

namespace binding {

constexpr double kNever = INFINITY;  // a length that no array has

// The numbers of an attention call, in the order of AttentionShape (attention/attention_shape.h).
struct AttentionSizes {
  double batch, heads, kv_heads, queries, keys, depth, value_depth, page, flags[2], scoring[4];
  double mask_batch, mask_head, mask_query, bias_batch, bias_head, bias_query;
  static constexpr size_t kCount = 20, kFirstStride = 14, kSizes = 8;

  static AttentionSizes of(const TypedArray& shape);
  bool fit() const;
  double rows() const { return batch * heads * queries; }
  double width() const { return std::ceil(value_depth / 16) * 16; }
  double page_elements() const { return kv_heads * page * (depth + width()); }
  // The length of a mask or bias with these strides.
  double reach(double of_batch, double of_head, double of_query, double keys_seen) const {
    if (rows() == 0 || keys_seen == 0) return 0;
    return (batch - 1) * of_batch + (heads - 1) * of_head + (queries - 1) * of_query + keys_seen;
  }
};

// How many pages `tokens` tokens take, and how many are full before the token `token`.
inline double pages_until(const AttentionSizes& s, double tokens) {
  return s.page >= 16 && std::fmod(s.page, 16) == 0 ? std::ceil(tokens / s.page) : kNever;
}
inline double pages_within(const AttentionSizes& s, double token) { return std::floor(token / s.page); }
double pages_of(const AttentionSizes& s, const TypedArray& lengths);
double longest(const TypedArray& lengths);
bool are_lengths(const TypedArray& lengths);
// Whether all integers are below `end`. Negative ones stand for no position.
bool are_below(const TypedArray& positions, double end);
// The same of unsigned integers, all of which are positions.
bool are_indices(const TypedArray& positions, double end);
// Whether no double is NaN or +∞.
bool are_below_infinity(const TypedArray& numbers);
// Whether entries [first, end) of a page table are pages of these slabs, and slabs of bytes have scales.
bool are_pages(const AttentionSizes& s, const SlabList& slabs, const SlabList& scales, const TypedArray& table,
               double first, double end);

// The sizes of an output head's arrays, for the formats of head/weight_formats.h: bytes, and scales and bytes of zero
// points where these are arrays of their own. No array is long enough for a format that is unknown.
double weight_bytes(double format, double rows, double cols, double block);
double weight_scales(double format, double rows, double cols, double block);
double weight_zero_points(double format, double rows, double cols, double block);
bool are_weights(double format, double cols, double block);
bool are_integers(double format);

// The first check that a call fails: an array that is too short (`name` is its name), or another condition (`name` is
// null, and `expected` says what was expected).
struct Refusal {
  const char *op, *name, *expected;
  double least, received;
};

// The checks of one call.
struct Examination {
  Refusal refusal;
  bool holds = true;

  void length(const TypedArray& a, const char* name, double least, bool is_optional);
  void mask(const TypedArray& a, const char* name, double layout, double elements, double cols);
  void bias(const TypedArray& a, const char* name, double elements, double cols);
  void require(bool condition, const char* expected);
};

// Returns whether the contract holds. If not, fills the refusal.
using Contract = bool (*)(const Arguments& arguments, Refusal& refusal);

// softmax_holds, …
#define OPERATOR(op, TYPES) bool op##_holds(const Arguments& arguments, Refusal& refusal);
#include "../operators.def"

}  // namespace binding
