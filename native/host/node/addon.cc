// The module: a description of the machine, and the kernels of each usable instruction set as functions and as jobs.
#include <napi.h>

#if defined(_WIN32)
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>
#else
#include <sys/mman.h>
#include <unistd.h>
#endif

#include <cstring>

#include "call.h"
#include "../../platform/cpu.h"

namespace {

const Kernels* named(const Napi::CallbackInfo& info) {
  std::string name = info[0].ToString();
  for (auto* k = machine().usable; *k; k++)
    if (name == (*k)->isa) return *k;
  throw Napi::RangeError::New(info.Env(), "Expected the name of a usable instruction set but received '" + name + "'");
}

// A kernel in JavaScript. Kernels with the same parameters share their two callbacks.
struct Entry {
  const char* name;
  size_t at;  // its offset in Kernels
  napi_callback sync, async;
};
#define OF_TYPE(op, type, X, Y) \
  {#op "_" #type, offsetof(Kernels, op##_##type), binding::caller<binding::op##_holds>(&Kernels::op##_##type), \
   binding::starter<binding::op##_holds>(&Kernels::op##_##type)},
#define OPERATOR(op, TYPES) TYPES(OF_TYPE, op)
const Entry all_kernels[] = {
#include "../../operators.def"
};
#undef OF_TYPE

// Calls f. An allocation failure of node-addon-api or the C++ library becomes an error in JavaScript.
template <class F> auto with_memory(Napi::Env env, F f) {
  try {
    return f();
  } catch (const std::bad_alloc&) { throw Napi::Error(env, binding::memory_error(env, "flash-softmax", 0)); }
}
template <Napi::Value (*f)(const Napi::CallbackInfo&)> Napi::Value checked(const Napi::CallbackInfo& info) {
  return with_memory(info.Env(), [&] { return f(info); });
}

Napi::Value functions(const Napi::CallbackInfo& info, napi_callback Entry::* callback) {
  const Kernels& k = *named(info);
  Napi::Object table = Napi::Object::New(info.Env());
  for (const Entry& each : all_kernels) {
    napi_value function;
    if (napi_create_function(info.Env(), each.name, NAPI_AUTO_LENGTH, each.*callback, (char*)&k + each.at, &function) !=
        napi_ok)
      throw Napi::Error::New(info.Env());
    table.Set(each.name, function);
  }
  return table;
}
Napi::Value kernels(const Napi::CallbackInfo& info) { return functions(info, &Entry::sync); }
Napi::Value jobs(const Napi::CallbackInfo& info) { return functions(info, &Entry::async); }

Napi::Value describe(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const Machine& m = machine();
  Napi::Object o = Napi::Object::New(env), caches = Napi::Object::New(env);
  caches.Set("l1d", (double)m.caches.l1d);
  caches.Set("l2", (double)m.caches.l2);
  caches.Set("l3", (double)m.caches.l3);
  o.Set("processor", m.processor);
  Napi::Array features = Napi::Array::New(env);
  std::string all = m.features;
  for (size_t at = 0, i = 0; at < all.size(); i++) {
    size_t end = std::min(all.find(' ', at), all.size());
    features.Set((uint32_t)i, all.substr(at, end - at));
    at = end + 1;
  }
  o.Set("features", features);
  o.Set("caches", caches);
  return o;
}

// threads(): the number. threads(n) sets it; threads(n, true) sets it unless this process has set one.
Napi::Value threads(const Napi::CallbackInfo& info) {
  if (info.Length()) {
    size_t n;
    if (!binding::read_size(info.Env(), info[0], n)) return {};
    info[1].ToBoolean() ? pool::suggest_threads((unsigned)n) : pool::set_threads((unsigned)n);
  }
  return Napi::Number::New(info.Env(), pool::threads());
}

// plan(): the thresholds. plan(twoPassBytes, streamBytes, parallelBytes) sets them; Infinity means never.
Napi::Value plan(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto bytes = [&](size_t i) {
    double d = info[i].ToNumber().DoubleValue();
    return d >= 9e15 ? (size_t)-1 : (size_t)d;
  };
  auto number = [&](size_t n) {
    return n == (size_t)-1 ? Napi::Number::New(env, INFINITY) : Napi::Number::New(env, (double)n);
  };
  if (info.Length() == 3) set_plan({bytes(0), bytes(1), bytes(2)});
  Plan p = current_plan();
  Napi::Object o = Napi::Object::New(env);
  o.Set("twoPassBytes", number(p.two_pass_bytes));
  o.Set("streamBytes", number(p.stream_bytes));
  o.Set("parallelBytes", number(p.parallel_bytes));
  return o;
}

void forget(Napi::Env env, void* bytes) {
  Napi::MemoryManagement::AdjustExternalMemory(env, -(int64_t)(intptr_t)bytes);
}

// prepare(bytes, buffer): asks for huge pages for memory that will be read from end to end many times; a core reads up
// to 1.5 times as fast from them. Counts the memory as JavaScript's until the shared buffer is collected: V8 does not,
// and would let dead caches fill a machine before it collects. Returns the address modulo 64.
Napi::Value prepare(const Napi::CallbackInfo& info) {
  binding::TypedArray a;
  if (!binding::read_array(info.Env(), info[0], napi_uint8_array, a) || !info[1].IsObject()) return {};
  Napi::MemoryManagement::AdjustExternalMemory(info.Env(), (int64_t)a.length);
  info[1].As<Napi::Object>().AddFinalizer(forget, (void*)a.length);
  uintptr_t at = (uintptr_t)a.data;
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = (at + page - 1) / page * page,
            to = (at + a.length) / page * page;
  if (a.length >= (size_t)4 << 20) (void)madvise((void*)from, to - from, MADV_HUGEPAGE);  // fails where there are none
#endif
  return Napi::Number::New(info.Env(), (double)(at % 64));
}

// release(bytes): gives the pages of unneeded memory back to the system. The addresses stay until JavaScript collects
// the array; reading gives zeros, or on some systems the old bytes for a while.
Napi::Value release(const Napi::CallbackInfo& info) {
  binding::TypedArray a;
  if (!binding::read_array(info.Env(), info[0], napi_uint8_array, a) || !a.data) return {};
#if defined(_WIN32)
  SYSTEM_INFO system;
  GetSystemInfo(&system);
  uintptr_t page = system.dwPageSize;
#else
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
#endif
  uintptr_t from = ((uintptr_t)a.data + page - 1) / page * page, to = ((uintptr_t)a.data + a.length) / page * page;
  if (from >= to) return {};
#if defined(_WIN32)
  VirtualAlloc((void*)from, to - from, MEM_RESET, PAGE_READWRITE);
  VirtualUnlock((void*)from, to - from);  // takes pages that are not locked out of the working set
#elif defined(__linux__)
  (void)madvise((void*)from, to - from, MADV_DONTNEED);
#else
  (void)madvise((void*)from, to - from, MADV_FREE);
#endif
  return {};
}

Napi::Object fill(Napi::Env env, Napi::Object exports) {
  Napi::Array backends = Napi::Array::New(env);
  uint32_t n = 0;
  for (auto* k = machine().usable; *k; k++) backends.Set(n++, (*k)->isa);
  exports.Set("backends", backends);
  exports.Set("kernels", Napi::Function::New(env, checked<kernels>, "kernels"));
  exports.Set("jobs", Napi::Function::New(env, checked<jobs>, "jobs"));
  exports.Set("machine", Napi::Function::New(env, checked<describe>, "machine"));
  exports.Set("threads", Napi::Function::New(env, checked<threads>, "threads"));
  exports.Set("plan", Napi::Function::New(env, checked<plan>, "plan"));
  exports.Set("prepare", Napi::Function::New(env, checked<prepare>, "prepare"));
  exports.Set("release", Napi::Function::New(env, checked<release>, "release"));
  env.AddCleanupHook(pool::close);
  pool::open();
  return exports;
}
Napi::Object init(Napi::Env env, Napi::Object exports) {
  return with_memory(env, [&] { return fill(env, exports); });
}

}  // namespace

const char* binding::kernel_at(const void* place) {
  for (auto* k = machine().usable; *k; k++)
    for (const Entry& each : all_kernels)
      if (place == (const char*)*k + each.at) return each.name;
  return "a kernel";
}

NODE_API_MODULE(flash_softmax, init)
