#include "plan.h"

#include <atomic>

#include "cpu/cpu.h"

namespace {
std::atomic<size_t> two_pass, stream, parallel_from;
std::atomic<bool> set{false};
}  // namespace

// Measured on Zen 4 (bench/NOTES.md): storing q and scaling it wins as long as input and output both stay in the last
// cache, and a little beyond; streaming stores win once the output alone no longer fits. Waking a helper costs
// what a core does in some ten microseconds: about a quarter of a megabyte.
Plan default_plan() {
  const Caches& c = machine().caches;
  size_t last = c.l3 ? c.l3 : c.l2 ? c.l2 : 1 << 20;
  return {last / 2, last / 2, 1 << 18};
}

Plan current_plan() {
  if (!set) return default_plan();
  return {two_pass, stream, parallel_from};
}

void set_plan(const Plan& plan) {
  two_pass = plan.two_pass_bytes, stream = plan.stream_bytes, parallel_from = plan.parallel_bytes;
  set = true;
}
