/**
 * The table of edge values (edge-values.ts) on every backend, for every element type, length, temperature, mask and bias, in
 * place and along an axis that is not the last, against exact arithmetic (edge-oracle.ts). All native backends give one set of bits.
 */
import { describe, expect, it } from 'vitest';
import { backends, isNative } from '../support/backends.js';
import {
  backward,
  exactRow,
  gradient,
  near,
  NOT_A_NUMBER,
  probability,
  type ExactRow,
  type Interval,
} from './edge-oracle.js';
import { decode, encode, runAll, runBackward, sameBits, type EdgeCall, type EdgeResults } from './edge-kernels.js';
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

/** Units of the last place: what is promised, and for half types a float32 result that is rounded once more. */
const bounds = {
  f32: { softmax: 2.3, log: 1, gradient: 3, normalize: 3 },
  f64: { softmax: 2.3, log: 3, gradient: 4, normalize: 4 },
  f16: { softmax: 0.51, log: 0.51, gradient: 0.51, normalize: 0.51 },
  bf16: { softmax: 0.51, log: 0.51, gradient: 0.51, normalize: 0.51 },
} as const;

/** Float32 rows that are longer are summed in float32 on native backends: to so much of min(1, S). */
const SHORT = 128;
const OF_FLOATS = 2 ** -23.57;

interface Case {
  readonly what: string;
  readonly type: TypeName;
  readonly x: readonly number[];
  readonly bias: readonly number[] | null;
  readonly keep: readonly boolean[];
  readonly isMasked: boolean;
  readonly temperature: number;
}

const isOdd = (v: number): boolean => Number.isNaN(v) || v === Infinity;

/** What is right for a row, position by position. */
function expected({ type, x, bias, keep, isMasked, temperature }: Case, target: number) {
  // Biases of the table are finite or −∞, and +∞ − ∞ is no number.
  const sum = (i: number): number => (isOdd(x[i]!) && bias?.[i] === -Infinity ? NaN : x[i]!);
  const odd = x.map((_, i) => (keep[i] ? sum(i) : -Infinity)).filter(isOdd);
  const exact = odd.length > 0 ? null : exactRow(x, bias, (i) => keep[i]!, temperature);
  const isFloat = type !== 'f64';
  const slack = exact && isFloat && x.length > SHORT ? fixed(OF_FLOATS * Math.min(1, Number(exact.others >> 1100n) / 2 ** 300)) : 0n;
  const { softmax, log, gradient: units } = bounds[type];
  // A row without a number: NaN where it is not masked, but for nothing but −∞ where a mask was given.
  const isNothing = odd.length === 0 && isMasked;
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
  const whole = odd.some(Number.isNaN) ? NaN : odd.length > 0 ? Infinity : -Infinity;
  const sums = exact ? near(exact.logSumExp, 'f64', 1.5, slack + (fixed(2 ** -52) * BigInt(exact.others > 0n ? 1 : 0))) : { low: whole, high: whole };
  return { intervals, sums, loss: lossOf(exact, keep[target]!, isNothing, target, slack), whole: exact ? undefined : whole };
}

function lossOf(exact: ExactRow | null, isVisible: boolean, isNothing: boolean, target: number, slack: bigint): Interval {
  const infinite = { low: Infinity, high: Infinity };
  if (!isVisible || (exact === null && isNothing)) return infinite;
  if (exact === null) return NOT_A_NUMBER;
  const distance = exact.distance(target);
  return distance === null ? infinite : near(exact.log - distance, 'f64', 3, slack);
}

const fits = (v: number, { low, high }: Interval): boolean => (Number.isNaN(low) ? Number.isNaN(v) : v >= low && v <= high);

