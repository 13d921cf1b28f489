// A kernel as two JavaScript functions: one runs at once, the other runs on Node's thread pool and returns a promise.
// Both are made from the kernel's parameter list.
//
// A running job holds references to its arrays. It cannot prevent that their buffers are transferred or resized, so
// lib/ gives jobs private arrays only.
#pragma once
#include <cstdlib>
#include <memory>
#include <new>
#include <tuple>
#include <utility>

#include "../../kernels.h"
#include "../../platform/arithmetic.h"
#include "../../platform/cpu.h"
#include "../../platform/plan.h"
#include "../../platform/pool.h"
#include "../contract.h"
#include "arguments.h"

namespace binding {

inline Run make_run(const volatile int32_t* stop, volatile size_t* missing) {
  Run run = {current_plan(), stop, missing, pool::parallel, pool::threads(), std::malloc, std::free, {nullptr, 0}};
  run.has_fused_dots = machine().has_fused_dots;
  return run;
}

// The name of the kernel at `place`, an address in a table of kernels.
const char* kernel_at(const void* place);

// An error with a code, as Node's own errors have. Null if it cannot be made.
inline napi_value coded_error(napi_env env, const char* code, const char* text) {
  napi_value c, message, error;
  bool made = napi_create_string_utf8(env, code, NAPI_AUTO_LENGTH, &c) == napi_ok &&
              napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &message) == napi_ok &&
              napi_create_error(env, c, message, &error) == napi_ok;
  return made ? error : nullptr;
}
// bytes: 0 if unknown.
inline napi_value memory_error(napi_env env, const char* what, size_t bytes) {
  char text[128], size[32] = "";
  if (bytes) snprintf(size, sizeof size, "%zu bytes of ", bytes);
  snprintf(text, sizeof text, "Expected %smemory for %s but received none", size, what);
  return coded_error(env, "ERR_MEMORY_ALLOCATION_FAILED", text);
}

// Throws a RangeError for a call that its contract refuses. Returns false.
inline bool refuse(napi_env env, const Refusal& r) {
  char text[160];
  if (r.name)
    snprintf(text, sizeof text, "Expected %.0f elements for %s of %s but received %.0f", r.least, r.name, r.op,
             r.received);
  else snprintf(text, sizeof text, "Expected %s for %s but received something else", r.expected, r.op);
  return refuse(env, Refused::value, text);
}

// The parameters of a kernel. `place` is the kernel's address in the table of its instruction set (kernels.h).
struct Shape {
  const Kind* kinds;
  size_t count;
  void (*run)(const void* place, const Run&,
              const Arguments&);  // throws nothing, as kernels do not
  Contract holds;

  // Runs the kernel, whatever arithmetic the thread was left with. Threads of the pool begin here, and inherit it.
  void run_kernel(const void* place, const Run& r, const Arguments& arguments) const {
    OwnArithmetic arithmetic;
    run(place, r, arguments);
  }
  // False: an exception is pending in JavaScript.
  bool read(napi_env env, const napi_value* values, size_t given, Arguments& arguments) const {
    Refusal refusal;
    return read_arguments(env, values, given, kinds, count, arguments) &&
           (holds(arguments, refusal) || refuse(env, refusal));
  }
};

inline napi_value call(napi_env env, napi_callback_info info, const Shape& shape) {
  static const volatile int32_t never = 0;
  napi_value values[Arguments::kMost];
  size_t count = shape.count;
  void* place = nullptr;
  Arguments arguments;
  volatile size_t missing = 0;
  bool is_read = napi_get_cb_info(env, info, &count, values, nullptr, &place) == napi_ok &&
                 shape.read(env, values, count, arguments);
  if (is_read) shape.run_kernel(place, make_run(&never, &missing), arguments);
  if (missing) napi_throw(env, memory_error(env, kernel_at(place), missing));
  return nullptr;
}

// A job on Node's thread pool. The end of a worker thread waits for its jobs; their failures are ignored then, as no
// JavaScript can run.
struct Job {
  napi_env env;
  const Shape& shape;
  void* place = nullptr;
  const volatile int32_t* stop = nullptr;
  volatile size_t missing = 0;
  Arguments arguments;
  napi_ref held[1 + Arguments::kMost];
  size_t held_count = 0;
  napi_deferred deferred = nullptr;
  napi_async_work work = nullptr;

