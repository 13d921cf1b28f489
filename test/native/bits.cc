// Every kernel of kernels.def gives the same bits on every instruction set, by every plan, with any number of threads
// and at any alignment. `corpus` prints hashes, which scripts/native-tests.mjs compares between processor families.
#include "calls.h"
#include "isas.h"

namespace {

std::string in_full(const char* at, size_t element) {
  return element == 8   ? text("%a", *(const double*)at)
         : element == 4 ? text("%a", *(const float*)at)
                        : text("%#x", *(const uint16_t*)at);
}
void compare(const Results& expected, const Out& out, const std::vector<Span>& outputs, const std::string& what) {
  for (size_t o = 0; o < out.size(); o++) {
    size_t element = outputs[o].element;
    for (size_t i = 0; i < expected[o].size(); i += element) {
      const char *actual = (const char*)out[o] + i, *wanted = &expected[o][i];
      if (memcmp(actual, wanted, std::min(expected[o].size() - i, (size_t)1 << 12)) == 0) i += (1 << 12) - element;
      else if (memcmp(actual, wanted, element) != 0) {
        CHECK(false, "%s: element %zu of output %zu is %s, not %s", what.c_str(), i / element, o,
              in_full(actual, element).c_str(), in_full(wanted, element).c_str());
        return;
      }
    }
  }
}

// A copy of a call's buffers: inputs lie `shift` elements above a cache line, outputs as many below the next one.
template <class Call> struct Shifted {
  const Call& call;
  std::vector<std::vector<char>> memory;
  In in;
  Out out;

  Shifted(const Call& call, size_t shift) : call(call) {
    for (auto& each : call.inputs()) in.push_back(copy(each, shift));
    for (auto& each : call.outputs()) out.push_back(copy(each, (16 - shift) % 16));
  }
  char* copy(Span s, size_t offset) {
    memory.emplace_back(s.bytes + 64 + offset * s.element);
    char* at = memory.back().data();
    at += (64 - (uintptr_t)at % 64) % 64 + offset * s.element;
    if (s.data && s.bytes) memcpy(at, s.data, s.bytes);
    return at;
  }
  const Out& run(typename Call::Kernel kernel, const Run& run, bool in_place) {
    In from = in;
    if (in_place && call.outputs()[0].bytes) {
      memcpy(out[0], call.inputs()[0].data, call.inputs()[0].bytes);
      from[0] = out[0];
    }
    call.run(kernel, run, from, out);
    return out;
  }
};

template <class Call> void every_way(const char* name, typename Call::Kernel Kernels::* kernel) {
  size_t made = 0;
  valued([&](const Shape& shape) {
    if (made++ % thinning_of(name)) return;
    const Call call(shape);
    std::string what = text("%s: %s", name, call.about().c_str());
    doing = what.c_str();
    Results expected = result(call, isas()[0].kernels->*kernel, make_run(Way::store));
    Shifted<Call> shifted(call, made % 16);
    for (auto& isa : isas())
      for (Way way : {Way::store, Way::two_pass, Way::stream}) {
        if (slow(isa) && (int)way != (int)(made % 3)) continue;
        for (bool in_place : {false, Call::kInPlace})
          compare(expected, shifted.run(isa.kernels->*kernel, make_run(way), in_place), call.outputs(),
                  text("%s (plan %d%s) of %s", isa.name, (int)way, in_place ? ", in place" : "", doing));
      }
  });
  doing = name;
  report(text("%s: %zu calls", name, made));
}

template <class Call> void every_thread_count(const char* name, typename Call::Kernel Kernels::* kernel) {
  size_t made = 0;
  large([&](const Shape& shape) {
    if (made++ % thinning_of(name)) return;
    const Call call(shape);
    std::string what = text("%s: %s", name, call.about().c_str());
    doing = what.c_str();
    Results expected = result(call, isas()[0].kernels->*kernel, make_run(Way::store));
    for (auto& isa : isas())
      for (unsigned threads : {1u, 2u, 3u, 4u}) {
        if (slow(isa) && threads != 1 + made % 4) continue;
        pool::set_threads(threads);
        for (Way way : {Way::store, Way::two_pass, Way::stream})
          for (bool in_place : {false, Call::kInPlace}) {
            if (slow(isa) && (way != Way::store || in_place)) continue;
            if (one_in(name) > 1 && ((size_t)way + threads + made) % 3) continue;
            Shifted<Call> shifted(call, threads);
            compare(expected, shifted.run(isa.kernels->*kernel, make_run(way, threads), in_place), call.outputs(),
                    text("%s (plan %d%s, %u threads) of %s", isa.name, (int)way, in_place ? ", in place" : "", threads,
                         doing));
          }
      }
    pool::set_threads(1);
    CHECK(allocated == 0, "%ld pieces of memory were not released: %s", (long)allocated, doing);
  });
  doing = name;
}

template <class Call> uint64_t hash(const char* name, typename Call::Kernel Kernels::* kernel, const Isa& isa) {
  uint64_t h = 0xcbf29ce484222325;
  size_t made = 0;
  valued([&](const Shape& shape) {
    if (made++ % (19 * one_in(name))) return;
    for (auto& out : result(Call(shape), isa.kernels->*kernel, make_run(Way::store)))
      for (char c : out) h = (h ^ (uint8_t)c) * 0x100000001b3;
  });
  return h;
}

template <class Call> void one_hash(const char* name, typename Call::Kernel Kernels::* kernel) {
  uint64_t expected = hash<Call>(name, kernel, isas()[0]);
  for (size_t i = 1; i < isas().size(); i++)
    CHECK(hash<Call>(name, kernel, isas()[i]) == expected, "%s: %s differs", isas()[i].name, name);
  report(text("%s %016llx", name, (unsigned long long)expected));
}

}  // namespace

TEST(bits_of_every_plan) {
#define KERNEL(name, ...) every_way<CALL_OF(name)>(#name, &Kernels::name);
#include "../../native/kernels.def"
#undef KERNEL
}

TEST(bits_of_every_thread_count) {
#define KERNEL(name, ...) every_thread_count<CALL_OF(name)>(#name, &Kernels::name);
#include "../../native/kernels.def"
#undef KERNEL
}

// The line is the same on every machine.
TEST(corpus) {
#define KERNEL(name, ...) one_hash<CALL_OF(name)>(#name, &Kernels::name);
#include "../../native/kernels.def"
#undef KERNEL
}
