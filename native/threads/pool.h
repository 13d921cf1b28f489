// A pool of threads for the whole process: started at the first piece of work that is worth sharing, one caller at a
// time (a second one, in another worker thread, works alone rather than wait), joined when the process ends.
#pragma once
#include <stddef.h>

namespace pool {

void set_threads(unsigned n);  // including the caller's; 1: nothing is shared
unsigned threads();

// task(context, i) for every i < count, in no order; returns when all are done.
void parallel(size_t count, void (*task)(void*, size_t), void* context);

}  // namespace pool
