/** Cases of marginCrossEntropy, zLoss and stableMaxCrossEntropy: a loss for each row, and its gradient. */
import { add, addNumber, divide, expDD, multiply, multiplyNumber, twoSum, type DD } from '../../lib/cli/oracle.js';
import { sinCosOracle } from '../losses/fixed-point.js';
import { rootDD, sigmoidDD, softplusDD, subtract, total } from '../losses/oracle.js';
import { log1pDD } from '../softmax/log-oracle.js';
import { fixed } from '../support/exact.js';
import { axisOf, type Axis, type Options } from './axis.js';
import type { Maker } from './case.js';
import { logitsOf, valuesOf } from './data.js';
import { dd, negative, ZERO } from './row-oracle.js';
import { doublesOf, logOf1p, termsOf } from './stable-cases.js';
import { isBeyond } from './polynomial-cases.js';
import { targetCase, type Near, type RowLoss } from './target-loss.js';

const NAN_ROW: RowLoss = { loss: { value: dd(NaN), slack: 0 }, slope: () => undefined };

// ---- zLoss ------------------------------------------------------------------------------------------

/** Visible logits with their biases, times 2^-power; 'bad' if one is not finite. */
function visibleOf(axis: Axis, at: readonly number[]): { o: (DD | null)[]; power: number } | 'bad' {
  const { values, biases, visible } = axis;
  const seen = at.filter((i) => visible?.[i] !== 0);
  if (seen.some((i) => !Number.isFinite(values[i]!) || (biases && !Number.isFinite(biases[i]!)))) return 'bad';
  const most = Math.max(0, ...seen.map((i) => Math.max(Math.abs(values[i]!), Math.abs(biases ? biases[i]! : 0))));
  const power = most === 0 ? 0 : Math.max(-1000, Math.min(1000, Math.floor(Math.log2(most))));
  const unit = 2 ** -power;
  const o = at.map((i) => (visible?.[i] === 0 ? null : twoSum(values[i]! * unit, (biases ? biases[i]! : 0) * unit)));
  return { o, power };
}

function zLossOf(axis: Axis, a: number, b: number, at: readonly number[], target: number): RowLoss | undefined {
  if (isBeyond(axis, at)) return undefined;
  const row = visibleOf(axis, at);
  if (row === 'bad') return NAN_ROW;
  const { o, power } = row;
  const seen = o.filter((each) => each !== null);
  const own = o[target];
  const isNone = (): Near => ({ value: ZERO, slack: 0 });
  if (!own) return { loss: { value: dd(Infinity), slack: 0 }, slope: isNone };
  const mean = divide(total(seen), dd(seen.length));
  const distances = seen.map((v) => subtract(v, mean));
  const isEven = seen.every((v) => v.hi === seen[0]!.hi && v.lo === seen[0]!.lo);
  const std = isEven ? ZERO : rootDD(divide(total(distances.map((v) => multiply(v, v))), dd(seen.length)));
  if (!isEven && !(std.hi > 1e-150)) return undefined; // its square is below the range of the oracle
  if (!isEven && Math.abs(mean.hi) > 2 ** 50 * std.hi) return undefined;
  const zOf = (v: DD): DD => (isEven ? ZERO : divide(subtract(v, mean), std));
  const z = zOf(own);
  const below = subtract(dd(b), z);
  const loss = divide(softplusDD(multiplyNumber(below, a)), dd(a));
  const units = (8 + 2 * a * (Math.abs(b) + Math.abs(z.hi))) * 2 ** -52;
  const sigma = sigmoidDD(multiplyNumber(below, a));
  return {
    loss: { value: loss, slack: units * loss.hi },
    slope(c) {
      if (!o[c] || isEven) return isNone();
      const count = dd(seen.length);
      const terms = subtract(dd(c === target ? 1 : 0), divide(addNumber(multiply(z, zOf(o[c])), 1), count));
      const value = divide(negative(multiply(sigma, terms)), std);
      const up = 2 ** -power;
      const isInRange = up / std.hi < 1e300 && Math.abs(value.hi * up) < 1e300 && Math.abs(value.hi * up) > 1e-280;
      return isInRange
        ? { value: { hi: value.hi * up, lo: value.lo * up }, slack: (2 ** -49 / std.hi) * up }
        : undefined;
    },
  };
}

