// softmax gives the same bits on every instruction set where one lane alone is special: a value outside of the window
// of exponents at each place of a row, and tiles of sixteen rows of each number of columns, whole and not; and where a
// block of a row lies far below another.
#include "calls.h"
#include "isas.h"

namespace {

std::vector<float> softmax_of(const Isa& isa, const std::vector<float>& x, size_t rows) {
  std::vector<float> y(x.size());
  const LogitRows<float> call = {{{rows, x.size() / rows, 1}, 1, {nullptr, 0}}, {nullptr, 0}};
  isa.kernels->softmax_f32(make_run(Way::store), x.data(), y.data(), call);
  return y;
}

void compare(const std::vector<float>& x, size_t rows, const std::string& what) {
  doing = what.c_str();
  const std::vector<float> wanted = softmax_of(isas()[0], x, rows);
  for (auto& isa : isas()) {
    const std::vector<float> y = softmax_of(isa, x, rows);
    CHECK(memcmp(y.data(), wanted.data(), y.size() * sizeof(float)) == 0, "%s: %s", isa.name, what.c_str());
  }
}

}  // namespace

TEST(bits_of_an_outlier_in_each_lane) {
  Random random{1};
  for (size_t n : {200, 300})  // summed in double, and in float
    for (float outlier : {-200.f, 200.f, -3e38f, -INFINITY, NAN})
      for (size_t i = 0; i < n; i++) {
        std::vector<float> x(n);
        for (float& each : x) each = (float)random.normal();
        x[i] = outlier;
        compare(x, 1, text("%g at %zu of %zu", outlier, i, n));
      }
  doing = "";
}

TEST(bits_of_blocks_far_apart) {
  const size_t block = 65536;  // elements that share an exponent
  Random random{3};
  for (int octaves = 80; octaves <= 124; octaves += 4) {
    std::vector<float> x(2 * block);
    for (size_t i = 0; i < x.size(); i++) x[i] = (float)random.normal() - (i < block ? 0.f : 0.6931472f * octaves);
    compare(x, 1, text("%d octaves", octaves));
  }
  doing = "";
}

TEST(bits_of_tiles) {
  Random random{2};
  for (size_t cols = 1; cols <= 13; cols++)
    for (size_t rows = 14; rows <= 35; rows++) {
      std::vector<float> x(rows * cols);
      for (float& each : x) each = (float)random.normal();
      compare(x, rows, text("%zu rows of %zu", rows, cols));
    }
  doing = "";
}
