// JavaScript values to C++ parameters. One reader serves all kernels: a list of kinds tells it what a kernel takes. It
// calls Node-API directly, which keeps calls fast and the binary small. lib/ checks what a person may get wrong; this
// file and contract.h check what would make memory unsafe.
#pragma once
#include <napi.h>

#include "../../rows/run.h"

#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>

namespace binding {

enum class Form : uint8_t { kArray, kSlabs, kNumber, kSize, kInteger };
struct Kind {
  Form form;
  napi_typedarray_type type;  // of the array, or of each slab
};

// Data and length from the engine. No property of the JavaScript object is read.
struct TypedArray {
  void* data;
  size_t length;
  bool is_null;
  bool is_given() const { return !is_null; }
};

// An array of typed arrays.
struct SlabList : Slabs<void> {
  napi_typedarray_type type;
};

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

// Whether d is a whole number from 0 to 2^53 - 1.
inline bool is_size(double d) { return d >= 0 && d <= 9007199254740991.0 && d == std::floor(d); }

inline const char* name_of(napi_typedarray_type type) {
  static const char* const names[] = {"an Int8Array",  "a Uint8Array",   "a Uint8ClampedArray",
                                      "an Int16Array", "a Uint16Array",  "an Int32Array",
                                      "a Uint32Array", "a Float32Array", "a Float64Array"};
  return names[type];
}

inline bool read_array(napi_env env, napi_value v, napi_typedarray_type expected, TypedArray& a) {
  napi_typedarray_type type;
  a.is_null = false;
  if (napi_get_typedarray_info(env, v, &type, &a.length, &a.data, nullptr, nullptr) == napi_ok && type == expected)
    return true;
  a = {nullptr, 0, true};
  napi_valuetype kind;
  if (napi_typeof(env, v, &kind) == napi_ok && kind == napi_null) return true;
  return refuse(env, "", name_of(expected), " or null for a kernel's array but received something else");
}

inline bool read_slabs(napi_env env, napi_value v, napi_typedarray_type expected, SlabList& slabs) {
  uint32_t n = 0;
  if (napi_get_array_length(env, v, &n) != napi_ok || n > Slabs<void>::kMost)
    return refuse(env, "an array of ", name_of(expected), " for a kernel's slabs");
  slabs.type = expected;
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

// The arguments of a call, in order.
struct Arguments {
  static constexpr size_t kMost = 24, kMostSlabs = 2;
  union Slot {
    TypedArray array;
    double number;
    size_t size;  // of slabs: the index in `slabs`
  } slots[kMost];
  SlabList slabs[kMostSlabs];

  // False: an exception is pending in JavaScript.
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

constexpr napi_typedarray_type type_of(float) { return napi_float32_array; }
constexpr napi_typedarray_type type_of(double) { return napi_float64_array; }
constexpr napi_typedarray_type type_of(uint8_t) { return napi_uint8_array; }
constexpr napi_typedarray_type type_of(uint16_t) { return napi_uint16_array; }
constexpr napi_typedarray_type type_of(int8_t) { return napi_int8_array; }
constexpr napi_typedarray_type type_of(int32_t) { return napi_int32_array; }
constexpr napi_typedarray_type type_of(uint32_t) { return napi_uint32_array; }
// The kind of an array of T.
template <class T> struct Type {
  static constexpr napi_typedarray_type kType = type_of(T());
};
template <class T> struct Type<const T> : Type<T> {};

// Hands out the arguments of a call in order.
struct ArgumentReader {
  const Arguments& all;
  size_t at = 0;
  const Arguments::Slot& next() { return all.slots[at++]; }
};

// A parameter of a kernel: the kinds of its arguments, and its value.
template <class T> struct Parameter;
template <class T> struct Parameter<T*> {
  static constexpr std::array<Kind, 1> kKinds = {{{Form::kArray, Type<T>::kType}}};
  static T* get(ArgumentReader& r) { return (T*)r.next().array.data; }
};
template <class T> struct Parameter<Slice<T>> {
  static constexpr std::array<Kind, 1> kKinds = Parameter<T*>::kKinds;
  static Slice<T> get(ArgumentReader& r) {
    const TypedArray& a = r.next().array;
    return {(T*)a.data, a.length};
  }
};
template <class T> struct Parameter<Slabs<T>> {
  static constexpr std::array<Kind, 1> kKinds = {{{Form::kSlabs, Type<T>::kType}}};
  static Slabs<T> get(ArgumentReader& r) {
    Slabs<T> slabs;
    static_assert(sizeof slabs == sizeof(Slabs<void>));
    memcpy((void*)&slabs, (const Slabs<void>*)&r.all.slabs[r.next().size], sizeof slabs);
    return slabs;
  }
};
template <> struct Parameter<double> {
  static constexpr std::array<Kind, 1> kKinds = {{{Form::kNumber, {}}}};
  static double get(ArgumentReader& r) { return r.next().number; }
};
template <> struct Parameter<int32_t> {
  static constexpr std::array<Kind, 1> kKinds = {{{Form::kInteger, {}}}};
  static int32_t get(ArgumentReader& r) { return (int32_t)r.next().number; }
};
template <> struct Parameter<size_t> {
  static constexpr std::array<Kind, 1> kKinds = {{{Form::kSize, {}}}};
  static size_t get(ArgumentReader& r) { return r.next().size; }
};

template <size_t... N> constexpr auto joined(const std::array<Kind, N>&... lists) {
  std::array<Kind, (N + ...)> all = {};
  size_t at = 0;
  auto append = [&](const auto& list) {
    for (const Kind& each : list) all[at++] = each;
  };
  (append(lists), ...);
  return all;
}

// A struct of rows/parameters.h takes the arguments of its members, in order. A braced list is evaluated left to right.
template <class T, class... Members> struct StructParameter {
  static constexpr auto kKinds = joined(Parameter<Members>::kKinds...);
  static T get(ArgumentReader& r) { return {Parameter<Members>::get(r)...}; }
};
template <> struct Parameter<Mask> : StructParameter<Mask, const uint8_t*, int32_t> {};
template <> struct Parameter<Extent> : StructParameter<Extent, size_t, size_t, size_t> {};
template <> struct Parameter<MaskedRows> : StructParameter<MaskedRows, Extent, double, Mask> {};
template <class T> struct Parameter<LogitRows<T>> : StructParameter<LogitRows<T>, MaskedRows, Slice<const T>> {};
template <class T> struct Parameter<UnscaledRows<T>> : StructParameter<UnscaledRows<T>, Extent, Mask, Slice<const T>> {
};
template <class T> struct Parameter<MaskAndBias<T>> : StructParameter<MaskAndBias<T>, Mask, Slice<const T>> {};
template <> struct Parameter<Filters> : StructParameter<Filters, size_t, double, double, double, double, double> {};
template <> struct Parameter<BoxFormat> : StructParameter<BoxFormat, int32_t, double> {};
template <> struct Parameter<Suppression> : StructParameter<Suppression, int32_t, double, double, double> {};
template <> struct Parameter<ScoreChanges>
    : StructParameter<ScoreChanges, const float*, const float*, const uint8_t*, const float*> {};
template <> struct Parameter<WideScoreChanges>
    : StructParameter<WideScoreChanges, const double*, const double*, const double*> {};
template <> struct Parameter<AttentionSums> : StructParameter<AttentionSums, double*, double*, double*, int32_t*> {};
template <> struct Parameter<AttentionResults>
    : StructParameter<AttentionResults, float*, double*, double*, double*, int32_t*> {};
template <> struct Parameter<LinearSizes> : StructParameter<LinearSizes, size_t, size_t, size_t> {};
template <> struct Parameter<FeatureMap> : StructParameter<FeatureMap, int32_t, double> {};
template <> struct Parameter<LinearForm> : StructParameter<LinearForm, double, int32_t, double, double> {};
template <> struct Parameter<HeadWeights>
    : StructParameter<HeadWeights, const uint8_t*, const float*, const uint8_t*, size_t, size_t, size_t, int32_t> {};
template <class T> struct Parameter<const T&> : Parameter<T> {};

}  // namespace binding
