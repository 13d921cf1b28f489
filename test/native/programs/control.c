// A foreign addon that leaves the thread with another floating-point control, as some audio and game code does.
#include <node_api.h>
#include <stdint.h>

#if defined(__x86_64__)
#include <xmmintrin.h>
#define FLAGS 0x3Fu
static uint32_t read_control(void) { return _mm_getcsr() & ~FLAGS; }
static void write_control(uint32_t control) { _mm_setcsr(control); }
#else
static uint32_t read_control(void) {
  uint64_t control;
  __asm__ volatile("mrs %0, fpcr" : "=r"(control));
  return (uint32_t)control;
}
static void write_control(uint32_t control) { __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)control)); }
#endif

// under(control, f): calls f under the control, and returns the control that f left.
static napi_value under(napi_env env, napi_callback_info info) {
  napi_value arguments[2], nothing, result;
  size_t count = 2;
  uint32_t control, left, before = read_control();
  napi_get_cb_info(env, info, &count, arguments, NULL, NULL);
  napi_get_value_uint32(env, arguments[0], &control);
  napi_get_undefined(env, &nothing);
  write_control(control);
  napi_call_function(env, nothing, arguments[1], 0, NULL, NULL);
  left = read_control();
  write_control(before);
  napi_create_uint32(env, left, &result);
  return result;
}

NAPI_MODULE_INIT() {
  napi_value function;
  napi_create_function(env, "under", NAPI_AUTO_LENGTH, under, NULL, &function);
  napi_set_named_property(env, exports, "under", function);
  return exports;
}
