// Attention: y = Σ_n softmax(scores)_n · v_n for every query row, over keys in two arrays or in the pages of a cache.
//
// The query heads that share a key/value head are rows of one block: keys and values are read once for all of them. The
// keys are cut into parts of kPart, whoever takes them; where there are fewer blocks than threads could use, the parts of a
// block are shared out too, and folded afterwards in the order in which one thread would have (flash decoding). So the
// bits do not depend on threads. Prefill is cut into blocks of query rows, each of which goes over all keys that it sees.
#pragma once
#include "attention_keys.h"
#include "attention_rows.h"
#include "attention_values.h"
#include "../rows/buffer.h"

namespace {

// Everything that a call has besides keys and values.
struct AttentionData {
  const double* spans;  // a sequence each: the position of its first key, and how many positions there are. Null: all keys
  const float* q;
  const ScoreChanges& changes;
  const AttentionResults& to;
};

// Rows of a block: as many as share a tile that was put together, unless threads would have too few blocks.
constexpr size_t kMostRows = 512, kLeastRows = 128;

struct Attention {
  const Run& run;
  const AttentionShape& s;
  const AttentionData& d;
  const Keys& keys;
  Scoring scoring;
  size_t of_block = kMostRows;      // rows
  bool long_keys = false;       // of some sequence there are several parts
  bool split = false;
  size_t* parts = nullptr;      // the first part of each sequence, if they are split
  float* part_acc = nullptr;    // [part][row of the part's block][width]
  double* part_sums = nullptr;  // [part][row]: sum, exponent
  const Pieces* pieces = nullptr;  // of `memory()` bytes, for each block that is worked on

  Attention(const Run& run, const AttentionShape& s, const AttentionData& d, const Keys& keys)
      : run(run), s(s), d(d), keys(keys), scoring{s.depth, s.width(), s.scale * kLog2E, s.softcap * kLog2E} {
    for (size_t b = 0; b < s.batch; b++) long_keys |= parts_of(b) > 1;
    while (of_block > kLeastRows && units() < 4 * run.threads) of_block /= 2;
  }

  size_t blocks() const { return (s.rows() + of_block - 1) / of_block; }
  size_t units() const { return s.batch * s.kv_heads * blocks(); }
  size_t parts_of(size_t b) const { return (keys.of(b) + kPart - 1) / kPart; }
  // Rows of a block, as memory is made for them; whether they are many enough to keep the tiles of a part for the next of them.
  size_t room() const { return ((s.rows() < of_block ? s.rows() : of_block) + kTogether - 1) / kTogether * kTogether; }
  bool keeps() const { return room() > Rows::kStep; }
  size_t totals() const { return long_keys || room() < Rows::kStep ? room() : Rows::kStep; }
  size_t scratch_floats() const { return (keeps() ? kPart / kTile : 1) * keys.scratch(); }
  size_t memory() const {
    size_t tiles = scratch_floats() * sizeof(float);
    return Rows::bytes(scoring, room(), totals()) + tiles + SharedValues::bytes(s.width()) + 64;
  }

  // Row i of a key/value head: all heads of a query, then those of the next.
  void set(Row1& row, size_t b, size_t kv, size_t i) const {
    size_t query = i / s.shared(), head = kv * s.shared() + i % s.shared(), n = keys.of(b);
    double start = d.spans ? d.spans[2 * b] : 0, total = d.spans ? d.spans[2 * b + 1] : (double)n;
    double at = total - (double)s.queries + (double)query - start;  // on the scale of this sequence's first key
    double from = s.window > 0 ? at - s.window + 1 : 0, to = s.causal ? at + 1 : s.window > 0 ? at + s.window : (double)n;
    row.q = d.q + s.place(b, head, s.heads, query, s.queries) * s.depth;
    row.slope = d.changes.slopes ? d.changes.slopes[head] * kLog2E : 0;
    row.position = at;
    row.mask = d.changes.mask ? d.changes.mask + b * s.mask_batch + head * s.mask_head + query * s.mask_query : nullptr;
    row.bias = d.changes.bias ? d.changes.bias + b * s.bias_batch + head * s.bias_head + query * s.bias_query : nullptr;
    row.from = within(from, n), row.to = within(to, n);
    row.exact = row.to < row.from + kFewKeys + 1;
    row.plain = row.slope == 0 && !row.bias && !row.exact;
  }
  static size_t within(double x, size_t n) { return x > 0 ? x < (double)n ? (size_t)x : n : 0; }

