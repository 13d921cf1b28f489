// One query row of attention: which keys it sees, what changes its scores, and the sums of its weights so far.
//
// A weight is 2^(z − e), with z = score · log2(e) and an integer exponent e of the row. A raw score is a float product
// that is used as it is: nothing changes it, and its rounding does not show in the weight.
#pragma once
#include "attention_tile.h"

namespace {

constexpr size_t kPart = 512;     // keys whose weights and values are summed as floats
constexpr size_t kBundle = 8;     // rows that go through a tile together, at most
constexpr double kHeadroom = 8;   // octaves by which a score may pass the row's exponent
constexpr double kNear = 40;      // octaves below the largest score in which the rounding of a score would show
constexpr float kLargestRaw = 8;  // octaves of a raw score, either way: a float holds it exactly enough
// A row of so few keys gets exact scores: products may cancel in all of them, and leave the rounding errors large.
constexpr size_t kFewKeys = 32;

// The scoring of a call, the same for all of its rows.
struct Scoring {
  size_t depth, width;  // numbers of a key; floats of a value in whole vectors
  double scale;         // of a product, in octaves
  double softcap;       // in octaves; 0: none
  bool is_uncapped() const { return softcap == 0; }
};

// A query row. It sees the keys of [from, to) that neither its mask nor a bias of −∞ hides.
struct Query {
  const float* q;
  double slope;         // ALiBi, in octaves a position; 0: none
  double position;      // of the query; the first key's position is 0
  const uint8_t* mask;  // a byte a key, or null
  const float* bias;    // a float a key, or null
  size_t from, to;
  bool wants_exact;     // every score is computed in double
  bool has_raw_scores;  // no slope, no bias, and not wants_exact

  // The visible keys of the tile that begins at `key`, a bit a key.
  uint32_t visible_lanes(size_t key) const {
    if (to <= key || from >= key + kTile) return 0;
    size_t low = from > key ? from - key : 0, high = to < key + kTile ? to - key : kTile;
    uint32_t visible = ((2u << (high - 1)) - 1) & ~((1u << low) - 1);
    for (size_t i = low; (mask || bias) && i < high; i++)
      if (!sees(key + i)) visible &= ~(1u << i);
    return visible;
  }
  // Whether the row sees a key of [from, to).
  bool sees(size_t key) const { return (!mask || mask[key]) && (!bias || bias[key] != -infinity<float>()); }
  // The first visible key from `key` on; `to` if there is none.
  size_t next_visible(size_t key) const {
    while (key < to && !sees(key)) key++;
    return key < to ? key : to;
  }
};

// A query's sums. QueryBlock sums the current part in floats; QuerySum has its exponent, and the sum of earlier parts.
struct QuerySum {
  double part_exponent, mantissa, exponent;  // of the current part; mantissa · 2^exponent is the sum of earlier parts
  bool has_raw_scores = false;               // as in Query, and no softcap
  bool is_begun, has_parts;                  // the part has its exponent; a part with weight was added
  // Raw scores from -kLargestRaw to raw_high stay in range; the rounding of a score from near_low on would show.
  float raw_high, near_low;
  float exp_base, exp_low;  // ExpVector's base and low for part_exponent

  // Sets the part's exponent, and whether the part is begun. Its exponent is 0 before: raw scores keep it.
  void set_exponent(double value, bool begins) {
    using X = ExpTraits<float>;
    part_exponent = value;
    is_begun = begins;
    bool allows_raw = has_raw_scores && part_exponent < 4096 && part_exponent > -4096;
    // A row without raw scores takes the raw path only for keys that it does not see: their weight is 0.
    double octave = (allows_raw ? part_exponent : 0) + X::kBias;
    raw_high = allows_raw && part_exponent < 64
                   ? (float)(part_exponent + kHeadroom < kLargestRaw ? part_exponent + kHeadroom : kLargestRaw)
                   : -infinity<float>();
    near_low = allows_raw ? (float)(part_exponent - kNear) : -infinity<float>();
    exp_base = (float)(2 + (X::kTop - 8 * octave) * X::kUlp);
    exp_low = (float)(octave - (X::kTop - 16) / 8.);
  }
};

}  // namespace
