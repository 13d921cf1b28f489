// soft_nms (Bodla et al., arXiv 1704.04503): takes the box of the largest score, again and again, and lowers the scores
// of the boxes that overlap it by o, their IoU:
//
//   gaussian: s exp(-o²/sigma)      linear: s (1 - o) where o > iou_threshold      hard: 0 where o > iou_threshold
//
// Boxes whose score falls below the threshold, or to a float 0, are dropped. With the Gaussian, boxes are ordered by
// sigma ln s, from which a round subtracts o²: no exponential until a box is selected. All steps are those of
// lib/js/detection/soft-nms.ts, so that both select the same boxes and give the same bits.
#pragma once
#include "../rows/items.h"
#include "../rows/share_rows.h"
#include "box_blocks.h"

namespace {

// The methods, numbered as in lib/detection/soft-nms.ts.
enum { kHard = 0, kLinear = 1, kGaussian = 2 };

// ln x for x > 0, without fma: the steps of lib/math/log.ts. Max error: 1 ULP.
static NEVER_INLINE double ln_unfused(double x) {
  int n = exponent_of(x);
  double m = with_exponent(x, 0);
  if (m > 0x1.6a09e667f3bcdp0) {
    m /= 2;
    n++;
  }
  const double f = m - 1, h = f / (2 + f), z = h * h;
  double p = 2. / 21;
  for (int k = 19; k >= 3; k -= 2) p = p * z + 2. / k;
  return n * 0x1.62e42feep-1 + (2 * h + (h * z * p + n * 0x1.a39ef35793c76p-33));
}
// e^x for x of at most 100, without fma: the steps of lib/js/detection/soft-nms.ts. 0 below -110. Max error: 2 ULP.
static NEVER_INLINE double exp_unfused(double x) {
  if (x < -110) return 0;
  const double k = nearest(x * kLog2E), r = (x - k * 0x1.62e42feep-1) - k * 0x1.a39ef35793c76p-33;
  constexpr double kFactors[] = {1. / 6227020800, 1. / 479001600, 1. / 39916800, 1. / 3628800, 1. / 362880, 1. / 40320,
                                 1. / 5040,       1. / 720,       1. / 120,      1. / 24,      1. / 6,      1. / 2};
  double p = kFactors[0];
  for (int i = 1; i < 12; i++) p = p * r + kFactors[i];
  return (1 + (r + r * r * p)) * pow2((int)k);
}

// Scores as keys.
struct Keys {
  int32_t method;
  double sigma, iou_threshold, score_threshold;
  double least = 0;  // the smallest key that a lowered score may have

  static constexpr double kZero = -0x1p1020;  // the key of the score 0 under a Gaussian: finite, below all others

  explicit Keys(const Suppression& s)
      : method(s.method), sigma(s.sigma), iou_threshold(s.iou_threshold), score_threshold(s.score_threshold) {
    if (method == kHard) return;
    // A factor raises scores below 0: such boxes are dropped. What is not above 2^-150 is 0 as a float.
    const double smallest = 0x1.0000000000001p-150;
    if (score_threshold < 0) score_threshold = 0;
    least = score_threshold > smallest ? score_threshold : smallest;
    if (method == kGaussian) least = least < infinity<double>() ? sigma * ln_unfused(least) : least;
  }
  // Whether a box with this score, which is no NaN, takes part.
  bool counts(float score) const { return score >= score_threshold && score > -infinity<float>(); }
  double key_of(float score) const {
    return method != kGaussian ? score : score > 0 ? sigma * ln_unfused(score) : kZero;
  }
  float score_of(double key) const { return (float)(method == kGaussian ? exp_unfused(key / sigma) : key); }

  // Lowers the keys in the lanes `meeting`. Returns the lanes that are to be dropped.
  ALWAYS uint32_t lower(f64x8& keys, f64x8 iou, uint32_t meeting) const {
    uint32_t above = meeting & lanes_above(iou, splat(iou_threshold));
    if (method == kHard) return above;
    if (method == kLinear) {
      keys = select_bits(mul(keys, sub(splat(1.), iou)), keys, above);
      return above & lanes_above(splat(least), keys);
    }
    keys = select_bits(sub(keys, mul(iou, iou)), keys, meeting);
    return above | (meeting & lanes_above(splat(least), keys));
  }
};

// The boxes of one image.
struct SoftNms {
  const float* boxes;
  const float* scores;
  const int32_t* classes;  // null: all of one class
  uint32_t* indices;
  float* kept;
  uint32_t *counts, *status;
  size_t n, most;
  BoxFormat format;
  Keys keys;

  struct Memory {
    Buffer<double> doubles;
    Buffer<float> floats;
    Buffer<uint32_t> integers;
    explicit Memory(const Run& run) : doubles(run), floats(run), integers(run) {}
  };
  // Pieces of an image's memory.
  struct Image {
    BoxColumns all;
    BoxBlocks blocks;
    RadixSort sort;
    uint32_t* group;        // of each box: boxes of one class are a group
    uint32_t* group_start;  // the first lane of each group, and the end of the last
    size_t groups = 1;

