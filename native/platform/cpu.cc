// Detection. x86: cpuid and xgetbv; an instruction set is usable if the processor has it and the operating system
// saves its registers. AArch64: NEON is always there.
#include "cpu.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#if defined(__x86_64__) || defined(_M_X64)
#define X86 1
#if defined(_MSC_VER)
#include <intrin.h>
#else
#include <cpuid.h>
#endif
#endif
#if defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace {

void add_scalar([[maybe_unused]] Machine& m, [[maybe_unused]] int n) {
#if !defined(WITHOUT_SCALAR)
  m.usable[n] = &kernels_scalar;
#endif
}

#if X86
struct Registers {
  uint32_t eax, ebx, ecx, edx;
};

Registers cpuid(uint32_t leaf, uint32_t sub = 0) {
  Registers r = {};
#if defined(_MSC_VER)
  int out[4];
  __cpuidex(out, (int)leaf, (int)sub);
  r = {(uint32_t)out[0], (uint32_t)out[1], (uint32_t)out[2], (uint32_t)out[3]};
#else
  __cpuid_count(leaf, sub, r.eax, r.ebx, r.ecx, r.edx);
#endif
  return r;
}

uint64_t saved_registers() {  // XCR0. Call it only if cpuid reports xgetbv
#if defined(_MSC_VER)
  return _xgetbv(0);
#else
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t)high << 32 | low;
#endif
}

void find_instruction_sets(Machine& m, char* features) {
  uint32_t most = cpuid(0).eax;
  Registers one = cpuid(1), seven = most >= 7 ? cpuid(7) : Registers{};
  bool xsave = one.ecx >> 27 & 1;
  uint64_t saved = xsave ? saved_registers() : 0;
  bool ymm = (saved & 0x6) == 0x6, zmm = (saved & 0xE6) == 0xE6;
  struct {
    const char* name;
    uint32_t has;
  } all[] = {
      {"avx", one.ecx >> 28 & 1},
      {"fma", one.ecx >> 12 & 1},
      {"f16c", one.ecx >> 29 & 1},
      {"avx2", seven.ebx >> 5 & 1},
      {"avx512f", seven.ebx >> 16 & 1},
      {"avx512dq", seven.ebx >> 17 & 1},
      {"avx512bw", seven.ebx >> 30 & 1},
      {"avx512vl", seven.ebx >> 31 & 1},
      {"avx512vnni", seven.ecx >> 11 & 1},
      {"os-ymm", ymm},
      {"os-zmm", zmm},
  };
  bool avx2 = ymm, avx512 = zmm;
  for (int i = 0; i < 11; i++) {
    if (i < 4) avx2 = avx2 && all[i].has;
    if (i < 8) avx512 = avx512 && all[i].has;
    if (all[i].has) strcat(strcat(features, *features ? " " : ""), all[i].name);
  }
  int n = 0;
  if (avx512) m.usable[n++] = &kernels_avx512;
  m.has_fused_dots = avx512 && all[8].has;
  if (avx2) m.usable[n++] = &kernels_avx2;
  add_scalar(m, n);
}

void find_name(char* name) {
  if (cpuid(0x80000000).eax < 0x80000004) return;
  for (uint32_t i = 0; i < 3; i++) {
    Registers r = cpuid(0x80000002 + i);
    memcpy(name + 16 * i, &r, 16);
  }
  for (size_t n = strlen(name); n && name[n - 1] == ' ';) name[--n] = 0;  // some processors pad it
}

// Leaf 4 (Intel) and 0x8000001D (AMD) list the caches in the same form.
void find_caches(Caches& c) {
  bool amd = cpuid(0).ecx == 0x444D4163;  // "cAMD"
  uint32_t leaf = amd ? 0x8000001D : 4;
  if ((amd ? cpuid(0x80000000).eax : cpuid(0).eax) < leaf) return;
  for (uint32_t i = 0; i < 8; i++) {
    Registers r = cpuid(leaf, i);
    uint32_t type = r.eax & 31, level = r.eax >> 5 & 7;
    if (type == 0) break;
    size_t bytes =
        ((size_t)(r.ebx >> 22) + 1) * ((r.ebx >> 12 & 1023) + 1) * ((r.ebx & 4095) + 1) * ((size_t)r.ecx + 1);
    if (type == 2) continue;  // instructions
    (level == 1 ? c.l1d : level == 2 ? c.l2 : c.l3) = bytes;
  }
}
#else
void find_instruction_sets(Machine& m, char* features) {
  strcpy(features, "neon");
  int n = 0;
#if defined(__aarch64__) || defined(_M_ARM64)
  m.usable[n++] = &kernels_neon;
#endif
  add_scalar(m, n);
}

void find_name(char* name) {
#if defined(__APPLE__)
  size_t length = 48;
  sysctlbyname("machdep.cpu.brand_string", name, &length, nullptr, 0);
#else
  strcpy(name, "AArch64");
#endif
}

void find_caches(Caches& c) {
#if defined(__APPLE__)
  struct {
    const char* name;
    size_t* to;
  } all[] = {{"hw.perflevel0.l1dcachesize", &c.l1d}, {"hw.perflevel0.l2cachesize", &c.l2}};
  for (auto& a : all) {
    int64_t v = 0;
    size_t length = sizeof v;
    if (sysctlbyname(a.name, &v, &length, nullptr, 0) == 0) *a.to = (size_t)v;
  }
#elif defined(__linux__)
  for (int i = 0; i < 4; i++) {
    char path[80], type[16] = "", unit = 0;
    int level = 0;
    unsigned long size = 0;
    auto read = [&](const char* name, const char* format, void* a, void* b) {
      snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/%s", i, name);
      FILE* f = fopen(path, "r");
      if (!f) return;
      if (fscanf(f, format, a, b) < 1) level = 0;
      fclose(f);
    };
    read("level", "%d", &level, nullptr);
    read("type", "%15s", type, nullptr);
    read("size", "%lu%c", &size, &unit);
    if (level < 1 || level > 3 || type[0] == 'I') continue;
    (level == 1 ? c.l1d : level == 2 ? c.l2 : c.l3) = (size_t)size * (unit == 'M' ? 1 << 20 : 1 << 10);
  }
#else
  (void)c;
#endif
}
#endif

}  // namespace

const Machine& machine() {
  static char name[64], features[128];
  static const Machine m = [] {
    Machine found = {name, features, {}, {}, false};
    find_instruction_sets(found, features);
    find_name(name);
    find_caches(found.caches);
    return found;
  }();
  return m;
}
