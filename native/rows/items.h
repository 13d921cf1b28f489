// Logits taken out of their row, in the order of selection: by key, the lower index first among equal keys.
//
// The items are sorted in a heap. BestItems keeps the first few of all items that it is offered.
#pragma once
#include <stddef.h>

namespace {

constexpr uint32_t kNoIndex = 0xFFFFFFFF;  // in place of the indices of a row with a NaN

// A logit z and its index in the row. The key orders items; mostly it is z.
struct Item {
  double key, z, weight;
  size_t index;
};
SIMD_INLINE bool comes_before(const Item& a, const Item& b) {
  return a.key > b.key || (a.key == b.key && a.index < b.index);
}

// Moves an item down a heap whose root comes last in the order.
static void sift_down(Item* heap, size_t n, size_t at) {
  Item moving = heap[at];
  for (size_t child; (child = 2 * at + 1) < n; at = child) {
    if (child + 1 < n && comes_before(heap[child], heap[child + 1])) child++;
    if (!comes_before(moving, heap[child])) break;
    heap[at] = heap[child];
  }
  heap[at] = moving;
}
static void build_heap(Item* items, size_t n) {
  for (size_t i = n / 2; i-- > 0;) sift_down(items, n, i);
}
static void sort_items(Item* items, size_t n) {
  build_heap(items, n);
  for (size_t left = n; left > 1;) {
    Item last = items[0];
    items[0] = items[--left];
    items[left] = last;
    sift_down(items, left, 0);
  }
}
// The first `limit` of all items that are offered, in whatever order they come.
struct BestItems {
  Item* items;
  size_t limit, size;

  bool is_full() const { return size == limit; }
  void offer(const Item& item) {
    if (!is_full()) {
      items[size++] = item;
      if (is_full()) build_heap(items, size);
    } else if (comes_before(item, items[0])) {
      items[0] = item;
      sift_down(items, size, 0);
    }
  }
};

}  // namespace
