// JavaScript values to the arguments of kernels. One reader serves all kernels: a list of kinds tells it what a kernel
// takes. It calls Node-API directly, which keeps calls fast and the binary small. lib/ checks what a person may get
// wrong; this file and contract.h check what would make memory unsafe.
#pragma once
#include <napi.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "../arguments.h"

namespace binding {

// Throws an error with a code in JavaScript. Returns false.
enum class Refused : uint8_t { type, value };
inline bool refuse(napi_env env, Refused what, const char* message) {
  if (what == Refused::type) napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", message);
  else napi_throw_range_error(env, "ERR_INVALID_ARG_VALUE", message);
  return false;
}
inline bool refuse(napi_env env, const char* before, const char* expected, const char* after) {
  char text[128];
  snprintf(text, sizeof text, "Expected %s%s%s", before, expected, after);
  return refuse(env, Refused::type, text);
}

inline const char* name_of(napi_typedarray_type type) {
  static const char* const names[] = {"an Int8Array",  "a Uint8Array",   "a Uint8ClampedArray",
                                      "an Int16Array", "a Uint16Array",  "an Int32Array",
                                      "a Uint32Array", "a Float32Array", "a Float64Array"};
  return names[type];
}

inline size_t bytes_of(napi_typedarray_type type) {
  static constexpr uint8_t kBytes[] = {1, 1, 1, 2, 2, 4, 4, 4, 8};  // in the order of name_of
  return kBytes[type];
}

inline bool has_type(napi_env env, napi_value v, napi_typedarray_type expected) {
  napi_typedarray_type type;
  return napi_get_typedarray_info(env, v, &type, nullptr, nullptr, nullptr, nullptr) == napi_ok && type == expected;
}

// Node finds a type by up to nine questions to V8, and a length in bytes by one. So an array whose elements have the
// expected size is taken without the question for its type: lib/ has looked at it, and memory is as safe.
inline bool read_array(napi_env env, napi_value v, napi_typedarray_type expected, TypedArray& a) {
  size_t bytes = 0;
  a.is_null = false;
  if (napi_get_typedarray_info(env, v, nullptr, &a.length, &a.data, nullptr, nullptr) == napi_ok) {
    // Deno answers for a Uint8Array alone, and shared memory may have grown between the two answers.
    bool fits = napi_get_buffer_info(env, v, nullptr, &bytes) == napi_ok && bytes == a.length * bytes_of(expected);
    if (fits || has_type(env, v, expected)) return true;
  }
  a = {nullptr, 0, true};
  napi_valuetype kind;
  if (napi_typeof(env, v, &kind) == napi_ok && kind == napi_null) return true;
  return refuse(env, "", name_of(expected), " or null for a kernel's array but received something else");
}

inline bool read_slabs(napi_env env, napi_value v, napi_typedarray_type expected, SlabList& slabs) {
  uint32_t n = 0;
  if (napi_get_array_length(env, v, &n) != napi_ok || n > Slabs<void>::kMost)
    return refuse(env, "an array of ", name_of(expected), " for a kernel's slabs");
  slabs.type = (ArrayType)expected;
  for (slabs.count = 0; slabs.count < n; slabs.count++) {
    napi_value each;
    TypedArray a;
    if (napi_get_element(env, v, (uint32_t)slabs.count, &each) != napi_ok || !read_array(env, each, expected, a))
      return false;
    slabs.data[slabs.count] = a.data;
    slabs.length[slabs.count] = a.length;
  }
  return true;
}

inline bool read_number(napi_env env, napi_value v, double& d) {
  return napi_get_value_double(env, v, &d) == napi_ok || refuse(env, "a number", "", " for a kernel's parameter");
}

inline bool read_size(napi_env env, napi_value v, size_t& n) {
  double d;
  if (!read_number(env, v, d)) return false;
  if (!is_size(d)) return refuse(env, Refused::value, "Expected a size for a kernel's parameter");
  n = (size_t)d;
  return true;
}

// Makes an argument that a call did not give. False: it has to be given.
inline bool is_none(Form form, Arguments::Slot& slot) {
  if (form == Form::kArray) slot.array = {nullptr, 0, true};
  else if (form == Form::kInteger) slot.number = 0;
  else return false;
  return true;
}

// Reads the arguments of a call that gave the first `given` of them. The others are null or 0, where these are allowed.
// False: an exception is pending in JavaScript.
inline bool read_arguments(napi_env env, const napi_value* values, size_t given, const Kind* kinds, size_t count,
                           Arguments& all) {
  size_t all_slabs = 0;
  for (size_t i = 0; i < count; i++) {
    bool good = false;
    const auto type = (napi_typedarray_type)kinds[i].type;
    Arguments::Slot& slot = all.slots[i];
    if (i >= given && is_none(kinds[i].form, slot)) continue;
    switch (kinds[i].form) {
      case Form::kArray: good = read_array(env, values[i], type, slot.array); break;
      case Form::kSlabs: good = read_slabs(env, values[i], type, all.slabs[slot.size = all_slabs++]); break;
      case Form::kSize: good = read_size(env, values[i], slot.size); break;
      default: good = read_number(env, values[i], slot.number);
    }
    if (!good) return false;
  }
  return true;
}

}  // namespace binding
