// The same bits everywhere: on every instruction set, by every plan, with any number of threads, at any alignment, for
// every kernel of kernels.def and all kinds of values. `corpus` prints a hash to compare between processor families.
#include "calls.h"
#include "isas.h"

namespace {

void compare(const std::vector<char>& expected, const char* out, size_t element, const std::string& what) {
  if (memcmp(expected.data(), out, expected.size()) == 0) return;
  size_t i = 0;
  while (expected[i] == out[i]) i++;
  i -= i % element;
  double is = element == 4 ? *(const float*)(out + i) : *(const double*)(out + i), was = element == 4 ? *(const float*)&expected[i] : *(const double*)&expected[i];
  CHECK(false, "%s: element %zu is %a, not %a", what.c_str(), i / element, is, was);
}

// A copy of the inputs `shift` elements (of masks: bytes) off a cache line, the output as many the other way.
template <class Call> struct Shifted {
  const Call& call;
  std::vector<std::vector<char>> memory;
  std::vector<const void*> in;
  char* out;

  Shifted(const Call& call, size_t shift) : call(call) {
    for (auto& each : call.inputs()) in.push_back(copy(each, shift * (memory.size() == 1 ? 1 : Call::element)));
    out = copy({nullptr, call.bytes}, (16 - shift) % 16 * Call::element);
  }
  char* copy(Span s, size_t offset) {
    memory.emplace_back(s.bytes + 64 + offset);
    char* at = memory.back().data();
    at += (64 - (uintptr_t)at % 64) % 64 + offset;
    if (s.data) memcpy(at, s.data, s.bytes);
    return at;
  }
  const char* run(typename Call::Kernel kernel, const Run& run, bool in_place) {
    if (in_place) memcpy(out, call.inputs()[0].data, call.bytes);
    std::vector<const void*> from = in;
    if (in_place) from[0] = out;
    call.run(kernel, run, from, out);
    return out;
  }
};

template <class Kernel> void every_way(const char* name, Kernel Kernels::*kernel) {
  using Call = decltype(call_of(Kernel()));
  size_t made = 0;
  Call::valued([&](const Call& call) {
    if (made++ % thinning()) return;
    std::string what = text("%s: %s", name, call.about().c_str());
    doing = what.c_str();
    std::vector<char> expected = result(call, isas()[0].kernels->*kernel, make_run(Way::store));
    Shifted<Call> shifted(call, made % 16);
    for (auto& isa : isas())
      for (Way way : {Way::store, Way::two_pass, Way::stream}) {
        if (slow(isa) && (int)way != (int)(made % 3)) continue;
        for (bool in_place : {false, true})
          compare(expected, shifted.run(isa.kernels->*kernel, make_run(way), in_place), Call::element, text("%s (plan %d%s) of %s", isa.name, (int)way, in_place ? ", in place" : "", doing));
      }
  });
  doing = name;
  report(text("%s: %zu calls", name, made));
}

template <class Kernel> void every_thread_count(const char* name, Kernel Kernels::*kernel) {
  using Call = decltype(call_of(Kernel()));
  size_t made = 0;
  Call::large([&](const Call& call) {
    if (made++ % thinning()) return;
    std::string what = text("%s: %s", name, call.about().c_str());
    doing = what.c_str();
    std::vector<char> expected = result(call, isas()[0].kernels->*kernel, make_run(Way::store));
    for (auto& isa : isas())
      for (unsigned threads : {1u, 2u, 3u, 4u}) {
        if (slow(isa) && threads != 1 + made % 4) continue;
        pool::set_threads(threads);
        for (Way way : {Way::store, Way::two_pass, Way::stream})
          for (bool in_place : {false, true}) {
            if (slow(isa) && (way != Way::store || in_place)) continue;
            Shifted<Call> shifted(call, threads);
            compare(expected, shifted.run(isa.kernels->*kernel, make_run(way, threads), in_place), Call::element, text("%s (plan %d%s, %u threads) of %s", isa.name, (int)way, in_place ? ", in place" : "", threads, doing));
          }
      }
    pool::set_threads(1);
    CHECK(allocated == 0, "%ld pieces of memory were not released: %s", (long)allocated, doing);
  });
  doing = name;
}

template <class Kernel> uint64_t hash(Kernel Kernels::*kernel, const Isa& isa) {
  using Call = decltype(call_of(Kernel()));
  uint64_t h = 0xcbf29ce484222325;
  size_t made = 0;
  Call::valued([&](const Call& call) {
    if (made++ % 20) return;
    for (char c : result(call, isa.kernels->*kernel, make_run(Way::store))) h = (h ^ (uint8_t)c) * 0x100000001b3;
  });
  return h;
}

template <class Kernel> void one_hash(const char* name, Kernel Kernels::*kernel) {
  uint64_t expected = hash(kernel, isas()[0]);
  for (size_t i = 1; i < isas().size(); i++) CHECK(hash(kernel, isas()[i]) == expected, "%s: %s differs", isas()[i].name, name);
  report(text("%s %016llx", name, (unsigned long long)expected));
}

}  // namespace

TEST(bits_of_every_plan) {
#define KERNEL(name, ...) every_way(#name, &Kernels::name);
#include "../../native/kernels.def"
#undef KERNEL
}

TEST(bits_of_every_thread_count) {
#define KERNEL(name, ...) every_thread_count(#name, &Kernels::name);
#include "../../native/kernels.def"
#undef KERNEL
}

// The line is the same on every machine; scripts/native-tests.mjs compares those of the processor families it ran.
TEST(corpus) {
#define KERNEL(name, ...) one_hash(#name, &Kernels::name);
#include "../../native/kernels.def"
#undef KERNEL
}
