// A pool of threads for the whole process: started at the first piece of work that is worth sharing, one caller at a
// time (a second one, in another worker thread, works alone rather than wait), joined when the last user leaves or the
// process ends.
#pragma once
#include <stddef.h>

namespace pool {

// One pair for each environment (Node's main thread, each of its worker threads). After the last close() no helper is
// left and none is started, until another open(): this library may be unloaded.
void open();
void close();

unsigned threads();              // including the caller's; 1 until a number is set
void set_threads(unsigned n);    // 1: nothing is shared
void suggest_threads(unsigned n);  // the same, unless a number has been set

// task(context, i) for every i < count; returns when all are done. Neighbours go to one thread, in their order, and
// the same ones to the same thread every time, so that what a thread wrote to its cache it finds there again.
void parallel(size_t count, void (*task)(void*, size_t), void* context);

}  // namespace pool
