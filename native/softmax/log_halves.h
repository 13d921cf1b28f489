// Long rows of halves for the logarithmic operators: read and written where they lie (log_long_rows.h).
//
// The results have the bits of a float copy that is rounded once. A row that log_row_sum.h must measure is copied.
#pragma once
#include "../rows/half_rows.h"
#include "log_long_rows.h"

namespace {

// The outputs of a call on halves, as LogResults has them.
struct LogHalfResults {
  uint16_t* logs = nullptr;
  double *log_sums = nullptr, *loss = nullptr;
  const int32_t* targets = nullptr;
  uint16_t* gradient = nullptr;
};

struct LogHalves : RowOfHalves {
  const HalfCall& call;
  const uint16_t* x;
  LogHalfResults to;
  Extras<float> extras;
  ExpScale<float> scale;
  ExpScale<double> double_scale;

  LogHalves(const HalfCall& c, const uint16_t* from, const LogHalfResults& results)
      : RowOfHalves{kReadsHalves ? write_row : nullptr},
        call(c),
        x(from),
        to(results),
        extras(c.part(0, c.rows.extent.outer)),
        scale(ExpScale<float>::of_call(c.rows.temperature)),
        double_scale(ExpScale<double>::of_call(c.rows.temperature)) {}
  AnyHalves<uint16_t> row_of(uint16_t* all, size_t at) const { return {all ? all + at : nullptr, &call.format}; }

  static bool write_row(const RowOfHalves* self, const Run& run, size_t i, float*) {
    const LogHalves& s = *(const LogHalves*)self;
    const size_t cols = s.call.rows.extent.cols, at = i * cols;
    if (s.to.targets && s.to.targets[i] < 0) return false;
    PartSums sums(run, cols);
    AnyHalves<const uint16_t> x = {s.x + at, &s.call.format};
    LogitRow<float, AnyHalves<const uint16_t>> logits(s.extras.row(x, i, cols), cols, &s.scale, &s.double_scale);
    return LogLongRow<AnyHalves<const uint16_t>, AnyHalves<uint16_t>>{
        run, logits, s.row_of(s.to.logs, at), s.row_of(s.to.gradient, at), sums.sums, sums.blocks}
        .measure_and_write(s.to.log_sums ? s.to.log_sums + i : nullptr, s.to.targets ? s.to.targets + i : nullptr,
                           s.to.targets ? s.to.loss + i : nullptr);
  }
  // Null if the call's rows are copied.
  const RowOfHalves* rows() const { return call.has_long_rows() ? this : nullptr; }
};

}  // namespace