  Job(napi_env env, const Shape& shape) : env(env), shape(shape) {}
  Job(const Job&) = delete;
  ~Job() {
    for (size_t i = 0; i < held_count; i++) napi_delete_reference(env, held[i]);
    if (work) napi_delete_async_work(env, work);
  }

  static void execute(napi_env, void* self) {
    Job& job = *(Job*)self;
    job.shape.run_kernel(job.place, make_run(job.stop, &job.missing), job.arguments);
  }
  static void complete(napi_env env, napi_status, void* self) {
    std::unique_ptr<Job> job((Job*)self);
    napi_value answer = nullptr;
    if (job->missing) napi_reject_deferred(env, job->deferred, memory_error(env, kernel_at(job->place), job->missing));
    else if (napi_get_undefined(env, &answer) == napi_ok) napi_resolve_deferred(env, job->deferred, answer);
  }
  // Holds a reference to an array or a list. False: Node could not make it.
  bool hold(napi_value v) {
    bool array = false, list = false;
    if (napi_is_typedarray(env, v, &array) == napi_ok && !array) napi_is_array(env, v, &list);
    if (!array && !list) return true;
    bool good = napi_create_reference(env, v, 1, &held[held_count]) == napi_ok;
    return held_count += good, good;
  }
};

// Starts a job, which deletes itself at its end, and returns its promise. The first argument is an array of one
// element that an AbortSignal sets; the kernel's arguments follow.
inline napi_value start(napi_env env, napi_callback_info info, const Shape& shape) {
  std::unique_ptr<Job> job(new (std::nothrow) Job(env, shape));
  if (!job) return napi_throw(env, memory_error(env, "a job", sizeof(Job))), nullptr;
  napi_value values[1 + Arguments::kMost], name, promise = nullptr;
  size_t count = 1 + shape.count;
  TypedArray flag;
  if (napi_get_cb_info(env, info, &count, values, nullptr, &job->place) != napi_ok ||
      !read_array(env, values[0], napi_int32_array, flag))
    return nullptr;
  if (flag.length < 1) return refuse(env, name_of(napi_int32_array), "", " of one element for the stop flag"), nullptr;
  job->stop = (const volatile int32_t*)flag.data;
  if (!shape.read(env, values + 1, count - 1, job->arguments)) return nullptr;
  bool started = true;
  for (size_t i = 0; i < 1 + shape.count; i++) started = started && job->hold(values[i]);
  started = started && napi_create_string_utf8(env, "flash-softmax", NAPI_AUTO_LENGTH, &name) == napi_ok &&
            napi_create_async_work(env, nullptr, name, Job::execute, Job::complete, job.get(), &job->work) == napi_ok &&
            napi_create_promise(env, &job->deferred, &promise) == napi_ok;
  if (!started) return napi_throw_error(env, nullptr, "Node could not begin a job"), nullptr;
  if (napi_queue_async_work(env, job->work) != napi_ok) {
    napi_reject_deferred(env, job->deferred, coded_error(env, "ERR_OPERATION_FAILED", "Node could not begin a job"));
    return promise;
  }
  job.release();
  return promise;
}

template <class... A> using Kernel = void (*)(const Run&, A...);

template <class... A> struct Parameters {
  static constexpr auto kKinds = joined(Parameter<A>::kKinds...);
  static_assert(kKinds.size() <= Arguments::kMost);
  static void run(const void* place, const Run& run, const Arguments& arguments) {
    ArgumentReader reader{arguments};
    std::tuple<std::decay_t<A>...> values{Parameter<A>::get(reader)...};
    std::apply([&](const auto&... each) { (*(const Kernel<A...>*)place)(run, each...); }, values);
  }
};

template <Contract holds, class... A> struct Function {
  static constexpr Shape kShape = {Parameters<A...>::kKinds.data(), Parameters<A...>::kKinds.size(),
                                   Parameters<A...>::run, holds};

  static napi_value call(napi_env env, napi_callback_info info) { return binding::call(env, info, kShape); }
  static napi_value start(napi_env env, napi_callback_info info) { return binding::start(env, info, kShape); }
};

template <Contract holds, class... A> constexpr napi_callback caller(Kernel<A...> Kernels::*) {
  return Function<holds, A...>::call;
}
template <Contract holds, class... A> constexpr napi_callback starter(Kernel<A...> Kernels::*) {
  return Function<holds, A...>::start;
}

}  // namespace binding
