/** Cases of the partial softmax: expSum, mergeExpSums, normalize, ExpSumAccumulator. */
import { add, addNumber, expDD, multiply, multiplyNumber, type DD } from '../../lib/cli/oracle.js';
import { axisOf, placed, rowsOf, spoil, type Axis } from './axis.js';
import { chain, type Case, type Maker } from './case.js';
import { isHalf } from './data.js';
import { confirmed, errorOf, type Outcome } from './judge.js';
import type { AnyArray } from './memory.js';
import { complain, slackOfLog, spoilerOf } from './row-cases.js';
import { dd, logSumExpOf, softmaxOf, ZERO, type ExactRow } from './row-oracle.js';

interface State {
  readonly mantissa: Float64Array;
  readonly exponent: Int32Array;
  readonly raised?: Uint8Array;
}

const LN2: DD = { hi: 0.6931471805599453, lo: 2.3190468138462996e-17 };

/** ln(mantissa · 2^exponent). */
function logOfState(mantissa: number, exponent: number): DD {
  const guess = Math.log(mantissa);
  const e = addNumber(multiplyNumber(expDD(dd(-guess)), mantissa), -1);
  const log = addNumber(add(e, multiplyNumber(multiply(e, e), -0.5)), guess);
  return add(log, multiplyNumber(LN2, exponent));
}

/** The relative bound of a sum, as in the tests of expSum. */
const boundOf = ({ type }: Axis, isNative: boolean, log: number): number =>
  (type === 'f64' ? 4e-16 : isNative ? 9e-8 : 1e-10) + 4e-16 * Math.abs(log);

/** Below the first logarithm of a sum its exponent fits 32 bits, above the second it does not. */
const [MOST_LOG, SURELY_TOO_MUCH] = [1.47e9, 1.489e9];

/** An exponent that does not fit must be an error. Undefined if an error, or none, is right. */
function faultOfRange(axis: Axis, { error }: Outcome): string | undefined {
  const logs = Array.from(rowsOf(axis), ({ exact }) =>
    exact.state === 'ordinary' ? Math.abs(logSumExpOf(exact).hi) : 0,
  );
  if (error) return logs.some((log) => log > MOST_LOG) ? undefined : error.message;
  return logs.some((log) => log > SURELY_TOO_MUCH) ? 'no error for an exponent that does not fit' : undefined;
}

function faultOfSum(
  exact: ExactRow,
  axis: Axis,
  m: number,
  e: number,
  isNative: boolean,
  times = 1,
): string | undefined {
  if (exact.state === 'poisoned')
    return exact.hasNaN
      ? m !== m
        ? undefined
        : `${m} of a row with NaN`
      : m === Infinity
        ? undefined
        : `${m} of a row with +∞`;
  if (exact.state !== 'ordinary') return m === 0 ? undefined : `${m} of nothing`;
  const wanted = logSumExpOf(exact);
  const got = logOfState(m, e);
  const error = Math.abs(add(got, { hi: -wanted.hi, lo: -wanted.lo }).hi);
  return error <= times * boundOf(axis, isNative, wanted.hi)
    ? undefined
    : `${m} · 2^${e} is off by ${error.toPrecision(3)}, log ${wanted.hi}`;
}

function faultOfSums(axis: Axis, outcome: Outcome, isNative: boolean, times = 1): string | undefined {
  const range = faultOfRange(axis, outcome);
  if (range !== undefined || outcome.error) return range;
  const { mantissa, exponent, raised } = outcome.arrays as Record<string, AnyArray>;
  let r = 0;
  for (const { exact } of rowsOf(axis, true)) {
    const [m, e] = [mantissa![r]!, exponent![r]!];
    const fault = faultOfSum(exact, axis, m, e, isNative, times);
    if (fault !== undefined) return `row ${r}: ${fault}`;
    if (raised === undefined && m > 0 && m < Infinity && !(m >= 1 && m < 2)) return `row ${r}: ${m} is no mantissa`;
    r++;
  }
  return undefined;
}

