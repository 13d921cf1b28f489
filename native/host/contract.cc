// Stamps the contract of each operator from operators.def: its arguments by name, and the checks of their lengths.
#include "contract.h"

namespace binding {

AttentionSizes AttentionSizes::of(const TypedArray& shape) {
  AttentionSizes s = {};
  if (shape.data && shape.length >= kCount) COPY((void*)&s, shape.data, sizeof s);
  return s;
}

// Whether sizes are whole numbers, and positive where kernels divide by them.
bool AttentionSizes::fit() const {
  const double* all = &batch;
  for (size_t i = 0; i < kCount; i++)
    if ((i < kSizes || i >= kFirstStride) && !is_size(all[i])) return false;
  return kv_heads > 0 && depth > 0 && value_depth > 0 && std::fmod(heads, kv_heads) == 0 && page <= UINT32_MAX;
}

double pages_of(const AttentionSizes& s, const TypedArray& lengths) {
  double sum = 0;
  for (size_t b = 0; b < lengths.length; b++) sum += pages_until(s, ((const int32_t*)lengths.data)[b]);
  return sum;
}

bool are_lengths(const TypedArray& lengths) {
  for (size_t b = 0; b < lengths.length; b++)
    if (((const int32_t*)lengths.data)[b] < 0) return false;
  return true;
}

bool are_below(const TypedArray& positions, double end) {
  for (size_t i = 0; i < positions.length; i++)
    if (((const int32_t*)positions.data)[i] >= end) return false;
  return true;
}

bool are_indices(const TypedArray& positions, double end) {
  for (size_t i = 0; i < positions.length; i++)
    if (((const uint32_t*)positions.data)[i] >= end) return false;
  return true;
}

bool are_below_infinity(const TypedArray& numbers) {
  constexpr double kLargest = 0x1.fffffffffffffp1023;
  for (size_t i = 0; i < numbers.length; i++)
    if (!(((const double*)numbers.data)[i] <= kLargest)) return false;
  return true;
}

double longest(const TypedArray& lengths) {
  int32_t most = 0;
  for (size_t b = 0; b < lengths.length; b++) {
    int32_t length = ((const int32_t*)lengths.data)[b];
    if (length > most) most = length;
  }
  return most;
}

bool are_pages(const AttentionSizes& s, const SlabList& slabs, const SlabList& scales, const TypedArray& table,
               double first, double end) {
  if (!(end <= (double)table.length)) return false;
  if (slabs.type == ArrayType::int8 ? scales.count != slabs.count : scales.count != 0) return false;
  double capacity[Slabs<void>::kMost];
  for (size_t i = 0; i < slabs.count; i++) {
    capacity[i] = std::floor((double)slabs.length[i] / s.page_elements());
    if (scales.count && (double)scales.length[i] < capacity[i] * s.kv_heads * s.page * 2) return false;
  }
  for (size_t i = (size_t)first; (double)i < end; i++) {
    uint32_t entry = ((const uint32_t*)table.data)[i];
    if (entry >> 26 >= slabs.count || (entry & 0x3FFFFFF) >= capacity[entry >> 26]) return false;
  }
  return true;
}

// Columns and bytes of a block, in the order of kFloat32 … kNibbles8 (head/weight_formats.h); 0 bytes: a block has a
// size of its own.
static constexpr double kBlocks[10][2] = {{1, 4},   {1, 2},     {1, 2},     {1, 1}, {32, 34},
                                          {32, 18}, {256, 144}, {256, 210}, {0, 0}, {0, 0}};
static bool has_free_blocks(double format) { return format == 8 || format == 9; }

bool are_weights(double format, double cols, double block) {
  if (!(format >= 0 && format <= 9)) return false;
  if (!has_free_blocks(format)) return std::fmod(cols, kBlocks[(size_t)format][0]) == 0;
  return block >= 16 && block < 0x1p63 && ((uint64_t)block & ((uint64_t)block - 1)) == 0;  // a power of two
}
bool are_integers(double format) { return format >= 3; }
double weight_bytes(double format, double rows, double cols, double block) {
  if (!are_weights(format, cols, block)) return kNever;
  if (has_free_blocks(format)) return rows * std::ceil(cols / block) * (format == 8 ? block / 2 : block);
  return rows * cols / kBlocks[(size_t)format][0] * kBlocks[(size_t)format][1];
}
double weight_scales(double format, double rows, double cols, double block) {
  return has_free_blocks(format) ? rows * std::ceil(cols / block) : 0;
}
double weight_zero_points(double format, double rows, double cols, double block) {
  const double blocks = std::ceil(cols / block);
  return has_free_blocks(format) ? rows * (format == 8 ? std::ceil(blocks / 2) : blocks) : 0;
}

void Examination::require(bool condition, const char* expected) {
  if (!holds || condition) return;
  refusal.name = nullptr;
  refusal.expected = expected;
  holds = false;
}

void Examination::length(const TypedArray& a, const char* name, double least, bool is_optional) {
  if (!holds || (a.is_given() ? (double)a.length >= least : is_optional || least <= 0)) return;
  refusal.name = name;
  refusal.least = least;
  refusal.received = (double)a.length;
  holds = false;
}

// The layouts are those of rows/parameters.h.
void Examination::mask(const TypedArray& a, const char* name, double layout, double elements, double cols) {
  require(layout >= 0 && layout <= 4, "a layout of masks from 0 to 4");
  if (layout == 0) return;
  bool is_bits = layout >= 3, is_row = layout == 2 || layout == 4;
  double entries = is_row ? cols : elements;
  length(a, name, is_bits ? std::ceil(entries / 8) : entries, false);
}

void Examination::bias(const TypedArray& a, const char* name, double elements, double cols) {
  if (a.is_given() && (double)a.length != cols) length(a, name, elements, false);
}

namespace {

// softmax_call, …: the arguments of an operator by name. Functions read them: in a member's initializer, g++ 12 with
// UBSan evaluates an index twice.
#define OPERATOR(op, TYPES) \
  struct op##_call { \
    const Arguments& all; \
    size_t at = 0; \
    const Arguments::Slot& next() { return all.slots[at++]; } \
    const SlabList& next_slabs() { return all.slabs[next().size]; }
#define ARRAY(name) TypedArray name = next().array;
#define SIZE(name) double name = (double)next().size;
#define NUMBER(name) double name = next().number;
#define CODE(name) NUMBER(name)
#define INPUT(T, name, length) ARRAY(name)
#define OPTIONAL_INPUT(T, name, length) ARRAY(name)
#define OUTPUT(T, name, length) ARRAY(name)
#define OPTIONAL_OUTPUT(T, name, length) ARRAY(name)
#define MASK(name, layout, elements, cols) ARRAY(name) CODE(layout)
#define BIAS(X, name, elements, cols) ARRAY(name)
#define SHAPE(name) ARRAY(name) AttentionSizes s = AttentionSizes::of(name);
#define SLABS(T, name) const SlabList& name = next_slabs();
#define END(op) \
  } \
  ;
#include "../operators.def"
#undef ARRAY

// softmax_contract, …: the checks. The expressions of operators.def use the arguments by name.
#define OPERATOR(op, TYPES) \
  struct op##_contract : op##_call { \
    void examine(Examination& e) const {
#define INPUT(T, name, least) e.length(name, #name, least, false);
#define OPTIONAL_INPUT(T, name, least) e.length(name, #name, least, true);
#define OUTPUT(T, name, least) INPUT(T, name, least)
#define OPTIONAL_OUTPUT(T, name, least) OPTIONAL_INPUT(T, name, least)
#define MASK(name, layout, elements, cols) e.mask(name, #name, layout, elements, cols);
#define BIAS(X, name, elements, cols) e.bias(name, #name, elements, cols);
#define SHAPE(name) e.length(name, #name, AttentionSizes::kCount, false);
#define REQUIRE(condition, expected) \
  if (e.holds) e.require(condition, expected);
#define END(op) \
  } \
  } \
  ;
#include "../operators.def"

}  // namespace

#define OPERATOR(op, TYPES) \
  bool op##_holds(const Arguments& arguments, Refusal& refusal) { \
    Examination e = {{#op, nullptr, nullptr, 0, 0}}; \
    op##_contract{{arguments}}.examine(e); \
    refusal = e.refusal; \
    return e.holds; \
  }
#include "../operators.def"

}  // namespace binding