const zLoss: Maker = (draw, limit) => {
  const axis = axisOf(draw, Math.min(limit, 2000), { hasTemperature: false, isMild: draw.chance(0.4) });
  const [a, b] = [draw.pick([1, 1, 0.1, 2, 30]), draw.pick([1, 1, 0, -3, 28])];
  const options: Options = { ...(a !== 1 && { a }), ...(b !== 1 && { b }) };
  return targetCase(draw, { name: 'zLoss', axis, options, exact: (at, target) => zLossOf(axis, a, b, at, target) });
};

// ---- stableMaxCrossEntropy --------------------------------------------------------------------------

/** The bound of losses and gradients, relative. */
const STABLE = 1e-14;
const BITS = 1400n;

function stableOf(axis: Axis, at: readonly number[], target: number): RowLoss | undefined {
  const { terms, sum } = termsOf(axis, at);
  // A masked target of a row with a NaN: +∞ and NaN are both right.
  if (sum === null) return axis.visible?.[at[target]!] === 0 ? undefined : NAN_ROW;
  if (at.some((i) => Math.abs(axis.values[i]! + (axis.biases?.[i] ?? 0)) > 1e300)) return undefined;
  const own = terms[target] ?? null;
  if (sum === 0n && axis.mask === undefined) return undefined;
  const value = own === null ? dd(Infinity) : logOf1p(((sum - own) << BITS) / own);
  return {
    loss: { value, slack: STABLE * value.hi },
    slope(c) {
      const term = terms[c] ?? null;
      if (term === null || sum === 0n) return { value: ZERO, slack: 0 };
      const z = fixed(axis.values[at[c]!]!) + fixed(axis.biases?.[at[c]!] ?? 0);
      const size = (1n << BITS) + (z < 0n ? -z : z);
      const share = ((c === target ? sum - term : term) << (2n * BITS)) / sum / size;
      const slope = doublesOf(share);
      return { value: c === target ? negative(slope) : slope, slack: STABLE * slope.hi };
    },
  };
}

const stableMaxCrossEntropy: Maker = (draw, limit) => {
  const axis = axisOf(draw, Math.min(limit, 500), { hasTemperature: false });
  const exact = (at: readonly number[], target: number) => stableOf(axis, at, target);
  return targetCase(draw, { name: 'stableMaxCrossEntropy', axis, options: {}, exact });
};

// ---- marginCrossEntropy -----------------------------------------------------------------------------

type Guard = 'none' | 'linear' | 'easy';

interface Margin {
  readonly kind: 'arc' | 'cos';
  readonly scale: number;
  readonly guard: Guard;
  readonly margins: readonly number[];
}

/** The target's logit over the scale, its slope, and the size of the slope's terms. Undefined at an edge. */
function movedOf(c: number, m: number, { kind, guard }: Margin): { logit: DD; slope: DD; size: number } | undefined {
  const one = dd(1);
  if (kind === 'cos') return { logit: twoSum(c, -m), slope: one, size: 1 };
  if (guard === 'easy' && !(c > 0)) return { logit: dd(c), slope: one, size: 1 };
  const { sin, cos } = m === 0 ? { sin: ZERO, cos: one } : sinCosOracle(m);
  if (guard === 'linear' && Math.abs(c + cos.hi) < 1e-12 && m < 3.2) return undefined;
  if (guard === 'linear' && (m > Math.PI || c < -cos.hi))
    return { logit: addNumber(negative(multiplyNumber(sin, m)), c), slope: one, size: 1 };
  const square = multiply(twoSum(1, -c), twoSum(1, c));
  const sine = rootDD(square.hi > 1e-12 ? square : dd(1e-12));
  return {
    logit: subtract(multiplyNumber(cos, c), multiply(sine, sin)),
    slope: add(cos, divide(multiplyNumber(sin, c), sine)),
    size: Math.abs(cos.hi) + Math.abs((c * sin.hi) / sine.hi),
  };
}

