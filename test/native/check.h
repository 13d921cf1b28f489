// The tests' harness: TEST registers, CHECK complains, main.cc runs. Nothing to install.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

struct Test {
  const char* name;
  void (*run)();
};
std::vector<Test>& tests();

struct Register {
  Register(const char* name, void (*run)()) { tests().push_back({name, run}); }
};
#define TEST(name)                          \
  static void name();                       \
  static const Register name##_(#name, name); \
  static void name()

// A test that fails goes on, but falls silent after a few complaints.
void complain(const char* file, int line, const std::string& what);
#define CHECK(condition, ...)                                        \
  do {                                                               \
    if (!(condition)) complain(__FILE__, __LINE__, text(__VA_ARGS__)); \
  } while (0)

// As printf.
#if defined(__GNUC__)
__attribute__((format(printf, 1, 2)))
#endif
std::string text(const char* format, ...);

// What a test found out, for the line that reports it: the largest error, how many inputs.
void report(const std::string& figures);

// What goes on now, for the message of a crash; the argument must outlive it. One a thread.
extern thread_local const char* doing;

// 1: look at everything. n: at about every n-th input, for emulators and sanitizers.
size_t thinning();
// The longest rows too (FLASH_SOFTMAX_LONG=1).
bool longest();

// task(i) for all i < count, on all processors.
void each(size_t count, const std::function<void(size_t)>& task);

// The same numbers on every machine. Mulberry32, as in test/support/cases.ts; N(0,1) from twelve uniforms, without
// rounding.
struct Random {
  uint32_t state;
  uint32_t bits();
  uint64_t bits64() { return (uint64_t)bits() << 32 | bits(); }
  double unit() { return bits() * 0x1p-32; }  // [0, 1)
  double normal();
};

// Bits, for numbers as they lie in memory.
template <class To, class From> To bit_cast(From from) {
  static_assert(sizeof(To) == sizeof(From), "a cast between sizes");
  To to;
  __builtin_memcpy(&to, &from, sizeof to);
  return to;
}
