/** Cases of logSumExp with weights and signs, safeStepRadius and logSoftmaxBackward. */
import { add, addNumber, divide, expDD, multiply, multiplyNumber, twoSum, type DD } from '../../lib/cli/oracle.js';
import { rootDD, subtract } from '../losses/oracle.js';
import { axisOf, indicesOfRows, placed, type Axis, type Options } from './axis.js';
import type { Maker } from './case.js';
import { logitsOf, numbersOf, valuesOf } from './data.js';
import { errorOf, errorOfElement, type Outcome } from './judge.js';
import type { AnyArray } from './memory.js';
import { complain, NAN, wayOf, withOut, type Way } from './row-cases.js';
import { dd, exactRow, logSumExpOf, negative, ZERO } from './row-oracle.js';

// ---- logSumExp with weights -------------------------------------------------------------------------

/** The bound of |Σ|, relative to the larger of the two sums. */
const SIGNED = 2 ** -46;
/** Logarithms beyond this may be errors: their exponents do not fit 32 bits. */
const MOST_LOG = 1.4e9;

function checkSigned(axis: Axis, weights: Float64Array, { arrays, error }: Outcome): string | undefined {
  let [row, isFar] = [-1, false];
  for (const at of indicesOfRows(axis)) {
    row++;
    const weightOf = (c: number) => weights[weights.length === axis.length ? at[c]! : c]!;
    const pick = (all: Float64Array) => Float64Array.from(at, (i) => all[i]!);
    const visible = Uint8Array.from(at, (i, c) => +(axis.visible?.[i] !== 0 && weightOf(c) !== 0));
    const bias = axis.biases && pick(axis.biases);
    const { temperature } = axis;
    const exact = exactRow({ x: pick(axis.values), bias, visible, temperature, precise: true });
    const [got, sign] = [arrays.lse?.[row] ?? 0, arrays.sign?.[row]];
    if (exact.state === 'ordinary') {
      const [log, top] = [logSumExpOf(exact).hi, exact.top.hi];
      isFar ||= !(Math.abs(log) < MOST_LOG);
      if (error || !(Math.abs(log) < MOST_LOG)) continue;
      const sums = [ZERO, ZERO];
      for (const c of at.keys()) {
        if (visible[c] === 0) continue;
        const term = multiplyNumber(expDD(exact.distances[c]!), Math.abs(weightOf(c)));
        sums[+(weightOf(c) < 0)] = add(sums[+(weightOf(c) < 0)]!, term);
      }
      const difference = subtract(sums[0]!, sums[1]!).hi;
      const most = Math.max(sums[0]!.hi, sums[1]!.hi);
      const size = Math.exp(got - top);
      // A weight is a shift of the logit, and a shift of many units loses as many bits.
      const slack = most * (SIGNED + 2 ** -50 * (Math.abs(log) + Math.abs(top) + 700));
      if (!(most > 1e-250) || !(most < 1e250)) continue;
      if (!(Math.abs(size - Math.abs(difference)) <= slack))
        return `row ${row}: exp(lse − top) is ${size}, exactly ${Math.abs(difference)}, of ${most}`;
      if (sign !== undefined && Math.abs(difference) > slack && sign !== Math.sign(difference))
        return `row ${row}: sign ${sign} of ${difference}`;
    } else if (!error && exact.state === 'poisoned' && exact.hasNaN) {
      if (got === got || (sign ?? NaN) === sign) return `row ${row}: ${got}, sign ${sign} of a NaN`;
    } else if (!error && exact.state !== 'poisoned') {
      if (got !== -Infinity || (sign ?? 0) !== 0) return `row ${row}: ${got}, sign ${sign} of nothing`;
    }
  }
  return error && !isFar ? error.message : undefined;
}

const signedLogSumExp: Maker = (draw, limit) => {
  const axis = axisOf(draw, Math.min(limit, 2000), { isMild: draw.chance(0.5) });
  const isRow = draw.chance(0.5);
  const kind = draw.pick(['N(0,1)', 'integers', 'two values', 'normal', 'of any size', 'zeros']);
  const isFloat = draw.chance(0.5);
  const weights = numbersOf(draw, 'f32', isRow ? axis.cols : axis.length, kind);
  const hasSign = draw.chance(0.8);
  const hasOut = draw.chance(0.3);
  return {
    text: `logSumExp(${axis.text}) weights ${isRow ? 'row ' : ''}${kind}`,
    elements: axis.length,
    hasPromise: true,
    isSameEverywhere: false,
    expects: 'judged',
    invoke(api, arena) {
      const options: Options = placed(arena, axis, hasSign ? { sign: true } : {});
      if (hasOut) options.out = arena.output('out', new Float64Array(0), axis.outer * axis.inner);
      options.weights = arena.input('weights', isFloat ? Float32Array.from(weights) : weights);
      return api.logSumExp!(arena.input('x', axis.x), arena.options(options));
    },
    outputs: (result: Float64Array | { lse: Float64Array; sign: Float64Array }): Record<string, AnyArray> =>
      'lse' in result ? { lse: result.lse, sign: result.sign } : { lse: result },
    check: (outcome) => checkSigned(axis, weights, outcome),
  };
};

