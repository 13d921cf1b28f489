/**
 * The table of edge values (edge-values.ts) on every backend, for every element type, length, temperature, mask and
 * bias, in place and along an axis that is not the last, against exact arithmetic (edge-oracle.ts). All native backends
 * give the same bits.
 */
import { describe, expect, it } from 'vitest';
import { backends, isNative } from '../support/backends.js';
import { exactRow, gradient, near, NOT_A_NUMBER, probability, type ExactRow, type Interval } from './edge-oracle.js';
import { decode, encode, runAll, sameBits, type EdgeResults } from './edge-kernels.js';
import {
  biases,
  lengths,
  limits,
  masks,
  rows,
  temperatures,
  valuesOf,
  type EdgeRow,
  type TypeName,
} from './edge-values.js';
import { fixed } from '../support/exact.js';
import { isLong } from '../support/long.js';
import { bounds, callsOf, fits, type EdgeCase } from './edge-calls.js';

/** Native backends sum longer float32 rows in float32: the sum is exact to this share of min(1, S). */
const SHORT = 128;
const OF_FLOATS = 2 ** -23.57;

const isPoison = (v: number): boolean => Number.isNaN(v) || v === Infinity;

/** The right results of a row, for each position. */
function expected({ type, x, bias, keep, isMasked, temperature }: EdgeCase, target: number) {
  // Biases of the table are finite or −∞, and +∞ − ∞ is NaN.
  const sum = (i: number): number => (isPoison(x[i]!) && bias?.[i] === -Infinity ? NaN : x[i]!);
  const poison = x.map((_, i) => (keep[i] ? sum(i) : -Infinity)).filter(isPoison);
  const exact = poison.length > 0 ? null : exactRow(x, bias, (i) => keep[i]!, temperature);
  const isFloat = type !== 'f64';
  const slack =
    exact && isFloat && x.length > SHORT
      ? fixed(OF_FLOATS * Math.min(1, Number(exact.others >> 1100n) / 2 ** 300))
      : 0n;
  const { softmax, log, gradient: units } = bounds[type];
  // A row without a finite sum is NaN where visible; it is 0 or −∞ if all is −∞ and a mask is given.
  const isNothing = poison.length === 0 && isMasked;
  const known = new Map<string, readonly [Interval, Interval, Interval]>();
  const at = (i: number): readonly [Interval, Interval, Interval] => {
    const hidden = [near(0n, type, 0), { low: -Infinity, high: -Infinity }, near(0n, type, 0)] as const;
    if (!keep[i]) return hidden;
    if (exact === null) return isNothing ? hidden : [NOT_A_NUMBER, NOT_A_NUMBER, NOT_A_NUMBER];
    const distance = exact.distance(i);
    return [
      near(probability(exact, i), type, softmax),
      distance === null ? hidden[1] : near(distance - exact.log, type, log),
      near(gradient(exact, i, target, temperature), type, units, temperature < 1e-3 ? 1n << 400n : 0n),
    ];
  };
  const intervals = x.map((v, i) => {
    const key = i === target ? 'target' : `${v} ${bias?.[i]} ${keep[i]}`;
    if (!known.has(key)) known.set(key, at(i));
    return known.get(key)!;
  });
  const whole = poison.some(Number.isNaN) ? NaN : poison.length > 0 ? Infinity : -Infinity;
  const sums = exact
    ? near(exact.logSumExp, 'f64', 1.5, slack + fixed(2 ** -52) * BigInt(exact.others > 0n ? 1 : 0))
    : { low: whole, high: whole };
  return {
    intervals,
    sums,
    loss: lossOf(exact, keep[target]!, isNothing, target, slack),
    whole: exact ? undefined : whole,
  };
}

function lossOf(
  exact: ExactRow | null,
  isVisible: boolean,
  isNothing: boolean,
  target: number,
  slack: bigint,
): Interval {
  const infinite = { low: Infinity, high: Infinity };
  if (!isVisible || (exact === null && isNothing)) return infinite;
  if (exact === null) return NOT_A_NUMBER;
  const distance = exact.distance(target);
  return distance === null ? infinite : near(exact.log - distance, 'f64', 3, slack);
}

