/** Cases of taylorSoftmax, judged by integers, and of softTopK and its gradient, judged in double-double arithmetic. */
import { add, addNumber, divide, multiply, multiplyNumber, twoSum, type DD } from '../../lib/cli/oracle.js';
import { sigmoidDD, subtract } from '../losses/oracle.js';
import { fixed } from '../support/exact.js';
import { axisOf, indicesOfRows, placed, type Axis, type Options } from './axis.js';
import type { Maker } from './case.js';
import { isHalf, kindNames, logitsOf, mildKinds, numbersOf, valuesOf } from './data.js';
import { confirmed, errorOfElement, type Outcome } from './judge.js';
import type { AnyArray } from './memory.js';
import { complain, NAN, wayOf, withOut, type Way } from './row-cases.js';
import { dd, negative, ZERO } from './row-oracle.js';
import { doublesOf } from './stable-cases.js';

const BITS = 1400n;

/** A row's logits with their biases; null where it is hidden, or −∞. */
interface Row {
  readonly sums: readonly (DD | null)[];
  readonly isPoisoned: boolean;
}

function rowOf({ values, biases, visible }: Axis, at: readonly number[]): Row {
  let isPoisoned = false;
  const sums = at.map((i) => {
    if (visible && visible[i] === 0) return null;
    const [x, bias] = [values[i]!, biases ? biases[i]! : 0];
    if (x !== x || bias !== bias || x === Infinity || bias === Infinity) isPoisoned = true;
    return Number.isFinite(x) && Number.isFinite(bias) ? twoSum(x, bias) : null;
  });
  return { sums, isPoisoned };
}

/** Σ_{k ≤ n} z^k / k!, times n! T^n in units that all terms of a row share. */
function termOf(z: bigint, temperature: bigint, order: number): bigint {
  let sum = 1n;
  for (let k = order, power = temperature; k > 0; k--, power *= temperature) sum = sum * z + power * factor(order, k);
  return sum;
}

/** n! / (k − 1)!. */
function factor(n: number, k: number): bigint {
  let product = 1n;
  for (let i = k; i <= n; i++) product *= BigInt(i);
  return product;
}

/** How much larger the terms of T(z) are than T(z). */
function cancellation(z: number, order: number): number {
  let [sum, size, term] = [1, 1, 1];
  for (let k = 1; k <= order; k++) {
    term *= z / k;
    sum += term;
    size += Math.abs(term);
  }
  return Number.isFinite(size) ? size / sum : 1;
}

/** Integers with their common factors of two taken off. */
function shortened(all: readonly (bigint | null)[], other: bigint): { z: (bigint | null)[]; other: bigint } {
  let any = other;
  for (const each of all) any |= each ?? 0n;
  let shift = 0n;
  while (any !== 0n && (any & 0xffff_ffffn) === 0n) [any, shift] = [any >> 32n, shift + 32n];
  return { z: all.map((each) => each && each >> shift), other: other >> shift };
}

/** Whether a finite logit and its bias have a sum that no double holds: nothing is promised then. */
export const isBeyond = ({ values, biases }: Axis, at: readonly number[]): boolean =>
  at.some((i) => {
    const [x, bias] = [values[i]!, biases ? biases[i]! : 0];
    return Number.isFinite(x) && Number.isFinite(bias) && !Number.isFinite(x + bias);
  });

function checkTaylor(axis: Axis, order: number, { arrays }: Outcome): string | undefined {
  const { type, values, biases, temperature, visible, mask } = axis;
  const y = arrays.y!;
  for (const at of indicesOfRows(axis)) {
    if (isBeyond(axis, at)) continue;
    const { sums, isPoisoned } = rowOf(axis, at);
    const exact = at.map((i, c) => (sums[c] ? fixed(values[i]!) + fixed(biases ? biases[i]! : 0) : null));
    const { z, other } = shortened(exact, fixed(temperature));
    const terms = z.map((each) => (each === null || isPoisoned ? null : termOf(each, other, order)));
    const sum = terms.reduce<bigint>((all, each) => all + (each ?? 0n), 0n);
    const isFault = isPoisoned || (sum === 0n && mask === undefined);
    // Rounding a double z moves T by as much as its terms cancel.
    const most = Math.max(1, ...sums.map((each) => (each ? cancellation(each.hi / temperature, order) : 1)));
    const bound = type === 'f64' ? (order === 2 ? 3 : 4 * order) + 2 * order * most : 0.51;
    for (const [c, i] of at.entries()) {
      const isHidden = visible?.[i] === 0 || (!isFault && terms[c] === null);
      const share = isHidden || isFault ? 0n : (terms[c]! << BITS) / sum;
      const wanted = isHidden ? ZERO : isFault ? NAN : doublesOf(share);
      const error = confirmed(type, y, i, wanted, bound, () => share);
      if (!(error <= bound)) return complain(`y[${i}]`, y[i], wanted.hi, error);
    }
  }
  return undefined;
}

