// The boxes of an image that may still be selected, in blocks of eight. A block has bounds, so that a box far from all
// eight skips them, and its largest key.
#pragma once
#include "box_order.h"

namespace {

constexpr size_t kBlockBoxes = 8;

// A place among the blocks.
struct Lane {
  size_t at;
  bool is_some;
};

class BoxBlocks {
 public:
  BoxColumns lanes;
  uint32_t* index;  // of the box in each lane
  size_t alive = 0;

  static size_t padded(size_t n) { return (n + 15) / 16 * 16; }
  static size_t doubles(size_t n) { return 6 * padded(n) + padded(padded(n) / kBlockBoxes); }
  static size_t floats(size_t n) { return 4 * padded(padded(n) / kBlockBoxes); }

  BoxBlocks(double* memory, float* bounds_memory, uint32_t* index_memory, size_t n) : index(index_memory) {
    const size_t most = padded(padded(n) / kBlockBoxes);
    lanes = BoxColumns::in(memory, padded(n));
    best = memory + 6 * padded(n);
    for (size_t side = 0; side < 4; side++) bounds[side] = bounds_memory + side * most;
  }
  // Takes the boxes `order`, in this order, from columns that have an entry for each box.
  void gather(const BoxColumns& all, const uint32_t* order, size_t n) {
    alive = n;
    blocks = (n + kBlockBoxes - 1) / kBlockBoxes;
    for (size_t i = 0; i < n; i++) {
      const size_t from = index[i] = order[i];
      lanes.left[i] = all.left[from];
      lanes.top[i] = all.top[from];
      lanes.minus_right[i] = all.minus_right[from];
      lanes.minus_bottom[i] = all.minus_bottom[from];
      lanes.area[i] = all.area[from];
      lanes.key[i] = all.key[from];
    }
    for (size_t i = n; i < blocks * kBlockBoxes; i++) {
      lanes.put(i, {infinity<double>(), 0, 0, 0});
      lanes.key[i] = -infinity<double>();
    }
    for (size_t b = 0; b < padded(blocks); b++) measure(b);
  }
  // Whether so many boxes have gone that the rest should move together.
  bool is_sparse() const { return alive * 3 < blocks * kBlockBoxes * 2; }

  // Writes the keys of the boxes that are left to `all`, and the boxes in their order. Returns how many these are.
  size_t scatter(const BoxColumns& all, uint32_t* order) const {
    size_t n = 0;
    for (size_t i = 0; i < blocks * kBlockBoxes; i++) {
      if (lanes.key[i] == -infinity<double>()) continue;
      all.key[index[i]] = lanes.key[i];
      order[n++] = index[i];
    }
    return n;
  }
  // The box with the largest key, the one of the lowest index among equals.
  Lane first() const {
    f64x8 top = splat(-infinity<double>());
    for (size_t b = 0; b < blocks; b += 8) top = max_keep_nan(top, load(best + b));
    const double key = reduce_max(top);
    Lane found = {0, key > -infinity<double>()};
    if (!found.is_some) return found;
    uint32_t lowest = 0xFFFFFFFF;
    for (size_t b = 0; b < blocks; b += 8) {
      // No lane is above `key`, so that what is not below it is equal.
      for (uint32_t bits = ~lanes_above(splat(key), load(best + b)) & 0xFF; bits; bits &= bits - 1)
        first_in(b + lowest_bit(bits), key, found, lowest);
    }
    return found;
  }
  void remove(size_t lane) {
    alive--;
    lanes.left[lane] = infinity<double>();
    lanes.key[lane] = -infinity<double>();
    update(lane / kBlockBoxes, load(lanes.key + lane / kBlockBoxes * kBlockBoxes));
  }
  // Removes the lanes `gone` of a block whose keys are `keys`.
  ALWAYS void store_keys(size_t block, f64x8 keys, uint32_t gone) {
    const size_t at = block * kBlockBoxes;
    if (gone) {
      alive -= bit_count(gone);
      keys = select_bits(splat(-infinity<double>()), keys, gone);
      store(lanes.left + at, select_bits(splat(infinity<double>()), load(lanes.left + at), gone));
    }
    store(lanes.key + at, keys);
    update(block, keys);
  }
  // Calls visit(block, lanes) for the blocks of lanes [from, to) that the box may meet.
  template <class Visit> ALWAYS void each_near(const Box& box, size_t from, size_t to, const Visit& visit) const {
    const f32x16 left = splat(float_below(box.left)), right = splat(float_below(box.minus_right));
    const f32x16 top = splat(float_below(box.top)), bottom = splat(float_below(box.minus_bottom));
    const size_t first = from / kBlockBoxes, end = (to + kBlockBoxes - 1) / kBlockBoxes;
    for (size_t b = first / 16 * 16; b < end; b += 16) {
      const f32x16 width = add(max_keep_nan(left, load(bounds[0] + b)), max_keep_nan(right, load(bounds[2] + b)));
      const f32x16 height = add(max_keep_nan(top, load(bounds[1] + b)), max_keep_nan(bottom, load(bounds[3] + b)));
      uint32_t near = lanes_above(splat(0.f), max_keep_nan(width, height));
      if (b < first) near &= 0xFFFFu << (first - b);
      if (end - b < 16) near &= (1u << (end - b)) - 1;
      for (; near; near &= near - 1) {
        const size_t block = b + lowest_bit(near), at = block * kBlockBoxes;
        uint32_t inside = 0xFF;
        if (at < from) inside &= 0xFFu << (from - at);
        if (to - at < kBlockBoxes) inside &= (1u << (to - at)) - 1;
        visit(block, inside);
      }
    }
  }

 private:
  size_t blocks = 0;
  double* best;
  float* bounds[4];  // left, top, -right, -bottom

  // The bounds and the largest key of a block; a block behind the last one has none.
  void measure(size_t b) {
    const double* sides[4] = {lanes.left, lanes.top, lanes.minus_right, lanes.minus_bottom};
    for (int side = 0; side < 4; side++) {
      double least = infinity<double>();
      for (size_t i = b * kBlockBoxes; b < blocks && i < (b + 1) * kBlockBoxes; i++) {
        const bool is_box = lanes.key[i] > -infinity<double>();
        if (is_box && sides[side][i] < least) least = sides[side][i];
      }
      bounds[side][b] = least < infinity<double>() ? float_below(least) : infinity<float>();
    }
    best[b] = b < blocks ? reduce_max(load(lanes.key + b * kBlockBoxes)) : -infinity<double>();
  }
  ALWAYS void update(size_t block, f64x8 keys) {
    best[block] = reduce_max(keys);
    if (best[block] == -infinity<double>()) bounds[0][block] = infinity<float>();
  }
  void first_in(size_t block, double key, Lane& found, uint32_t& lowest) const {
    const size_t at = block * kBlockBoxes;
    for (uint32_t bits = ~lanes_above(splat(key), load(lanes.key + at)) & 0xFF; bits; bits &= bits - 1) {
      const size_t lane = at + lowest_bit(bits);
      if (index[lane] > lowest) continue;
      lowest = index[lane];
      found.at = lane;
    }
  }
};

}  // namespace
