/** Cases of crossEntropy with weights, smoothing, penalties and soft targets, of compSum and of focalLoss. */
import { addNumber } from '../../lib/cli/oracle.js';
import { axisOf, rowsOf, type Axis, type Options } from './axis.js';
import type { Maker } from './case.js';
import { isHalf, logitsOf, valuesOf } from './data.js';
import type { Draw } from './draw.js';
import { errorOfElement, type Outcome } from './judge.js';
import { slackOfLog } from './row-cases.js';
import { dd, logSoftmaxOf, logSumExpOf, softmaxOf, ZERO } from './row-oracle.js';
import { lossCall } from './target-loss.js';

type Reduction = 'none' | 'sum' | 'mean';

/** The loss of a row as a function of the distribution of its classes. */
interface Terms {
  readonly name: 'crossEntropy' | 'compSum' | 'focalLoss';
  readonly weight: Float64Array | undefined;
  readonly smoothing: number;
  readonly penalty: number;
  readonly scale: number;
  readonly parameter: number;
  readonly reduction: Reduction;
  readonly options: Options;
}

function termsOf(draw: Draw, cols: number): Terms {
  const name = draw.pick(['crossEntropy', 'crossEntropy', 'compSum', 'focalLoss'] as const);
  const isPlain = name === 'crossEntropy';
  const options: Options = {};
  const reduction = draw.pick(['none', 'none', 'sum', 'mean'] as const);
  if (reduction !== 'none') options.reduction = reduction;
  const weight = isPlain && draw.chance(0.4) ? Float64Array.from({ length: cols }, () => draw.int(9) / 4) : undefined;
  const smoothing = isPlain && draw.chance(0.4) ? draw.pick([0.1, 0.5, 1, draw.uniform()]) : 0;
  const penalty = isPlain && draw.chance(0.4) ? draw.pick([1e-4, 0.5]) : 0;
  const scale = isPlain && draw.chance(0.3) ? draw.pick([0.25, -2, 3]) : 1;
  if (smoothing > 0) options.labelSmoothing = smoothing;
  if (penalty > 0) options.lsePenalty = penalty;
  if (scale !== 1) options.scale = scale;
  const parameter = name === 'compSum' ? draw.pick([0, 0.5, 1, 1.5, 2]) : draw.pick([0, 0.5, 1, 2, 5]);
  if (name === 'compSum') options.tau = parameter;
  if (name === 'focalLoss') options.gamma = parameter;
  return { name, weight, smoothing, penalty, scale, parameter, reduction, options };
}

/** Soft targets, of which some are 0. */
function softTargets(draw: Draw, axis: Axis): Float64Array {
  const share = draw.pick([0, 0.5]);
  const values = axis.values.map((_, i) => (axis.visible?.[i] === 0 || draw.chance(share) ? 0 : draw.uniform()));
  return valuesOf(axis.type, logitsOf(axis.type, values));
}

const lossTerms: Maker = (draw, limit) => {
  const axis = axisOf(draw, Math.min(limit, 2000), { isMild: draw.chance(0.6) });
  const rows = axis.outer * axis.inner;
  const terms = termsOf(draw, axis.cols);
  const targets = Int32Array.from({ length: rows }, () =>
    draw.chance(0.1) || axis.cols === 0 ? -100 : draw.int(axis.cols),
  );
  const soft = terms.name === 'crossEntropy' && draw.chance(0.25) ? softTargets(draw, axis) : undefined;
  const gradient = draw.pick(['none', 'apart', 'in place'] as const);
  const isFloat = draw.chance(0.5);
  return {
    text: `${terms.name}(${axis.text}) ${JSON.stringify(terms.options)}${soft ? ' soft' : ''} gradient ${gradient}`,
    elements: axis.length,
    hasPromise: true,
    isSameEverywhere: false,
    expects: 'value',
    ...lossCall({
      name: terms.name,
      axis,
      gradient,
      options: (arena) => ({
        ...terms.options,
        ...(terms.weight && {
          weight: arena.input('weight', isFloat ? Float32Array.from(terms.weight) : terms.weight),
        }),
      }),
      targets: (arena) => arena.input('targets', soft ? logitsOf(axis.type, soft) : targets),
    }),
    check: (outcome, isNative) => checkTerms(axis, terms, { targets, soft }, outcome, isNative),
  };
};

interface RowLoss {
  readonly loss: number;
  readonly slack: number;
  /** The gradient by the logit of a column, and the size of its terms. */
  slope(c: number): { value: number; size: number };
}

const EPSILON = 2 ** -52;

