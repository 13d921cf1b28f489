// A fuzzer of the kernels (libFuzzer), stamped from operators.def: bytes become the arguments of a call, the contract
// of the binding examines them, and a call that it accepts runs. Arrays have exactly the promised length on the heap,
// so AddressSanitizer sees each access beyond. FUZZ_OPERATORS names operators, as in ' softmax exp_sum '; default: all.
//
// The contract refuses most random arrays as too short. A refused array is made as long as the contract asks, so that
// inputs reach kernels early. New operators and parameters need nothing here.
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "../../../native/host/contract.h"
#include "../../../native/kernels.h"

extern const Kernels KERNELS;

namespace {

using namespace binding;

constexpr size_t kMostElements = 1 << 14;  // of an array

// Takes values from the input; zeros when it has ended.
struct Bytes {
  const uint8_t* data;
  size_t size, at = 0;
  uint8_t next() { return at < size ? data[at++] : 0; }
  double raw() {
    uint64_t u = 0;
    for (int i = 0; i < 8; i++) u = u << 8 | next();
    double d;
    memcpy(&d, &u, 8);
    return d;
  }
};

double number_of(Bytes& in) {
  static const double some[] = {0, 1, -1, 0.5, 2, 3, 1e-3, 0.9, 40, 1e30, -1e30, 1e-300, 1e300, 5e-324, -0., 16, 20};
  constexpr size_t kSome = sizeof some / sizeof *some;
  uint8_t kind = in.next();
  if (kind < kSome) return some[kind];
  if (kind == kSome) return INFINITY;
  if (kind == kSome + 1) return -INFINITY;
  if (kind == kSome + 2) return NAN;
  return kind & 1 ? in.raw() : (double)(kind >> 4);
}
size_t size_of(Bytes& in) {
  uint8_t kind = in.next();
  return kind < 200 ? kind % 20 : kind < 250 ? in.next() : (size_t)in.next() << 8;
}

size_t width(ArrayType type) {
  switch (type) {
    case ArrayType::float64: return 8;
    case ArrayType::float32:
    case ArrayType::int32:
    case ArrayType::uint32: return 4;
    case ArrayType::int16:
    case ArrayType::uint16: return 2;
    default: return 1;
  }
}

// Arrays on the heap, as long as they say.
struct Memory {
  std::vector<void*> pieces;
  ~Memory() {
    for (void* piece : pieces) std::free(piece);
  }
  void* get(size_t bytes) {
    pieces.push_back(std::malloc(bytes ? bytes : 1));
    return pieces.back();
  }
};

// Writes elements: small whole numbers, ordinary ones, or the bytes of the input as they are.
void fill(void* array, ArrayType type, size_t length, Bytes in) {
  const uint8_t kind = in.next() % 4;
  for (size_t i = 0; i < length; i++) {
    if (in.at >= in.size) in.at = in.size / 2;  // goes on with the second half
    uint8_t* to = (uint8_t*)array + i * width(type);
    if (kind == 3) {
      for (size_t k = 0; k < width(type); k++) to[k] = in.next();
      continue;
    }
    const double value = kind == 0 ? in.next() % 18 : kind == 1 ? (in.next() - 128) / 8. : number_of(in);
    const float single = (float)value;
    const int32_t whole = value > -1e9 && value < 1e9 ? (int32_t)value : -1;
    if (type == ArrayType::float64) memcpy(to, &value, 8);
    else if (type == ArrayType::float32) memcpy(to, &single, 4);
    else memcpy(to, &whole, width(type));
  }
}

// The arguments of one call.
struct Call {
  const Kind* kinds;
  size_t count;
  Bytes in;
  Arguments all;
  Memory memory;
  uint8_t fills[Arguments::kMost];