/** Judges the results of one row, which stands at `lane` of `inner`. */
function judge(c: Case, right: ReturnType<typeof expected>, got: EdgeResults, inner: number, lane: number, who: string): void {
  const { type, x, what } = c;
  const fail = (operator: string, i: number, v: number, { low, high }: Interval): never =>
    expect.fail(`${who}: ${operator} of ${what}: [${i}] of ${x.length} is ${v}, not from ${low} to ${high}`);
  const columns = [[got.softmax, 'softmax', 0], [got.logSoftmax, 'logSoftmax', 1], [got.gradient, 'gradient', 2]] as const;
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
  if (right.whole === undefined) expect(mantissa >= 1 && mantissa < 2, `${who}: expSum of ${what}: ${mantissa}`).toBe(true);
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

const bits = (flags: readonly boolean[]): Uint8Array => {
  const packed = new Uint8Array((flags.length + 7) >> 3);
  flags.forEach((keep, i) => keep && (packed[i >> 3]! |= 1 << (i & 7)));
  return packed;
};
const flagBytes = (flags: readonly boolean[]): Uint8Array => Uint8Array.from(flags, Number);

/** A row on its own, and as the outer ones of three rows side by side. */
function calls(c: Case, isShared: boolean, isInBits: boolean): { call: EdgeCall; inner: number; lanes: readonly number[] }[] {
  return [1, 3].map((inner) => {
    const spread = <V>(values: readonly V[], other: V): V[] =>
      inner === 1 ? [...values] : values.flatMap((v) => [v, other, v]);
    const flags = isShared ? c.keep : spread(c.keep, true);
    return {
      inner,
      lanes: inner === 1 ? [0] : [0, 2],
      call: {
        type: c.type,
        x: encode(c.type, spread(c.x, 1)),
        shape: [1, c.x.length, inner],
        temperature: c.temperature,
        mask: !c.isMasked ? null : isInBits ? bits(flags) : flagBytes(flags),
        layout: !c.isMasked ? 0 : (isShared ? 2 : 1) + (isInBits ? 2 : 0),
        bias: c.bias && encode(c.type, isShared ? c.bias : spread(c.bias, 0)),
      },
    };
  });
}

function check(c: Case, index: number): void {
  const target = c.x.length >> 1;
  const right = expected(c, target);
  for (const { call, inner, lanes } of calls(c, index % 2 === 1, (index >> 1) % 2 === 1)) {
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

/** A row with each temperature, and with each bias and mask at two of them. */
function* cases(edge: EdgeRow, type: TypeName, n: number): Generator<Case> {
  const x = decode(type, encode(type, valuesOf(edge, type, n)));
  const all = temperatures[type];
  const dress = (temperature: number, bias: string, mask: string): Case => {
    const values = biases[bias]?.call(null, 0, 0, limits[type]) === undefined ? null : x.map((v, i) => biases[bias]!(v, i, limits[type]));
    return {
      what: `${edge.name}, temperature ${temperature}, bias ${bias}, mask ${mask}`, type, x, temperature,
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
    for (const edge of rows) {
      it(edge.name, () => {
        let index = 0;
        for (const n of lengths) {
          // The cases take turns, by steps that share no factor with the loops of the table.
          const step = n < 64 ? 7 : n < 300 ? 29 : 101;
          for (const c of cases(edge, type, n)) if (index++ % step === 0) check(c, index);
        }
      }, 300_000);
    }
  });
}

describe('softmaxBackward at the edges', () => {
  const dys: Record<string, (max: number) => readonly number[]> = {
    ordinary: () => [1, -2, 0.5], 'the largest, either way': (max) => [max, -max, max / 2], 'a NaN': () => [1, NaN, 2],
    'a +∞': () => [1, 2, Infinity, 1], 'a −∞': () => [-Infinity, 2], 'the smallest': () => [2 ** -140, 2 ** -141],
  };
  for (const type of Object.keys(limits) as TypeName[]) {
    for (const [name, of] of Object.entries(dys)) {
      it(`${name}, ${type}`, () => {
        for (const n of lengths) for (const temperature of temperatures[type]) for (const mask of ['none', 'two of three', 'nothing']) {
          const keep = Array.from({ length: n }, (_, i) => masks[mask]?.(i, n, 0) ?? true);
          const wanted = Array.from({ length: n }, (_, i) => 2 ** -(1 + (i % 3)) / Math.max(n / 2, 1));
          const y = decode(type, encode(type, wanted));
          const dy = decode(type, encode(type, Array.from({ length: n }, (_, i) => of(limits[type].max)[i % of(1).length]!)));
          const isFinite = dy.every((v, i) => !keep[i] || Number.isFinite(v));
          const exact = isFinite ? backward(y, dy, (i) => keep[i]!, temperature) : null;
          const what = `${name}, ${n}, temperature ${temperature}, mask ${mask}`;
          const c: Case = { what, type, x: y, bias: null, keep, isMasked: mask !== 'none', temperature };
          const known = new Map<bigint, Interval>();
          const near4 = (v: bigint) => known.get(v) ?? (known.set(v, near(v, type, bounds[type].gradient)), known.get(v)!);
          for (const { call, inner, lanes } of calls(c, false, n % 2 === 1)) {
            const grown = encode(type, inner === 1 ? dy : dy.flatMap((v) => [v, 0, v]));
            const results = backends.map((backend) => runBackward(backend, call, grown, () => expect.fail(`${backend} in place, ${what}`)));
            const first = decode(type, results[0]!);
            results.forEach((result, b) => {
              const values = decode(type, result);
              for (let i = 0; i < n; i++) for (const lane of lanes) {
                const v = values[i * inner + lane]!;
                const isRight = !keep[i] ? v === 0 : exact ? fits(v, near4(exact[i]!)) : !Number.isFinite(v);
                if (!isRight) expect.fail(`${backends[b]}: ${what}: [${i}] is ${v}, not ${exact && Object.values(near4(exact[i]!))}`);
              }
              if (exact === null && !values.every((v, i) => v === first[i] || (Number.isNaN(v) && Number.isNaN(first[i])))) {
                expect.fail(`${backends[b]} differs from ${backends[0]}: ${what}`);
              }
            });
          }
        }
      }, 300_000);
    }
  }
});
