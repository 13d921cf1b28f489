// The core of the logarithmic operators: the largest logit of a row, and the sum of the others relative to it,
//
//   S = Σ exp((x − max) / T) over all but one element that is the maximum      log Σ exp(x / T) = max / T + log(1 + S)
//
// so that log(1 + S) keeps every digit where the maximum stands alone, and (x − max) / T where logits are huge. All of
// it in doubles, for float rows too: a float's logit is a double, and a sum of floats would show in logSumExp.
//
// A vector holds W neighbours: of one row, or, along an axis that is not the last, of W rows that lie side by side.
// Both are the same loops; only the lanes of a row are put together at their end. A row is cut into parts of kSuper
// elements whatever thread takes them, and parts are put together in their order: the same bits on any number of threads.
#pragma once
#include "../math/formats.h"
#include "../math/log.h"
#include "row_sum.h"

namespace {

// What is known of W rows, or of a part of one row as its lanes see it.
template <class T> struct Lanes {
  static constexpr size_t W = ExpTraits<T>::kLanes;
  double top[W], low[W];             // the maximum, top + low where a bias was added
  double sum[W], rest[W], count[W];  // of the elements below the maximum; how many there are of it
  uint32_t seen;                     // lanes of which a mask leaves something
};

// W rows, or one, that have been measured: what results are made from.
template <class T> struct Measured : Lanes<T> {
  static constexpr size_t W = Lanes<T>::W;
  size_t first, n;          // the index of the first element, and the number of rows (one: all lanes are its own)
  double others[W], others_low[W], log_hi[W], log_lo[W];
  uint32_t odd;             // rows without a finite maximum, or with a NaN: `sum` is the logSumExp of such
  uint32_t wide;            // rows that must be measured by themselves (LogRows::suspects_wide)
  uint32_t wrong;           // those of them whose results are NaN: nothing but −∞ is no fault where a mask was given
};

template <class T> struct LogRows {
  static constexpr size_t W = ExpTraits<T>::kLanes, kParts = W / 8;
  const T* x;
  size_t cols, inner;
  const ExpScale<double>& scale;
  Extras<T> extras;
  double temperature;
  double by_x = 1;                    // derivatives are multiplied by it
  bool may_be_wide = sizeof(T) == 8;  // some row, as nobody has looked yet
  bool wants_exact = false;           // distances are pairs of doubles in any case

  bool across() const { return inner > 1; }
  size_t vectors() const { return across() ? cols : (cols + W - 1) / W; }
  size_t step() const { return across() ? inner : W; }
  ALWAYS size_t width(const Measured<T>& m, size_t v) const { return across() ? m.n : cols - v * W < W ? cols - v * W : W; }

  NEVER_INLINE uint32_t read_one(const Measured<T>& m, size_t v, Two<f64x8>* z) const { return read(m, v, z); }
  // Vector v of a tile, what is masked or outside as −∞. Returns the lanes that are not.
  template <bool kLean = false> ALWAYS uint32_t read(const Measured<T>& m, size_t v, Two<f64x8>* z) const {
    size_t i = m.first + v * step(), n = width(m, v), column = across() ? v : v * W;
    f64x8 a[kParts], b[kParts];
    widen(n == W ? load(x + i) : load_n(x + i, n, (T)0), a);
    UNROLL for (size_t p = 0; p < kParts; p++) z[p] = {a[p], splat(0.)};
    if (!kLean && extras.bias.data) {
      bool shared = extras.bias.length == cols;
      const T* bias = extras.bias.data + (shared ? column : i);
      widen(shared && across() ? splat(*bias) : n == W ? load(bias) : load_n(bias, n, (T)0), b);
      UNROLL for (size_t p = 0; p < kParts; p++) {
        z[p] = exact_sum(a[p], b[p]);
      }
    }
    uint32_t lanes = (1u << n) - 1;
    if (extras.has_mask()) lanes = extras.lanes(i, column, n, across());
    if (lanes != (1u << W) - 1) {
      UNROLL for (size_t p = 0; p < kParts; p++) z[p] = {select_bits(z[p].x, splat(-infinity<double>()), lanes >> 8 * p), select_bits(z[p].low, splat(0.), lanes >> 8 * p)};
    }
    return lanes;
  }
  ALWAYS Two<f64x8> scaled(Two<f64x8> z) const { return scaled_by(z, scale.scale1, scale.scale2); }
  // Float rows without a bias, at a temperature that needs no scaling: a logit is one double, and so is its distance,
  // exactly for floats of like size.
  static constexpr bool kMayBeLean = sizeof(T) == 4;
  bool lean() const { return kMayBeLean && !extras.bias.data && !scale.scaled && !wants_exact; }
  // How far z is from the maximum, exactly, brought near by a far temperature's power of two; −∞ has no low part.
  template <bool kLean> ALWAYS Two<f64x8> distance(Two<f64x8> z, f64x8 top, f64x8 low) const {
    if (kLean) return {sub(z.x, top), splat(0.)};
    if (scale.scale1 < 1) {  // down first, where a difference could overflow
      Two<f64x8> t = scaled({top, low});
      z = scaled(z), top = t.x, low = t.low;
    }
    const f64x8 zero = splat(0.), minus = sub(zero, top);
    Two<f64x8> below = {zero, zero};
    // Sums may be equal but for their lower parts, and these may be large.
    if (extras.bias.data) below = exact_sum(z.low, sub(zero, low));
    Two<f64x8> d = difference({z.x, below.x}, minus);
    d.low = add(d.low, below.low);
    return scale.scale1 > 1 ? scaled(d) : d;
  }

  // The three readings of vectors [from, to).
  void find_top(const Measured<T>& m, size_t from, size_t to, Lanes<T>& lanes) const {
    f64x8 top[kParts];
    for (auto& t : top) t = splat(-infinity<double>());
    uint32_t seen = 0;
    for (size_t v = from; v < to; v++) {
      Two<f64x8> z[kParts];
      seen |= read(m, v, z);
      UNROLL for (size_t p = 0; p < kParts; p++) top[p] = max_skip_nan(top[p], z[p].x);
    }
    UNROLL for (size_t p = 0; p < kParts; p++) store(lanes.top + 8 * p, top[p]), store(lanes.low + 8 * p, splat(0.));
    lanes.seen = seen;
  }
  void find_low(const Measured<T>& m, size_t from, size_t to, Lanes<T>& lanes) const {
    f64x8 low[kParts];
    for (auto& l : low) l = splat(-infinity<double>());
    for (size_t v = from; v < to; v++) {
      Two<f64x8> z[kParts];
      read(m, v, z);
      UNROLL for (size_t p = 0; p < kParts; p++) {
        uint32_t below = lanes_above(load(m.top + 8 * p), z[p].x);
        low[p] = max_skip_nan(low[p], select_bits(splat(-infinity<double>()), z[p].low, below));
      }
    }
    UNROLL for (size_t p = 0; p < kParts; p++) store(lanes.low + 8 * p, low[p]);
  }
  template <bool kLean> void add_up(const Measured<T>& m, size_t from, size_t to, Lanes<T>& lanes) const {
    // Terms added up plainly before a sum that carries roundings along takes them: few across rows, where equal terms' add up.
    const size_t chain = kMayBeLean ? (across() ? 8 : 64) : across() ? 4 : 8;
    const ExpVector<double> e(scale, 0);
    // exp of less than `least` is 1, and to compare subnormal numbers is slow.
    const f64x8 one = splat(1.), zero = splat(0.), least = splat(0x1p-1022);
    Total<double> total[kParts];
    f64x8 count[kParts], top[kParts], low[kParts];
    UNROLL for (size_t p = 0; p < kParts; p++) count[p] = zero, top[p] = load(m.top + 8 * p), low[p] = load(m.low + 8 * p);
    while (from < to) {
      size_t end = to - from < chain ? to : from + chain;
      f64x8 sum[kParts];
      UNROLL for (size_t p = 0; p < kParts; p++) sum[p] = zero;
      for (; from < end; from++) {
        Two<f64x8> z[kParts];
        read<kLean>(m, from, z);
        UNROLL for (size_t p = 0; p < kParts; p++) {
          Two<f64x8> d = distance<kLean>(z[p], top[p], low[p]);
          f64x8 t, q = kLean ? exp_below<false>(e, d.x, t) : exp_below<false>(e, d, t), down = sub(zero, kLean ? d.x : add(d.x, d.low));
          if (lanes_above(down, zero) != 0xFF) {  // there is a maximum among them, or a NaN
            count[p] = add(count[p], sub(one, zero_below(one, down, least)));
            q = zero_below(q, down, least);
          }
          sum[p] = add(sum[p], q);
        }
      }
      UNROLL for (size_t p = 0; p < kParts; p++) total[p].add_both(sum[p], zero);
    }
    UNROLL for (size_t p = 0; p < kParts; p++) store(lanes.sum + 8 * p, total[p].a), store(lanes.rest + 8 * p, total[p].rest), store(lanes.count + 8 * p, count[p]);
  }

  // exp(0) as the double core has it, and its inverse as a pair.
  static constexpr double kOne = 0x1p513, kG = ExpTraits<double>::kG, kInverse = 1 / kG;
  // The sum of a row in true units, and its logarithm.
  void conclude(Measured<T>& m, size_t i) const {
    const double inverse_low = FUSED_F64(-kInverse, kG, 1) * kInverse;
    double hi = m.sum[i] * kInverse, lo = FUSED_F64(m.sum[i], kInverse, -hi) + (m.sum[i] * inverse_low + m.rest[i] * kInverse);
    Pair others = two_sum_pair(m.count[i] - 1, hi / kOne);
    others.lo += lo / kOne;
    others = two_sum_pair(others.hi, others.lo);
    m.others[i] = others.hi, m.others_low[i] = others.lo;
    Pair log = log1p_pair(others.hi, others.lo);
    m.log_hi[i] = log.hi, m.log_lo[i] = log.lo;
  }
  // log Σ exp of a row, which is also log of one sum: max / T + log(1 + S), rounded once.
  double log_sum_exp(const Measured<T>& m, size_t i) const {
    if (m.odd >> i & 1) return m.sum[i];
    const bool up = scale.scale1 > 1;
    double top = m.top[i], low = m.low[i], divisor = up ? scale.temperature : temperature;
    if (up) top = top * scale.scale1 * scale.scale2, low = low * scale.scale1 * scale.scale2;
    double t = top / divisor;
    if (t - t != 0) return t;
    double rest = (FUSED_F64(-t, divisor, top) + low) / divisor;
    Pair sum = two_sum_pair(t, m.log_hi[i]);
    return sum.hi + (sum.lo + (rest + m.log_lo[i]));
  }
  // Rows of which a sum with the bias, or a distance from the maximum, may overflow while its quotient by the temperature does not.
  uint32_t suspects_wide(const Measured<T>& m) const {
    uint32_t some = 0;
    for (size_t i = 0; may_be_wide && i < W; i++) {
      bool is_far = !(m.top[i] > -0x1p900 && m.top[i] < kNearEnd<double>), is_large = temperature > 1 && m.top[i] > 0x1p900;
      some |= (uint32_t)(extras.bias.data ? temperature > 1 || is_far : is_large) << i;
    }
    return some;
  }
  // Of these lanes of a tile, the ones that have such logits: all of them in a row.
  SELDOM uint32_t find_wide(const Measured<T>& m, uint32_t suspects) const {
    // Of half a sum: at temperatures that an eighth would make less exact, of sums that overflow alone.
    const double least = temperature < 0x1p-1000 ? kNearEnd<double> : kNearEnd<double> / 2;
    const bool shared = extras.bias.length == cols;
    uint32_t wide = 0;
    for (size_t v = 0; v < vectors(); v++) {
      size_t i = m.first + v * step(), n = width(m, v), column = across() ? v : v * W;
      f64x8 a[kParts], b[kParts];
      widen(load_n(x + i, n, (T)0), a);
      for (f64x8& each : b) each = splat(0.);
      if (extras.bias.data) widen(shared && across() ? splat(extras.bias.data[column]) : load_n(extras.bias.data + (shared ? column : i), n, (T)0), b);
      uint32_t lanes = !extras.has_mask() ? (1u << n) - 1 : extras.lanes(i, column, n, across());
      wide |= finite_from(half_sum(a[0], b[0]), least) & lanes;
    }
    return across() || !wide ? wide & suspects : (1u << W) - 1;
  }
  // Of rows with +∞: those that have a NaN as well.
  SELDOM uint32_t with_nan(const Measured<T>& m) const {
    uint32_t nan = 0;
    for (size_t v = 0; v < vectors(); v++) {
      Two<f64x8> z[kParts];
      double at[W];
      read_one(m, v, z);
      UNROLL for (size_t p = 0; p < kParts; p++) store(at + 8 * p, z[p].x);
      for (size_t i = 0; i < W; i++) nan |= (uint32_t)(at[i] != at[i]) << i;
    }
    return across() || !nan ? nan : (1u << W) - 1;
  }
};

// Measures tiles; a row longer than kSuper with its parts shared among threads.
template <class T> struct Measuring {
  static constexpr size_t W = ExpTraits<T>::kLanes, kVectors = kSuper / W;
  const LogRows<T>& rows;
  const Run& run;
  Measured<T>& m;
  Lanes<T>* lanes;  // one a part

  size_t parts() const { return rows.across() ? 1 : (rows.vectors() + kVectors - 1) / kVectors; }
  size_t end(size_t part) const { return part + 1 < parts() ? (part + 1) * kVectors : rows.vectors(); }
  void each(void (*task)(void*, size_t)) { parts() < 2 ? task(this, 0) : run.parallel(parts(), task, this); }

  template <void (LogRows<T>::*kReading)(const Measured<T>&, size_t, size_t, Lanes<T>&) const> static void task(void* self, size_t part) {
    Measuring& s = *(Measuring*)self;
    if (!s.run.stopped()) (s.rows.*kReading)(s.m, part * kVectors, s.end(part), s.lanes[part]);
  }
  // The largest of a number of each lane: of all parts and, in a row, of all lanes.
  ALWAYS void largest_of(double (Lanes<T>::*number)[W]) {
    double all = -infinity<double>();
    for (size_t i = 0; i < W; i++) {
      double most = -infinity<double>();
      for (size_t p = 0; p < parts(); p++) most = (lanes[p].*number)[i] > most ? (lanes[p].*number)[i] : most;
      (m.*number)[i] = most;
      all = most > all ? most : all;
    }
    if (!rows.across()) for (size_t i = 0; i < W; i++) (m.*number)[i] = all;
  }

  // False: nothing has been measured but `wide`.
  bool go() {
    each(task<&LogRows<T>::find_top>);
    largest_of(&Lanes<T>::top);
    if constexpr (sizeof(T) == 8) {
      if (uint32_t suspects = rows.suspects_wide(m); suspects && (m.wide = rows.find_wide(m, suspects))) return false;
    }
    m.seen = 0, m.odd = 0;
    for (size_t p = 0; p < parts(); p++) m.seen |= lanes[p].seen;
    if (!rows.across() && m.seen) m.seen = (1u << W) - 1;
    uint32_t infinite = 0;
    double found[W];
    for (size_t i = 0; i < W; i++) {
      m.low[i] = 0, found[i] = m.top[i];
      if (m.top[i] - m.top[i] == 0) continue;
      m.odd |= 1u << i, infinite |= (uint32_t)(m.top[i] > 0) << i;
      m.top[i] = 0;
    }
    uint32_t nan = infinite ? rows.with_nan(m) : 0;
    if (rows.extras.bias.data) {
      each(task<&LogRows<T>::find_low>);
      largest_of(&Lanes<T>::low);
      for (double& l : m.low) l = l == -infinity<double>() ? 0 : l;
    }
    rows.lean() ? each(task<&LogRows<T>::template add_up<LogRows<T>::kMayBeLean>>) : each(task<&LogRows<T>::template add_up<false>>);
    for (size_t i = 0; i < W; i++) m.sum[i] = m.rest[i] = m.count[i] = 0;
    for (size_t p = 0; p < parts(); p++) {
      for (size_t i = 0, to = 0; i < W; i++, to += rows.across()) {
        double rest;
        two_sum(m.sum[to], lanes[p].sum[i], m.sum[to], rest);
        m.rest[to] += rest + lanes[p].rest[i];
        m.count[to] += lanes[p].count[i];
      }
    }
    m.wrong = 0;
    for (size_t i = 0; i < (rows.across() ? m.n : 1); i++) {
      if (infinite >> i & 1) m.sum[i] = nan >> i & 1 ? not_a_number<double>() : found[i];
      else if (m.sum[i] != m.sum[i]) m.odd |= 1u << i, m.sum[i] = not_a_number<double>();
      else if (m.odd >> i & 1) m.sum[i] = found[i];
      if (m.odd >> i & 1) m.log_hi[i] = m.log_lo[i] = m.others[i] = m.others_low[i] = 0;
      else rows.conclude(m, i);
      if ((m.odd >> i & 1) && !(m.sum[i] < 0 && rows.extras.has_mask())) m.wrong |= 1u << i;
    }
    if (rows.across()) return true;
    for (size_t i = 1; i < W; i++) m.others[i] = m.others[0], m.others_low[i] = m.others_low[0], m.log_hi[i] = m.log_hi[0], m.log_lo[i] = m.log_lo[0];
    if (m.odd & 1) m.odd = (1u << W) - 1;
    if (m.wrong & 1) m.wrong = (1u << W) - 1;
    return true;
  }
};

}  // namespace