function marginOf(axis: Axis, margin: Margin, at: readonly number[], target: number, r: number): RowLoss | undefined {
  const given = at.map((i) => axis.values[i]!);
  if (given.some((c) => c !== c)) return NAN_ROW;
  const cosines = given.map((c) => Math.max(-1, Math.min(1, c)));
  const { scale, margins } = margin;
  const m = margins[margins.length === 1 ? 0 : r]!;
  const moved = movedOf(cosines[target]!, m, margin);
  if (moved === undefined) return undefined;
  const logits = cosines.map((c, i) =>
    i === target ? multiplyNumber(moved.logit, scale) : multiply(dd(c), dd(scale)),
  );
  const own = logits[target]!;
  const top = logits.reduce((a, b) => (subtract(b, a).hi > 0 ? b : a), own);
  const terms = logits.map((z) => expDD(subtract(z, top)));
  const rest = terms.reduce((sum, term, i) => (i === target ? sum : add(sum, term)), ZERO);
  const whole = add(rest, terms[target]!);
  const others = terms.reduce((sum, term, i) => (logits[i] === top ? sum : add(sum, term)), ZERO);
  const loss = top === own ? log1pDD(rest) : add(subtract(top, own), log1pDD(others));
  const bound =
    (12 + 2 * scale * Math.max(1, margin.kind === 'cos' ? m : 1, margin.guard === 'linear' ? m : 1)) * 2 ** -53;
  return {
    loss: { value: loss, slack: bound * loss.hi },
    slope(c) {
      if (given[c] !== cosines[c]) return { value: ZERO, slack: 0 };
      const share = multiplyNumber(divide(c === target ? rest : terms[c]!, whole), scale);
      if (c !== target) return { value: share, slack: (bound + 4 * 2 ** -53) * share.hi };
      const value = negative(multiply(share, moved.slope));
      return { value, slack: (bound + 4 * 2 ** -53) * share.hi * moved.size };
    },
  };
}

const marginCrossEntropy: Maker = (draw, limit) => {
  const {
    mask: _,
    visible: __,
    ...rest
  } = axisOf(draw, Math.min(limit, 1000), {
    hasTemperature: false,
    hasBias: false,
  });
  const { maskFormat: ___, ...plain } = rest.plain;
  const edges = draw.pick([0, 0, 0.2]);
  const bad = draw.pick([0, 0, 0, 0.02]);
  const values = rest.values.map(() => {
    if (draw.chance(bad)) return draw.pick([NaN, Infinity, -Infinity, 1.5, -3]);
    return draw.chance(edges) ? draw.pick([0, 1, -1, 1 - 2 ** -24, 0.5]) : 2 * draw.uniform() - 1;
  });
  const x = logitsOf(rest.type, values);
  const axis: Axis = {
    ...rest,
    plain,
    x,
    values: valuesOf(rest.type, x),
    text: `${rest.type} [${rest.outer}, ${rest.cols}, ${rest.inner}]`,
  };
  const kind = draw.pick(['arc', 'arc', 'cos'] as const);
  const guard = draw.pick<Guard>(['none', 'none', 'linear', 'easy']);
  const scale = draw.pick([64, 64, 1, 4, 30, 2000, draw.logUniform(1e-3, 1e4)]);
  const rows = axis.outer * axis.inner;
  const isMany = draw.chance(0.3) && rows > 1;
  const one = () => draw.pick([0, 0.05, 0.35, 0.5, 3, draw.uniform(), kind === 'arc' ? 100 * draw.uniform() : 2]);
  const margins = Array.from({ length: isMany ? rows : 1 }, one);
  const margin: Margin = { kind, scale, guard, margins };
  const options: Options = { kind, scale, guard, margin: isMany ? margins : margins[0] };
  const exact = (at: readonly number[], target: number, row: number) => marginOf(axis, margin, at, target, row);
  return targetCase(draw, { name: 'marginCrossEntropy', axis, options, exact });
};

export const marginMakers: Record<string, Maker> = { zLoss, stableMaxCrossEntropy, marginCrossEntropy };
