/* What a shared library of other implementations exports for rows.cc. Plain C, so that any compiler builds it. */
#ifndef FLASH_SOFTMAX_BENCH_PEER_H
#define FLASH_SOFTMAX_BENCH_PEER_H
#include <stddef.h>

typedef struct {
  const char* name;      /* shown in the table */
  const char* operation; /* softmax, log_softmax, log_sum_exp or cross_entropy */
  /* x and y are [rows, cols] floats, 64-byte aligned, and do not overlap. log_sum_exp and cross_entropy write
     a float or a double for each row to y; the benchmark does not read them. The target of row i is i % cols. */
  void (*run)(const float* x, float* y, size_t rows, size_t cols);
} RowPeer;

/* All peers of the library, ended by an entry whose name is null. */
#ifdef __cplusplus
extern "C" {
#endif
#if defined(__GNUC__)
__attribute__((visibility("default")))
#endif
extern const RowPeer flash_softmax_row_peers[];
#ifdef __cplusplus
}
#endif

#endif
