// The kernels of one instruction set as a table of functions, stamped from operators.def.
#pragma once
#include "math/storage.h"
#include "rows/run.h"

// softmax_kernel<X, Y>, …: the type of an operator's kernel for logits stored as X and results stored as Y.
#define OPERATOR(op, TYPES) template <class X, class Y> using op##_kernel = void (*)(const Run&
#define SIZE(name) , size_t
#define NUMBER(name) , double
#define CODE(name) , int32_t
#define INPUT(T, name, length) , const T*
#define OPTIONAL_INPUT(T, name, length) , const T*
#define OUTPUT(T, name, length) , T*
#define OPTIONAL_OUTPUT(T, name, length) , T*
#define ROWS , const MaskedRows&
#define UNSCALED_ROWS(X) , const UnscaledRows<X>&
#define LOGIT_ROWS(X) , const LogitRows<X>&
#define MASK_AND_BIAS(X) , const MaskAndBias<X>&
#define FILTERS , const Filters&
#define BOX_FORMAT , const BoxFormat&
#define SUPPRESSION , const Suppression&
#define SCORE_CHANGES(seen) , const ScoreChanges&
#define WIDE_SCORE_CHANGES(seen) , const WideScoreChanges&
#define ATTENTION_RESULTS , const AttentionResults&
#define ATTENTION_SUMS , const AttentionSums&
#define LINEAR_SIZES , const LinearSizes&
#define FEATURE_MAP , const FeatureMap&
#define LINEAR_FORM , const LinearForm&
#define HEAD_WEIGHTS , const HeadWeights&
#define SHAPE(name) , const double*
#define SLABS(T, name) , const Slabs<T>&
#define END(op) );
#include "operators.def"

struct Kernels {
  const char* isa;
#define OF_TYPE(op, type, X, Y) op##_kernel<Stored<X>, Stored<Y>> op##_##type;
#define OPERATOR(op, TYPES) TYPES(OF_TYPE, op)
#include "operators.def"
#undef OF_TYPE
};

// The tables of this build. platform/cpu.h tells which of them this machine can run. Prebuilt binaries are built
// WITHOUT_SCALAR, as JavaScript is faster.
#if defined(__x86_64__) || defined(_M_X64)
extern const Kernels kernels_avx512, kernels_avx2;
#elif defined(__aarch64__) || defined(_M_ARM64)
extern const Kernels kernels_neon;
#endif
#if !defined(WITHOUT_SCALAR)
extern const Kernels kernels_scalar;
#endif
