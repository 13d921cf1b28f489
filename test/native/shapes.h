// The shapes, masks and biases that kernels are called with. small(use) has many shapes; large(use) has rows across the
// kernels' blocks and the parts that threads share; valued(use) has a few shapes with all kinds of values.
// A shape holds no numbers: a call draws them from the seeds (calls.h).
#pragma once
#include "rows.h"

struct Shape {
  const Kind* kind;
  size_t outer, cols, inner;
  double temperature;
  uint32_t seed;
  int32_t layout = 0;  // of the mask: 0 none; for each element, 1 bytes or 3 bits; one row for all, 2 bytes or 4 bits
  uint32_t mask_seed = 0;
  int bias = 0;  // 0 none, 1 for each element, 2 one row for all
  uint32_t bias_seed = 0;

  size_t rows() const { return outer * inner; }
  size_t elements() const { return rows() * cols; }
  size_t biases() const { return bias == 0 ? 0 : bias == 1 ? elements() : cols; }
  const Kind& bias_kind() const { return kBiases[bias_seed % std::size(kBiases)]; }

  Shape masked(int32_t with, uint32_t from) const {
    Shape s = *this;
    s.layout = with;
    s.mask_seed = from;
    return s;
  }
  Shape biased(int with, uint32_t from) const {
    Shape s = *this;
    s.bias = with;
    s.bias_seed = from;
    return s;
  }
  std::vector<uint8_t> mask() const {
    Random random{mask_seed};
    size_t entries = layout == 2 || layout == 4 ? cols : elements();
    std::vector<uint8_t> mask(layout == 0 ? 0 : layout < 3 ? entries : (entries + 7) / 8);
    for (auto& m : mask) m = (uint8_t)(layout < 3 ? random.bits() % 4 * 85 : random.bits());
    return mask;
  }
  std::string about() const {
    return text("[%zu, %zu, %zu] of %s, T = %g, mask layout %d, %zu biases%s%s", outer, cols, inner, kind->name,
                temperature, layout, biases(), bias ? " of " : "", bias ? bias_kind().name : "");
  }
};

// The shape with every kind of mask and bias.
template <class Use> void dressed(const Shape& shape, Use use) {
  for (int32_t m = 0; m <= 4; m++)
    for (int b = 0; b <= 2; b++) use(shape.masked(m, (uint32_t)(shape.cols + m)).biased(b, (uint32_t)shape.cols));
}
template <class Use> void small(Use use) {
  const Kind* kind = &kOrdinary[2];
  for (size_t n = 1; n <= 300; n++) dressed({kind, 1, n, 1, n % 3 ? 1 : 0.7, (uint32_t)n}, use);
  for (size_t n : {1, 2, 3, 8, 15, 16, 17, 31, 63, 100}) dressed({kind, 5, n, 1, 1.3, (uint32_t)n}, use);
  for (size_t inner : {2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 33})
    for (size_t cols : {1, 2, 5, 17})
      for (size_t outer : {1, 3}) dressed({kind, outer, cols, inner, 0.7, (uint32_t)inner}, use);
}
template <class Use> void large(Use use) {  // parts of 2^16
  const Kind* kind = &kOrdinary[2];
  for (size_t n : {1023, 4097, 65535, 65536, 65537, 65552, 100001}) dressed({kind, 1, n, 1, 1, (uint32_t)n}, use);
  for (size_t n : {262143, 262145, 600013}) use(Shape{kind, 1, n, 1, 1, (uint32_t)n});
  for (auto* far : {&kOrdinary[14], &kOrdinary[17], &kExtreme[5]}) use(Shape{far, 1, 600013, 1, 1, 1});
  for (size_t n : {1000, 20000}) use(Shape{kind, 31, n, 1, 1, (uint32_t)n});
  dressed({kind, 3, 70, 50, 1.3, 1}, use);
}
template <class Use> void valued(Use use) {
  const double temperatures[] = {1, 0.7, 1.3, 0x1p-20, 0x1p20, 1e-6, 1e6, 1e-40, 1e-300, 1e30, 1e300};
  uint32_t seed = 1;
  auto all = [&](const Kind& kind) {
    for (double t : temperatures)
      for (size_t n : {3, 16, 45, 1000, 5003}) {
        Shape shape = {&kind, 1, n, 1, t, seed++};
        use(shape);
        for (int32_t m : {0, 1 + (int32_t)(seed % 4)}) use(shape.biased(1 + (int)(n & 1), seed).masked(m, seed));
        if (n < 45 || n > 1000) continue;
        Shape columns = {&kind, 1, n / 9, 9, t, seed};
        use(columns);
        use(columns.biased(1 + (int)(seed & 1), seed).masked((int32_t)(seed % 5), seed + 1));
      }
    use(Shape{&kind, 1, 40000, 1, seed & 1 ? 1 : 0.7, seed});
  };
  for (auto& k : kOrdinary) all(k);
  for (auto& k : kExtreme) all(k);
}
