// JavaScript values to C++ parameters: how each type that a kernel may have in kernels.def is read. One reader serves all
// kernels and is told what their parameters are, on Node-API's plain functions: a call is to be short, in time and in bytes.
// lib/ has validated what a person can get wrong; what is checked here is what would make memory unsafe.
#pragma once
#include <napi.h>

#include "../kernels/run.h"

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>

namespace binding {

enum class Form : uint8_t { kArray, kSlabs, kNumber, kSize, kInteger };
struct Kind {
  Form form;
  napi_typedarray_type type;  // of an array, or of each of the slabs
};

struct TypedArray {
  void* data;
  size_t length;
};

// The message of a TypeError; false for the caller to return.
inline bool refuse(napi_env env, const char* before, const char* expected, const char* after) {
  char text[128];
  snprintf(text, sizeof text, "Expected %s%s%s", before, expected, after);
  napi_throw_type_error(env, nullptr, text);
  return false;
}

inline const char* name_of(napi_typedarray_type type) {
  static const char* const names[] = {"an Int8Array", "a Uint8Array", "a Uint8ClampedArray", "an Int16Array", "a Uint16Array", "an Int32Array", "a Uint32Array", "a Float32Array", "a Float64Array"};
  return names[type];
}

inline bool read_array(napi_env env, napi_value v, napi_typedarray_type expected, TypedArray& a) {
  napi_typedarray_type type;
  if (napi_get_typedarray_info(env, v, &type, &a.length, &a.data, nullptr, nullptr) == napi_ok && type == expected) return true;
  a = {nullptr, 0};
  napi_valuetype kind;
  if (napi_typeof(env, v, &kind) == napi_ok && kind == napi_null) return true;
  return refuse(env, "", name_of(expected), " or null for a kernel's array but received something else");
}

// An array of typed arrays.
inline bool read_slabs(napi_env env, napi_value v, napi_typedarray_type expected, Slabs<void>& slabs) {
  uint32_t n = 0;
  if (napi_get_array_length(env, v, &n) != napi_ok || n > Slabs<void>::kMost) return refuse(env, "an array of ", name_of(expected), " for a kernel's slabs");
  for (slabs.count = 0; slabs.count < n; slabs.count++) {
    napi_value each;
    TypedArray a;
    if (napi_get_element(env, v, (uint32_t)slabs.count, &each) != napi_ok || !read_array(env, each, expected, a)) return false;
    slabs.data[slabs.count] = a.data, slabs.length[slabs.count] = a.length;
  }
  return true;
}

inline bool read_number(napi_env env, napi_value v, double& d) {
  return napi_get_value_double(env, v, &d) == napi_ok || refuse(env, "a number", "", " for a kernel's parameter");
}

inline bool read_size(napi_env env, napi_value v, size_t& n) {
  double d;
  if (!read_number(env, v, d)) return false;
  if (d >= 0 && d <= 9007199254740991.0 && d == std::floor(d)) return n = (size_t)d, true;
  napi_throw_range_error(env, nullptr, "Expected a size for a kernel's parameter");
  return false;
}

// The arguments of a call as they were read, in order.
struct Arguments {
  static constexpr size_t kMost = 20, kMostSlabs = 2;
  union {
    TypedArray array;
    double number;
    size_t size;  // slabs: their number in `slabs`
  } slots[kMost];
  Slabs<void> slabs[kMostSlabs];

  // False: an exception waits in JavaScript.
  bool read(napi_env env, const napi_value* values, const Kind* kinds, size_t count) {
    size_t all_slabs = 0;
    for (size_t i = 0; i < count; i++) {
      bool good = false;
      switch (kinds[i].form) {
        case Form::kArray: good = read_array(env, values[i], kinds[i].type, slots[i].array); break;
        case Form::kSlabs: good = read_slabs(env, values[i], kinds[i].type, slabs[slots[i].size = all_slabs++]); break;
        case Form::kSize: good = read_size(env, values[i], slots[i].size); break;
        default: good = read_number(env, values[i], slots[i].number);
      }
      if (!good) return false;
    }
    return true;
  }
};

template <class T> struct Type;
template <> struct Type<float> { static constexpr napi_typedarray_type kType = napi_float32_array; };
template <> struct Type<double> { static constexpr napi_typedarray_type kType = napi_float64_array; };
template <> struct Type<uint8_t> { static constexpr napi_typedarray_type kType = napi_uint8_array; };
template <> struct Type<uint16_t> { static constexpr napi_typedarray_type kType = napi_uint16_array; };
template <> struct Type<int8_t> { static constexpr napi_typedarray_type kType = napi_int8_array; };
template <> struct Type<int32_t> { static constexpr napi_typedarray_type kType = napi_int32_array; };
template <> struct Type<uint32_t> { static constexpr napi_typedarray_type kType = napi_uint32_array; };
template <class T> struct Type<const T> : Type<T> {};

// What a parameter is, and the argument for it.
template <class T> struct Parameter;
template <class T> struct Parameter<T*> {
  static constexpr Kind kKind = {Form::kArray, Type<T>::kType};
  static T* get(const Arguments& a, size_t i) { return (T*)a.slots[i].array.data; }
};
template <class T> struct Parameter<Slice<T>> {
  static constexpr Kind kKind = {Form::kArray, Type<T>::kType};
  static Slice<T> get(const Arguments& a, size_t i) { return {(T*)a.slots[i].array.data, a.slots[i].array.length}; }
};
template <class T> struct Parameter<Slabs<T>> {
  static constexpr Kind kKind = {Form::kSlabs, Type<T>::kType};
  static Slabs<T> get(const Arguments& a, size_t i) {
    Slabs<T> slabs;
    static_assert(sizeof slabs == sizeof a.slabs[0]);
    return memcpy((void*)&slabs, &a.slabs[a.slots[i].size], sizeof slabs), slabs;
  }
};
template <> struct Parameter<double> {
  static constexpr Kind kKind = {Form::kNumber, {}};
  static double get(const Arguments& a, size_t i) { return a.slots[i].number; }
};
template <> struct Parameter<int32_t> {
  static constexpr Kind kKind = {Form::kInteger, {}};
  static int32_t get(const Arguments& a, size_t i) { return (int32_t)a.slots[i].number; }
};
template <> struct Parameter<size_t> {
  static constexpr Kind kKind = {Form::kSize, {}};
  static size_t get(const Arguments& a, size_t i) { return a.slots[i].size; }
};

}  // namespace binding
