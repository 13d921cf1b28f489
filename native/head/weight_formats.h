// The formats of an output head's weights, and how rows of each are read as floats.
//
// A reader takes a row in steps of kParts · kVectors vectors of sixteen columns. Every weight is the format's exact
// value rounded once to a float, which changes only kQ4K and blocks with scales of more than 16 significant bits.
//   kFloat32, kFloat16, kBrain16, kInt8    the numbers themselves; a scale of an int8 row multiplies its dot product
//   kQ8_0, kQ4_0, kQ4K, kQ6K               GGUF: the bytes of ggml's block_q8_0, block_q4_0, block_q4_K, block_q6_K
//   kNibbles, kBytes                       ONNX's MatMulNBits with 4 and 8 bits: (q − zero point) · scale
#pragma once
#include "../math/formats.h"
#include "../rows/parameters.h"

namespace {

// Numbered as in lib/head/formats.ts and in native/host/contract.cc.
enum WeightFormat { kFloat32, kFloat16, kBrain16, kInt8, kQ8_0, kQ4_0, kQ4K, kQ6K, kNibbles, kBytes };

// A row of weights, and what a step of it needs beside its own bytes.
struct WeightRow {
  const uint8_t* data;
  const float* scales;         // of its blocks
  const uint8_t* zero_points;  // of its blocks; null: half of the range
  size_t octaves, blocks;      // log2 of the columns of a block, and how many blocks there are
  size_t first;                // the first block of a segment, whose scales and zero points are here as floats
  alignas(64) float segment_scales[32], segment_zeros[32];