const taylorSoftmax: Maker = (draw, limit) => {
  const axis = axisOf(draw, Math.min(limit, 300));
  const order = draw.pick([2, 2, 2, 4, 4, 6, 8, 16]);
  const isGiven = order !== 2 || draw.chance(0.3);
  const way = wayOf(draw, axis);
  return {
    text: `taylorSoftmax(${axis.text}) order ${order} ${way}`,
    elements: axis.length,
    hasPromise: true,
    isSameEverywhere: false,
    expects: 'value',
    invoke(api, arena) {
      const options = placed(arena, axis, isGiven ? { order } : {});
      return api.taylorSoftmax!(withOut(arena, axis, way, options), arena.options(options));
    },
    outputs: (y: AnyArray) => ({ y }),
    check: (outcome) => checkTaylor(axis, order, outcome),
  };
};

/** σ(z + s) with Σ = k, of places in descending order. Undefined if the root is not to be had in doubles. */
function chosenOf(places: readonly DD[], k: number): DD[] | undefined {
  const n = places.length;
  const order = Array.from(places, (_, i) => i).sort((a, b) => subtract(places[b]!, places[a]!).hi);
  const above = new Uint8Array(n);
  for (let r = 0; r < Math.round(k); r++) above[order[r]!] = 1;
  const rest = Math.round(k) - k;
  const sigmoid = (z: number) => (z > 0 ? 1 / (1 + Math.exp(-z)) : Math.exp(z) / (1 + Math.exp(z)));
  /** Σ p − k, without the ones that cancel: those above are 1 − p. */
  const excess = (s: number): number => {
    let [missing, more] = [0, 0];
    places.forEach((z, i) => (above[i] ? (missing += sigmoid(-(z.hi + s))) : (more += sigmoid(z.hi + s))));
    return more - missing + rest;
  };
  let [low, high] = [-places[order[0]!]!.hi - 800, -places[order[n - 1]!]!.hi + 800];
  for (let i = 0; i < 200; i++) {
    const middle = low / 2 + high / 2;
    if (excess(middle) > 0) high = middle;
    else low = middle;
  }
  let s = dd(low);
  for (let i = 0; i < 3; i++) {
    let [sum, slope] = [dd(rest), ZERO];
    places.forEach((z, i) => {
      const [p, q] = [sigmoidDD(add(z, s)), sigmoidDD(negative(add(z, s)))];
      sum = add(sum, above[i] ? negative(q) : p);
      slope = add(slope, multiply(p, q));
    });
    if (!(slope.hi > 1e-250)) return undefined;
    s = subtract(s, divide(sum, slope));
  }
  return places.map((z) => sigmoidDD(add(z, s)));
}

function checkTopK(axis: Axis, k: number, alpha: number, { arrays, error }: Outcome): string | undefined {
  const rows = Array.from(indicesOfRows(axis), (at) => ({ at, ...rowOf(axis, at) }));
  const countOf = ({ sums }: Row) => sums.filter((each) => each !== null).length;
  const isLong = rows.length > 0 && k >= axis.cols;
  if (error) return isLong || rows.some((row) => countOf(row) <= k) ? undefined : error.message;
  if (isLong || rows.some((row) => !row.isPoisoned && countOf(row) <= k)) return `no error for k ${k}`;
  for (const { at, sums, isPoisoned } of rows) {
    const finite = sums.filter((each) => each !== null);
    const largest = Math.max(...finite.map(({ hi }) => Math.abs(hi)));
    const [most, least] = [Math.max(...finite.map(({ hi }) => hi)), Math.min(...finite.map(({ hi }) => hi))];
    if (!isPoisoned && !(largest * alpha < 1e12 && largest < 1e290 && alpha < 1e200)) continue;
    const chosen = isPoisoned
      ? []
      : chosenOf(
          finite.map((each) => multiplyNumber(each, alpha)),
          k,
        );
    if (chosen === undefined) continue;
    let next = 0;
    for (const [c, i] of at.entries()) {
      const isHidden = axis.visible?.[i] === 0 || (!isPoisoned && sums[c] === null);
      const wanted = isHidden ? ZERO : isPoisoned ? NAN : chosen[next++]!;
      const isNone = isHidden || isPoisoned;
      const reach = isNone ? 0 : 10 - 4 * Math.log(Math.max(wanted.hi, 1e-300)) + alpha * (most - least);
      const bound = axis.type === 'f64' ? reach : 0.51 + 2 ** -29 * reach;
      const slack = isHidden ? 0 : 1e-280;
      const off = errorOfElement(axis.type, arrays.y!, i, wanted, bound, slack);
      if (!(off <= bound)) return complain(`y[${i}]`, arrays.y![i], wanted.hi, off);
    }
  }
  return undefined;
}