const expSum: Maker = (draw, limit) => {
  const axis = axisOf(draw, Math.min(limit, 20_000));
  const unifiedMax = draw.chance(0.2) ? draw.pick([0, 8, -30, 1000]) * axis.temperature : undefined;
  const range =
    unifiedMax !== undefined && draw.chance(0.5) ? [-20 * axis.temperature, 20 * axis.temperature] : undefined;
  const spoiling = draw.chance(0.05) ? draw.word() : undefined;
  const isSound = unifiedMax === undefined || (Math.abs(unifiedMax) < Infinity && !(range && range[1] === Infinity));
  return {
    text: `expSum(${axis.text}${unifiedMax === undefined ? '' : `, unifiedMax ${unifiedMax}`})`,
    elements: axis.length,
    hasPromise: true,
    isSameEverywhere: false,
    expects: spoiling === undefined && isSound ? 'judged' : 'error',
    invoke(api, arena) {
      const options = placed(arena, axis, { ...(unifiedMax !== undefined && { unifiedMax }), ...(range && { range }) });
      if (spoiling !== undefined) spoil(spoilerOf(spoiling), axis, options, 'state');
      return api.expSum!(arena.input('x', axis.x), arena.options(options));
    },
    outputs: ({ mantissa, exponent, raised }: State) => ({ mantissa, exponent, ...(raised && { raised }) }),
    check: (outcome, isNative) => faultOfSums(axis, outcome, isNative),
  };
};

/** Cuts a row in parts of any sizes. */
function cuts(draw: Parameters<Maker>[0], n: number): [from: number, to: number][] {
  const places = [0, ...Array.from({ length: draw.between(0, 4) }, () => draw.int(n + 1)).sort((a, b) => a - b), n];
  return places.slice(1).map((to, i) => [places[i]!, to]);
}

/** A flat row without a mask or bias, which would have to be cut too. */
function rowAxis(draw: Parameters<Maker>[0], limit: number): Axis {
  const {
    mask: _,
    visible: __,
    bias: ___,
    biases: ____,
    ...axis
  } = axisOf(draw, Math.min(limit, 20_000), { hasBias: false, isFlat: true });
  const { maskFormat: _____, cols: ______, ...plain } = axis.plain;
  const length = axis.cols;
  const pick = <A extends { slice(from: number, to: number): unknown }>(all: A) => all.slice(0, length) as A;
  return {
    ...axis,
    plain,
    outer: length > 0 || axis.outer > 0 ? 1 : 0,
    inner: 1,
    length: axis.outer === 0 ? 0 : length,
    cols: axis.outer === 0 ? 0 : length,
    x: pick(axis.x),
    values: pick(axis.values),
  };
}

const mergeExpSums: Maker = (draw, limit) => {
  const axis = rowAxis(draw, limit);
  const parts = cuts(draw, axis.length);
  const unifiedMax = draw.chance(0.3) ? (axis.values[0] ?? 0) : undefined;
  const isUnified = unifiedMax !== undefined && Math.abs(unifiedMax / axis.temperature) < 1e9;
  return {
    text: `mergeExpSums of ${parts.length} parts of ${axis.text}`,
    elements: axis.length,
    hasPromise: true,
    isSameEverywhere: false,
    expects: 'judged',
    invoke(api, arena) {
      const states = parts.map(([from, to]) =>
        api.expSum!(arena.input('x', axis.x.subarray(from, to)), { ...axis.plain, ...(isUnified && { unifiedMax }) }),
      );
      return chain(states, (done) => api.mergeExpSums!(...done));
    },
    outputs: ({ mantissa, exponent, raised }: State) => ({ mantissa, exponent, ...(raised && { raised }) }),
    check: (outcome, isNative) =>
      axis.length === 0
        ? undefined
        : (faultOfParts(axis, parts, outcome) ??
          (outcome.error ? undefined : faultOfSums(axis, outcome, isNative, 1 + parts.length))),
  };
};

/** An error is right if a part or the whole row is out of range. */
function faultOfParts(axis: Axis, parts: readonly (readonly [number, number])[], outcome: Outcome): string | undefined {
  if (!outcome.error) return undefined;
  const ofPart = ([from, to]: readonly [number, number]): Axis => ({
    ...axis,
    length: to - from,
    cols: to - from,
    values: axis.values.slice(from, to),
  });
  return parts.some((part) => part[0] < part[1] && faultOfRange(ofPart(part), outcome) === undefined)
    ? undefined
    : outcome.error.message;
}