// ---- safeStepRadius ---------------------------------------------------------------------------------

const PI: DD = { hi: Math.PI, lo: 1.2246467991473532e-16 };

function checkRadius(axis: Axis, logits: Float64Array | undefined, outcome: Outcome): string | undefined {
  const { arrays } = outcome;
  if (arrays.radii!.length === 0) return undefined;
  const all: number[] = [];
  let row = -1;
  for (const at of indicesOfRows(axis)) {
    const seen = at.filter((i) => axis.visible?.[i] !== 0).map((i) => axis.values[i]!);
    const got = arrays.radii!.length === axis.outer * axis.inner ? arrays.radii![++row]! : undefined;
    const gap = logits ? Math.abs(logits[at[0]!]! / 4 - logits[at[1]!]! / 4) : 0;
    const hasNaN = seen.some((a) => a !== a) || gap !== gap;
    const [most, least] = [Math.max(...seen), Math.min(...seen)];
    // Doubles above 2^996 have no exact products.
    const isHuge = Math.max(Math.abs(most), Math.abs(least)) > 2 ** 900;
    const spread = twoSum(most / 4, -least / 4);
    let wanted = dd(NaN);
    if (hasNaN) wanted = NAN;
    else if (seen.length === 0) wanted = dd(Infinity);
    else if (Math.abs(most) === Infinity || Math.abs(least) === Infinity) wanted = dd(logits ? NaN : 0);
    else if (most === least) wanted = dd(Infinity);
    else {
      const ratio = divide(twoSum(logits ? logits[at[0]!]! / 4 : 0, logits ? -logits[at[1]!]! / 4 : 0), PI);
      const isLarge = Math.abs(ratio.hi) > 1e30;
      const size = multiplyNumber(ratio, 4);
      const stretch = isLarge ? size : rootDD(addNumber(multiply(size, size), 1));
      const reach = multiply(multiplyNumber(PI, 1 / 4), stretch.hi < 0 ? negative(stretch) : stretch);
      const small = isHuge ? { hi: spread.hi * 2 ** -600, lo: spread.lo * 2 ** -600 } : spread;
      const radius = divide(reach, small);
      wanted = isHuge ? dd(radius.hi * 2 ** -600) : radius;
    }
    const isOpen = logits !== undefined && (isHuge || seen.some((a) => !Number.isFinite(a)) || !(gap < 2 ** 900));
    const isFar = !(Math.abs(spread.hi) > 1e-290) && most !== least;
    if (!isOpen && !isFar && (hasNaN || wanted.hi === wanted.hi)) {
      all.push(wanted.hi);
      const error = got === undefined ? 0 : errorOf('f64', got, wanted, 2 ** -1070);
      if (!(error <= (logits ? 3 : 2))) return complain(`radius ${row}`, got, wanted.hi, error);
    } else all.push(got ?? NaN);
  }
  if (row >= 0 || all.some((each) => each !== each)) return undefined;
  const least = Math.min(Infinity, ...all);
  const error = errorOf('f64', arrays.radii![0]!, dd(least));
  return axis.outer * axis.inner === 1 || error <= 3 ? undefined : complain('least', arrays.radii![0], least, error);
}

