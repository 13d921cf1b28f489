// A library to preload: it fails allocations of flash-softmax's addon and threads that the addon starts, and nothing
// else of the process. The program controls it by environment variables:
//
//     STARVE = 'n'           the n-th allocation from now on fails; 'n+': and all later ones; '': none
//     STARVE_ASKED           the number of allocations since then
//     STARVE_KEPT            the number of pieces of memory that the addon holds
#include <dlfcn.h>
#include <link.h>
#include <pthread.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

extern "C" void* __libc_malloc(size_t);
extern "C" void __libc_free(void*);

namespace {

std::atomic<uintptr_t> begins{0}, ends{0};  // of the addon in memory
std::atomic<size_t> asked{0}, fails_at{0};
std::atomic<bool> ever_after{false};
char answer[32];

// The addresses of the addon's pieces of memory.
constexpr size_t kPlaces = 512;
std::atomic<void*> places[kPlaces];
std::atomic<long> kept{0};

bool is_addon(void* caller) { return (uintptr_t)caller >= begins && (uintptr_t)caller < ends; }
bool fails() {
  size_t n = ++asked, at = fails_at;
  return at && (n == at || (ever_after && n > at));
}
void* remember(void* p) {
  for (size_t i = 0; i < kPlaces; i++) {
    void* none = nullptr;
    if (!places[i].compare_exchange_strong(none, p)) continue;
    kept++;
    return p;
  }
  std::abort();
}
void forget(void* p) {
  for (size_t i = 0; p && kept > 0 && i < kPlaces; i++) {
    void* same = p;
    if (places[i].compare_exchange_strong(same, nullptr)) {
      kept--;
      return;
    }
  }
}
void* piece(size_t bytes, void* caller) {
  if (!is_addon(caller)) return __libc_malloc(bytes);
  return fails() ? nullptr : remember(__libc_malloc(bytes));
}
void* piece_or_throw(size_t bytes, void* caller) {
  void* p = piece(bytes, caller);
  return p ? p : throw std::bad_alloc();
}

int find_addon(dl_phdr_info* info, size_t, void*) {
  if (!info->dlpi_name || !strstr(info->dlpi_name, "flash_softmax")) return 0;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const auto& part = info->dlpi_phdr[i];
    if (part.p_type != PT_LOAD || !(part.p_flags & PF_X)) continue;
    begins = info->dlpi_addr + part.p_vaddr;
    ends = begins + part.p_memsz;
  }
  return 1;
}
template <class F> F next_one(const char* name) { return (F)dlsym(RTLD_NEXT, name); }

}  // namespace

#define CALLER __builtin_return_address(0)
extern "C" {

void* malloc(size_t bytes) { return piece(bytes, CALLER); }
void free(void* p) {
  forget(p);
  __libc_free(p);
}

void* dlopen(const char* file, int flags) {
  void* library = next_one<void* (*)(const char*, int)>("dlopen")(file, flags);
  dl_iterate_phdr(find_addon, nullptr);
  return library;
}
int pthread_create(pthread_t* id, const pthread_attr_t* attributes, void* (*body)(void*), void* argument) {
  static auto create = next_one<decltype(&pthread_create)>("pthread_create");
  return is_addon(CALLER) && fails() ? 11 /* EAGAIN */ : create(id, attributes, body, argument);
}
int setenv(const char* name, const char* value, int overwrite) {
  static auto set = next_one<decltype(&setenv)>("setenv");
  if (!strcmp(name, "STARVE")) {
    asked = 0;
    fails_at = strtoul(value, nullptr, 10);
    ever_after = strchr(value, '+') != nullptr;
  }
  return set(name, value, overwrite);
}
char* getenv(const char* name) {
  static auto get = next_one<decltype(&getenv)>("getenv");
  long value;
  if (!strcmp(name, "STARVE_ASKED")) value = (long)asked;
  else if (!strcmp(name, "STARVE_KEPT")) value = kept;
  else return get(name);
  snprintf(answer, sizeof answer, "%ld", value);
  return answer;
}
}

void* operator new(size_t bytes) { return piece_or_throw(bytes, CALLER); }
void* operator new[](size_t bytes) { return piece_or_throw(bytes, CALLER); }
void* operator new(size_t bytes, const std::nothrow_t&) noexcept { return piece(bytes, CALLER); }
void* operator new[](size_t bytes, std::align_val_t to) {
  if (is_addon(CALLER) && fails()) throw std::bad_alloc();
  return aligned_alloc((size_t)to, (bytes + (size_t)to - 1) / (size_t)to * (size_t)to);
}
