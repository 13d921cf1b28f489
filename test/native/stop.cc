// A raised flag stops every kernel of kernels.def within one part: 2^16 elements of a row, or the rows of
// one task. The kernel then writes nothing more and gives its memory back.
#include "calls.h"
#include "isas.h"

namespace {

volatile int32_t stop = 0;

// The flag is raised after the first task, so that the others must do nothing.
void one_task(size_t count, void (*task)(void*, size_t), void* context) {
  for (size_t i = 0; i < count; i++) {
    task(context, i);
    stop = 1;
  }
}

template <class Call> size_t written(const Call& call, typename Call::Kernel kernel, Way way) {
  Run run = make_run(way, 2);
  run.stop = &stop;
  run.parallel = one_task;
  Results results;
  In in;
  Out out;
  for (auto& each : call.outputs()) results.emplace_back(each.bytes, (char)0xA5);
  for (auto& each : results) out.push_back(each.data());
  for (auto& each : call.inputs()) in.push_back(each.data);
  call.run(kernel, run, in, out);
  size_t most = 0;
  for (size_t o = 0; o < results.size(); o++) {
    size_t bytes = results[o].size(), kept = 0;
    for (char c : results[o]) kept += c == (char)0xA5;
    most = std::max(most, (bytes - kept) / call.outputs()[o].element);
  }
  return most;
}

// A row is one task of these kernels, which look at the flag at each part of it: here it is raised behind the task.
bool takes_whole_rows(const char* kernel) {
  return has(kernel, "taylor_softmax") || has(kernel, "z_loss") || has(kernel, "soft_top_k");
}

template <class Call> void stops(const char* name, typename Call::Kernel Kernels::* kernel) {
  const size_t part = 1 << 16;
  const Kind* kind = &kOrdinary[4];  // the quickest to make
  for (const Shape& shape :
       {Shape{kind, 1, 3 * part + 5, 1, 1, 1}, Shape{kind, 90, 7000, 1, 0.7, 1}, Shape{kind, 2, 500, 700, 1, 1}}) {
    const Call call(shape);
    for (Way way : {Way::store, Way::two_pass, Way::stream}) {
      if (thinning() > 1 && way != Way::two_pass) continue;
      std::string what = text("%s (plan %d): %s", name, (int)way, shape.about().c_str());
      doing = what.c_str();
      stop = 1;
      size_t n = written(call, isas()[0].kernels->*kernel, way);
      CHECK(n == 0, "%zu results in spite of a raised flag, %s", n, doing);
      stop = 0;
      n = written(call, isas()[0].kernels->*kernel, way);
      CHECK(n <= (takes_whole_rows(name) ? std::max(part, shape.cols) : part),
            "%zu results after the flag was raised, %s", n, doing);
      CHECK(allocated == 0, "%ld pieces of memory were not released: %s", (long)allocated, doing);
    }
  }
  doing = name;
}

}  // namespace

TEST(stops_within_a_block) {
#define KERNEL(name, ...) stops<CALL_OF(name)>(#name, &Kernels::name);
#include "../../native/kernels.def"
#undef KERNEL
}
