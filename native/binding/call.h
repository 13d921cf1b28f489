// A kernel as two JavaScript functions: one that runs at once, one that runs on Node's thread pool and answers with a
// promise. Both are stamped from the kernel's own parameter list.
//
// A running job holds references to its arrays. What it cannot hold off is a transfer or a resize of their buffers:
// lib/promises.ts gives jobs only arrays whose buffers nobody else knows.
#pragma once
#include <cstdlib>
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

// The flag an AbortSignal raises is the first element of an Int32Array that lib/ passes before the kernel's arguments.
template <class... A> class Job : public Napi::AsyncWorker {
 public:
  Job(const Napi::CallbackInfo& info, Kernel<A...> kernel, std::tuple<A...> arguments, const volatile int32_t* stop)
      : Napi::AsyncWorker(info.Env(), "flash-softmax"), promise(Napi::Promise::Deferred::New(info.Env())), kernel_(kernel), arguments_(arguments), stop_(stop) {
    for (size_t i = 0; i < info.Length(); i++)
      if (info[i].IsTypedArray()) held_.push_back(Napi::Persistent(info[i].As<Napi::Object>()));
  }
  void Execute() override { run(kernel_, make_run(stop_), arguments_); }
  void OnOK() override { promise.Resolve(Env().Undefined()); }
  void OnError(const Napi::Error& e) override { promise.Reject(e.Value()); }
  Napi::Promise::Deferred promise;

 private:
  Kernel<A...> kernel_;
  std::tuple<A...> arguments_;
  const volatile int32_t* stop_;
  std::vector<Napi::ObjectReference> held_;
};

template <class... A, size_t... I> std::tuple<A...> read_after_stop(const Napi::CallbackInfo& info, std::index_sequence<I...>) {
  return std::tuple<A...>{Parameter<A>::read(info[I + 1])...};
}

template <class... A> Napi::Function async_function(Napi::Env env, const char* name, Kernel<A...> kernel) {
  return Napi::Function::New(env, [kernel](const Napi::CallbackInfo& info) -> Napi::Value {
    const int32_t* stop = Parameter<int32_t*>::read(info[0]);
    if (!stop) throw Napi::TypeError::New(info.Env(), "Expected an Int32Array for the stop flag");
    auto* job = new Job<A...>(info, kernel, read_after_stop<A...>(info, std::index_sequence_for<A...>{}), stop);
    job->Queue();
    return job->promise.Promise();
  }, name);
}

}  // namespace binding