function checkTerms(
  axis: Axis,
  terms: Terms,
  { targets, soft }: { targets: Int32Array; soft: Float64Array | undefined },
  { arrays: { losses, reduced, slopes } }: Outcome,
  isNative: boolean,
): string | undefined {
  const isIgnored = (r: number) => soft === undefined && targets[r] === -100;
  const shares = Array.from(losses!, (_, r) => (isIgnored(r) ? 0 : soft ? 1 : (terms.weight?.[targets[r]!] ?? 1)));
  const divisor = terms.reduction === 'mean' ? shares.reduce((a, b) => a + b, 0) : 1;
  if (terms.reduction !== 'none') {
    const all = Array.from(losses!);
    const [sum, size] = [all.reduce((a, b) => a + b, 0), all.reduce((a, b) => a + Math.abs(b), 0)];
    const isNone = terms.reduction === 'mean' && divisor === 0;
    const isRight = isNone ? Number.isNaN(reduced![0]) : Math.abs(reduced![0]! - sum) <= 1e-12 * size;
    if (!isRight && !(reduced![0] === sum || (reduced![0] !== reduced![0] && !Number.isFinite(sum))))
      return `the ${terms.reduction} is ${reduced![0]}, not ${sum}`;
  }
  let r = -1;
  for (const { exact, at, isVisible } of rowsOf(axis, true)) {
    r++;
    if (isIgnored(r) && divisor !== 0) {
      if (losses![r] !== 0) return `ignored row ${r} has loss ${losses![r]}`;
      continue;
    }
    if (exact.state !== 'ordinary' || divisor === 0 || Math.abs(exact.top.hi) > 1e6) continue;
    const seen = Array.from({ length: axis.cols }, (_, c) => c).filter(isVisible);
    const isBounded = seen.every((c) => exact.distances[c]!.hi > -700);
    if (!isBounded || (soft === undefined && !isVisible(targets[r]!))) continue;
    const lp = (c: number) => logSoftmaxOf(exact, c).hi;
    const p = (c: number) => softmaxOf(exact, c).hi;
    const row: Row = { lp, p, seen, target: targets[r]!, soft: soft && ((c) => soft[at(c)]!) };
    const lse = logSumExpOf(exact).hi;
    const slackOfLse = slackOfLog(axis, isNative, exact.others.hi);
    const of = terms.name === 'crossEntropy' ? entropyOf(terms, row, lse, slackOfLse) : powerOf(terms, row, slackOfLse);
    if (of === undefined) continue;
    if (!(Math.abs(losses![r]! * divisor - of.loss) <= of.slack))
      return `loss ${r} is ${losses![r]! * divisor}, exactly ${of.loss}, within ${of.slack}`;
    for (const c of slopes ? seen : []) {
      const { value, size } = of.slope(c);
      const unit = axis.type === 'f64' ? 2 ** -38 : 6 * 2 ** -23; // no bound of doubles is promised
      const by = 1 / (axis.temperature * divisor);
      if (Math.abs(size * by) > 1e38 || Math.abs(by) > 1e300 || Math.abs(by) < 1e-280) continue;
      const error = errorOfElement(axis.type, slopes!, at(c), dd(value * by), 2, unit * size * by);
      if (!(error <= 2) && !(isHalf(axis.type) && Math.abs(value * by) > 6e4))
        return `gradient of row ${r}, column ${c} is ${slopes![at(c)]}, exactly ${value * by}`;
    }
  }
  return undefined;
}

interface Row {
  lp(c: number): number;
  p(c: number): number;
  readonly seen: readonly number[];
  readonly target: number;
  readonly soft: ((c: number) => number) | undefined;
}

function entropyOf(terms: Terms, { lp, p, seen, target, soft }: Row, lse: number, slackOfLse: number): RowLoss {
  const { smoothing, penalty, scale, weight } = terms;
  const coefficient = (c: number): number => {
    const hard = soft ? soft(c) : Number(c === target);
    return (weight?.[c] ?? 1) * ((1 - smoothing) * hard + smoothing / seen.length);
  };
  let [sum, size, all] = [dd(penalty * lse * lse), penalty * lse * lse, 0];
  for (const c of seen) {
    sum = addNumber(sum, -coefficient(c) * lp(c));
    size += Math.abs(coefficient(c) * lp(c));
    all += coefficient(c);
  }
  const [pull, most] = [all + 2 * penalty * lse, all + 2 * penalty * Math.abs(lse)];
  return {
    loss: scale * sum.hi,
    slack: Math.abs(scale) * (16 * EPSILON * size + (slackOfLse + EPSILON * Math.abs(lse)) * most),
    slope: (c) => ({
      value: scale * (pull * p(c) - coefficient(c)),
      size: Math.abs(scale) * (most * p(c) + coefficient(c)),
    }),
  };
}

function powerOf({ name, parameter }: Terms, { lp, p, seen, target }: Row, slackOfLse: number): RowLoss | undefined {
  const d = -lp(target);
  const miss = seen.reduce((sum, c) => (c === target ? sum : addNumber(sum, p(c))), ZERO).hi;
  const exponent = (1 - parameter) * d;
  if (name === 'compSum') {
    if (Math.abs(exponent) > 50) return undefined;
    const factor = Math.exp(exponent);
    return {
      loss: parameter === 1 ? d : Math.expm1(exponent) / (1 - parameter),
      slack: 2e-14 * Math.max(d * factor, d) + factor * (slackOfLse + EPSILON * d),
      slope: (c) => sloped(factor, c === target ? -miss : p(c)),
    };
  }
  const power = miss ** parameter;
  if (miss < 1e-12 || power < 1e-200) return undefined;
  const factor = power + parameter * miss ** (parameter - 1) * p(target) * d;
  return {
    loss: power * d,
    slack: 2e-14 * power * d + (1 + parameter) * (slackOfLse * (power + (power / miss) * d) + EPSILON * d),
    slope: (c) => sloped(factor, c === target ? -miss : p(c)),
  };
}

const sloped = (factor: number, difference: number) => ({
  value: factor * difference,
  size: Math.abs(factor * difference),
});

export const termMakers: Record<string, Maker> = { lossTerms };
