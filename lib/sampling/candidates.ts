/** The first tokens of each row, where its filters look at no others. */
import type { Steps } from '../call/steps.js';
import { LN2 } from '../math/powers.js';
import { exp } from '../math/exp.js';
import { readerOf } from '../math/read.js';
import { topCall } from '../selection/top-call.js';
import { muOf, ZIPF_TOKENS, zipfLength } from './chain.js';
import type { Candidates } from './chain-rows.js';
import type { Mirostat } from './filters.js';
import { masses, ROUGH, roughTotals, type RowTotal } from './moments.js';
import type { RowNumbers } from './per-row.js';
import type { Rows } from './rows.js';
import type { Plan } from './sample-plan.js';

/** topH looks at so many of the first tokens. */
const TOP_H_TOKENS = 100;
/** mirostat takes at most so many candidates; beyond, all tokens. */
const MOST_CANDIDATES = 2048;
/** Mostly these have all that mirostat 2 keeps. */
const FEW_CANDIDATES = 128;

const largestOf = ({ first, each }: RowNumbers): number =>
  each === undefined ? first : each.reduce((a, b) => Math.max(a, b));

/** The tokens that the filters of a call look at; undefined: all of them. */
export function* candidatesOf(plan: Plan): Steps<Candidates | undefined> {
  const { call, filters } = plan;
  const { order, range, minKeep } = filters;
  const first = order[0] === 'temperature' ? order[1] : order[0];
  const isDynamic = order[0] === 'temperature' && range.some((value) => value > 0);
  if (isDynamic || call.type === 'f64' || call.rows === 0) return undefined;
  if (first === 'topK' && !filters.topK.some((k) => k === 0)) return yield* firstOf(call, largestOf(filters.topK));
  if (first === 'topH' && !filters.topH.some((part) => part >= 1)) {
    return yield* firstOf(call, Math.max(TOP_H_TOKENS, largestOf(minKeep)));
  }
  if (first === 'mirostat' && !filters.temperature.some((t) => t === 0)) return yield* candidatesOfMirostat(plan);
  return undefined;
}

function* firstOf(call: Rows, k: number, totals?: Float64Array): Steps<Candidates | undefined> {
  if (!(k < call.cols)) return undefined;
  const indices = new Uint32Array(call.rows * k);
  yield topCall(call, k, { indices });
  return { indices, k, totals };
}

/** Version 2 keeps at most 2^mu tokens, and needs the sum of all weights; version 1 tells their number by the first. */
function* candidatesOfMirostat({ call, filters }: Plan): Steps<Candidates | undefined> {
  const { mirostat, temperature, order } = filters;
  const temperatureOf = (row: number): number => (order[0] === 'temperature' ? temperature.at(row) : 1);
  if (mirostat!.version === 1) return yield* candidatesByRank(call, mirostat!, temperatureOf);
  let k = 1;
  for (let r = 0; r < call.rows; r++) k = Math.max(k, 1 + Math.floor(exp(Math.min(700, muOf(mirostat!, r) * LN2))));
  if (!(k <= MOST_CANDIDATES && k < call.cols)) return undefined;
  const few = (yield* firstOf(call, Math.min(k, FEW_CANDIDATES)))!;
  const isOne = order[0] !== 'temperature' || temperature.each === undefined;
  const read = readerOf(call.x, call.type);
  const topOf = (row: number): number => read(row * call.cols + few.indices[row * few.k]!);
  const rough = isOne ? yield* roughTotals(call, temperatureOf(0), topOf) : undefined;
  if (rough !== undefined) {
    const found = few.k === k || hasAll(few, call, rough, mirostat!) ? few : (yield* firstOf(call, k))!;
    if (isDecided(found, call, rough, mirostat!)) return { ...found, totals: totalsOf(rough) };
  }
  const all = yield* masses(call, temperatureOf);
  if (all === undefined) return undefined;
  const isWhole = few.k === k || (call.bias === null && hasAll(few, call, all, mirostat!));
  const found = isWhole ? few : (yield* firstOf(call, k))!;
  return { ...found, totals: totalsOf(all) };
}

const totalsOf = (rows: readonly RowTotal[]): Float64Array => Float64Array.from(rows, ({ total }) => total);

/** The least weight that mirostat 2 keeps in a row. */
const leastOf = (mirostat: Mirostat, row: number, total: number): number =>
  exp(Math.max(-700, Math.min(700, -muOf(mirostat, row) * LN2))) * total;

/** Whether the last candidate of each row is one that mirostat drops: those behind it are no likelier. */
function hasAll({ indices, k }: Candidates, call: Rows, rows: readonly RowTotal[], mirostat: Mirostat): boolean {
  const read = readerOf(call.x, call.type);
  return rows.every(({ count, total, weights }, r) => {
    if (count !== undefined && count < k) return true;
    const last = read(r * call.cols + indices[(r + 1) * k - 1]!);
    return weights.of(last) < leastOf(mirostat, r, total) * (1 - ROUGH);
  });
}

/** Whether rough totals decide which candidates mirostat keeps. */
function isDecided({ indices, k }: Candidates, call: Rows, rows: readonly RowTotal[], mirostat: Mirostat): boolean {
  const read = readerOf(call.x, call.type);
  return rows.every(({ total, weights }, r) => {
    const least = leastOf(mirostat, r, total);
    for (let i = r * k; i < (r + 1) * k; i++) {
      if (Math.abs(weights.of(read(r * call.cols + indices[i]!)) - least) <= ROUGH * least) return false;
    }
    return true;
  });
}

function* candidatesByRank(
  call: Rows,
  mirostat: Mirostat,
  temperatureOf: (row: number) => number,
): Steps<Candidates | undefined> {
  if (call.bias !== null || call.mask !== null) return undefined;
  const sorted = yield* firstOf(call, ZIPF_TOKENS);
  if (sorted === undefined) return undefined;
  const read = readerOf(call.x, call.type);
  let k: number = ZIPF_TOKENS;
  for (let r = 0; r < call.rows; r++) {
    const columns = sorted.indices.subarray(r * sorted.k, (r + 1) * sorted.k);
    const logits = Array.from(columns, (column) => read(r * call.cols + column)).filter((z) => z !== -Infinity);
    k = Math.max(k, zipfLength(logits, temperatureOf(r), muOf(mirostat, r), call.cols));
  }
  return k <= MOST_CANDIDATES ? yield* firstOf(call, k) : undefined;
}