/** Judges the results of one row, at position `lane` of `inner`. */
function judge(
  c: EdgeCase,
  right: ReturnType<typeof expected>,
  got: EdgeResults,
  inner: number,
  lane: number,
  who: string,
): void {
  const { type, x, what } = c;
  const fail = (operator: string, i: number, v: number, { low, high }: Interval): never =>
    expect.fail(`${who}: ${operator} of ${what}: [${i}] of ${x.length} is ${v}, not from ${low} to ${high}`);
  const columns = [
    [got.softmax, 'softmax', 0],
    [got.logSoftmax, 'logSoftmax', 1],
    [got.gradient, 'gradient', 2],
  ] as const;
  for (const [array, operator, which] of columns) {
    const values = decode(type, array);
    for (let i = 0; i < x.length; i++) {
      const v = values[i * inner + lane]!;
      if (!fits(v, right.intervals[i]![which])) fail(operator, i, v, right.intervals[i]![which]);
    }
  }
  if (!fits(got.logSumExp[lane]!, right.sums)) fail('logSumExp', 0, got.logSumExp[lane]!, right.sums);
  if (!fits(got.loss[lane]!, right.loss)) fail('crossEntropy', 0, got.loss[lane]!, right.loss);
  const mantissa = got.mantissa[lane]!;
  if (right.whole === undefined)
    expect(mantissa >= 1 && mantissa < 2, `${who}: expSum of ${what}: ${mantissa}`).toBe(true);
  else expect(mantissa, `${who}: expSum of ${what}`).toBe(right.whole === -Infinity ? 0 : right.whole);
  if (got.normalize === null) return;
  const [values, probabilities] = [decode(type, got.normalize), decode(type, got.softmax)];
  for (let i = 0; i < x.length; i++) {
    const [v, p] = [values[i * inner + lane]!, probabilities[i * inner + lane]!];
    if (Number.isNaN(v) ? !Number.isNaN(p) : !(v === p || Math.abs(v - p) <= 4 * unitOf(p, type))) {
      expect.fail(`${who}: normalize of ${what}: [${i}] of ${x.length} is ${v}, softmax ${p}`);
    }
  }
}

function unitOf(v: number, type: TypeName): number {
  const digits = { f32: 23, f64: 52, f16: 10, bf16: 7 }[type];
  return Math.max(Math.abs(v) * 2 ** -digits, limits[type].tiny);
}

function check(c: EdgeCase, index: number): void {
  const target = c.x.length >> 1;
  const right = expected(c, target);
  for (const { call, inner, lanes } of callsOf(c, index % 2 === 1, (index >> 1) % 2 === 1)) {
    let first: EdgeResults | undefined;
    for (const name of backends) {
      const who = `${name}, ${c.type}${inner > 1 ? ', another axis' : ''}`;
      const got = runAll(name, call, target, (operator) => expect.fail(`${who}: ${operator} in place, of ${c.what}`));
      for (const lane of lanes) judge(c, right, got, inner, lane, who);
      if (!isNative(name)) continue;
      first ??= got;
      for (const key of Object.keys(first) as (keyof EdgeResults)[]) {
        const [a, b] = [first[key], got[key]];
        if (a !== null && b !== null && !sameBits(a, b)) expect.fail(`${who}: other bits of ${key}, of ${c.what}`);
      }
    }
  }
}

/** A row at each temperature, and with each bias and mask at two temperatures. */
function* cases(edge: EdgeRow, type: TypeName, n: number): Generator<EdgeCase> {
  const x = decode(type, encode(type, valuesOf(edge, type, n)));
  const all = temperatures[type];
  const dress = (temperature: number, bias: string, mask: string): EdgeCase => {
    const values =
      biases[bias]?.call(null, 0, 0, limits[type]) === undefined
        ? null
        : x.map((v, i) => biases[bias]!(v, i, limits[type]));
    return {
      what: `${edge.name}, temperature ${temperature}, bias ${bias}, mask ${mask}`,
      type,
      x,
      temperature,
      bias: values && decode(type, encode(type, values)),
      keep: x.map((v, i) => masks[mask]?.(i, n, v) ?? true),
      isMasked: masks[mask] !== null,
    };
  };
  for (const temperature of all) yield dress(temperature, 'none', 'none');
  let turn = n;
  for (const bias of Object.keys(biases)) {
    for (const mask of Object.keys(masks)) yield dress(all[turn++ % all.length]!, bias, mask);
    yield dress(1, bias, 'none');
  }
}

for (const type of Object.keys(limits) as TypeName[]) {
  describe(`edge values, ${type}, on ${backends.join(', ')}`, () => {
    for (const [turn, edge] of rows.entries()) {
      it(
        edge.name,
        () => {
          // Rows and types begin at different cases, so that together they have all.
          let index = turn + 7 * Object.keys(limits).indexOf(type);
          for (const n of lengths) {
            // Cases are taken in turn, by steps that share no factor with the loops of the table.
            const [long, step] = n < 64 ? [7, 17] : n < 300 ? [29, 67] : [101, 397];
            for (const c of cases(edge, type, n)) if (index++ % (isLong ? long : step) === 0) check(c, index);
          }
        },
        300_000,
      );
    }
  });
}
