// A kernel as two JavaScript functions: one that runs at once, one that runs on Node's thread pool and answers with a
// promise. Both are stamped from the kernel's own parameter list.
//
// A running job holds references to its arrays. What it cannot hold off is a transfer or a resize of their buffers:
// lib/promises.ts gives jobs only arrays whose buffers nobody else knows.
#pragma once
#include <cstdlib>
#include <exception>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "../kernels.h"
#include "../plan.h"
#include "../threads/pool.h"
#include "arguments.h"

namespace binding {

inline Run make_run(const volatile int32_t* stop) { return {current_plan(), stop, pool::parallel, pool::threads(), std::malloc, std::free}; }

template <class... A, size_t... I>
std::tuple<A...> read(const Napi::CallbackInfo& info, std::index_sequence<I...>) {
  return std::tuple<A...>{Parameter<A>::read(info[I])...};  // braces: read in order
}

template <class... A> using Kernel = void (*)(const Run&, A...);

template <class... A> void run(Kernel<A...> kernel, const Run& r, const std::tuple<A...>& arguments) {
  std::apply([&](A... a) { kernel(r, a...); }, arguments);
}

template <class... A> Napi::Function sync_function(Napi::Env env, const char* name, Kernel<A...> kernel) {
  return Napi::Function::New(env, [kernel](const Napi::CallbackInfo& info) {
    static const volatile int32_t never = 0;
    auto arguments = read<A...>(info, std::index_sequence_for<A...>{});
    run(kernel, make_run(&never), arguments);
  }, name);
}

// A job on Node's thread pool. It is written on the plain C interface, whose failures can be passed over: when a worker
// thread is being ended, the job is waited for, but there is nobody left to take an answer, and nothing must throw.
template <class... A> struct Job {
  Kernel<A...> kernel;
  std::tuple<A...> arguments;
  const volatile int32_t* stop;
  std::vector<Napi::ObjectReference> held;
  napi_deferred deferred = nullptr;
  napi_async_work work = nullptr;
  std::string error;

  static void execute(napi_env, void* self) {
    Job& job = *(Job*)self;
    try {
      run(job.kernel, make_run(job.stop), job.arguments);
    } catch (const std::exception& e) {  // no thread, no memory
      job.error = e.what();
    }
  }
  static void complete(napi_env env, napi_status, void* self) {
    Job* job = (Job*)self;
    napi_value answer = nullptr, text = nullptr;
    if (job->error.empty()) {
      if (napi_get_undefined(env, &answer) == napi_ok) napi_resolve_deferred(env, job->deferred, answer);
    } else if (napi_create_string_utf8(env, job->error.c_str(), NAPI_AUTO_LENGTH, &text) == napi_ok && napi_create_error(env, nullptr, text, &answer) == napi_ok)
      napi_reject_deferred(env, job->deferred, answer);
    napi_delete_async_work(env, job->work);
    delete job;
  }
  // The promise of the job, which deletes itself at its end.
  static Napi::Value start(const Napi::CallbackInfo& info, const char* name, std::unique_ptr<Job> job) {
    Napi::Env env = info.Env();
    for (size_t i = 0; i < info.Length(); i++)
      if (info[i].IsTypedArray() || info[i].IsArray()) job->held.push_back(Napi::Persistent(info[i].As<Napi::Object>()));
    napi_value promise = nullptr;
    bool started = napi_create_async_work(env, nullptr, Napi::String::New(env, name), execute, complete, job.get(), &job->work) == napi_ok &&
                   napi_create_promise(env, &job->deferred, &promise) == napi_ok && napi_queue_async_work(env, job->work) == napi_ok;
    if (!started) throw Napi::Error::New(env);
    job.release();
    return Napi::Value(env, promise);
  }
};

template <class... A, size_t... I> std::tuple<A...> read_after_stop(const Napi::CallbackInfo& info, std::index_sequence<I...>) {
  return std::tuple<A...>{Parameter<A>::read(info[I + 1])...};
}

template <class... A> Napi::Function async_function(Napi::Env env, const char* name, Kernel<A...> kernel) {
  return Napi::Function::New(env, [kernel, name](const Napi::CallbackInfo& info) -> Napi::Value {
    // The flag that an AbortSignal raises is the first element of an array before the kernel's arguments.
    const int32_t* stop = Parameter<int32_t*>::read(info[0]);
    if (!stop) throw Napi::TypeError::New(info.Env(), "Expected an Int32Array for the stop flag");
    using J = Job<A...>;
    return J::start(info, name, std::unique_ptr<J>(new J{kernel, read_after_stop<A...>(info, std::index_sequence_for<A...>{}), stop, {}, nullptr, nullptr, {}}));
  }, name);
}

}  // namespace binding