  // The parts [first, end) of a block's keys, a step of rows after the other; `each` is called after each.
  template <class Each> void go(Rows& rows, float* scratch, size_t b, size_t kv, size_t first, size_t end, Each each) const {
    for (size_t p = first; p < end; p++) {
      uint32_t ready = 0;
      for (size_t i = 0, next; i < rows.count && !run.stopped(); i = next) {
        next = i + Rows::kStep < rows.count ? i + Rows::kStep : rows.count;
        size_t from = rows.from(i, next), to = rows.to(i, next), stop = (p + 1) * kPart < to ? (p + 1) * kPart : to;
        rows.begin_part(i, next);
        for (size_t key = p * kPart > from ? p * kPart : from / kTile * kTile; key < stop; key += kTile) {
          size_t slot = keeps() ? key % kPart / kTile : 0;
          rows.tile(keys.tile(b, kv, key, scratch + slot * keys.scratch(), rows.count, ready >> slot & 1), key, i, next);
          ready |= (uint32_t)keeps() << slot;
        }
        each(p, i, next);
      }
    }
  }
  NEVER_INLINE void fill(Rows& rows, size_t b, size_t kv, size_t block) const {
    size_t first = block * of_block;
    rows.count = s.rows() - first < of_block ? s.rows() - first : of_block;
    for (size_t i = 0; i < rows.count; i++) set(rows.row[i], b, kv, first + i);
    rows.begin();
  }
  // A block of rows of a key/value head, and memory for tiles.
  struct Block {
    Rows& rows;
    SharedValues& shared;
    float* scratch;
    size_t b, kv, block;
  };
  // A block of rows by its number: `sum` adds up what they see, and finishes them.
  template <class Sum> static void block_of(const Attention& a, size_t unit, Sum sum) {
    if (a.run.stopped()) return;
    Pieces::Taken memory(*a.pieces);
    Rows rows(a.scoring, a.keys.reading, a.room(), a.totals(), memory.data());
    size_t block = unit % a.blocks(), kv = unit / a.blocks() % a.s.kv_heads, b = unit / a.blocks() / a.s.kv_heads;
    float* scratch = a.scratch(memory.data());
    SharedValues shared(a.keys, b, kv, scratch + a.scratch_floats());
    a.fill(rows, b, kv, block);
    sum(Block{rows, shared, scratch, b, kv, block});
  }
  static void whole(void* self, size_t unit) {
    const Attention& a = *(const Attention*)self;
    block_of(a, unit, [&](const Block& block) {
      Rows& rows = block.rows;
      size_t parts = a.parts_of(block.b);
      if (parts == 0) return a.finish(block, 0, rows.count);
      a.go(rows, block.scratch, block.b, block.kv, 0, parts, [&](size_t p, size_t i, size_t end) {
        rows.end_part(i, end);
        if (p + 1 == parts) a.finish(block, i, end);
      });
    });
  }
  float* scratch(char* memory) const {
    return (float*)(((uintptr_t)memory + Rows::bytes(scoring, room(), totals()) + 63) & ~(uintptr_t)63);
  }

  // One part of the keys of a key/value head: index = (part of all sequences) · kv_heads + kv.
  static void one_part(void* self, size_t index) {
    const Attention& a = *(const Attention*)self;
    if (a.run.stopped()) return;
    Pieces::Taken memory(*a.pieces);
    Rows rows(a.scoring, a.keys.reading, a.room(), a.totals(), memory.data());
    size_t kv = index % a.s.kv_heads, part = index / a.s.kv_heads, b = 0;
    while (part >= a.parts[b + 1]) b++;
    for (size_t block = 0; block < a.blocks(); block++) {
      a.fill(rows, b, kv, block);
      size_t p = part - a.parts[b];
      a.go(rows, a.scratch(memory.data()), b, kv, p, p + 1, [&](size_t, size_t r, size_t end) {
        for (; r < end; r++) {
          size_t at = index * a.s.rows() + block * a.of_block + r;
          a.part_sums[2 * at] = rows.part_sum(r), a.part_sums[2 * at + 1] = rows.sum[r].e;
          COPY(a.part_acc + at * a.scoring.width, rows.acc_of(r), a.scoring.width * sizeof(float));
        }
      });
    }
  }
  static void fold_parts(void* self, size_t unit) {
    const Attention& a = *(const Attention*)self;
    block_of(a, unit, [&](const Block& block) {
      Rows& rows = block.rows;
      for (size_t r = 0; r < rows.count; r++) {
        for (size_t part = a.parts[block.b]; part < a.parts[block.b + 1]; part++) {
          size_t at = (part * a.s.kv_heads + block.kv) * a.s.rows() + block.block * a.of_block + r;
          Rows::fold(rows.sum[r], rows.total_of(r), a.part_sums[2 * at], a.part_sums[2 * at + 1], a.part_acc + at * a.scoring.width, a.scoring.width);
        }
        a.finish(block, r, r + 1);
      }
    });
  }

