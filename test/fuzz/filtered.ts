/** Judges the tokens that filters leave, by the plain reference of the sampling tests. */
import { reference, type Filters } from '../sampling/cases.js';
import type { LogitRow } from './logits.js';

/** The tokens that may be left: the reference with shares and thresholds slightly smaller and slightly larger. */
function bracket(z: Float64Array, f: Filters): { least: Set<number>; most: Set<number>; p: Map<number, number> } {
  const by = (e: number): Filters => ({
    ...f,
    topP: Math.min(1, f.topP * (1 + e)),
    minP: f.minP * (1 - e),
    typicalP: Math.min(1, f.typicalP * (1 + e)),
    epsilonCutoff: f.epsilonCutoff * (1 - e),
  });
  const [low, exact, high] = [-1e-9, 0, 1e-9].map((e) => reference(z, by(e))) as [
    ReturnType<typeof reference>,
    ReturnType<typeof reference>,
    ReturnType<typeof reference>,
  ];
  const p = new Map(exact.kept.map((token, i) => [token, exact.p[i]!]));
  return {
    least: new Set(low.kept.filter((token) => high.kept.includes(token))),
    most: new Set([...low.kept, ...high.kept, ...exact.kept]),
    p,
  };
}

/** True if doubles cannot tell which of two different logits is more typical, and so is kept first. */
function hasTypicalTie(z: Float64Array, f: Filters): boolean {
  if (f.typicalP >= 1) return false;
  const { kept, p } = reference(z, { ...f, typicalP: 1, epsilonCutoff: 0 });
  const entropy = p.reduce((sum, each) => sum - (each > 0 ? each * Math.log(each) : 0), 0);
  const tokens = kept.map((token, i) => ({ z: z[token]!, distance: Math.abs(-Math.log(p[i]!) - entropy) }));
  tokens.sort((a, b) => a.distance - b.distance);
  return tokens.some(({ z, distance }, i) => {
    const next = tokens[i + 1];
    return next !== undefined && next.z !== z && next.distance - distance <= 2 ** -50 * (1 + entropy);
  });
}

/** Quarters of the logits, if the temperature is so high that distances beyond the range of doubles count. */
const quartersOf = (row: LogitRow, temperature: number): LogitRow =>
  row.unit === 1 && temperature >= 2 ** 1000 ? { z: row.z.map((x) => x / 4), unit: 4 } : row;

export function faultOfFiltered(
  row: LogitRow,
  filters: Filters,
  kept: Float32Array | Float64Array,
  p: Float32Array | Float64Array,
  isDouble: boolean,
): string | undefined {
  const { z, unit } = quartersOf(row, filters.temperature);
  // A temperature near the smallest number must not become 0, which has another meaning.
  const f = { ...filters, temperature: filters.temperature && Math.max(filters.temperature / unit, Number.MIN_VALUE) };
  // Beyond this, the reference itself rounds.
  const isExact = !z.some((x) => Math.abs(x / (f.temperature || 1)) > 1e15 && x !== -Infinity) && !hasTypicalTie(z, f);
  const sum = Array.from(p).reduce((a, b) => a + b, 0);
  if (!(Math.abs(sum - 1) < 1e-5)) return `probabilities sum to ${sum}`;
  const { least, most, p: wanted } = bracket(z, f);
  const logitOf = logitsKept(z, f.temperature || 1 / unit, isDouble);
  for (let i = 0; i < z.length; i++) {
    const logit = logitOf(i);
    const isKept = p[i]! > 0 || kept[i]! > -Infinity;
    if (isKept && isExact && !most.has(i)) return `token ${i} is kept, p ${p[i]}`;
    if (least.has(i) && isExact && kept[i] === -Infinity && logit > -3e38) return `token ${i} is not kept`;
    if (!isKept || !wanted.has(i)) continue;
    const q = wanted.get(i)!;
    const isSame = most.size === least.size;
    if (isExact && isSame && Math.abs(p[i]! - q) > 1e-6 * q + 2 ** -63) return `p of ${i} is ${p[i]}, not ${q}`;
    if (!(Math.abs(kept[i]! - logit) <= (isDouble ? 2 ** -52 : 2 ** -23) * Math.abs(logit) + 2 ** -149))
      return `logit ${i} is ${kept[i]}, not ${logit}`;
  }
  return undefined;
}

/** The logits that a call keeps: divided by `divisor`, and relative to the largest if that is beyond their type. */
function logitsKept(z: Float64Array, divisor: number, isDouble: boolean): (i: number) => number {
  const top = z.reduce((a, b) => Math.max(a, b), -Infinity);
  const largest = isDouble ? top / divisor : Math.fround(top / divisor);
  return (i) => (z[i]! - (Math.abs(largest) < Infinity ? 0 : top)) / divisor;
}
