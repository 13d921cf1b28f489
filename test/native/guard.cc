// Every buffer of every kernel of kernels.def lies beside a page that must not be touched, on either side. Kernels read
// and write nothing around their buffers, leave inputs as they are, and give the usual results.
#include <deque>
#include <sys/mman.h>
#include <unistd.h>

#include "calls.h"
#include "isas.h"

namespace {

// Memory between two pages that must not be touched.
class Arena {
 public:
  explicit Arena(size_t bytes) : page((size_t)sysconf(_SC_PAGESIZE)), size((bytes + page - 1) / page * page) {
    base = (char*)mmap(nullptr, size + 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(base != MAP_FAILED && !mprotect(base, page, PROT_NONE) && !mprotect(base + page + size, page, PROT_NONE),
          "no guarded memory");
    base += page;
  }
  Arena(const Arena&) = delete;
  ~Arena() { munmap(base - page, size + 2 * page); }

  char* place(size_t bytes, bool back) { return back ? base + size - bytes : base; }
  char* put(Span s, bool back) {
    char* at = place(s.bytes, back);
    if (s.bytes) memcpy(at, s.data, s.bytes);
    return at;
  }
  // The side of a buffer that has no guard page gets a pattern instead.
  void paint(char* at, size_t bytes, bool check) {
    for (char* p = std::max(base, at - 128); p < std::min(base + size, at + bytes + 128); p++) {
      if (p >= at && p < at + bytes) continue;
      if (check)
        CHECK(*p == (char)0xA5, "%s wrote %td bytes off its output", doing,
              p < at ? p - at : p - at - (ptrdiff_t)bytes + 1);
      *p = (char)0xA5;
    }
  }

 private:
  size_t page, size;
  char* base;
};

// An arena for each array of a call.
struct Arenas {
  const size_t bytes;
  std::deque<Arena> in, out;
  explicit Arenas(size_t bytes) : bytes(bytes) {}
  void make(size_t inputs, size_t outputs) {
    while (in.size() < inputs) in.emplace_back(bytes);
    while (out.size() < outputs) out.emplace_back(bytes);
  }
};

template <class Call> void guarded(Arenas& arenas, const Call& call, typename Call::Kernel kernel, const Run& run,
                                   bool back, bool in_place, const Results& expected) {
  const std::vector<Span> inputs = call.inputs(), outputs = call.outputs();
  in_place = in_place && Call::kInPlace && outputs[0].bytes;
  arenas.make(inputs.size(), outputs.size());
  In in;
  Out out;
  for (size_t i = 0; i < inputs.size(); i++) in.push_back(arenas.in[i].put(inputs[i], back));
  for (size_t o = 0; o < outputs.size(); o++)
    out.push_back(o == 0 && in_place ? (char*)in[0] : arenas.out[o].place(outputs[o].bytes, back));
  auto paint = [&](bool check) {
    for (size_t o = 0; o < outputs.size(); o++)
      (o == 0 && in_place ? arenas.in[0] : arenas.out[o]).paint((char*)out[o], outputs[o].bytes, check);
  };
  paint(false);
  for (size_t o = 0; o < outputs.size(); o++)
    if (outputs[o].bytes && out[o] != in[0]) memset(out[o], 0, outputs[o].bytes);  // some kernels write a part
  call.run(kernel, run, in, out);
  paint(true);
  for (size_t o = 0; o < outputs.size(); o++)
    CHECK(!outputs[o].bytes || memcmp(out[o], expected[o].data(), outputs[o].bytes) == 0,
          "%s gives another output %zu there", doing, o);
  for (size_t i = in_place; i < inputs.size(); i++)
    CHECK(!inputs[i].bytes || memcmp(in[i], inputs[i].data, inputs[i].bytes) == 0, "%s changed its input %zu", doing,
          i);
}

template <class Call> void everywhere(const char* name, typename Call::Kernel Kernels::* kernel, bool large) {
  Arenas arenas(large ? 1 << 23 : 1 << 21);
  size_t made = 0;
  auto use = [&](const Shape& shape) {
    if (made++ % thinning_of(name)) return;
    const Call call(shape);
    Results expected = result(call, (large ? isas().front() : isas().back()).kernels->*kernel, make_run(Way::store));
    for (auto& isa : isas())
      for (int i = 0; i < 12; i++) {
        Way way = i / 4 == 0 ? Way::store : i / 4 == 1 ? Way::two_pass : Way::stream;
        bool back = i & 1, in_place = i & 2;
        if (slow(isa) && (large || (size_t)i != made % 12)) continue;
        if (large && one_in(name) > 1 && (size_t)i % 5 != made % 5) continue;
        std::string what = text("%s, %s, %s guard, %s plan %d, %s", name, isa.name, back ? "back" : "front",
                                in_place ? "in place," : "", (int)way, call.about().c_str());
        doing = what.c_str();
        guarded(arenas, call, isa.kernels->*kernel, make_run(way), back, in_place, expected);
      }
  };
  large ? ::large(use) : ::small(use);
  doing = name;
  report(text("%s: %zu calls", name, made));
}

}  // namespace

TEST(guard_pages_small) {
#define KERNEL(name, ...) everywhere<CALL_OF(name)>(#name, &Kernels::name, false);
#include "../../native/kernels.def"
#undef KERNEL
}

TEST(guard_pages_large) {
#define KERNEL(name, ...) everywhere<CALL_OF(name)>(#name, &Kernels::name, true);
#include "../../native/kernels.def"
#undef KERNEL
}
