// Rows of float16 and bfloat16: a result is the float32 result, rounded once.
//
// A long row of a frequent operator is read and written where it lies (RowOfHalves). All other rows are copied to
// floats, some at a time, few enough for the cache, go through the operator's float kernel, and are rounded.
#pragma once
#include "../math/formats.h"
#include "../math/sum.h"
#include "buffer.h"
#include "share_rows.h"

namespace {

template <class X> constexpr bool kIsHalf = sizeof(Stored<X>) == 2;

// Where results go: to halves, to floats, or (neither) to arrays that the kernel knows.
struct HalfResult {
  uint16_t* halves = nullptr;
  float* floats = nullptr;
  HalfResult() {}
  HalfResult(uint16_t* to) : halves(to) {}
  HalfResult(float* to) : floats(to) {}
};

// A kernel of single rows that needs no float copy of the row, only `memory` for a row of floats. Returns false, and
// has written nothing, if the row must be copied.
struct RowOfHalves {
  bool (*write)(const RowOfHalves* self, const Run& run, size_t row, float* memory);
};

constexpr size_t kCopiedRow = 1024;  // elements of a row up to which it is copied
// A second text of each sweep has no room in a module of WebAssembly, and the reference needs none: they copy all rows.
constexpr bool kReadsHalves = kVectors >= 8;

// A call on half rows. A float copy of its bias is made once.
struct HalfCall {
  const HalfFormat& format;
  const Run& run;
  LogitRows<uint16_t> rows;
  float* bias = nullptr;

  NEVER_INLINE HalfCall(const HalfFormat& format, const Run& run, const LogitRows<uint16_t>& rows)
      : format(format), run(run), rows(rows) {
    if (!rows.bias.data) return;
    bias = (float*)memory_of(run, rows.bias.length * sizeof(float));
    if (bias) format.widen(rows.bias.data, bias, rows.bias.length);
  }
  HalfCall(const HalfFormat& format, const Run& run, const MaskedRows& rows)
      : HalfCall(format, run, LogitRows<uint16_t>{rows, {nullptr, 0}}) {}
  HalfCall(const HalfCall&) = delete;
  ~HalfCall() {
    if (bias) run.release(bias);
  }

  // Whether rows are read where they lie. The vectors of shorter rows are too few.
  bool has_long_rows() const { return kReadsHalves && rows.extent.inner == 1 && rows.extent.cols > kCopiedRow; }
  size_t row_index(size_t o) const { return o * rows.extent.inner; }
  // The rows of outer indices [o, o + n), for the float kernel.
  LogitRows<float> part(size_t o, size_t n) const {
    const Extent &e = rows.extent, some = {n, e.cols, e.inner};
    Slice<const float> all = {bias, rows.bias.length}, own = {bias + o * e.cols * e.inner, some.elements()};
    return {{some, rows.temperature, rows.mask.from(o, e)}, !bias || rows.bias.length == e.cols ? all : own};
  }
};

// Bytes that a float kernel needs of its reserve for each part of a long row and each block.
constexpr size_t kReserveOfPart = 768, kReserveOfBlock = 8;

// A call, cut along outer. `kernel` is called with (run, o, n, in, other, result): it takes outer indices [o, o + n)
// of the floats `in` (and `other`) to the floats `result`.
struct Halves {
  static constexpr size_t kBatch = 1 << 16, kPiece = 1 << 14;  // elements of a batch, and of one task of a conversion
  const HalfCall& call;
  const uint16_t *in, *other;  // other: null if the kernel reads one array
  HalfResult to;
  const void* kernel;
  void (*run_kernel)(const void* kernel, const Run& run, size_t o, size_t n, const float* in, const float* other,
                     float* result);
  const RowOfHalves* single_row;  // null: all rows are copied
  size_t batch = 1;