  // Results of a block: outputs, or states without the kernels' factor g.
  void finish(const Block& block, size_t r, size_t end) const {
    Rows& rows = block.rows;
    for (; r < end && !run.stopped(); r++) {
      size_t i = block.block * of_block + r, head = block.kv * s.shared() + i % s.shared(), query = i / s.shared();
      size_t at = s.place(block.b, head, s.heads, query, s.queries);
      RowSum& m = rows.sum[r];
      double* total = rows.total_of(r);
      for (size_t c = 0; !m.any && c < s.width(); c++) total[c] = 0;
      Lse lse = {};
      if (ordinary(m.mantissa) && !block.shared.has_nothing(rows.row[r])) lse = share(rows.row[r], m, total, block, head);
      double mantissa = m.mantissa / ExpTraits<float>::kG, e = m.exponent;
      if (d.to.sums) {
        finish_state(at, total, mantissa, e);
        continue;
      }
      if (d.changes.sinks) add_sink(d.changes.sinks[head], mantissa, e, total, lse);
      if (d.to.lse) d.to.lse[(block.b * s.heads + head) * s.queries + query] = lse.is_known ? lse.value : log_of(mantissa, e);
      float* y = d.to.out + at * s.value_depth;
      double inverse = ordinary(mantissa) ? 1 / (mantissa * ExpTraits<float>::kG) : mantissa == 0 ? 0 : not_a_number<double>();
      for (size_t c = 0; c < s.value_depth; c += kTile) {
        f32x16 x = narrow(mul(load(total + c), splat(inverse)), mul(load(total + c + 8), splat(inverse)));
        size_t left = s.value_depth - c < kTile ? s.value_depth - c : kTile;
        left < kTile ? store_n(y + c, x, left) : store(y + c, x);
        for (size_t j = c; any_nan(x) && j < c + left; j++) y[j] = y[j] == y[j] ? y[j] : not_a_number<float>();
      }
    }
  }
  // A log-sum-exp that need not be computed from the sum.
  struct Lse {
    bool is_known;
    double value;
  };
  // Gives a row the values that its keys share.
  NEVER_INLINE Lse share(const Row1& row, RowSum& m, double* total, const Block& block, size_t head) const {
    block.shared.look(row);
    Lse lse = block.shared.only == SharedValues::kNoKey ? Lse{} : one_key(row, m, block, head);
    block.shared.put(m.mantissa, total);
    return lse;
  }
  // A row that sees one key: its sum is the exponential of that score, in double.
  SELDOM Lse one_key(const Row1& row, RowSum& m, const Block& block, size_t head) const {
    size_t key = block.shared.only;
    double score = keys.product(block.b, block.kv, key, row.q) * s.scale;
    if (s.softcap > 0) score = s.softcap * tanh_one(score / s.softcap);
    if (row.slope != 0) score -= d.changes.slopes[head] * Rows::distance(row.position, (double)key);
    if (row.bias) score += row.bias[key];
    PowerOfE power = power_of_e(score);
    m.mantissa = power.mantissa * ExpTraits<float>::kG, m.exponent = power.exponent;
    return {true, score};
  }
  SELDOM void finish_state(size_t at, const double* total, double mantissa, double e) const {
    bool usual = ordinary(mantissa);
    int shift = usual ? exponent_of(mantissa) : 0;
    double factor = (usual ? pow2(-shift) : mantissa == 0 ? 0 : not_a_number<double>()) / ExpTraits<float>::kG, exponent = usual ? e + shift : 0;
    for (size_t c = 0; c < s.value_depth; c++) d.to.sums[at * s.value_depth + c] = one_nan(total[c] * factor);
    d.to.mantissa[at] = usual ? with_exponent(mantissa, 0) : one_nan(mantissa);
    d.to.exponent[at] = exponent > -INT32_MAX && exponent < INT32_MAX ? (int32_t)exponent : INT32_MIN;
  }
  // NaNs of other bits come about on other processors.
  static double one_nan(double x) { return x == x ? x : not_a_number<double>(); }
  // A key with this score and the value 0. If it has all of the weight, it is the log-sum-exp.
  SELDOM void add_sink(double sink, double& mantissa, double& e, double* total, Lse& lse) const {
    if (mantissa == 0) lse = {true, one_nan(sink)};
    if (sink == -infinity<double>()) return;
    if (sink - sink != 0) {
      mantissa += sink, lse.is_known = false;
      return;
    }
    PowerOfE power = power_of_e(sink);
    double top = mantissa == 0 || power.exponent > e ? power.exponent : e;
    double old = mantissa == 0 ? 0 : Rows::power(e - top, mantissa), add_on = Rows::power(power.exponent - top, 0);
    if (old == 0) lse = {true, sink};
    else lse.is_known &= add_on == 0;
    mantissa = FUSED_F64(power.mantissa, add_on, mantissa * old), e = top;
    for (size_t c = 0; c < s.width(); c++) total[c] *= old;
  }
  static double log_of(double mantissa, double e) {
    if (!ordinary(mantissa)) return mantissa == 0 ? -infinity<double>() : one_nan(mantissa);
    int n = exponent_of(mantissa);
    double m = with_exponent(mantissa, 0);
    if (m > 0x1.6a09e667f3bcdp0) m /= 2, n++;  // near 1, ln m and n · ln 2 must not cancel
    Pair log = m < 1 ? log1p_pair(1 / m - 1, 0) : log1p_pair(m - 1, 0);
    double hi = m < 1 ? -log.hi : log.hi;
    return FUSED_F64(e + n, 0x1.62e42feep-1, hi + (e + n) * 0x1.a39ef35793c76p-33);
  }

