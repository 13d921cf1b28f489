// JavaScript values to C++ parameters: how each type that a kernel may have in kernels.def is read.
// lib/ has validated what a person can get wrong; what is checked here is what would make memory unsafe.
#pragma once
#include <napi.h>

#include "../kernels/run.h"

#include <cmath>
#include <cstdint>
#include <string>

namespace binding {

struct TypedArray {
  void* data;
  size_t length;
};

inline TypedArray read_array(const Napi::Value& v, std::initializer_list<napi_typedarray_type> types, const char* expected) {
  if (v.IsNull()) return {nullptr, 0};
  napi_typedarray_type type = napi_int8_array;
  TypedArray a = {nullptr, 0};
  bool fits = v.IsTypedArray() && napi_get_typedarray_info(v.Env(), v, &type, &a.length, &a.data, nullptr, nullptr) == napi_ok;
  bool known = false;
  for (auto t : types) known |= t == type;
  if (!fits || !known) throw Napi::TypeError::New(v.Env(), std::string("Expected ") + expected + " or null for a kernel's array but received something else");
  return a;
}

template <class T> struct Parameter;

// An array of typed arrays.
template <class T> struct SlabsOf {
  static Slabs<T> read(const Napi::Value& v, std::initializer_list<napi_typedarray_type> types, const char* expected) {
    Slabs<T> slabs = {{}, {}, 0};
    if (!v.IsArray() || v.As<Napi::Array>().Length() > Slabs<T>::kMost) throw Napi::TypeError::New(v.Env(), std::string("Expected an array of ") + expected + " for a kernel's slabs");
    for (uint32_t i = 0; i < v.As<Napi::Array>().Length(); i++) {
      TypedArray a = read_array(v.As<Napi::Array>().Get(i), types, expected);
      slabs.data[i] = (T*)a.data, slabs.length[i] = a.length, slabs.count++;
    }
    return slabs;
  }
};

#define ARRAY(T, expected, ...)                                                                                        \
  template <> struct Parameter<T*> {                                                                                   \
    static T* read(const Napi::Value& v) { return (T*)read_array(v, {__VA_ARGS__}, expected).data; }                    \
  };                                                                                                                   \
  template <> struct Parameter<const T*> : Parameter<T*> {};                                                           \
  template <> struct Parameter<Slice<const T>> {                                                                       \
    static Slice<const T> read(const Napi::Value& v) {                                                                 \
      TypedArray a = read_array(v, {__VA_ARGS__}, expected);                                                           \
      return {(const T*)a.data, a.length};                                                                             \
    }                                                                                                                  \
  };                                                                                                                   \
  template <> struct Parameter<Slabs<T>> : SlabsOf<T> {                                                                \
    static Slabs<T> read(const Napi::Value& v) { return SlabsOf<T>::read(v, {__VA_ARGS__}, expected); }                \
  };                                                                                                                   \
  template <> struct Parameter<Slabs<const T>> : SlabsOf<const T> {                                                    \
    static Slabs<const T> read(const Napi::Value& v) { return SlabsOf<const T>::read(v, {__VA_ARGS__}, expected); }    \
  };
ARRAY(float, "a Float32Array", napi_float32_array)
ARRAY(double, "a Float64Array", napi_float64_array)
ARRAY(uint8_t, "a Uint8Array", napi_uint8_array)
ARRAY(uint16_t, "a Uint16Array", napi_uint16_array)
ARRAY(int8_t, "an Int8Array", napi_int8_array)
ARRAY(int32_t, "an Int32Array", napi_int32_array)
ARRAY(uint32_t, "a Uint32Array", napi_uint32_array)
#undef ARRAY

template <> struct Parameter<double> {
  static double read(const Napi::Value& v) {
    if (!v.IsNumber()) throw Napi::TypeError::New(v.Env(), "Expected a number for a kernel's parameter");
    return v.As<Napi::Number>().DoubleValue();
  }
};
template <> struct Parameter<size_t> {
  static size_t read(const Napi::Value& v) {
    double d = Parameter<double>::read(v);
    if (!(d >= 0 && d <= 9007199254740991.0 && d == std::floor(d))) throw Napi::RangeError::New(v.Env(), "Expected a size for a kernel's parameter");
    return (size_t)d;
  }
};
template <> struct Parameter<int32_t> {
  static int32_t read(const Napi::Value& v) { return (int32_t)Parameter<double>::read(v); }
};

}  // namespace binding