const normalize: Maker = (draw, limit) => {
  const axis = axisOf(draw, Math.min(limit, 20_000));
  const way = draw.pick(['new', 'apart', 'in place', 'as float32'] as const);
  return {
    text: `normalize(${axis.text}) ${way}`,
    elements: axis.length,
    hasPromise: true,
    isSameEverywhere: false,
    expects: 'judged',
    invoke(api, arena) {
      const options = placed(arena, axis);
      const x = way === 'in place' ? arena.inOut('x', axis.x) : arena.input('x', axis.x);
      if (way === 'in place') options.out = x;
      if (way === 'apart' || (way === 'as float32' && !isHalf(axis.type)))
        options.out = arena.output('out', axis.x, axis.length);
      else if (way === 'as float32') options.out = arena.output('out', new Float32Array(0), axis.length);
      const { out: _, ...others } = options;
      return chain([api.expSum!(x, others)], ([state]) => api.normalize!(x, state, arena.options(options)));
    },
    outputs: (y: AnyArray) => ({ y }),
    check: (outcome, isNative) =>
      faultOfRange(axis, outcome) ?? (outcome.error ? undefined : checkNormalized(axis, outcome.arrays.y!, isNative)),
  };
};

/** `merges` is the number of sums that were added. Each addition rounds once, by at most 2⁻⁵³: one ULP of a double. */
function checkNormalized(axis: Axis, y: AnyArray, isNative: boolean, merges = 0): string | undefined {
  const bound = axis.type === 'f64' ? 4 + merges : isNative ? 2.6 : 0.52;
  for (const { exact, integers, at, isVisible } of rowsOf(axis)) {
    if (exact.state === 'low' && axis.mask) continue; // nothing is promised
    for (let c = 0; c < axis.cols; c++) {
      const wanted =
        !isVisible(c) || exact.state === 'masked' ? ZERO : exact.state === 'ordinary' ? softmaxOf(exact, c) : dd(NaN);
      const exactly = () => (exact.state === 'ordinary' && isVisible(c) ? integers.softmax(c) : 0n);
      const error = confirmed(axis.type, y, at(c), wanted, bound, exactly);
      if (!(error <= bound)) return complain(`${isNative ? 'native' : 'js'} y[${at(c)}]`, y[at(c)], wanted.hi, error);
    }
  }
  return undefined;
}

interface Accumulator {
  add(chunk: unknown, options?: object): this;
  merge(other: unknown): this;
  logSumExp(): number;
  normalize(chunk: unknown, out: undefined, options?: object): AnyArray;
  toBytes(): Uint8Array;
}

const accumulator: Maker = (draw, limit): Case => {
  const axis = rowAxis(draw, Math.min(limit, 2000));
  const parts = cuts(draw, axis.length);
  const [merges, travels] = [draw.chance(0.5), draw.chance(0.5)];
  const { temperature, ...options } = axis.plain;
  return {
    text: `ExpSumAccumulator of ${parts.length} parts of ${axis.text}`,
    elements: axis.length,
    hasPromise: false,
    isSameEverywhere: false,
    expects: 'judged',
    invoke(api, arena) {
      const Kind = api.ExpSumAccumulator as unknown as {
        new (options: object): Accumulator;
        fromBytes(bytes: Uint8Array): Accumulator;
      };
      let all = new Kind(temperature === undefined ? {} : { temperature });
      for (const [from, to] of parts) {
        const chunk = arena.input('chunk', axis.x.subarray(from, to));
        if (merges) all.merge(new Kind(temperature === undefined ? {} : { temperature }).add(chunk, options));
        else all.add(chunk, options);
        if (travels) all = Kind.fromBytes(all.toBytes());
      }
      return { sum: Float64Array.of(all.logSumExp()), y: all.normalize(arena.input('x', axis.x), undefined, options) };
    },
    outputs: ({ sum, y }: { sum: Float64Array; y: AnyArray }) => ({ sum, y }),
    check(outcome, isNative) {
      if (outcome.error) return faultOfParts(axis, parts, outcome);
      if (axis.length === 0) return undefined;
      const { exact } = Array.from(rowsOf(axis, true))[0]!;
      if (exact.state === 'ordinary') {
        const wanted = logSumExpOf(exact);
        const slack = slackOfLog(axis, isNative, exact.others.hi) + parts.length * boundOf(axis, isNative, wanted.hi);
        const error = errorOf('f64', outcome.arrays.sum![0]!, wanted, slack);
        if (!(error <= 3)) return complain('logSumExp', outcome.arrays.sum![0], wanted.hi, error);
      }
      return checkNormalized(axis, outcome.arrays.y!, isNative, parts.length - 1);
    },
  };
};

export const sumMakers: Record<string, Maker> = { expSum, mergeExpSums, normalize, ExpSumAccumulator: accumulator };
