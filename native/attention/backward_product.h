// Products of two blocks of floats, for the gradients of attention: result[m][n] = Σ_k a[m][k] · b[k][n].
//
// Every element is one chain of fmas in the order of k, so the bits do not depend on how many rows and panels a
// processor takes at a time. A panel is sixteen columns. The factor a is read number by number with any two distances,
// and so it can be the transpose of what is in memory.
#pragma once
#include "attention_tile.h"

namespace {

// Query rows of a block, and keys of a block: six tiles. A multiple of the rows that multiply_panels takes at a time.
constexpr size_t kBlockRows = 96;
constexpr size_t kBlockTiles = kBlockRows / kTile;

// The factors of a product, and where it goes: `out` gets floats, or `totals`, in which it is added as doubles.
struct Product {
  const float* a;
  size_t a_row, a_step;  // distances in a from one row to the next, and from one k to the next
  const float* b;
  size_t b_step, b_panel;  // distances in b from one k to the next, and from one panel to the next
  size_t rows, steps, panels;
  float* out;
  double* totals;
  size_t out_row;  // distance in out or totals from one row to the next
};

// Writes sixteen results, or adds them to totals.
SIMD_INLINE void write_sums(const Product& x, size_t at, f32x16 sums) {
  if (!x.totals) return store(x.out + at, sums);
  store(x.totals + at, add(load(x.totals + at), low_f64(sums)));
  store(x.totals + at + 8, add(load(x.totals + at + 8), high_f64(sums)));
}

// Computes kRows rows from row m on, of kPanels panels from panel p on. Rows behind the last one are computed too.
template <int kRows, int kPanels> SIMD_INLINE void multiply_tile(const Product& x, size_t m, size_t p) {
  const float *a = x.a + m * x.a_row, *b = x.b + p * x.b_panel;
  f32x16 sums[kRows][kPanels];
  UNROLL
  for (int r = 0; r < kRows; r++)
    UNROLL
    for (int c = 0; c < kPanels; c++) sums[r][c] = splat(0.f);
  for (size_t k = 0; k < x.steps; k++, a += x.a_step, b += x.b_step) {
    f32x16 columns[kPanels];
    UNROLL
    for (int c = 0; c < kPanels; c++) {
      columns[c] = load(b + c * x.b_panel);
      KEEP(columns[c]);
    }
    UNROLL
    for (int r = 0; r < kRows; r++) {
      f32x16 factor = splat(a[r * x.a_row]);
      UNROLL
      for (int c = 0; c < kPanels; c++) sums[r][c] = fma(columns[c], factor, sums[r][c]);
    }
  }
  float results[kRows * kPanels * kTile];  // the loop over them is small code
  UNROLL
  for (int r = 0; r < kRows; r++)
    UNROLL
    for (int c = 0; c < kPanels; c++) store(results + (r * kPanels + c) * kTile, sums[r][c]);
  for (size_t i = 0; i < kRows * kPanels; i++)
    write_sums(x, (m + i / kPanels) * x.out_row + (p + i % kPanels) * kTile, load(results + i * kTile));
}
// Computes a product. Up to eleven rows behind the last one are read and written too.
NEVER_INLINE void multiply(const Product& x) {
  constexpr int kRows = kVectors < 32 ? 6 : 12, kPanels = kVectors < 32 ? 1 : 2;
  static_assert(kBlockRows % kRows == 0, "rows of a block");
  size_t p = 0;
  for (; p + kPanels <= x.panels; p += kPanels)
    for (size_t m = 0; m < x.rows; m += kRows) multiply_tile<kRows, kPanels>(x, m, p);
  for (; kPanels > 1 && p < x.panels; p++)
    for (size_t m = 0; m < x.rows; m += kRows) multiply_tile<kRows, 1>(x, m, p);
}

// The keys of a block that each of its query rows sees: a bit a key, a word a tile.
using SeenKeys = uint16_t[kBlockTiles];

// As multiply, for factors a[m][k] with m a key and k a query row, or the reverse: it reads b only where the row sees
// the key, so that no NaN or infinity comes from what is hidden.
SELDOM static void multiply_seen(const Product& x, const SeenKeys* seen, bool rows_are_keys) {
  for (size_t m = 0; m < x.rows; m++)
    for (size_t p = 0; p < x.panels; p++) {
      f32x16 sum = splat(0.f);
      for (size_t k = 0; k < x.steps; k++) {
        size_t row = rows_are_keys ? k : m, key = rows_are_keys ? m : k;
        if (seen[row][key / kTile] >> key % kTile & 1)
          sum = fma(load(x.b + p * x.b_panel + k * x.b_step), splat(x.a[m * x.a_row + k * x.a_step]), sum);
      }
      write_sums(x, m * x.out_row + p * kTile, sum);
    }
}

}  // namespace
