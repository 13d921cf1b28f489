// Logits that were taken out of their row, in the order of selection: by key, the lower index first among equals; and a heap of them.
#pragma once
#include <stddef.h>

#include "../simd/inline.h"

namespace {

constexpr uint32_t kNoIndex = 0xFFFFFFFF;  // in place of the indices of a row with a NaN

// A logit that has been taken out of its row. It is ordered by its key, which mostly is the logit.
struct Item { double key, z, weight; size_t index; };
SIMD_INLINE bool before(const Item& a, const Item& b) { return a.key > b.key || (a.key == b.key && a.index < b.index); }

// A heap whose root comes last in the order.
static void sift(Item* heap, size_t n, size_t at) {
  Item moving = heap[at];
  for (size_t child; (child = 2 * at + 1) < n; at = child) {
    if (child + 1 < n && before(heap[child], heap[child + 1])) child++;
    if (!before(moving, heap[child])) break;
    heap[at] = heap[child];
  }
  heap[at] = moving;
}
static void make_heap(Item* items, size_t n) { for (size_t i = n / 2; i-- > 0;) sift(items, n, i); }
static void sort_items(Item* items, size_t n) {
  make_heap(items, n);
  for (size_t left = n; left > 1;) {
    Item last = items[0];
    items[0] = items[--left], items[left] = last;
    sift(items, left, 0);
  }
}
// The first `limit` items of all that are offered, in whatever order these come.
struct First {
  Item* items;
  size_t limit, size;

  bool full() const { return size == limit; }
  void offer(const Item& item) {
    if (!full()) {
      items[size++] = item;
      if (full()) make_heap(items, size);
    } else if (before(item, items[0])) {
      items[0] = item;
      sift(items, size, 0);
    }
  }
};

}  // namespace
