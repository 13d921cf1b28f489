#include "plan.h"

#include <atomic>

#include "cpu.h"

namespace {
std::atomic<size_t> two_pass, stream, parallel_from;
std::atomic<bool> set{false};
}  // namespace

// Measured on Zen 4. Storing q and scaling it is faster while the row and its result fill at most two thirds of the
// last cache; larger rows are read twice and written past the caches. A sleeping second thread pays from 400 KB on (it
// wakes in 30 to 60 microseconds), one that still polls from 250 KB on.
Plan default_plan() {
  const Caches& c = machine().caches;
  size_t last = c.l3 ? c.l3 : c.l2 ? c.l2 : 1 << 20;
  return {last / 3, last / 3, 3 << 17};
}

Plan current_plan() {
  if (!set) return default_plan();
  return {two_pass, stream, parallel_from};
}

void set_plan(const Plan& plan) {
  two_pass = plan.two_pass_bytes, stream = plan.stream_bytes, parallel_from = plan.parallel_bytes;
  set = true;
}