  ALWAYS WeightRow() {}
  ALWAYS WeightRow(const HeadWeights& w, size_t row, size_t row_bytes) {
    data = w.data + row * row_bytes;
    octaves = w.block ? lowest_bit(w.block) : 0;
    blocks = (w.cols + ((size_t)1 << octaves) - 1) >> octaves;
    scales = w.scales ? w.scales + row * blocks : nullptr;
    zero_points = !w.zero_points ? nullptr : w.zero_points + row * (w.format == kNibbles ? (blocks + 1) / 2 : blocks);
  }
};

// Where a step's scales and zero points are among those of a segment: of its first and of its last sixteen columns.
struct BlockPlace {
  size_t first, second;
};

// Of numbers of T that Format<X> reads.
template <class X> struct NumberReader {
  using T = Stored<X>;
  static constexpr size_t kParts = 1, kVectors = 1, kStepBytes = 16 * sizeof(T);
  static ALWAYS size_t row_bytes(const HeadWeights& w) { return w.cols * sizeof(T); }
  struct Step {
    const T* at;
    ALWAYS Step(const uint8_t* bytes, const WeightRow&, BlockPlace) : at((const T*)bytes) {}
    ALWAYS void read(size_t, f32x16* w) const { w[0] = Format<X>::load(at); }
  };
  static ALWAYS void prepare(WeightRow&, size_t, size_t) {}
  static ALWAYS BlockPlace place(const WeightRow&, size_t) { return {}; }
  static ALWAYS size_t first_vector(size_t) { return 0; }
};

// Of blocks of so many columns and bytes.
template <size_t kColumns, size_t kBytes> struct BlockReader {
  static constexpr size_t kStepBytes = kBytes;
  static ALWAYS size_t row_bytes(const HeadWeights& w) { return w.cols / kColumns * kBytes; }
  static ALWAYS void prepare(WeightRow&, size_t, size_t) {}
  static ALWAYS BlockPlace place(const WeightRow&, size_t) { return {}; }
};

// Blocks of 32: a float16 scale, then the signed bytes.
struct Q8_0Reader : BlockReader<32, 34> {
  static constexpr size_t kParts = 1, kVectors = 2;
  struct Step {
    const uint8_t* at;
    ALWAYS Step(const uint8_t* bytes, const WeightRow&, BlockPlace) : at(bytes) {}
    ALWAYS void read(size_t, f32x16* w) const {
      const f32x16 scale = splat_half(at);
      w[0] = mul(load_bytes((const int8_t*)at + 2), scale);
      w[1] = mul(load_bytes((const int8_t*)at + 18), scale);
    }
  };
  static ALWAYS size_t first_vector(size_t) { return 0; }
};

// Blocks of 32: a float16 scale, then bytes whose low nibbles are columns 0 … 15 and whose high ones are 16 … 31.
struct Q4_0Reader : BlockReader<32, 18> {
  static constexpr size_t kParts = 1, kVectors = 2;
  struct Step {
    const uint8_t* at;
    ALWAYS Step(const uint8_t* bytes, const WeightRow&, BlockPlace) : at(bytes) {}
    ALWAYS void read(size_t, f32x16* w) const {
      const NibbleMap map = nibble_map(splat(8.f), splat_half(at), splat(0.f));
      const u8x16 q = load_u8(at + 2);
      w[0] = low_nibbles(q, map);
      w[1] = high_nibbles(q, map);
    }
  };
  static ALWAYS size_t first_vector(size_t) { return 0; }
};

// Blocks of 256: float16 d and dmin, eight scales and eight minima of 6 bits in 12 bytes, then nibbles: of each 32
// bytes, the low ones are 32 columns and the high ones the next 32. A weight is d · scale · q − dmin · minimum.
struct Q4KReader : BlockReader<256, 144> {
  static constexpr size_t kParts = 4, kVectors = 4;
  struct Step {
    const uint8_t* at;
    alignas(64) float terms[16];  // d · scale, then −dmin · minimum
    ALWAYS Step(const uint8_t* bytes, const WeightRow&, BlockPlace) : at(bytes) {
      uint32_t packed[3];
      COPY(packed, bytes + 4, 12);
      const u8x16 bits =
          of_words(packed[0] & 0x3F3F3F3F, (packed[2] & 0x0F0F0F0F) | (packed[0] >> 6 & 0x03030303) << 4,
                   packed[1] & 0x3F3F3F3F, (packed[2] >> 4 & 0x0F0F0F0F) | (packed[1] >> 6 & 0x03030303) << 4);
      const f32x16 smallest = sub(splat(0.f), splat_half(bytes + 2));
      store(terms, mul(floats_of(bits), select_bits(splat_half(bytes), smallest, 0xFF)));
    }
    ALWAYS void read(size_t part, f32x16* w) const {
      const f32x16 none = splat(0.f);
      const NibbleMap low = nibble_map(none, splat(terms[2 * part]), splat(terms[8 + 2 * part]));
      const NibbleMap high = nibble_map(none, splat(terms[2 * part + 1]), splat(terms[9 + 2 * part]));
      UNROLL for (size_t i = 0; i < 2; i++) {
        const u8x16 q = load_u8(at + 16 + 32 * part + 16 * i);
        w[i] = low_nibbles(q, low);
        w[2 + i] = high_nibbles(q, high);
      }
    }
  };
  static ALWAYS size_t first_vector(size_t part) { return 4 * part; }
};

// Blocks of 256: 128 bytes of low nibbles, 64 bytes of upper pairs of bits, sixteen signed scales, a float16 d. A
// weight is d · scale · (q − 32). Of each half, byte l has the nibbles of columns l and l + 64, and an upper byte has
// the pairs of l, l + 32, l + 64 and l + 96.
struct Q6KReader : BlockReader<256, 210> {
  static constexpr size_t kParts = 2, kVectors = 8;
  struct Step {
    const uint8_t* at;
    alignas(64) float scales[16];
    ALWAYS Step(const uint8_t* bytes, const WeightRow&, BlockPlace) : at(bytes) {
      store(scales, mul(load_bytes((const int8_t*)bytes + 192), splat_half(bytes + 208)));
    }
    ALWAYS void read(size_t part, f32x16* w) const {
      u8x16 q[8];
      six_bits(at + 64 * part, at + 128 + 32 * part, q);
      UNROLL for (size_t v = 0; v < 8; v++) w[v] = mul(signed_floats_of(q[v]), splat(scales[8 * part + v]));
    }
  };
  static ALWAYS size_t first_vector(size_t part) { return 8 * part; }
};

// Of ONNX: blocks of 16, 32, 64 … columns, each with a scale and a zero point elsewhere. A step has 32 columns.
template <bool kIsNibble> struct OnnxReader {
  static constexpr size_t kParts = 1, kVectors = 2, kStepBytes = kIsNibble ? 16 : 32;
  static ALWAYS size_t row_bytes(const HeadWeights& w) {
    return (w.cols + w.block - 1) / w.block * (kIsNibble ? w.block / 2 : w.block);
  }
  // Finds the scales and zero points of n steps, no more than a segment, from `step` on.
  static ALWAYS void prepare(WeightRow& row, size_t step, size_t n) {
    row.first = 32 * step >> row.octaves & ~(size_t)1;
    const size_t end = ((32 * (step + n) - 1) >> row.octaves) + 1, last = end < row.blocks ? end : row.blocks;
    for (size_t block = row.first, to = 0; block < last; block += 16, to += 16) {
      const size_t left = last - block < 16 ? last - block : 16;
      store(row.segment_scales + to, load_n(row.scales + block, left, 0));
      store(row.segment_zeros + to, zero_points(row, block, left));
    }
  }
  static ALWAYS f32x16 zero_points(const WeightRow& row, size_t block, size_t n) {
    if (!row.zero_points) return splat(kIsNibble ? 8.f : 128.f);
    uint8_t bytes[16] = {};
    const uint8_t* from = row.zero_points + (kIsNibble ? block / 2 : block);
    if (n == 16) COPY(bytes, from, kIsNibble ? 8 : 16);
    else
      for (size_t i = 0; i < (kIsNibble ? (n + 1) / 2 : n); i++) bytes[i] = from[i];
    if constexpr (!kIsNibble) return floats_of(load_u8(bytes));
    f32x16 w[2];
    const NibbleMap same = nibble_map(splat(0.f), splat(1.f), splat(0.f));
    nibble_pairs(bytes, same, same, w);
    return w[0];
  }
  static ALWAYS BlockPlace place(const WeightRow& row, size_t step) {
    const size_t first = (32 * step >> row.octaves) - row.first;
    return {first, first + (row.octaves == 4)};
  }
  struct Step {
    const uint8_t* at;
    const WeightRow& row;
    BlockPlace place;
    ALWAYS Step(const uint8_t* bytes, const WeightRow& r, BlockPlace p) : at(bytes), row(r), place(p) {}
    ALWAYS NibbleMap map(size_t i) const {
      return nibble_map(splat(row.segment_zeros[i]), splat(row.segment_scales[i]), splat(0.f));
    }
    ALWAYS f32x16 bytes(size_t i, size_t at_block) const {
      const f32x16 q = floats_of(load_u8(at + 16 * i));
      return fma(sub(q, splat(row.segment_zeros[at_block])), splat(row.segment_scales[at_block]), splat(0.f));
    }
    ALWAYS void read(size_t, f32x16* w) const {
      if constexpr (kIsNibble) {
        nibble_pairs(at, map(place.first), map(place.second), w);
      } else {
        w[0] = bytes(0, place.first);
        w[1] = bytes(1, place.second);
      }
    }
  };
  static ALWAYS size_t first_vector(size_t) { return 0; }
};

// Calls run.template of<Reader>() with the reader of a format.
template <class Run> void with_reader(int32_t format, const Run& run) {
  switch (format) {
    case kFloat32: return run.template of<NumberReader<float>>();
    case kFloat16: return run.template of<NumberReader<F16>>();
    case kBrain16: return run.template of<NumberReader<BF16>>();
    case kInt8: return run.template of<NumberReader<I8>>();
    case kQ8_0: return run.template of<Q8_0Reader>();
    case kQ4_0: return run.template of<Q4_0Reader>();
    case kQ4K: return run.template of<Q4KReader>();
    case kQ6K: return run.template of<Q6KReader>();
    case kNibbles: return run.template of<OnnxReader<true>>();
    default: return run.template of<OnnxReader<false>>();
  }
}

// How a row is cut: whole steps, then what is left of its bytes, which is read from a copy that ends with zeros.
template <class Reader> struct Steps {
  static constexpr size_t kColumns = 16 * Reader::kParts * Reader::kVectors;
  size_t row_bytes, whole, rest;  // rest: bytes behind the whole steps
  ALWAYS explicit Steps(const HeadWeights& w) {
    row_bytes = Reader::row_bytes(w);
    whole = row_bytes / Reader::kStepBytes;
    rest = row_bytes % Reader::kStepBytes;
  }
  ALWAYS size_t count() const { return whole + (rest > 0); }
};

}  // namespace
