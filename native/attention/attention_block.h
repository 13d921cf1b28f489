// Attention of a block of query rows that share a key/value head: tile by tile, weights, their sum and weighted values.
//
// All exponentials are powers of two, 2^(z − e), with z = score · log2(e) and an integer exponent e of the row. A row
// raises e when z passes it by more than kHeadroom, which is rare. So no maximum is needed first, and nothing is summed
// twice. Weights and sums are floats within a part of kPart keys, and doubles beyond. Parts are folded in key order,
// whichever thread computed them.
//
// A float score has a relative error of about 2^-24, and its weight has the absolute error of the score. Large scores
// near the largest one are therefore computed again in double, and so are all scores that a softcap, slope or bias
// changes.
//
// attend_step calls attend_tile for each bundle of rows. There weigh_raw weighs a tile with raw scores alone, weigh_any
// any other tile. begin_part comes before the tiles of a part, fold_part after them.
#pragma once
#include "attention_query.h"
#include "../math/log.h"

namespace {

// Returns the weights times the scales of a tile's values, if it has scales.
SIMD_INLINE f32x16 scale_weights(f32x16 weights, const float* scales) {
  return scales ? mul(weights, load(scales + kTile)) : weights;
}

// The rows of a block and their sums, in memory for `capacity` rows, a multiple of kBundle. A step of kStep rows goes
// through a part of the keys at a time, so that the step's queries and sums stay in the nearest cache.
struct QueryBlock {
  static constexpr size_t kStep = 32;     // rows that go through a part of the keys together
  static constexpr size_t kPairRows = 4;  // rows that go through two tiles together
  const Scoring& scoring;
  const TileFunctions& functions;
  size_t count;
  Query* queries;
  QuerySum* sums;
  size_t *inner_from, *inner_to;  // keys that all rows of a bundle see; the index is the bundle's first row / 4
  float* scaled_q;                // [depth][rows of the bundle]: see q_of
  double* totals;                 // [total_rows][width]: weighted values of earlier parts
  size_t total_rows;              // rows of a block, or of a step
  float* part_values;             // [kStep][width]: weighted values of the current part
  float* part_weights;            // [kStep][16]: weights of the current part
  float* weights;                 // [kBundle][16]: the scores of a tile or a pair, then their weights

  // Bytes of memory for a block.
  static size_t bytes(const Scoring& scoring, size_t capacity, size_t total_rows) {
    return (capacity + 2 * kBundle) * scoring.depth * sizeof(float) + total_rows * scoring.width * sizeof(double) +
           capacity * (sizeof(Query) + sizeof(QuerySum) + 2 * sizeof(size_t)) +
           (kStep * (scoring.width + kTile) + kBundle * kTile) * sizeof(float) + 64;
  }
  QueryBlock(const Scoring& scoring, const TileFunctions& functions, size_t capacity, size_t total_rows, void* memory)
      : scoring(scoring), functions(functions), count(0), total_rows(total_rows) {
    weights = (float*)(((uintptr_t)memory + 63) & ~(uintptr_t)63);
    part_weights = weights + kBundle * kTile;
    part_values = part_weights + kStep * kTile;
    totals = (double*)(part_values + kStep * scoring.width);
    scaled_q = (float*)(totals + total_rows * scoring.width);
    sums = (QuerySum*)(scaled_q + (capacity + 2 * kBundle) * scoring.depth);
    queries = (Query*)(sums + capacity);
    inner_from = (size_t*)(queries + capacity);
    inner_to = inner_from + capacity;
  }
  // Rows of the next bundle when `left` are left: 8, 4, 2 or 1. A bundle of three rows has its first row twice.
  static size_t bundle_size(size_t left) { return left >= 8 ? 8 : left >= 3 ? 4 : left; }
  // The sums of row i.
  float* part_values_of(size_t i) const { return part_values + i % kStep * scoring.width; }
  float* part_weights_of(size_t i) const { return part_weights + i % kStep * kTile; }
  double* totals_of(size_t i) const { return totals + i % total_rows * scoring.width; }
  // The number of rows in bundles of eight.
  size_t full_rows() const { return count / 8 * 8; }
  // The scaled numbers of row i. Two bundles of eight are interleaved, since sixteen rows are transposed at a time.
  // The remaining bundles follow, each on its own.
  float* q_of(size_t i) const {
    return i < full_rows() ? scaled_q + i / 16 * 16 * scoring.depth + i % 16
                           : scaled_q + (i + full_rows() % 16) * scoring.depth;
  }

