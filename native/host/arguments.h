// The arguments of a kernel as its host gives them: a list of kinds tells what a kernel takes, and Parameter makes each
// value of arguments in order. The hosts are Node (node/) and WebAssembly (wasm/). No header of a C library here.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "../rows/run.h"

namespace binding {

// Numbered as napi_typedarray_type.
enum class ArrayType : uint8_t { int8, uint8, uint8_clamped, int16, uint16, int32, uint32, float32, float64 };
enum class Form : uint8_t { kArray, kSlabs, kNumber, kSize, kInteger };
struct Kind {
  Form form;
  ArrayType type;  // of the array, or of each slab
};
template <size_t N> struct Kinds {
  Kind list[N];
  static constexpr size_t size() { return N; }
  constexpr const Kind* data() const { return list; }
};

// Whether d is a whole number from 0 to 2^53 - 1.
inline bool is_size(double d) { return d >= 0 && d <= 9007199254740991.0 && d == (double)(int64_t)d; }

// Data and length from the engine. No property of the JavaScript object is read.
struct TypedArray {
  void* data;
  size_t length;
  bool is_null;
  bool is_given() const { return !is_null; }
};

// An array of typed arrays.
struct SlabList : Slabs<void> {
  ArrayType type;
};

// The arguments of a call, in order.
struct Arguments {
  static constexpr size_t kMost = 24, kMostSlabs = 2;
  union Slot {
    TypedArray array;
    double number;
    size_t size;  // of slabs: the index in `slabs`
  } slots[kMost];
  SlabList slabs[kMostSlabs];
};

constexpr ArrayType type_of(float) { return ArrayType::float32; }
constexpr ArrayType type_of(double) { return ArrayType::float64; }
constexpr ArrayType type_of(uint8_t) { return ArrayType::uint8; }
constexpr ArrayType type_of(uint16_t) { return ArrayType::uint16; }
constexpr ArrayType type_of(int8_t) { return ArrayType::int8; }
constexpr ArrayType type_of(int32_t) { return ArrayType::int32; }
constexpr ArrayType type_of(uint32_t) { return ArrayType::uint32; }
// The kind of an array of T.
template <class T> struct Type {
  static constexpr ArrayType kType = type_of(T());
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
  static constexpr Kinds<1> kKinds = {{{Form::kArray, Type<T>::kType}}};
  static T* get(ArgumentReader& r) { return (T*)r.next().array.data; }
};
template <class T> struct Parameter<Slice<T>> {
  static constexpr Kinds<1> kKinds = Parameter<T*>::kKinds;
  static Slice<T> get(ArgumentReader& r) {
    const TypedArray& a = r.next().array;
    return {(T*)a.data, a.length};
  }
};
template <class T> struct Parameter<Slabs<T>> {
  static constexpr Kinds<1> kKinds = {{{Form::kSlabs, Type<T>::kType}}};
  static Slabs<T> get(ArgumentReader& r) {
    Slabs<T> slabs;
    static_assert(sizeof slabs == sizeof(Slabs<void>));
    COPY((void*)&slabs, (const Slabs<void>*)&r.all.slabs[r.next().size], sizeof slabs);
    return slabs;
  }
};
template <> struct Parameter<double> {
  static constexpr Kinds<1> kKinds = {{{Form::kNumber, {}}}};
  static double get(ArgumentReader& r) { return r.next().number; }
};
template <> struct Parameter<int32_t> {
  static constexpr Kinds<1> kKinds = {{{Form::kInteger, {}}}};
  static int32_t get(ArgumentReader& r) { return (int32_t)r.next().number; }
};
template <> struct Parameter<size_t> {
  static constexpr Kinds<1> kKinds = {{{Form::kSize, {}}}};
  static size_t get(ArgumentReader& r) { return r.next().size; }
};

template <size_t... N> constexpr auto joined(const Kinds<N>&... lists) {
  Kinds<(N + ...)> all = {};
  size_t at = 0;
  auto append = [&](const auto& kinds) {
    for (const Kind& each : kinds.list) all.list[at++] = each;
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
