// The floating-point control of a thread. Kernels round to nearest, and keep subnormal numbers; other code of the
// process may have left the thread otherwise.
#pragma once
#include <stdint.h>

#if defined(__x86_64__) || defined(_M_X64)
#include <xmmintrin.h>
#elif defined(_M_ARM64)
#include <intrin.h>
#endif

// While it lives, the thread computes as kernels need it. Then the control is what it was.
class OwnArithmetic {
#if defined(__x86_64__) || defined(_M_X64)
  using Word = uint32_t;
  static constexpr Word kDefault = 0x1F80, kFlags = 0x3F;  // flags say what has happened, and control nothing
  static Word read() { return _mm_getcsr() & ~kFlags; }
  static void write(Word control) { _mm_setcsr((_mm_getcsr() & kFlags) | control); }
#elif defined(__aarch64__)
  using Word = uint64_t;
  static constexpr Word kDefault = 0;
  static Word read() {
    Word control;
    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    return control;
  }
  static void write(Word control) { __asm__ volatile("msr fpcr, %0" : : "r"(control)); }
#elif defined(_M_ARM64)
  using Word = uint64_t;
  static constexpr Word kDefault = 0;
  static Word read() { return (Word)_ReadStatusReg(ARM64_FPCR); }
  static void write(Word control) { _WriteStatusReg(ARM64_FPCR, (int64_t)control); }
#else
  using Word = uint32_t;
  static constexpr Word kDefault = 0;
  static Word read() { return kDefault; }
  static void write(Word) {}
#endif
  Word before_ = read();

 public:
  OwnArithmetic() {
    if (before_ != kDefault) write(kDefault);
  }
  OwnArithmetic(const OwnArithmetic&) = delete;
  ~OwnArithmetic() {
    if (before_ != kDefault) write(before_);
  }
};
