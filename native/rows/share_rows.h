// The driver of kernels whose rows need memory of their own.
#pragma once
#include "run.h"
#include "../softmax/sum.h"

namespace {

// Rows shared among threads, some short ones a task. Work has a Memory for each task, and row(memory, index).
template <class Work> struct Shared {
  const Run& run;
  const Work& work;
  size_t rows, each;

  static void task(void* self, size_t index) {
    const Shared& s = *(const Shared*)self;
    typename Work::Memory memory(s.run);
    size_t end = (index + 1) * s.each < s.rows ? (index + 1) * s.each : s.rows;
    for (size_t i = index * s.each; i < end && !s.run.stopped(); i++) s.work.row(memory, i);
  }
};
template <class Work> void share_rows(const Run& run, size_t rows, size_t cols, size_t element, const Work& work) {
  Shared<Work> shared = {run, work, rows, cols < kSuper / 8 ? kSuper / 8 / (cols + 1) + 1 : 1};
  size_t tasks = (rows + shared.each - 1) / shared.each;
  (rows * cols * element < run.plan.parallel_bytes ? serial : run.parallel)(tasks, Shared<Work>::task, &shared);
}

}  // namespace
