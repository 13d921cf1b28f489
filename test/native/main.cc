// Runs the C++ tests that are named, or all:  native_tests [--thin N] [--list] [NAME…]
// Prints a line for each test with its figures, then the counts. The exit status is 1 if a test failed.
#include <algorithm>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <chrono>
#include <mutex>
#include <thread>

#include <unistd.h>

#include "check.h"

namespace {

constexpr int kLoud = 5;
std::atomic<int> complaints{0};
std::mutex output;
std::string figures;
size_t thin = 1;

// Touching a guard page ends the process: prints where.
void crashed(int signal) {
  const char* parts[] = {"crashed (signal ",
                         signal == SIGSEGV  ? "SEGV"
                         : signal == SIGBUS ? "BUS"
                         : signal == SIGILL ? "ILL"
                                            : "FPE",
                         ") in ", doing, "\n0 passed, 1 failed\n"};
  for (const char* part : parts)
    if (write(1, part, strlen(part)) < 0) break;
  _exit(1);
}

}  // namespace

thread_local const char* doing = "";

std::vector<Test>& tests() {
  static std::vector<Test> all;
  return all;
}

std::string text(const char* format, ...) {
  char line[1000];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  return line;
}

void complain(const char* file, int line, const std::string& what) {
  int before = complaints++;
  std::lock_guard<std::mutex> hold(output);
  const char* name = strrchr(file, '/');
  if (before < kLoud) printf("  %s:%d: %s\n", name ? name + 1 : file, line, what.c_str());
  if (before == kLoud) printf("  … and more\n");
}

void report(const std::string& figure) {
  std::lock_guard<std::mutex> hold(output);
  figures += (figures.empty() ? "" : "; ") + figure;
}

size_t thinning() { return thin; }

bool longest() {
  static const char* set = getenv("FLASH_SOFTMAX_LONG");
  return set && *set;
}

void each(size_t count, const std::function<void(size_t)>& task) {
  std::atomic<size_t> next{0};
  auto work = [&, from = doing] {
    doing = from;
    for (size_t i; (i = next++) < count;) task(i);
  };
  std::vector<std::thread> helpers;
  for (unsigned i = 1; i < std::thread::hardware_concurrency(); i++) helpers.emplace_back(work);
  work();
  for (auto& t : helpers) t.join();
}

uint32_t Random::bits() {
  state += 0x6d2b79f5;
  uint32_t word = (state ^ state >> 15) * (state | 1);
  word ^= word + (word ^ word >> 7) * (word | 61);
  return word ^ word >> 14;
}

double Random::normal() {
  double sum = bits() * 0x1p-32 - 12 * 0x7fff - 6.5;
  for (int i = 0; i < 6; i++) {
    uint32_t word = bits();
    sum += (word & 0xffff) + (word >> 16);
  }
  return sum / 0x10000;
}

int main(int count, char** arguments) {
  std::vector<std::string> names;
  for (int i = 1; i < count; i++) {
    std::string each = arguments[i];
    if (each == "--list") {
      for (auto& t : tests()) puts(t.name);
      return 0;
    }
    if (each == "--thin" && i + 1 < count) thin = std::strtoul(arguments[++i], nullptr, 10);
    else names.push_back(each);
  }
  for (int each : {SIGSEGV, SIGBUS, SIGILL, SIGFPE}) std::signal(each, crashed);

  int passed = 0, failed = 0;
  for (auto& t : tests()) {
    if (!names.empty() && std::find(names.begin(), names.end(), t.name) == names.end()) continue;
    complaints = 0;
    figures.clear();
    doing = t.name;
    auto start = std::chrono::steady_clock::now();
    t.run();
    std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    complaints ? failed++ : passed++;
    printf("%s %s (%.1f s)%s%s\n", complaints ? "FAILED" : "passed", t.name, taken.count(), figures.empty() ? "" : ": ",
           figures.c_str());
    fflush(stdout);
  }
  if (passed + failed == 0) {
    failed = 1;
    puts("Expected the names of tests (--list shows them) but none matched");
  }
  printf("%d passed, %d failed\n", passed, failed);
  return failed != 0;
}