  // Each piece of memory has the floats of a batch, then the reserve of a long row.
  struct Batches {
    const Halves& halves;
    const Pieces& pieces;
  };
  // Converts n elements either way. Threads share its pieces.
  struct Conversion {
    const HalfFormat& format;
    const uint16_t* from;
    uint16_t* to;
    float* floats;
    size_t n;
    static void widen(void* self, size_t i) {
      const Conversion& c = *(Conversion*)self;
      c.format.widen(c.from + i * kPiece, c.floats + i * kPiece, c.left(i));
    }
    static void narrow(void* self, size_t i) {
      const Conversion& c = *(Conversion*)self;
      c.format.narrow(c.floats + i * kPiece, c.to + i * kPiece, c.left(i));
    }
    size_t left(size_t i) const { return n - i * kPiece < kPiece ? n - i * kPiece : kPiece; }
    size_t pieces() const { return (n + kPiece - 1) / kPiece; }
  };
  static void one(void* self, size_t index) {
    const Batches& b = *(const Batches*)self;
    Run alone = b.halves.call.run;
    alone.parallel = serial, alone.threads = 1;
    b.halves.batch_of(alone, b.pieces, index);
  }
  void batch_of(const Run& r, const Pieces& pieces, size_t index) const {
    if (r.stopped()) return;
    const Extent& e = call.rows.extent;
    size_t first = index * batch, n = e.outer - first < batch ? e.outer - first : batch;
    Pieces::Taken piece(pieces);
    Run inner = r;
    inner.reserve = {piece.data() + bytes_of_floats(), long_row_bytes()};
    if (!single_row) return copy(inner, piece.data(), first, n);
    for (size_t i = first; i < first + n && !r.stopped(); i++)
      if (!single_row->write(single_row, inner, i, (float*)piece.data())) copy(inner, piece.data(), i, 1);
  }
  // Runs the float kernel on a copy of outer indices [first, first + n).
  void copy(const Run& r, char* piece, size_t first, size_t n) const {
    const Extent& e = call.rows.extent;
    size_t each = e.cols * e.inner, size = n * each, at = first * each;
    float* memory = (float*)piece;
    float *x = memory, *y = other ? x + size : nullptr;
    float* result = to.floats ? to.floats + at : to.halves ? memory + size * (other ? 2 : 1) : nullptr;
    auto widen = [&](const uint16_t* from, float* floats) {
      Conversion c{call.format, from, nullptr, floats, size};
      r.parallel(c.pieces(), Conversion::widen, &c);
    };
    widen(in + at, x);
    if (other) widen(other + at, y);
    run_kernel(kernel, r, first, n, x, y, result);
    if (to.halves && !r.stopped()) {
      Conversion c{call.format, nullptr, to.halves + at, result, size};
      r.parallel(c.pieces(), Conversion::narrow, &c);
    }
  }
  // A multiple of 64.
  size_t bytes_of_floats() const {
    size_t arrays = 1 + (other != nullptr) + (to.halves != nullptr);
    return (batch * call.rows.extent.cols * call.rows.extent.inner * sizeof(float) * arrays + 63) / 64 * 64;
  }
  // The largest reserve that a float kernel needs for one batch.
  size_t long_row_bytes() const {
    const Extent& e = call.rows.extent;
    if (e.inner > 1 || e.cols <= kSuper) return 0;
    size_t blocks = (e.cols + kBlock - 1) / kBlock;
    return Parts{e.cols}.count() * (kReserveOfPart + batch * sizeof(Sum)) + blocks * kReserveOfBlock;
  }
  void go() {
    const Extent& e = call.rows.extent;
    size_t each = e.cols * e.inner;
    if (e.elements() == 0 || call.run.stopped()) return;
    Run r = for_bytes(call.run, e.elements() * sizeof(float));
    batch = each > kBatch ? 1 : kBatch / each;
    if (call.rows.mask.layout == kMaskBits) batch = (batch + 7) / 8 * 8;  // batches begin at whole bytes of it
    if (batch > e.outer) batch = e.outer;
    size_t batches = (e.outer + batch - 1) / batch;
    bool shared = batch * each <= kSuper && batches > 1;
    Pieces memory(r, bytes_of_floats() + long_row_bytes(), shared ? batches : 1);
    if (!memory.there()) return;
    Batches all = {*this, memory};
    if (shared) r.parallel(batches, one, &all);
    else
      for (size_t i = 0; i < batches; i++) batch_of(r, memory, i);
  }
};
// Runs kernel(run, o, n, in, other, result) on float copies of the halves `in` and, if it is not null, `other`; but
// first single_row, if it is not null.
template <class Kernel> void in_floats(const HalfCall& call, const uint16_t* in, const uint16_t* other, HalfResult to,
                                       const Kernel& kernel, const RowOfHalves* single_row = nullptr) {
  auto run = [](const void* self, const Run& r, size_t o, size_t n, const float* x, const float* y, float* result) {
    (*(const Kernel*)self)(r, o, n, x, y, result);
  };
  Halves{call, in, other, to, &kernel, run, single_row}.go();
}
// A result an element, from one array: softmax, logSoftmax.
void map_halves(const HalfCall& call, const uint16_t* x, HalfResult to,
                void (*kernel)(const Run&, const float*, float*, const LogitRows<float>&),
                const RowOfHalves* single_row = nullptr) {
  auto run = [&](const Run& r, size_t o, size_t n, const float* in, const float*, float* result) {
    kernel(r, in, result, call.part(o, n));
  };
  in_floats(call, x, nullptr, to, run, single_row);
}

}  // namespace