const softTopK: Maker = (draw, limit) => {
  const axis = axisOf(draw, Math.min(limit, 300), { hasTemperature: false, isMild: draw.chance(0.4) });
  const { cols } = axis;
  const k = draw.pick([
    1,
    Math.max(1, draw.int(Math.max(1, cols))),
    (draw.uniform() + 1e-9) * cols || 1,
    0.01,
    cols / 2 || 1,
  ]);
  const alpha = draw.pick([1, 1, 0.7, 2, draw.logUniform(0.01, 100), 1e-30, 1e30]);
  const way = wayOf(draw, axis);
  return {
    text: `softTopK(${axis.text}) k ${k} alpha ${alpha} ${way}`,
    elements: axis.length,
    hasPromise: true,
    isSameEverywhere: false,
    expects: 'judged',
    invoke(api, arena) {
      const options = placed(arena, axis, alpha === 1 ? {} : { alpha });
      return api.softTopK!(withOut(arena, axis, way, options), k, arena.options(options));
    },
    outputs: (y: AnyArray) => ({ y }),
    check: (outcome) => checkTopK(axis, k, alpha, outcome),
  };
};

function checkSlopes(axis: Axis, dp: Float64Array, alpha: number, { arrays }: Outcome): string | undefined {
  for (const at of indicesOfRows(axis)) {
    const p = at.map((i) => axis.values[i]!);
    const v = p.map((each) => multiplyNumber(twoSum(1, -each), each));
    const seen = at.filter((_, c) => v[c]!.hi !== 0);
    const hasNaN = seen.some((i) => axis.values[i] !== axis.values[i] || dp[i] !== dp[i]);
    if (!hasNaN && seen.some((i) => !Number.isFinite(dp[i]))) continue;
    let [sum, size, whole] = [ZERO, 0, ZERO];
    for (const [c, i] of at.entries()) {
      if (v[c]!.hi === 0 || hasNaN) continue;
      sum = add(sum, multiplyNumber(v[c]!, dp[i]!));
      size += v[c]!.hi * Math.abs(dp[i]!);
      whole = add(whole, v[c]!);
    }
    for (const [c, i] of at.entries()) {
      const isZero = v[c]!.hi === 0 && !hasNaN;
      const difference = isZero || hasNaN ? ZERO : addNumber(negative(divide(sum, whole)), dp[i]!);
      const wanted = isZero ? ZERO : hasNaN ? NAN : multiplyNumber(multiply(v[c]!, difference), alpha);
      const slack = isZero || hasNaN ? 0 : 2 ** -50 * alpha * v[c]!.hi * (Math.abs(dp[i]!) + size / whole.hi);
      const half = Math.abs(wanted.hi) * (axis.type === 'f64' ? 2 ** -53 : 2 ** -24);
      const error = errorOfElement(
        axis.type,
        arrays.y!,
        i,
        wanted,
        0.51,
        slack + (isZero || hasNaN ? 0 : half) + 2 ** -1070,
      );
      if (!(error <= 0.51)) return complain(`y[${i}]`, arrays.y![i], wanted.hi, error);
    }
  }
  return undefined;
}

const softTopKBackward: Maker = (draw, limit) => {
  const given = axisOf(draw, Math.min(limit, 2000), { hasTemperature: false, hasBias: false, isMild: true });
  const { mask: _, visible: __, ...rest } = given;
  const { maskFormat: ___, ...plain } = given.plain;
  const power = draw.pick([1, 4, 40]);
  const edge = draw.pick([0, 0, 0.3]);
  const x = logitsOf(
    given.type,
    given.values.map(() => (draw.chance(edge) ? draw.int(2) : draw.uniform() ** power)),
  );
  const bad = draw.chance(0.1) && given.length > 0 ? draw.int(given.length) : -1;
  if (bad >= 0) x[bad] = isHalf(given.type) ? 0x7fff : NaN;
  const axis: Axis = { ...rest, plain, x, values: valuesOf(given.type, x) };
  const kind = draw.pick(draw.chance(0.8) ? mildKinds : kindNames);
  const dp = numbersOf(draw, axis.type, axis.length, kind).map((v) => (Math.abs(v) > 1e100 ? 1 : v));
  const alpha = draw.pick([1, 1, 0.7, draw.logUniform(0.01, 100)]);
  const way = draw.pick<Way | 'in dp'>(['new', 'apart', 'in place', 'in dp']);
  return {
    text: `softTopKBackward(${axis.text}) of ${kind} alpha ${alpha} ${way}`,
    elements: axis.length,
    hasPromise: true,
    isSameEverywhere: false,
    expects: 'value',
    invoke(api, arena) {
      const options: Options = { ...axis.plain, ...(alpha !== 1 && { alpha }) };
      const p = way === 'in dp' ? arena.input('p', axis.x) : withOut(arena, axis, way, options, 'p');
      const slopes = logitsOf(axis.type, dp);
      const given = way === 'in dp' ? arena.inOut('dp', slopes) : arena.input('dp', slopes);
      if (way === 'in dp') options.out = given;
      return api.softTopKBackward!(p, given, arena.options(options));
    },
    outputs: (y: AnyArray) => ({ y }),
    check: (outcome) => checkSlopes(axis, valuesOf(axis.type, logitsOf(axis.type, dp)), alpha, outcome),
  };
};

export const polynomialMakers: Record<string, Maker> = { taylorSoftmax, softTopK, softTopKBackward };
