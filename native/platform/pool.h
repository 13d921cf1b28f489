// The thread pool of the process. Its threads start with the first call that is large enough, and are joined when the
// last user leaves or the process ends. One caller uses it at a time; another one works alone instead of waiting.
#pragma once
#include <stddef.h>

namespace pool {

// A call of each for every environment (the main thread, each worker thread). After the last close() no helper is left
// and none is started until the next open(), so that this library may be unloaded.
void open();
void close();

unsigned threads();                // including the caller's; 1 until a number is set
void set_threads(unsigned n);      // 1: nothing is shared
void suggest_threads(unsigned n);  // the same, unless a number has been set

// Calls task(context, i) for each i < count. Returns when all have returned. A thread gets neighbouring tasks, in
// order, and the same ones in each call of the same count, so that it finds their data in its cache.
void parallel(size_t count, void (*task)(void*, size_t), void* context);

}  // namespace pool
