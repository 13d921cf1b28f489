// Values that all keys of a row share: its output is that value, which no sum of rounded products would give.
//
// Weights are floats, and so are sums of weight · value within a part of the keys. Where every value of a column is c,
// their quotient could be off by a rounding, and so outside of the values. A row that sees one key is that case in all
// columns. Ordinary values differ between the first two keys of a row, and the search for shared values ends there.
#pragma once
#include "../softmax/state.h"
#include "attention_keys.h"
#include "attention_rows.h"

namespace {

// exp(x) as mantissa · 2^exponent, the mantissa within [2^-½, 2^½] and good to 2^-51. Beyond 2^51 octaves a double has
// no room for a fraction, and the mantissa is 1. Octaves alone ends at 2^40.
struct PowerOfE {
  double mantissa, exponent;
};
SELDOM static PowerOfE power_of_e(double x) {
  double octaves = x * kLog2E;
  bool has_fraction = octaves < 0x1p51 && octaves > -0x1p51;
  if (!has_fraction) return {1, octaves};
  Octaves o = Octaves::of(x, 0, 1);
  if (octaves < 0x1p40 && octaves > -0x1p40) return {o.factor(), (double)o.whole};
  o.fraction = octaves - nearest(octaves);
  return {o.factor(), nearest(octaves)};
}

// The values that the keys of a row share, by column. Rows of one key/value head are asked for one after the other.
class SharedValues {
  const Keys& keys;
  const size_t b, head;
  float* common;           // the shared value of each column; bits of 0 where there is none
  float* other;            // memory for a value that is compared
  size_t first = 0;        // keys [first, end) were compared
  size_t end = 0;
  bool is_range = false;   // no key of [first, end) was left out
  size_t low = 0;          // columns outside [low, high) share nothing but perhaps 0, which sums give exactly
  size_t high = 0;

  static uint32_t bits(float x) {
    uint32_t u;
    COPY(&u, &x, 4);
    return u;
  }
  void begin(size_t key) {
    first = key, end = key + 1, low = 0, high = keys.s.value_depth;
    const float* value = keys.value(b, head, key, other);
    for (size_t c = 0; c < high; c++) common[c] = value[c];
    narrow_columns();
  }
  void compare(size_t key) {
    const float* value = keys.value(b, head, key, other);
    for (size_t c = low; c < high; c++) common[c] = bits(common[c]) == bits(value[c]) ? common[c] : 0;
    narrow_columns();
  }
  void narrow_columns() {
    while (low < high && bits(common[low]) == 0) low++;
    while (low < high && bits(common[high - 1]) == 0) high--;
  }

 public:
  static constexpr size_t kNoKey = (size_t)-1;
  size_t only = kNoKey;    // the key that the row sees, if it is one; else kNoKey

  static size_t bytes(size_t width) { return 2 * width * sizeof(float); }
  SharedValues(const Keys& keys, size_t b, size_t head, float* memory)
      : keys(keys), b(b), head(head), common(memory), other(memory + keys.s.width()) {}

  // Whether the keys that were compared are among those of a row, and share nothing. False: look() finds out.
  bool has_nothing(const Row1& row) const {
    bool sees_all = is_range && !row.mask && !row.bias && row.from == first && row.to >= end;
    return sees_all && low == high && end > first + 1;
  }
  // Of a row that sees a key. Keys that were compared for the row before are not read again, if both rows see all keys
  // from the same one on.
  void look(const Row1& row) {
    bool sees_all = !row.mask && !row.bias;
    size_t from = row.next(row.from);
    if (!is_range || !sees_all || from != first || row.to < end) begin(from);
    is_range = sees_all;
    size_t key = row.next(end);
    only = key == row.to && end == first + 1 ? first : kNoKey;
    for (; low < high && key < row.to; key = row.next(end)) compare(key), end = key + 1;
  }
  // Sums of weighted values, `mantissa` being the sum of the weights.
  void put(double mantissa, double* total) const {
    for (size_t c = low; c < high; c++) total[c] = bits(common[c]) ? mantissa * common[c] : total[c];
  }
};

}  // namespace
