// The test harness: TEST registers a test, CHECK reports a failure, main.cc runs the tests.
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
#define TEST(name) \
  static void name(); \
  static const Register name##_(#name, name); \
  static void name()

// A failed test goes on. After a few complaints it prints no more.
void complain(const char* file, int line, const std::string& what);
#define CHECK(condition, ...) \
  do { \
    if (!(condition)) complain(__FILE__, __LINE__, text(__VA_ARGS__)); \
  } while (0)

// Formats as printf does.
#if defined(__GNUC__)
__attribute__((format(printf, 1, 2)))
#endif
std::string
text(const char* format, ...);

// Adds to the line that main.cc prints for the test: the largest error, the number of inputs.
void report(const std::string& figures);

// What this thread tests now, for the message of a crash. The string must stay alive meanwhile.
extern thread_local const char* doing;

// 1: every input is tested. n: about every n-th, for emulators and sanitizers.
size_t thinning();
// True if FLASH_SOFTMAX_LONG is set: rows of 2^26 are tested too.
bool longest();

// task(i) for all i < count, on all processors.
void each(size_t count, const std::function<void(size_t)>& task);

// Gives the same numbers on every machine: Mulberry32, as in test/support/cases.ts. N(0,1) is the sum of twelve
// uniforms, without rounding.
struct Random {
  uint32_t state;
  uint32_t bits();
  uint64_t bits64() { return (uint64_t)bits() << 32 | bits(); }
  double unit() { return bits() * 0x1p-32; }  // [0, 1)
  double normal();
};

// The bits of a number as another type of the same size.
template <class To, class From> To bit_cast(From from) {
  static_assert(sizeof(To) == sizeof(From), "a cast between sizes");
  To to;
  __builtin_memcpy(&to, &from, sizeof to);
  return to;
}