  void make_array(size_t i, size_t length) {
    void* data = memory.get(length * width(kinds[i].type));
    Bytes from = in;
    from.at = in.size ? fills[i] % in.size : 0;
    fill(data, kinds[i].type, length, from);
    all.slots[i].array = {data, length, false};
  }
  void make() {
    size_t all_slabs = 0;
    for (size_t i = 0; i < count; i++) {
      fills[i] = in.next();
      if (kinds[i].form == Form::kArray) {
        const uint8_t length = in.next();
        if (length > 250) all.slots[i].array = {nullptr, 0, true};
        else make_array(i, length > 200 ? 20 : length % 25);
      } else if (kinds[i].form == Form::kSlabs) {
        make_slabs(kinds[i].type, all.slabs[all.slots[i].size = all_slabs++]);
      } else if (kinds[i].form == Form::kSize) {
        all.slots[i].size = size_of(in);
      } else if (kinds[i].form == Form::kInteger) {
        all.slots[i].number = (double)(in.next() % 16) - (in.next() > 250 ? 8 : 0);
      } else {
        all.slots[i].number = number_of(in);
      }
    }
  }
  void make_slabs(ArrayType type, SlabList& slabs) {
    slabs.type = type;
    slabs.count = in.next() % 4;
    for (size_t k = 0; k < slabs.count; k++) {
      slabs.length[k] = (size_t)in.next() * 64;
      slabs.data[k] = memory.get(slabs.length[k] * width(type));
      Bytes from = in;
      fill(slabs.data[k], type, slabs.length[k], from);
    }
  }
  // Lengthens the array that the contract refused. Returns false if it refused something else.
  bool lengthen(Contract holds, Refusal& refusal) {
    const Refusal before = refusal;
    if (!before.name || !(before.least <= kMostElements)) return false;
    for (size_t i = 0; i < count; i++) {
      if (kinds[i].form != Form::kArray || (double)all.slots[i].array.length != before.received) continue;
      const TypedArray old = all.slots[i].array;
      make_array(i, (size_t)before.least);
      if (holds(all, refusal) || !refusal.name || strcmp(refusal.name, before.name) != 0) return true;
      all.slots[i].array = old;
    }
    return false;
  }
};

Run make_run(uint8_t way, volatile size_t* missing) {
  static const volatile int32_t never = 0;
  const size_t on = 0, off = (size_t)-1;
  return {
      {way & 1 ? on : off, way & 2 ? on : off, off}, &never, missing, serial, 1, std::malloc, std::free, {nullptr, 0}};
}

template <class... A> struct Invocation {
  Invocation(void (*kernel)(const Run&, A...), const Run& run, A... each) { kernel(run, each...); }
};

template <class... A> void attempt(void (*kernel)(const Run&, A...), Contract holds, Bytes in) {
  static constexpr auto kKinds = joined(Parameter<A>::kKinds...);
  const uint8_t way = in.next();
  Call call = {kKinds.data(), kKinds.size(), in, {}, {}, {}};
  call.make();
  Refusal refusal;
  bool is_sound = holds(call.all, refusal);
  for (int tries = 0; !is_sound && tries < 20 && call.lengthen(holds, refusal); tries++)
    is_sound = holds(call.all, refusal);
  if (!is_sound) return;
  volatile size_t missing = 0;
  ArgumentReader reader{call.all};
  Invocation<A...>{kernel, make_run(way, &missing), Parameter<A>::get(reader)...};
}

struct Target {
  const char* name;
  void (*attempt)(Bytes in);
};

const std::vector<Target>& targets() {
  static const std::vector<Target> all = [] {
    std::vector<Target> found;
    const char* named = getenv("FUZZ_OPERATORS");
    auto add = [&](const char* name, void (*attempt)(Bytes)) {
      if (!named || strstr(named, (std::string(" ") + name + " ").c_str())) found.push_back({name, attempt});
    };
#define OF_TYPE(op, type, X, Y) \
  add(#op, [](Bytes in) { attempt((op##_kernel<Stored<X>, Stored<Y>>)KERNELS.op##_##type, op##_holds, in); });
#define OPERATOR(op, TYPES) TYPES(OF_TYPE, op)
#include "../../../native/operators.def"
#undef OF_TYPE
    return found;
  }();
  return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Bytes in = {data, size};
  if (size < 3 || targets().empty()) return 0;
  targets()[in.next() % targets().size()].attempt(in);
  return 0;
}
