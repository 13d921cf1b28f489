// A kernel as two JavaScript functions: one that runs at once, one that runs on Node's thread pool and answers with a
// promise. Both are stamped from the kernel's own parameter list; all that is the same for all kernels is written once, and
// a kernel with other parameters adds a list of them and the call.
//
// A running job holds references to its arrays. What it cannot hold off is a transfer or a resize of their buffers:
// lib/promises.ts gives jobs only arrays whose buffers nobody else knows.
#pragma once
#include <cstdlib>
#include <memory>
#include <utility>
#include <vector>

#include "../kernels.h"
#include "../plan.h"
#include "../threads/pool.h"
#include "contract.h"

namespace binding {

inline Run make_run(const volatile int32_t* stop) { return {current_plan(), stop, pool::parallel, pool::threads(), std::malloc, std::free}; }

// What there is to know of a kernel's parameters. `place` is where the instruction set's table (kernels.h) has the kernel.
struct Shape {
  const Kind* kinds;
  size_t count;
  void (*run)(const void* place, const Run&, const Arguments&);  // throws nothing: neither does a kernel nor what it calls
  Contract holds;

  // False: an exception waits in JavaScript.
  bool read(napi_env env, const napi_value* values, Arguments& arguments) const {
    return arguments.read(env, values, kinds, count) && holds(env, arguments);
  }
};

inline napi_value call(napi_env env, napi_callback_info info, const Shape& shape) {
  static const volatile int32_t never = 0;
  napi_value values[Arguments::kMost];
  size_t count = shape.count;
  void* place = nullptr;
  Arguments arguments;
  if (napi_get_cb_info(env, info, &count, values, nullptr, &place) == napi_ok && shape.read(env, values, arguments)) shape.run(place, make_run(&never), arguments);
  return nullptr;
}

// A job on Node's thread pool. When a worker thread is being ended, the job is waited for, but there is nobody left to take
// an answer: failures are passed over.
struct Job {
  napi_env env;
  const Shape& shape;
  void* place = nullptr;
  const volatile int32_t* stop = nullptr;
  Arguments arguments;
  std::vector<napi_ref> held = {};
  napi_deferred deferred = nullptr;
  napi_async_work work = nullptr;

  Job(napi_env env, const Shape& shape) : env(env), shape(shape) {}
  Job(const Job&) = delete;
  ~Job() {
    for (napi_ref each : held) napi_delete_reference(env, each);
  }

  static void execute(napi_env, void* self) {
    Job& job = *(Job*)self;
    job.shape.run(job.place, make_run(job.stop), job.arguments);
  }
  static void complete(napi_env env, napi_status, void* self) {
    std::unique_ptr<Job> job((Job*)self);
    napi_value answer = nullptr;
    if (napi_get_undefined(env, &answer) == napi_ok) napi_resolve_deferred(env, job->deferred, answer);
    napi_delete_async_work(env, job->work);
  }
  void hold(napi_value v) {
    bool array = false, list = false;
    napi_ref reference;
    if (napi_is_typedarray(env, v, &array) == napi_ok && !array) napi_is_array(env, v, &list);
    if ((array || list) && napi_create_reference(env, v, 1, &reference) == napi_ok) held.push_back(reference);
  }
};

// The promise of a job, which deletes itself at its end. The flag that an AbortSignal raises is the first element of an array
// before the kernel's arguments.
inline napi_value start(napi_env env, napi_callback_info info, const Shape& shape) {
  std::unique_ptr<Job> job(new Job(env, shape));
  napi_value values[1 + Arguments::kMost], name, promise = nullptr;
  size_t count = 1 + shape.count;
  TypedArray flag;
  if (napi_get_cb_info(env, info, &count, values, nullptr, &job->place) != napi_ok || !read_array(env, values[0], napi_int32_array, flag)) return nullptr;
  if (flag.length < 1) return refuse(env, name_of(napi_int32_array), "", " of one element for the stop flag"), nullptr;
  job->stop = (const volatile int32_t*)flag.data;
  if (!shape.read(env, values + 1, job->arguments)) return nullptr;
  for (size_t i = 0; i < 1 + shape.count; i++) job->hold(values[i]);
  bool started = napi_create_string_utf8(env, "flash-softmax", NAPI_AUTO_LENGTH, &name) == napi_ok && napi_create_async_work(env, nullptr, name, Job::execute, Job::complete, job.get(), &job->work) == napi_ok &&
                 napi_create_promise(env, &job->deferred, &promise) == napi_ok && napi_queue_async_work(env, job->work) == napi_ok;
  if (!started) return napi_throw_error(env, nullptr, "Node could not begin a job"), nullptr;
  job.release();
  return promise;
}

template <class... A> using Kernel = void (*)(const Run&, A...);

template <class... A> struct Parameters {
  static_assert(sizeof...(A) <= Arguments::kMost);
  static constexpr Kind kKinds[] = {Parameter<A>::kKind...};
  template <size_t... I> static void run(const void* place, const Run& r, const Arguments& a, std::index_sequence<I...>) {
    (*(const Kernel<A...>*)place)(r, Parameter<A>::get(a, I)...);
  }
  static void run(const void* place, const Run& r, const Arguments& a) { run(place, r, a, std::index_sequence_for<A...>()); }
};

template <Contract holds, class... A> struct Function {
  static constexpr Shape kShape = {Parameters<A...>::kKinds, sizeof...(A), Parameters<A...>::run, holds};

  static napi_value call(napi_env env, napi_callback_info info) { return binding::call(env, info, kShape); }
  static napi_value start(napi_env env, napi_callback_info info) { return binding::start(env, info, kShape); }
};

template <Contract holds, class... A> constexpr napi_callback caller(Kernel<A...> Kernels::*) { return Function<holds, A...>::call; }
template <Contract holds, class... A> constexpr napi_callback starter(Kernel<A...> Kernels::*) { return Function<holds, A...>::start; }

}  // namespace binding
