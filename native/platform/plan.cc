#include "plan.h"

#include <atomic>

#include "cpu.h"

namespace {
std::atomic<size_t> two_pass, stream, parallel_from;
std::atomic<bool> set{false};
}  // namespace

// Measured on Zen 4: storing q and scaling it wins as long as the row and its result fill no more than two thirds of the
// last cache; beyond that the row is read twice, and then it pays to write past the caches. A second thread that has
// to be woken pays from some 400 KB on (it is there after 30 to 60 microseconds), one that still looks for work from 250.
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