    // Fills the blocks with the boxes that are left, in their order.
    void gather() {
      blocks.gather(all, sort.items, sort.n);
      size_t g = 0;
      for (size_t i = 0; i < sort.n; i++)
        for (; g <= (groups > 1 ? group[sort.items[i]] : 0); g++) group_start[g] = (uint32_t)i;
      for (; g <= groups; g++) group_start[g] = (uint32_t)sort.n;
    }
    void move_together() {
      sort.n = blocks.scatter(all, sort.items);
      gather();
    }
  };

  // The first box with a coordinate that is not finite, or a score that is NaN or +∞; kNoIndex if there is none.
  uint32_t first_wrong(size_t image) const {
    const float *box = boxes + image * n * 4, *score = scores + image * n;
    for (size_t i = 0; i < n; i++)
      if (!has_finite_sides(box + 4 * i) || !(score[i] < infinity<float>())) return (uint32_t)i;
    return kNoIndex;
  }
  void read(Image& image, size_t at) const {
    const float *box = boxes + at * n * 4, *score = scores + at * n;
    for (size_t i = 0; i < n; i++) {
      if (!keys.counts(score[i])) continue;
      image.all.put(i, box_of(box + 4 * i, format));
      image.all.key[i] = keys.key_of(score[i]);
      image.sort.items[image.sort.n++] = (uint32_t)i;
    }
  }
  // Puts boxes of one class, and neighbours among them, beside one another.
  void arrange(Image& image, size_t at) const {
    RadixSort& sort = image.sort;
    const BoxCells cells(image.all, sort.items, sort.n);
    for (size_t i = 0; i < sort.n; i++) image.group[sort.items[i]] = cells.of(image.all, sort.items[i]);
    sort.by(image.group);
    if (classes && sort.n) {
      const uint32_t* of = (const uint32_t*)classes + at * n;
      sort.by(of);
      uint32_t group = 0;
      for (size_t i = 0; i < sort.n; i++) {
        group += i > 0 && of[sort.items[i]] != of[sort.items[i - 1]];
        image.group[sort.items[i]] = group;
      }
      image.groups = group + 1;
    }
    image.gather();
  }
  void row(const Run& run, Memory& memory, size_t at) const {
    double* doubles = memory.doubles.need(6 * n + BoxBlocks::doubles(n));
    float* floats = memory.floats.need(BoxBlocks::floats(n));
    uint32_t* integers = memory.integers.need(4 * n + 1 + BoxBlocks::padded(n));
    if (!doubles || !floats || !integers) return;
    status[at] = first_wrong(at);
    counts[at] = 0;
    if (status[at] != kNoIndex || n == 0 || most == 0) return;
    Image image = {BoxColumns::in(doubles, n),
                   BoxBlocks(doubles + 6 * n, floats, integers + 4 * n + 1, n),
                   {integers, integers + n, 0},
                   integers + 2 * n,
                   integers + 3 * n};
    read(image, at);
    arrange(image, at);
    for (size_t i = 0; i < most && image.blocks.alive && !run.stopped(); i++) select(image, at);
  }
  // Selects the first box and lowers the others.
  void select(Image& image, size_t at) const {
    BoxBlocks& blocks = image.blocks;
    const BoxColumns& c = blocks.lanes;
    const size_t lane = blocks.first().at, group = image.groups > 1 ? image.group[blocks.index[lane]] : 0;
    const size_t to = at * most + counts[at]++;
    indices[to] = blocks.index[lane];
    kept[to] = keys.score_of(c.key[lane]);
    const Box box = {c.left[lane], c.top[lane], c.minus_right[lane], c.minus_bottom[lane]};
    const BoxVector selected(box, c.area[lane]);
    blocks.remove(lane);
    blocks.each_near(box, image.group_start[group], image.group_start[group + 1],
                     [&](size_t block, uint32_t inside) ALWAYS_LAMBDA {
                       const size_t i = block * kBlockBoxes;
                       const Sides sides = sides_of(selected, c, i);
                       const uint32_t meeting = sides.meeting() & inside;
                       if (!meeting) return;
                       f64x8 lowered = load(c.key + i);
                       const uint32_t gone = keys.lower(lowered, sides.iou(selected.area, load(c.area + i)), meeting);
                       blocks.store_keys(block, lowered, gone);
                     });
    if (blocks.is_sparse()) image.move_together();
  }
};

// A box costs about as much as 512 bytes of a softmax.
template <class X, class Y> void soft_nms(const Run& run, const float* boxes, const float* scores,
                                          const int32_t* classes, uint32_t* indices, float* kept, uint32_t* counts,
                                          uint32_t* status, size_t batch, size_t n, size_t most,
                                          const BoxFormat& format, const Suppression& suppression) {
  const SoftNms work = {boxes, scores, classes, indices, kept, counts, status, n, most, format, Keys(suppression)};
  share_rows(for_bytes(run, batch * n * 512), batch, n * 128, work);
}

}  // namespace
