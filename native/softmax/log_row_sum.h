// The core of the logarithmic operators: the maximum of each row, and S, the sum of its other terms:
//
//   S = Σ exp((x − max) / T) over all elements but one maximum        log Σ exp(x / T) = max / T + log(1 + S)
//
// So log(1 + S) keeps every digit where the maximum stands alone, and (x − max) / T keeps them where logits are huge.
// All numbers are doubles, in float rows too: logSumExp would show the error of a float sum.
//
// A tile is measured in these steps (log_rows.h has the readings):
//   1. The maximum of each lane is found in each part of kSuper elements, and merged to the maximum of each row.
//   2. If x + bias may overflow, the tile is not measured: log_tiles.h measures smaller copies.
//   3. With a bias, the lower parts of the maxima are found.
//   4. Terms are summed, and parts and lanes merge in order: the same bits on any number of threads.
//   5. log(1 + S) is computed for each row.
#pragma once
#include "../rows/run.h"
#include "log_rows.h"

namespace {

// Measures a tile. `run` shares the parts of a long row among threads.
template <class T> struct TileMeasurer {
  static constexpr size_t W = ExpTraits<T>::kLanes, kVectors = kSuper / W;  // vectors of a part
  const LogRows<T>& rows;
  const Run& run;
  MeasuredTile<T>& m;
  LaneReadings<T>* lanes;  // one a part

  size_t parts() const { return rows.across() ? 1 : (rows.vectors() + kVectors - 1) / kVectors; }
  size_t end(size_t part) const { return part + 1 < parts() ? (part + 1) * kVectors : rows.vectors(); }
  void read_parts(void (*task)(void*, size_t)) { parts() < 2 ? task(this, 0) : run.parallel(parts(), task, this); }

  template <void (LogRows<T>::*kReading)(const MeasuredTile<T>&, size_t, size_t, LaneReadings<T>&) const>
  static void read_part(void* self, size_t part) {
    TileMeasurer& s = *(TileMeasurer*)self;
    if (!s.run.stopped()) (s.rows.*kReading)(s.m, part * kVectors, s.end(part), s.lanes[part]);
  }
  // Merges a maximum of each lane: over all parts and, in one row, over all lanes.
  ALWAYS void merge_largest(double (LaneReadings<T>::*number)[W]) {
    double largest_of_row = -infinity<double>();
    for (size_t i = 0; i < W; i++) {
      double largest_of_lane = -infinity<double>();
      for (size_t p = 0; p < parts(); p++)
        largest_of_lane = (lanes[p].*number)[i] > largest_of_lane ? (lanes[p].*number)[i] : largest_of_lane;
      (m.*number)[i] = largest_of_lane;
      largest_of_row = largest_of_lane > largest_of_row ? largest_of_lane : largest_of_row;
    }
    if (!rows.across())
      for (size_t i = 0; i < W; i++) (m.*number)[i] = largest_of_row;
  }

  // Returns false if a row overflows: then only m.overflowing is known.
  bool measure() {
    // 1. The maxima.
    read_parts(read_part<&LogRows<T>::find_top>);
    merge_largest(&LaneReadings<T>::top);
    // 2. Overflow.
    if constexpr (sizeof(T) == 8) {
      if (uint32_t suspects = rows.overflow_suspects(m);
          suspects && (m.overflowing = rows.find_overflowing(m, suspects)))
        return false;
    }
    m.visible = 0;
    m.non_finite = 0;
    for (size_t p = 0; p < parts(); p++) m.visible |= lanes[p].visible;
    if (!rows.across() && m.visible) m.visible = (1u << W) - 1;
    uint32_t infinite = 0;
    double found_top[W];
    for (size_t i = 0; i < W; i++) {
      m.low[i] = 0;
      found_top[i] = m.top[i];
      if (m.top[i] - m.top[i] == 0) continue;
      m.non_finite |= 1u << i;
      infinite |= (uint32_t)(m.top[i] > 0) << i;
      m.top[i] = 0;
    }
    uint32_t nan_rows = infinite ? rows.find_nan_rows(m) : 0;
    // 3. The lower parts of the maxima.
    if (rows.extras.bias.data) {
      read_parts(read_part<&LogRows<T>::find_low>);
      merge_largest(&LaneReadings<T>::low);
      for (double& l : m.low) l = l == -infinity<double>() ? 0 : l;
    }
    // 4. The sums.
    rows.has_exact_distance()
        ? read_parts(read_part<&LogRows<T>::template sum_terms<LogRows<T>::kMayHaveExactDistance>>)
        : read_parts(read_part<&LogRows<T>::template sum_terms<false>>);
    for (size_t i = 0; i < W; i++) m.sum[i] = m.rest[i] = m.count[i] = 0;
    for (size_t p = 0; p < parts(); p++) {
      for (size_t i = 0, to = 0; i < W; i++, to += rows.across()) {
        double rest;
        two_sum(m.sum[to], lanes[p].sum[i], m.sum[to], rest);
        m.rest[to] += rest + lanes[p].rest[i];
        m.count[to] += lanes[p].count[i];
      }
    }
    // 5. The logarithms.
    m.nan_results = 0;
    for (size_t i = 0; i < (rows.across() ? m.n : 1); i++) {
      if (infinite >> i & 1) m.sum[i] = nan_rows >> i & 1 ? not_a_number<double>() : found_top[i];
      else if (m.sum[i] != m.sum[i]) {
        m.non_finite |= 1u << i;
        m.sum[i] = not_a_number<double>();
      } else if (m.non_finite >> i & 1) m.sum[i] = found_top[i];
      if (m.non_finite >> i & 1) m.log_hi[i] = m.log_lo[i] = m.others[i] = m.others_low[i] = 0;
      else rows.finish_row(m, i);
      if ((m.non_finite >> i & 1) && !(m.sum[i] < 0 && rows.extras.has_mask())) m.nan_results |= 1u << i;
    }
    if (rows.across()) return true;
    for (size_t i = 1; i < W; i++) {
      m.others[i] = m.others[0];
      m.others_low[i] = m.others_low[0];
      m.log_hi[i] = m.log_hi[0];
      m.log_lo[i] = m.log_lo[0];
    }
    if (m.non_finite & 1) m.non_finite = (1u << W) - 1;
    if (m.nan_results & 1) m.nan_results = (1u << W) - 1;
    return true;
  }
};

}  // namespace
