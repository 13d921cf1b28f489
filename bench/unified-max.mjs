// Times a unified maximum (FlashDecoding++, arXiv 2311.01282) against the general merge of partial sums, and the recompute
// of the paper, on logits spread as in Llama-2 (−16.8 … 6.5) and OPT (−500 … 360).
//
//   node bench/unified-max.mjs [rows, default 4096] [keys a row, default 4096] [splits of a row, default 16]
//
// Needs `npm run compile`. Best of several runs, nanoseconds a logit or a state.
import { capabilities, expSum, mergeExpSums } from 'flash-softmax';

const [rows, keys, splits] = [4096, 4096, 16].map((standard, i) => Number(process.argv[2 + i] ?? standard));
const width = keys / splits;

// About normal, cut to the spread that the paper reports; each row has its own mean, as attention scores have.
const spreads = {
  'Llama-2': { low: -16.8, high: 6.5, phi: 6, range: [-30, 30] },
  OPT: { low: -500, high: 360, phi: 0, range: [-80, 80] },
};

let state = 1;
const uniform = () => (state = (Math.imul(state, 1664525) + 1013904223) | 0) / 2 ** 32 + 0.5;
function logits({ low, high }) {
  const [middle, half] = [(low + high) / 2, (high - low) / 2];
  const x = new Float32Array(rows * keys);
  for (let r = 0; r < rows; r++) {
    const level = (uniform() - 0.5) * half;
    for (let i = 0; i < keys; i++) {
      const value = middle + level + (uniform() + uniform() + uniform() - 1.5) * half * 0.6;
      x[r * keys + i] = Math.max(low, Math.min(high, value));
    }
  }
  return x;
}

function best(work, units) {
  let least = Infinity;
  for (let i = 0; i < 7; i++) {
    const from = performance.now();
    work();
    least = Math.min(least, performance.now() - from);
  }
  return (least * 1e6) / units;
}
const ns = (number) => number.toFixed(number < 1 ? 3 : 2).padStart(8);

// expSum gives state r · splits + s for split s of row r. Merging takes one state of all rows for each split.
function bySplit({ mantissa, exponent, raised }) {
  return Array.from({ length: splits }, (_, s) => {
    const pick = (array) => array?.filter((_, i) => i % splits === s);
    return { mantissa: pick(mantissa), exponent: pick(exponent), ...(raised ? { raised: pick(raised) } : {}) };
  });
}

console.log(`${rows} rows of ${keys} logits in ${splits} splits; ${capabilities().backend}`);
for (const [name, spread] of Object.entries(spreads)) {
  const x = logits(spread);
  const unified = { cols: width, unifiedMax: spread.phi };
  const general = expSum(x, { cols: width });
  const shared = expSum(x, unified);
  const [parts, sharedParts] = [bySplit(general), bySplit(shared)];

  const sum = best(() => expSum(x, { cols: width }), x.length);
  const sumShared = best(() => expSum(x, unified), x.length);
  const merge = best(() => mergeExpSums(...parts), rows * splits);
  const mergeShared = best(() => mergeExpSums(...sharedParts), rows * splits);

  // The paper sums float32 exp(x − φ): it computes a row with a logit outside the range again, with the row's maximum.
  const outside = [];
  for (let r = 0; r < rows; r++) {
    const row = x.subarray(r * keys, (r + 1) * keys);
    if (row.some((v) => v - spread.phi > spread.range[1] || v - spread.phi < spread.range[0])) outside.push(r);
  }
  const again =
    outside.length === 0
      ? 0
      : best(() => outside.forEach((r) => expSum(x.subarray(r * keys, (r + 1) * keys), { cols: width })), x.length);

  console.log(`\n${name}, ${spread.low} … ${spread.high}`);
  console.log(`  expSum, general               ${ns(sum)} ns a logit`);
  console.log(
    `  expSum, unifiedMax            ${ns(sumShared)} ns a logit; ${shared.raised.reduce((a, b) => a + b, 0)} of ${rows * splits} states raised`,
  );
  console.log(`  merge, general                ${ns(merge)} ns a state = ${ns(merge / width)} ns a logit`);
  console.log(`  merge, unifiedMax             ${ns(mergeShared)} ns a state = ${ns(mergeShared / width)} ns a logit`);
  console.log(
    `  the paper's recompute         ${ns(again)} ns a logit, for ${((100 * outside.length) / rows).toFixed(1)} % of the rows, range [${spread.range}] around ${spread.phi}`,
  );
}