  // Scales the queries and empties all sums.
  void prepare() {
    for (size_t r = count; r % kBundle; r++) sums[r].has_raw_scores = false;
    for (size_t i = 0; i < full_rows(); i += 16) scale_rows(i, full_rows() - i < 16 ? 8 : 16);
    for (size_t i = 0, n; i < count; i += n) {
      n = bundle_size(count - i);
      if (i + n > count) queries[count] = queries[i];
      for (size_t r = 0; n < 8 && r < n; r++) scale_row(queries[i + r].q, q_of(i) + r, n);
      size_t from = 0, to = (size_t)-1;
      for (size_t r = i; r < i + n; r++) {
        const Query& query = queries[r];
        from = query.from > from ? query.from : from;
        to = query.mask || query.bias ? 0 : query.to < to ? query.to : to;
        sums[r].mantissa = sums[r].exponent = 0;
        sums[r].has_parts = false;
        sums[r].has_raw_scores = query.has_raw_scores && scoring.is_uncapped();
      }
      inner_from[i / 4] = from;
      inner_to[i / 4] = to;
    }
  }
  // Returns the first n ≤ 16 of a query's numbers, scaled.
  ALWAYS f32x16 scaled(const float* numbers, size_t n) const {
    f64x8 factor = splat(scoring.scale);
    f32x16 x = n < kTile ? load_n(numbers, n, 0) : load(numbers);
    return narrow(mul(low_f64(x), factor), mul(high_f64(x), factor));
  }
  // Writes one query's scaled numbers, `stride` apart.
  void scale_row(const float* query, float* column, size_t stride) const {
    for (size_t d = 0; d < scoring.depth; d += kTile) {
      size_t n = scoring.depth - d < kTile ? scoring.depth - d : kTile;
      float numbers[kTile];
      store(numbers, scaled(query + d, n));
      for (size_t i = 0; i < n; i++) column[(d + i) * stride] = numbers[i];
    }
  }
  // Scales `n` rows from row i on, 8 or 16, and writes them as columns.
  void scale_rows(size_t i, size_t n) const {
    float numbers[16 * kTile], columns[16 * kTile];
    for (size_t r = n; r < 16; r++) store(numbers + r * kTile, splat(0.f));
    for (size_t d = 0; d < scoring.depth; d += kTile) {
      size_t left = scoring.depth - d < kTile ? scoring.depth - d : kTile;
      for (size_t r = 0; r < n; r++) store(numbers + r * kTile, scaled(queries[i + r].q + d, left));
      float* out = q_of(i) + d * 16;
      transpose16(numbers, kTile, left < kTile ? columns : out);
      for (size_t c = 0; left < kTile && c < left * 16; c += kTile) store(out + c, load(columns + c));
    }
  }
  // Empties the sums of the current part, for the rows [i, end) of a step.
  void begin_part(size_t i, size_t end) {
    for (; i < end; i += kBundle) {
      for (size_t r = i; r < i + kBundle; r++) sums[r].set_exponent(0, false);
      for (size_t c = 0; c < kBundle * scoring.width; c += kTile) store(part_values_of(i) + c, splat(0.f));
      for (size_t c = 0; c < kBundle * kTile; c += kTile) store(part_weights_of(i) + c, splat(0.f));
    }
  }
  // Adds the current part to the sums of the rows [i, end).
  void fold_part(size_t i, size_t end) {
    for (; i < end; i++)
      fold(sums[i], totals_of(i), part_sum(i), sums[i].part_exponent, part_values_of(i), scoring.width);
  }
  // All keys that any of the rows [i, end) sees are in [first_key, end_key).
  size_t first_key(size_t i, size_t end) const {
    size_t key = (size_t)-1;
    for (; i < end; i++) key = queries[i].from < key ? queries[i].from : key;
    return key;
  }
  size_t end_key(size_t i, size_t end) const {
    size_t key = 0;
    for (; i < end; i++) key = queries[i].to > key ? queries[i].to : key;
    return key;
  }