  void go() {
    size_t all = 0, bytes = 0;
    for (size_t b = 0; b < s.batch; b++) all += parts_of(b), bytes += keys.of(b);
    // Few rows are bound by what they read, many by arithmetic: two multiplications take as long as a byte.
    bytes *= s.kv_heads * (s.depth + s.width()) * (keys.reading.bytes > s.rows() / 2 ? keys.reading.bytes : s.rows() / 2);
    Run r = run;
    if (bytes < run.plan.parallel_bytes) r.parallel = serial, r.threads = 1;
    split = r.threads > 1 && units() < 4 * r.threads && all > s.batch && blocks() <= 4;
    Pieces memory(r, this->memory(), split ? all * s.kv_heads : units());
    if (!memory.there()) return;
    pieces = &memory;
    split ? go_split(r, all) : r.parallel(units(), whole, this);
  }
  // Without memory for the parts' sums, blocks are summed whole: fewer threads, the same bits.
  NEVER_INLINE void go_split(const Run& r, size_t all) {
    size_t at = all * s.kv_heads * s.rows();
    size_t bytes = at * (s.width() * sizeof(float) + 2 * sizeof(double)) + (s.batch + 1) * sizeof(size_t);
    part_acc = (float*)run.allocate(bytes);
    if (!part_acc) return r.parallel(units(), whole, this);
    part_sums = (double*)(part_acc + at * s.width());
    parts = (size_t*)(part_sums + 2 * at);
    parts[0] = 0;
    for (size_t b = 0; b < s.batch; b++) parts[b + 1] = parts[b] + parts_of(b);
    r.parallel(all * s.kv_heads, one_part, this);
    r.parallel(units(), fold_parts, this);
    run.release(part_acc);
  }
};

template <class X, class Y>
void attention(const Run& run, const double* shape, const double* spans, const float* q, const float* k, const float* v,
               const ScoreChanges& changes, const AttentionResults& to) {
  AttentionShape s = AttentionShape::of(shape);
  AttentionData data = {spans, q, changes, to};
  Keys keys = {s, kReading<Format<float>>, k, v};
  Attention(run, s, data, keys).go();
}

// The pages of a cache, and how many tokens of each sequence they hold.
struct Cached {
  const Reading& reading;
  const Pages& pages;
  const Slabs<const float>& scales;
  const uint32_t* table;
  const int32_t* lengths;
};
void attend_to_cache(const Run& run, const AttentionShape& s, const AttentionData& data, const Cached& cache) {
  Buffer<size_t> firsts(run, s.batch + 1);
  if (!firsts.data) return;
  firsts.data[0] = 0;
  for (size_t b = 0; b < s.batch; b++) {
    size_t pages = ((size_t)cache.lengths[b] + s.page - 1) / s.page;
    firsts.data[b + 1] = firsts.data[b] + pages;
  }
  Keys keys = {s, cache.reading, nullptr, nullptr, &cache.pages, &cache.scales, cache.table, cache.lengths, firsts.data};
  Attention(run, s, data, keys).go();
}
template <class X, class Y>
void attention_cached(const Run& run, const double* shape, const double* spans, const float* q,
                      const Slabs<const Stored<X>>& slabs, const Slabs<const float>& scales, const uint32_t* table,
                      const int32_t* lengths, const ScoreChanges& changes, const AttentionResults& to) {
  AttentionShape s = AttentionShape::of(shape);
  Pages pages(s, slabs);
  attend_to_cache(run, s, {spans, q, changes, to}, {kReading<Format<X>>, pages, scales, table, lengths});
}

}  // namespace
