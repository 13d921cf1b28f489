// The driver of rows over threads. A task is some rows, about an eighth of a part, and has its own memory.
#pragma once
#include "run.h"

namespace {

// A call too small to share runs on its own thread.
static inline Run for_bytes(const Run& run, size_t bytes) {
  Run r = run;
  if (bytes < run.plan.parallel_bytes) r.parallel = serial, r.threads = 1;
  return r;
}
// How many rows of so many elements are one task: together some 32,768 elements.
static inline size_t rows_a_task(size_t elements) { return 32768 / (elements + 1) + 1; }

// The parts of a long row, kSuper elements each. Sums are merged in their order.
struct Parts {
  size_t elements;
  size_t count() const { return (elements + kSuper - 1) / kSuper; }
  size_t end(size_t part) const { return part + 1 < count() ? (part + 1) * kSuper : elements; }
  // A single part runs on this thread.
  ALWAYS void each(const Run& run, void (*task)(void*, size_t), void* self) const {
    elements <= kSuper ? task(self, 0) : run.parallel(count(), task, self);
  }
};

// Work has a type Memory, constructed from the call's Run for each task, and row(run, memory, index), whose run has one
// thread. A row that is shared in turn uses the call's Run, by its memory.
template <class Work> struct RowTasks {
  const Run& run;
  const Work& work;
  size_t rows, each;

  static void task(void* self, size_t index) {
    const RowTasks& s = *(const RowTasks*)self;
    Run alone = s.run;
    alone.parallel = serial, alone.threads = 1;
    typename Work::Memory memory(s.run);
    size_t end = (index + 1) * s.each < s.rows ? (index + 1) * s.each : s.rows;
    for (size_t i = index * s.each; i < end && !s.run.stopped(); i++) s.work.row(alone, memory, i);
  }
};
template <class Work> void share_rows(const Run& run, size_t rows, size_t elements, const Work& work) {
  RowTasks<Work> tasks = {run, work, rows, rows};
  if (run.threads == 1) return RowTasks<Work>::task(&tasks, 0);
  tasks.each = rows_a_task(elements);
  run.parallel((rows + tasks.each - 1) / tasks.each, RowTasks<Work>::task, &tasks);
}

// The Memory of work that needs none.
struct NoMemory {
  explicit NoMemory(const Run&) {}
};

}  // namespace