  // Takes the rows [i, end) of a step through the tile that begins at `key`.
  void attend_step(const Tile& tile, size_t key, size_t i, size_t end) {
    for (size_t n; i < end; i += n) attend_tile(tile, key, i, n = bundle_size(end - i));
  }
  bool takes_pairs() const { return count <= kPairRows && functions.score_pair[0]; }
  // Takes a block of up to kPairRows rows through the two tiles that begin at `key`. Between scores and values a row
  // waits for its weights: it waits once for two tiles.
  void attend_pair(const Tile* tiles, size_t key) {
    size_t n = bundle_size(count), size = lowest_bit(n);
    if (key < inner_from[0] || key + 2 * kTile > inner_to[0]) {
      for (size_t t = 0; t < 2; t++) attend_tile(tiles[t], key + t * kTile, 0, n);
      return;
    }
    functions.score_pair[size](tiles[0].keys, tiles[1].keys, q_of(0), scoring.depth, weights);
    bool is_raw = weigh_raw<2>(tiles, 0, n);
    for (size_t t = 0; t < 2; t++) {
      for (size_t r = 0; t && r < n; r++) store(weights + r * kTile, load(weights + (n + r) * kTile));
      if (!is_raw) weigh_any(tiles[t], key + t * kTile, 0, n, kAllVisible);
      functions.add_values[size](tiles[t].values, tiles[t].value_stride, weights, part_values_of(0), scoring.width);
    }
  }
  // Takes a bundle of n rows through a tile: scores, weights, sums.
  void attend_tile(const Tile& tile, size_t key, size_t i, size_t n) {
    uint32_t visible[kBundle], seen_by_all = 0xFFFF, seen_by_any = 0;
    bool is_inside = key >= inner_from[i / 4] && key + kTile <= inner_to[i / 4];
    for (size_t r = 0; !is_inside && r < n; r++) {
      visible[r] = queries[i + r].visible_lanes(key);
      seen_by_all &= visible[r];
      seen_by_any |= visible[r];
    }
    if (!is_inside && !seen_by_any) return;
    size_t size = lowest_bit(n);
    functions.score_rows[size](tile.keys, q_of(i), scoring.depth, weights);
    bool is_whole = is_inside || seen_by_all == 0xFFFF;
    if (!is_whole || !weigh_raw<1>(&tile, i, n)) weigh_any(tile, key, i, n, is_whole ? kAllVisible : visible);
    if (is_whole || tile.has_finite_values())
      return functions.add_values[size](tile.values, tile.value_stride, weights, part_values_of(i), scoring.width);
    for (size_t r = 0; r < n && i + r < count; r++)
      functions.add_visible_values(tile.values, tile.value_stride, weights + r * kTile, visible[r],
                                   part_values_of(i + r), scoring.width);
  }
  static constexpr const uint32_t* kAllVisible = nullptr;
  // Turns the scores of n rows that see all of kTiles tiles into weights. Returns false, without effect, if any is not
  // raw.
  template <int kTiles> ALWAYS bool weigh_raw(const Tile* tiles, size_t i, size_t n) {
    uint32_t outside = 0;
    for (int t = 0; t < kTiles; t++)
      for (size_t r = 0; r < n; r++)
        outside |= lanes_outside(score(tiles[t].scales, weights_of(t, n, r)), splat(-kLargestRaw),
                                 splat(sums[i + r].raw_high));
    if (outside) return false;
    ExpVector<float> exp(base_two(), ExpTraits<float>::kBias);
    for (size_t r = 0; r < n; r++) {
      sums[i + r].is_begun = true;
      for (int t = 0; t < kTiles; t++) {
        float* scores = weights_of(t, n, r);
        add_weights(tiles[t].scales, part_weights_of(i + r), scores,
                    raw_weights<true>(exp, sums[i + r], score(tiles[t].scales, scores)));
      }
    }
    return true;
  }
  // The scores, then weights, of the bundle's row r, for tile t of those that are taken together.
  ALWAYS float* weights_of(size_t t, size_t n, size_t r) const { return weights + (t * n + r) * kTile; }
  // Returns a row's scores, with the scales of its keys.
  static ALWAYS f32x16 score(const float* scales, const float* scores) {
    return scales ? mul(load(scores), load(scales)) : load(scores);
  }
  // Adds a row's weights to its part, and stores them, scaled for its values.
  static ALWAYS void add_weights(const float* scales, float* row_sums, float* row_weights, f32x16 x) {
    store(row_sums, add(load(row_sums), x));
    store(row_weights, scale_weights(x, scales));
  }
  // Returns the weights of raw scores. kIsInside: no score is below the window of exp_inside.
  template <bool kIsInside> static ALWAYS f32x16 raw_weights(ExpVector<float>& exp, const QuerySum& sum, f32x16 x) {
    f32x16 t;
    exp.base = splat(sum.exp_base);
    exp.low = splat(sum.exp_low);
    return kIsInside ? exp_inside<false>(exp, x, t) : exp_below<false>(exp, x, t);
  }
  // Writes the products of a bundle's rows with a tile's keys, in double.
  void score_exactly(const Tile& tile, size_t i, size_t n, double* exact) const {
    const float* q[kBundle];
    for (size_t r = 0; r < n; r++) q[r] = queries[i + r].q;
    functions.score_exactly(tile.keys, q, n, scoring.depth, exact);
  }
  // Turns the scores of n rows into weights. `visible` has the visible keys of each row, or is kAllVisible.
  NEVER_INLINE void weigh_any(const Tile& tile, size_t key, size_t i, size_t n, const uint32_t* visible) {
    ExpVector<float> exp(base_two(), ExpTraits<float>::kBias);
    double exact[kBundle * kTile];
    const bool has_exact = queries[i].wants_exact;
    if (has_exact) score_exactly(tile, i, n, exact);
    for (size_t r = 0; r < n; r++) {
      QuerySum& sum = sums[i + r];
      uint32_t lanes = visible ? visible[r] : 0xFFFF;
      float* scores = weights + r * kTile;
      f32x16 z = score(tile.scales, scores), x = select_bits(z, splat(-infinity<float>()), lanes);
      f32x16 y = begin_raw(sum, x, lanes)
                     ? raw_weights<false>(exp, sum, x)
                     : adjusted_weights(tile, i + r, key, z, lanes, has_exact ? exact + r * kTile : nullptr);
      add_weights(tile.scales, part_weights_of(i + r), scores, y);
    }
  }
  // Whether the visible scores are raw: none is NaN, passes the row's exponent, or is large and near the largest score.
  // If all are small, a row that sees one of them begins its part.
  static ALWAYS bool begin_raw(QuerySum& sum, f32x16 x, uint32_t lanes) {
    if (!(lanes_outside(x, splat(-kLargestRaw), splat(sum.raw_high)) & lanes)) return sum.is_begun |= lanes != 0, true;
    if (!sum.is_begun || sum.near_low == -infinity<float>() || any_nan(x) ||
        lanes_above(x, splat((float)(sum.part_exponent + kHeadroom))))
      return false;
    return !((lanes_above(x, splat(kLargestRaw)) | lanes_above(splat(-kLargestRaw), x)) & lanes &
             lanes_above(x, splat(sum.near_low)));
  }
  // Returns the scale with which the exponential is 2^x.
  static ALWAYS ExpScale<float> base_two() { return ExpScale<float>::of(kLog2E); }

  // Defined in attention_weights.h.
  NEVER_INLINE f32x16 adjusted_weights(const Tile& tile, size_t r, size_t key, f32x16 z, uint32_t lanes,
                                       const double* exact);
  static NEVER_INLINE void add_slope_and_bias(const Query& query, size_t key, uint32_t lanes, f64x8* y);
  static double distance(double a, double b);
  f64x8 cap(f64x8 z) const;
  SELDOM void raise_exponent(size_t r, double largest);
  double part_sum(size_t r) const;
  static void fold(QuerySum& sum, double* totals, double part_sum, double part_exponent, const float* part_values,
                   size_t width);
  static double power(double n, double number);
};

}  // namespace
