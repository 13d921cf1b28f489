// Values that all keys of a row share: the row's output is then that value, exactly.
//
// Weights are floats, and so are the sums of weighted values within a part. If all values of a column are c, the
// quotient of the two sums could be off by a rounding, and lie outside the range of the values. A row that sees one key
// is this case in every column. Ordinary values differ between a row's first two keys, and the search ends there.
#pragma once
#include "../math/octaves.h"
#include "attention_block.h"
#include "attention_keys.h"

namespace {

// exp(x) as mantissa · 2^exponent, with a mantissa in [2^-½, 2^½]. Max error of the mantissa: 2^-51.
// Beyond 2^51 octaves a double has no fraction, and the mantissa is 1.
struct PowerOfE {
  double mantissa, exponent;
};
// Returns exp(x) as a PowerOfE. Octaves::of alone ends at 2^40 octaves.
SELDOM static PowerOfE power_of_e(double x) {
  double octaves = x * kLog2E;
  bool has_fraction = octaves < 0x1p51 && octaves > -0x1p51;
  if (!has_fraction) return {1, octaves};
  Octaves o = Octaves::of(x, 0, 1);
  if (octaves < 0x1p40 && octaves > -0x1p40) return {o.factor(), (double)o.whole};
  o.fraction = octaves - nearest(octaves);
  return {o.factor(), nearest(octaves)};
}

// The values that a row's keys share, by column. It serves the rows of one key/value head, one after the other.
class SharedValues {
  const KeyValues& key_values;
  const size_t sequence, head;
  float* shared;         // the shared value of each column; the float 0 (all bits zero) where there is none
  float* copy;           // memory for a value that is compared
  size_t first_key = 0;  // keys of [first_key, end_key) were compared
  size_t end_key = 0;
  bool is_contiguous = false;  // all keys of that range were compared
  size_t low = 0;              // columns outside [low, high) share nothing, or 0, which sums give exactly
  size_t high = 0;

  static uint32_t bits_of(float x) {
    uint32_t bits;
    COPY(&bits, &x, 4);
    return bits;
  }
  // Starts over with the value of one key, which shares all of its columns with itself.
  void begin(size_t key) {
    first_key = key;
    end_key = key + 1;
    low = 0;
    high = key_values.shape.value_depth;
    const float* value = key_values.value(sequence, head, key, copy);
    for (size_t c = 0; c < high; c++) shared[c] = value[c];
    narrow_columns();
  }
  void compare(size_t key) {
    const float* value = key_values.value(sequence, head, key, copy);
    for (size_t c = low; c < high; c++) shared[c] = bits_of(shared[c]) == bits_of(value[c]) ? shared[c] : 0;
    narrow_columns();
  }
  void narrow_columns() {
    while (low < high && bits_of(shared[low]) == 0) low++;
    while (low < high && bits_of(shared[high - 1]) == 0) high--;
  }

 public:
  static constexpr size_t kNoKey = (size_t)-1;
  size_t only_key = kNoKey;  // the one key that the row sees; kNoKey if it sees more

  static size_t bytes(size_t width) { return 2 * width * sizeof(float); }
  SharedValues(const KeyValues& key_values, size_t sequence, size_t head, float* memory)
      : key_values(key_values),
        sequence(sequence),
        head(head),
        shared(memory),
        copy(memory + key_values.shape.value_width()) {}

  // Whether the keys compared so far tell that the row's keys share no value. If it is false, find() must look.
  bool is_known_empty(const Query& query) const {
    bool sees_all = is_contiguous && !query.mask && !query.bias && query.from == first_key && query.to >= end_key;
    return sees_all && low == high && end_key > first_key + 1;
  }
  // Finds the shared values of a row that sees a key. It continues from the row before if both rows see all keys from
  // the same key on.
  void find(const Query& query) {
    bool sees_all = !query.mask && !query.bias;
    size_t from = query.next_visible(query.from);
    if (!is_contiguous || !sees_all || from != first_key || query.to < end_key) begin(from);
    is_contiguous = sees_all;
    size_t key = query.next_visible(end_key);
    only_key = key == query.to && end_key == first_key + 1 ? first_key : kNoKey;
    for (; low < high && key < query.to; key = query.next_visible(end_key)) {
      compare(key);
      end_key = key + 1;
    }
  }
  // Replaces a row's sums of weighted values in the shared columns. `mantissa` is the sum of the weights.
  void replace(double mantissa, double* totals) const {
    for (size_t c = low; c < high; c++) totals[c] = bits_of(shared[c]) ? mantissa * shared[c] : totals[c];
  }
};

}  // namespace
