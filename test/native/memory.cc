// Each allocation of every kernel of kernels.def fails, alone and with all later ones, on one thread and on three. A
// call then reports through Run and leaves its output as it was, or does without the memory and gives its usual result.
// It writes nothing beside its output and its memory, and gives all memory back.
#include "calls.h"
#include "isas.h"

namespace {

constexpr size_t kMargin = 64;
constexpr char kPaint = (char)0xA5;

// Allocations since the call began; the one that fails (0: none), and whether all later ones fail too.
std::atomic<size_t> asked{0};
std::atomic<long> live{0};
size_t fails_at = 0;
bool fails_ever_after = false;
volatile size_t missing = 0;

bool fails() {
  size_t n = ++asked;
  return fails_at && (n == fails_at || (fails_ever_after && n > fails_at));
}
// Memory with a painted margin on both sides. The size stands before the first margin.
void* limited(size_t bytes) {
  if (fails()) return nullptr;
  char* memory = (char*)std::malloc(bytes + 3 * kMargin);
  live++;
  memcpy(memory, &bytes, sizeof bytes);
  memset(memory + kMargin, kPaint, kMargin);
  memset(memory + 2 * kMargin + bytes, kPaint, kMargin);
  return memory + 2 * kMargin;
}
bool is_painted(const char* at, size_t bytes) {
  for (size_t i = 0; i < bytes; i++)
    if (at[i] != kPaint) return false;
  return true;
}
void give_back(void* p) {
  char* memory = (char*)p - 2 * kMargin;
  size_t bytes;
  memcpy(&bytes, memory, sizeof bytes);
  bool whole = is_painted(memory + kMargin, kMargin) && is_painted(memory + 2 * kMargin + bytes, kMargin);
  CHECK(whole, "%s wrote beside its memory", doing);
  live--;
  std::free(memory);
}

// Outputs with margins. In place, the first output begins as a copy of the first input.
struct Outputs {
  Results memory;
  Out at;
  template <class Call> Outputs(const Call& call, bool in_place) {
    for (auto& each : call.outputs()) memory.emplace_back(each.bytes + 2 * kMargin, kPaint);
    for (auto& each : memory) at.push_back(each.data() + kMargin);
    if (in_place) memcpy(at[0], call.inputs()[0].data, call.inputs()[0].bytes);
  }
  bool has_margins() const {
    for (auto& each : memory)
      if (!is_painted(each.data(), kMargin) || !is_painted(each.data() + each.size() - kMargin, kMargin)) return false;
    return true;
  }
};

template <class Call>
Outputs outputs_of(const Call& call, typename Call::Kernel kernel, const Run& run, bool in_place) {
  Outputs outputs(call, in_place);
  In in;
  for (auto& each : call.inputs()) in.push_back(each.data);
  if (in_place) in[0] = outputs.at[0];
  asked = 0;
  missing = 0;
  call.run(kernel, run, in, outputs.at);
  return outputs;
}

// These kernels allocate by a row's data, or judge rows first: rows before the one that lacked memory have results, in
// arrays that the functions of lib/ make.
bool writes_rows(const char* kernel) {
  return has(kernel, "argmax") || has(kernel, "top_k") || has(kernel, "sample") || has(kernel, "soft_nms") ||
         has(kernel, "route_") || has(kernel, "load_balance") || has(kernel, "moments");
}

// Returns the number of allocations that failed.
template <class Call>
size_t starve(const char* name, const Call& call, typename Call::Kernel kernel, Run run, bool in_place) {
  run.allocate = limited;
  run.release = give_back;
  run.missing = &missing;
  in_place = in_place && Call::kInPlace && call.outputs()[0].bytes;
  fails_at = 0;
  const Outputs before(call, in_place), expected = outputs_of(call, kernel, run, in_place);
  CHECK(missing == 0, "%s missed memory that was there", doing);
  size_t failed = 0;
  for (bool ever_after : {false, true}) {
    fails_ever_after = ever_after;
    // After the first twelve, a sample: tasks ask for the same memory.
    for (fails_at = 1;; fails_at += fails_at < 12 ? 1 : 1 + fails_at / 3) {
      Outputs outputs = outputs_of(call, kernel, run, in_place);
      if (asked < fails_at) break;
      failed++;
      CHECK(live == 0, "%s kept %ld pieces of memory", doing, (long)live);
      CHECK(outputs.has_margins(), "%s wrote beside its output", doing);
      if (missing && writes_rows(name)) continue;
      const Results& usual = (missing ? before : expected).memory;
      CHECK(outputs.memory == usual, "%s %s without allocation %zu", doing, missing ? "wrote" : "has another result",
            fails_at);
    }
  }
  return failed;
}

template <class Call> void every_allocation(const char* name, typename Call::Kernel Kernels::* kernel) {
  const size_t part = 1 << 16;
  const Kind *equal = &kOrdinary[4], *usual = &kOrdinary[2];
  std::vector<Shape> shapes = {
      {usual, 90, 7000, 1, 0.7, 1},
      {equal, 2, 500, 700, 1, 1},
      {usual, 3, 20000, 1, 1, 3},
      {&kCopies, 1, 40000, 1, 1, 4},
      {&kPeakOverCopies, 2, 40000, 1, 1, 6},
  };
  if (!writes_rows(name)) {
    shapes.push_back({equal, 1, 3 * part + 5, 1, 1, 1});
    shapes.push_back({equal, 2, part + 3, 1, 0.7, 2});
    shapes.push_back(Shape{equal, 2, part + 9, 1, 1, 2}.masked(3, 1).biased(1, 2));
  }
  for (int32_t layout : {1, 3, 4}) {
    Shape shape = {usual, 9, 9000, 1, 1, (uint32_t)layout};
    shapes.push_back(shape.masked(layout, 1).biased(1 + layout % 2, 1));
  }
  uint32_t samples = has(name, "sample") ? 40 : 0, prompts = has(name, "attention") ? 30 : 0;
  for (uint32_t seed = 0; seed < samples; seed++) shapes.push_back({usual, 1 + seed % 2, 17000, 1, 1, seed});
  for (uint32_t seed = 0; seed < prompts; seed++) shapes.push_back({usual, 1 + seed % 3, 100 + seed * 83, 1, 1, seed});
  size_t failed = 0, made = 0;
  const size_t one_in = thinning() == 1 ? 1 : thinning() < 500 ? 3 : 9;
  const size_t first = one_in == 9 ? 6 : 0;  // short rows take no memory in softmax: this one is long
  for (const Shape& shape : shapes) {
    if (made++ % one_in != first) continue;
    const Call call(shape);
    for (unsigned threads : {1, 3}) {
      std::string what = text("%s on %u threads: %s", name, threads, call.about().c_str());
      doing = what.c_str();
      Run run = make_run(made % 2 ? Way::store : Way::two_pass, threads);
      failed += starve(name, call, isas()[0].kernels->*kernel, run, made % 4 < 2);
    }
  }
  doing = name;
  bool needs_none = has(name, "kv_append") || has(name, "linear_append") || has(name, "head_rows") ||
                    has(name, "head_sums");
  for (const char* each : {"argmax_f32", "argmax_f64", "normalize_f32", "normalize_f64", "decode_yolo_f32"})
    needs_none = needs_none || !strcmp(name, each);
  // Rows of losses are read in place, halves through floats.
  for (const char* each :
       {"taylor_softmax_f", "z_loss_f", "soft_top_k_f", "soft_top_k_backward_f", "safe_step_radius_f"})
    needs_none = needs_none || (has(name, each) && !has(name, "f16"));
  // Long rows of halves are read in place, others through floats: a sample may have none of these.
  const bool may_need_none = !strcmp(name, "normalize_f16") || !strcmp(name, "normalize_bf16");
  CHECK(may_need_none || needs_none == (failed == 0), "%zu allocations of %s failed", failed, name);
  report(text("%s %zu", name, failed));
}

}  // namespace

TEST(memory_that_cannot_be_had) {
  pool::set_threads(3);
#define KERNEL(name, ...) every_allocation<CALL_OF(name)>(#name, &Kernels::name);
#include "../../native/kernels.def"
#undef KERNEL
  pool::set_threads(1);
}