const safeStepRadius: Maker = (draw, limit) => {
  const isPair = draw.chance(0.2);
  const drawn = axisOf(draw, isPair ? 2 : Math.min(limit, 5000), { hasTemperature: false, hasBias: false });
  const hasLogits = isPair && drawn.cols === 2 && !drawn.mask;
  const logits = hasLogits ? numbersOf(draw, drawn.type, drawn.length) : undefined;
  const isLeast = draw.chance(0.3);
  const hasOut = !isLeast && draw.chance(0.4);
  return {
    text: `safeStepRadius(${drawn.text})${hasLogits ? ' logits' : ''}${isLeast ? ' min' : ''}`,
    elements: drawn.length,
    hasPromise: true,
    isSameEverywhere: false,
    expects: 'value',
    invoke(api, arena) {
      const options = placed(arena, drawn, isLeast ? { reduce: 'min' } : {});
      if (logits) options.logits = arena.input('logits', logitsOf(drawn.type, logits));
      if (hasOut) options.out = arena.output('out', new Float64Array(0), drawn.outer * drawn.inner);
      return api.safeStepRadius!(arena.input('a', drawn.x), arena.options(options));
    },
    outputs: (radii: number | Float64Array) => ({ radii: typeof radii === 'number' ? Float64Array.of(radii) : radii }),
    check: (outcome) => checkRadius(drawn, logits, outcome),
  };
};

// ---- logSoftmaxBackward -----------------------------------------------------------------------------

function checkLogBackward(axis: Axis, dy: Float64Array, { arrays }: Outcome): string | undefined {
  const { type, temperature, values: y } = axis;
  if (temperature < 1e-100 || temperature > 1e100) return undefined;
  for (const at of indicesOfRows(axis)) {
    const seen = at.filter((i) => axis.visible?.[i] !== 0);
    const isFinite = seen.every((i) => Number.isFinite(dy[i]!) && y[i]! < 700);
    if (!isFinite && !seen.some((i) => dy[i] !== dy[i])) continue;
    const whole = isFinite ? seen.reduce((sum, i) => addNumber(sum, dy[i]!), ZERO) : NAN;
    const size = seen.reduce((sum, i) => sum + Math.abs(dy[i]!), 0);
    if (isFinite && !(size < 1e290)) continue;
    for (const i of at) {
      const isHidden = axis.visible?.[i] === 0;
      const p = isHidden || y[i]! < -700 ? ZERO : expDD(dd(y[i]!));
      const exact = isHidden ? ZERO : isFinite ? subtract(dd(dy[i]!), multiply(p, whole)) : NAN;
      const wanted = divide(exact, dd(temperature));
      const most = isHidden || !isFinite ? 0 : Math.max(Math.abs(dy[i]!), Math.abs(p.hi * whole.hi));
      const unit = type === 'f64' ? 5 * 2 ** -53 : 0.51 * 2 ** -23;
      const slack = most === 0 && isHidden ? 0 : (unit * most + 2 ** -50 * p.hi * size) / temperature + 1e-290;
      const error = errorOfElement(type, arrays.dx!, i, wanted, 0.51, slack);
      if (!(error <= 0.51)) return complain(`dx[${i}]`, arrays.dx![i], wanted.hi, error);
    }
  }
  return undefined;
}

const logSoftmaxBackward: Maker = (draw, limit) => {
  const given = axisOf(draw, Math.min(limit, 5000), { hasBias: false, isMild: true });
  const size = draw.pick([0.1, 3, 30, 800]);
  const lowest = draw.pick([0, 0, 0.2]);
  const values = numbersOf(draw, given.type, given.length, 'N(0,1)').map((x) =>
    draw.chance(lowest) ? -Infinity : -size * Math.abs(x),
  );
  const x = logitsOf(given.type, values);
  const axis: Axis = { ...given, x, values: valuesOf(given.type, x) };
  const kinds = ['normal', 'N(0,1)', 'constant', 'integers', 'zeros', 'subnormal', 'one peak', 'a NaN', 'far from 0'];
  const kind = draw.pick(kinds);
  const dy = numbersOf(draw, axis.type, axis.length, kind);
  const way = draw.chance(0.2) ? ('in dy' as const) : wayOf(draw, axis);
  return {
    text: `logSoftmaxBackward(${axis.text}) of ${kind} ${way}`,
    elements: axis.length,
    hasPromise: true,
    isSameEverywhere: false,
    expects: 'value',
    invoke(api, arena) {
      const options = placed(arena, axis);
      const y = way === 'in dy' ? arena.input('y', axis.x) : withOut(arena, axis, way as Way, options, 'y');
      const all = logitsOf(axis.type, dy);
      const slopes = way === 'in dy' ? arena.inOut('dy', all) : arena.input('dy', all);
      if (way === 'in dy') options.out = slopes;
      return api.logSoftmaxBackward!(y, slopes, arena.options(options));
    },
    outputs: (dx: AnyArray) => ({ dx }),
    check: (outcome) => checkLogBackward(axis, dy, outcome),
  };
};

export const signedMakers: Record<string, Maker> = {
  signedLogSumExp,
  safeStepRadius,
  logSoftmaxBackward,
};
