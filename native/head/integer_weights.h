// Weights of integers as bytes b. A panel has a segment of sixteen rows: for each unit of columns (32, or the 16 that
// share a scale) what makes weights of bytes, and either the bytes, four columns of each row side by side, or their
// sums with a state.
//
//   weight = scale · (b − zero) + minimum
//
//   kInt8, kQ8_0        b: signed, xor-ed with the flip of the products; zero: the flip. kInt8 has the scale 1
//   kQ4_0, kQ6K         b: nibbles, six bits; zero: 8, 32
//   kQ4K                b: nibbles; zero: 0; scale: d · scale, minimum: −dmin · minimum, both exact
//   kNibbles, kBytes    b: nibbles, or bytes as those of kInt8; zero: of each row and unit
#pragma once
#include "head_products.h"

namespace {

constexpr size_t kPanelRows = 16, kPanelUnits = kSegment / 16;

struct IntegerPanel {
  alignas(64) uint8_t bytes[kSegment * kPanelRows];   // [columns / 4, row, 4]
  alignas(64) int32_t dots[kPanelUnits][kPanelRows];  // Σ q · b, of sixteen columns each
  alignas(64) float scales[kPanelUnits][kPanelRows];
  alignas(64) float minima[kPanelUnits][kPanelRows];
  alignas(64) float zeros[kPanelUnits][kPanelRows];  // −zero
  size_t columns;                                    // a multiple of 32
};

// A segment of sixteen rows from a column on. The bytes of the next segment lie `ahead` of these. q: of a state, where
// sums are wanted.
struct PanelSource {
  const WeightRow* rows;
  size_t column, row_bytes, ahead;
  uint8_t flip;
  const int8_t* q;
};

// Formats: how many columns and bytes a block has, and where scales are. row() gives 64 columns of a row from `at`, its
// first byte of the segment: those from 64 · step on and, in the phase 1, the next 64.
struct Int8Bytes {
  static constexpr size_t kColumns = 64, kBytes = 64, kPhases = 1;
  static constexpr bool kIsSmall = false, kHasMinima = false;
  template <int> static ALWAYS u8x64 row(const uint8_t* at, size_t step, uint8_t flip) {
    return bytes_of_row(at + 64 * step, at + 64 * step + 32, flip);
  }
  static ALWAYS void fill_scales(IntegerPanel& panel, const PanelSource&, size_t) {
    for (size_t b = 0; b < panel.columns / 32; b++) store(panel.scales[b], splat(1.f));
  }
};

// A float16 scale before each block of 32.
template <size_t kBlockBytes> struct HalfScales {
  static ALWAYS void fill_scales(IntegerPanel& panel, const PanelSource& source, size_t first) {
    uint16_t halves[kSegment / 32][kPanelRows];
    const size_t blocks = panel.columns / 32;
    for (size_t r = 0; r < kPanelRows; r++) {
      const uint8_t* at = source.rows[r].data + first;
      if (blocks == kSegment / 32) {  // unrolled
        UNROLL for (size_t b = 0; b < kSegment / 32; b++) COPY(&halves[b][r], at + b * kBlockBytes, 2);
      } else {
        for (size_t b = 0; b < blocks; b++) COPY(&halves[b][r], at + b * kBlockBytes, 2);
      }
    }
    for (size_t b = 0; b < blocks; b++) store(panel.scales[b], load_half(halves[b]));
  }
};
struct Q8_0Bytes : HalfScales<34> {
  static constexpr size_t kColumns = 64, kBytes = 68, kPhases = 1;
  static constexpr bool kIsSmall = false, kHasMinima = false;
  template <int> static ALWAYS u8x64 row(const uint8_t* at, size_t step, uint8_t flip) {
    return bytes_of_row(at + 68 * step + 2, at + 68 * step + 36, flip);
  }
};
struct Q4_0Bytes : HalfScales<18> {
  static constexpr size_t kColumns = 64, kBytes = 36, kPhases = 1;
  static constexpr bool kIsSmall = true, kHasMinima = false;
  template <int> static ALWAYS u8x64 row(const uint8_t* at, size_t step, uint8_t) {
    return nibbles_by_16(at + 36 * step + 2, at + 36 * step + 20);
  }
};

// Sixteen numbers of each block of 256 are lanes of a row; turned, rows are lanes.
struct Q4KBytes {
  static constexpr size_t kColumns = 256, kBytes = 144, kPhases = 1;
  static constexpr bool kIsSmall = true, kHasMinima = true;
  template <int> static ALWAYS u8x64 row(const uint8_t* at, size_t step, uint8_t) {
    return nibbles_by_32(at + step / 4 * 144 + step % 4 * 32 + 16);
  }
  static ALWAYS void fill_scales(IntegerPanel& panel, const PanelSource& source, size_t first) {
    alignas(64) float terms[kPanelRows][16], turned[16][kPanelRows];
    for (size_t b = 0; b < panel.columns / 256; b++) {
      for (size_t r = 0; r < kPanelRows; r++) {
        const WeightRow& row = source.rows[r];
        store(terms[r], load(Q4KReader::Step(row.data + first + 144 * b, row, {}).terms));
      }
      transpose16(terms[0], 16, turned[0]);
      for (size_t u = 0; u < 8; u++) {
        store(panel.scales[8 * b + u], load(turned[u]));
        store(panel.minima[8 * b + u], load(turned[8 + u]));
      }
    }
  }
};
struct Q6KBytes {
  static constexpr size_t kColumns = 256, kBytes = 210, kPhases = 2;
  static constexpr bool kIsSmall = true, kHasMinima = false;
  template <int kPhase> static ALWAYS u8x64 row(const uint8_t* at, size_t step, uint8_t) {
    const size_t half = step / 2;
    at += half / 2 * 210;
    return six_bits_of_row < kPhase != 0 > (at + 64 * (half % 2), at + 128 + 32 * (half % 2));
  }
  static ALWAYS void fill_scales(IntegerPanel& panel, const PanelSource& source, size_t first) {
    alignas(64) float terms[kPanelRows][16];
    for (size_t b = 0; b < panel.columns / 256; b++) {
      for (size_t r = 0; r < kPanelRows; r++) {
        const WeightRow& row = source.rows[r];
        store(terms[r], load(Q6KReader::Step(row.data + first + 210 * b, row, {}).scales));
      }
      transpose16(terms[0], 16, panel.scales[16 * b]);
    }
  }
};

template <bool kIsNibble> struct OnnxBytes {
  static constexpr size_t kColumns = 64, kBytes = kIsNibble ? 32 : 64, kPhases = 1;
  static constexpr bool kIsSmall = kIsNibble, kHasMinima = false;
  template <int> static ALWAYS u8x64 row(const uint8_t* at, size_t step, uint8_t flip) {
    if constexpr (kIsNibble) return nibbles_by_1(at + 32 * step);
    else return bytes_of_row(at + 64 * step, at + 64 * step + 32, flip ^ 0x80);
  }
  // Sixteen units from a unit on: those behind the last block have its scale, as states have zeros there.
  static void fill_scales(IntegerPanel& panel, const PanelSource& source, size_t) {
    const size_t octaves = source.rows[0].octaves < 5 ? 4 : 5, units = panel.columns >> octaves;
    const f32x16 offset = splat(kIsNibble ? 0.f : 128.f - source.flip);
    alignas(64) float scales[kPanelRows][16], zeros[kPanelRows][16];
    for (size_t from = 0; from < units; from += 16) {
      for (size_t r = 0; r < kPanelRows; r++) {
        const WeightRow& row = source.rows[r];
        const size_t block = (source.column >> octaves) + from;
        if (row.octaves == octaves && block + 16 <= row.blocks) {  // a scale a unit
          store(scales[r], load(row.scales + block));
          store(zeros[r], sub(offset, sixteen_points(row, block)));
          continue;
        }
        uint8_t points[16];
        for (size_t u = 0; u < 16; u++) {
          const size_t own = (source.column + ((from + u) << octaves)) >> row.octaves;
          const size_t there = own < row.blocks ? own : row.blocks - 1;
          scales[r][u] = row.scales[there];
          points[u] = point_of(row, there);
        }
        store(zeros[r], sub(offset, floats_of(load_u8(points))));
      }
      transpose16(scales[0], 16, panel.scales[from]);
      transpose16(zeros[0], 16, panel.zeros[from]);
    }
  }
  static ALWAYS f32x16 sixteen_points(const WeightRow& row, size_t block) {
    if (!row.zero_points) return splat(kIsNibble ? 8.f : 128.f);
    if constexpr (!kIsNibble) return floats_of(load_u8(row.zero_points + block));
    uint8_t pairs[16] = {};
    COPY(pairs, row.zero_points + block / 2, 8);
    const u8x16 both = load_u8(pairs);
    return floats_of(zip_first(bits_of<0, 4>(both), bits_of<4, 4>(both)));
  }
  static ALWAYS uint8_t point_of(const WeightRow& row, size_t block) {
    if (!row.zero_points) return kIsNibble ? 8 : 128;
    return kIsNibble ? row.zero_points[block / 2] >> block % 2 * 4 & 15 : row.zero_points[block];
  }
};

template <class Bytes> constexpr size_t step_bytes() { return Bytes::kBytes * 64 / Bytes::kColumns; }

// What becomes of 64 columns of sixteen rows.
struct SideBySide {
  static ALWAYS void put(IntegerPanel& panel, const u8x64* rows, size_t step, const int8_t*) {
    store_side_by_side(panel.bytes + step * 64 * kPanelRows, rows);
  }
};
template <class Dot> struct RowSums {
  static ALWAYS void put(IntegerPanel& panel, const u8x64* rows, size_t step, const int8_t* q) {
    i32x16 sums[kPanelRows];
    UNROLL_ROWS for (size_t r = 0; r < kPanelRows; r++) sums[r] = Dot::of_row(rows[r], q + 64 * step);
    store_sums_of_4(panel.dots[4 * step], sums);
  }
};

// Puts 64 columns of sixteen rows: those of step `from` of `at`, as step `to` of the panel.
template <class Bytes, class Use, int kPhase>
ALWAYS void put_rows(IntegerPanel& panel, const uint8_t* const* at, size_t from, size_t to, const PanelSource& source) {
  u8x64 rows[kPanelRows];
  UNROLL_ROWS for (size_t r = 0; r < kPanelRows; r++) {
    rows[r] = Bytes::template row<kPhase>(at[r], from, source.flip);
    for (size_t b = 0; b < step_bytes<Bytes>(); b += 64)
      prefetch(at[r] + from * step_bytes<Bytes>() + b + source.ahead);
  }
  Use::put(panel, rows, to + kPhase, source.q);
}
// In place of rows that end within a step: copies of their rest, with zeros behind it.
template <size_t kBytes>
static void copy_rest(const uint8_t** at, uint8_t (*copies)[kBytes], size_t from, size_t left) {
  for (size_t r = 0; r < kPanelRows; r++) {
    for (size_t i = 0; i < kBytes; i++) copies[r][i] = i < left ? at[r][from + i] : 0;
    at[r] = copies[r];
  }
}
template <class Bytes, class Use> NEVER_INLINE void fill_panel(IntegerPanel& panel, const PanelSource& source) {
  constexpr size_t kBytes = step_bytes<Bytes>();
  const size_t first = source.column / Bytes::kColumns * Bytes::kBytes, bytes = source.row_bytes - first;
  const uint8_t* at[kPanelRows];
  uint8_t copies[kPanelRows][kBytes];
  for (size_t r = 0; r < kPanelRows; r++) at[r] = source.rows[r].data + first;
  for (size_t step = 0; 64 * step < panel.columns; step += Bytes::kPhases) {
    const bool is_rest = Bytes::kColumns == 64 && step == bytes / kBytes;
    if (is_rest) copy_rest<kBytes>(at, copies, step * kBytes, bytes % kBytes);
    const size_t from = is_rest ? 0 : step;
    put_rows<Bytes, Use, 0>(panel, at, from, step, source);
    if constexpr (Bytes::kPhases == 2) put_rows<Bytes, Use, 1>(panel, at, from, step, source);
  }
  Bytes::fill_scales(panel, source, first);  // behind the bytes, as these are prefetched
}

// What a format's panels are.
struct IntegerFormat {
  void (*fill)(IntegerPanel&, const PanelSource&);  // with bytes
  void (*sum)(IntegerPanel&, const PanelSource&);   // with sums; null: never
  size_t segment_bytes, row_bytes, unit;            // unit: columns
  int32_t zero;                                     // of all units
  bool is_small, has_minima, has_zeros, is_fused;
};
template <class Bytes>
IntegerFormat integers_of(bool is_fused, size_t row_bytes, size_t unit, int32_t zero, bool has_zeros = false) {
  IntegerFormat format = {fill_panel<Bytes, SideBySide>,
                          nullptr,
                          step_bytes<Bytes>() * kSegment / 64,
                          row_bytes,
                          unit,
                          zero,
                          Bytes::kIsSmall,
                          Bytes::kHasMinima,
                          has_zeros,
                          kMayFuse && is_fused};
  if constexpr (kMayFuse) {  // without fused products one state has panels of bytes, too, which saves code
    if (is_fused) format.sum = fill_panel<Bytes, RowSums<FusedDot>>;
  } else if constexpr (Bytes::kIsSmall) {
    format.sum = fill_panel<Bytes, RowSums<SmallDot>>;
  } else {
    format.sum = fill_panel<Bytes, RowSums<SignedDot>>;
  }
  return format;
}
static SELDOM IntegerFormat format_of(const HeadWeights& w, bool fused, uint8_t flip) {
  const size_t unit = w.block == 16 ? 16 : 32;
  switch (w.format) {
    case kInt8: return integers_of<Int8Bytes>(fused, w.cols, 32, flip);
    case kQ8_0: return integers_of<Q8_0Bytes>(fused, Q8_0Reader::row_bytes(w), 32, flip);
    case kQ4_0: return integers_of<Q4_0Bytes>(fused, Q4_0Reader::row_bytes(w), 32, 8);
    case kQ4K: return integers_of<Q4KBytes>(fused, Q4KReader::row_bytes(w), 32, 0);
    case kQ6K: return integers_of<Q6KBytes>(fused, Q6KReader::row_bytes(w), 16, 32);
    case kNibbles: return integers_of<OnnxBytes<true>>(fused, OnnxReader<true>::row_bytes(w), unit, 0, true);
    default: return integers_of<OnnxBytes<false>>(fused, OnnxReader<false>::row_bytes(w), unit, 0, true);
  }
}

}  // namespace
