/** Cases of losses with a target for each row: reductions, gradients apart and in place, and their judgement. */
import { divide, type DD } from '../../lib/cli/oracle.js';
import { indicesOfRows, placed, type Axis, type Options } from './axis.js';
import { chain, type Api, type Maker } from './case.js';
import { isHalf } from './data.js';
import type { Draw } from './draw.js';
import { errorOfElement, type Outcome } from './judge.js';
import type { AnyArray, Arena } from './memory.js';
import { complain } from './row-cases.js';
import { dd } from './row-oracle.js';

/** A number and how far a result may be from it. */
export interface Near {
  readonly value: DD;
  readonly slack: number;
}

/** The exact loss of a row and its gradient; undefined where nothing is promised. */
export interface RowLoss {
  readonly loss: Near;
  slope(column: number): Near | undefined;
}

/** A loss that has one target a row. */
export interface TargetLoss {
  readonly name: string;
  readonly axis: Axis;
  readonly options: Options;
  /** Of a row, given by the indices of its elements, and its target's column. */
  exact(at: readonly number[], target: number, row: number): RowLoss | undefined;
}

const IGNORED = -100;
const MOST = { f32: 3.4e38, bf16: 3.3e38, f16: 6.5e4, f64: 1.7e308 };

/** A call of a loss: where its gradient goes, and what its other arguments are, placed in an arena. */
export interface LossCall {
  readonly name: string;
  readonly axis: Axis;
  readonly gradient: 'none' | 'apart' | 'in place';
  options(arena: Arena): Options;
  targets(arena: Arena): unknown;
}

/** How such a call is made, and which of its arrays are judged. */
export const lossCall = ({ name, axis, gradient, options, targets }: LossCall) => ({
  invoke(api: Api, arena: Arena) {
    const x = gradient === 'in place' ? arena.inOut('logits', axis.x) : arena.input('logits', axis.x);
    const slopes = gradient === 'apart' ? arena.output('gradient', axis.x, axis.length) : x;
    const out = arena.output('out', new Float64Array(0), axis.outer * axis.inner);
    const own = { ...options(arena), out, ...(gradient !== 'none' && { gradient: slopes }) };
    const all = arena.options(placed(arena, axis, own));
    return chain([api[name]!(x, targets(arena), all)], ([loss]) => ({ loss, out, slopes }));
  },
  outputs: ({ loss, out, slopes }: { loss: number | AnyArray; out: AnyArray; slopes: AnyArray }) => ({
    losses: out,
    // The bits of a NaN that is a number are up to the engine.
    reduced: typeof loss === 'number' ? Float64Array.of(loss === loss ? loss : NaN) : loss,
    ...(gradient !== 'none' && { slopes }),
  }),
});

/** A case of such a loss: reductions, gradients apart and in place, targets of every kind. */
export function targetCase(draw: Draw, { name, axis, options, exact }: TargetLoss): ReturnType<Maker> {
  const rows = axis.outer * axis.inner;
  const reduction = draw.pick(['none', 'none', 'sum', 'mean'] as const);
  const gradient = draw.pick(['none', 'apart', 'in place'] as const);
  const targets = Int32Array.from({ length: rows }, () =>
    draw.chance(0.1) || axis.cols === 0 ? IGNORED : draw.int(axis.cols),
  );
  const isList = draw.chance(0.3);
  return {
    text: `${name}(${axis.text}) ${JSON.stringify(options)} ${reduction} gradient ${gradient}`,
    elements: axis.length,
    hasPromise: true,
    isSameEverywhere: false,
    expects: 'value',
    ...lossCall({
      name,
      axis,
      gradient,
      options: () => ({ ...options, ...(reduction !== 'none' && { reduction }) }),
      targets: (arena) => (isList ? Array.from(targets) : arena.input('targets', targets)),
    }),
    check(outcome) {
      const counted = targets.filter((t) => t !== IGNORED).length;
      const divisor = reduction === 'mean' ? counted : 1;
      return faultOfReduced(outcome, reduction, divisor) ?? checkRows(axis, targets, divisor, exact, outcome);
    },
  };
}

function faultOfReduced({ arrays }: Outcome, reduction: string, divisor: number): string | undefined {
  const [losses, reduced] = [Array.from(arrays.losses!), arrays.reduced![0]!];
  if (reduction === 'none' || losses.some((each) => !Number.isFinite(each))) return undefined;
  if (reduction === 'mean' && divisor === 0)
    return reduced !== reduced ? undefined : `the mean of nothing is ${reduced}`;
  const sum = losses.reduce((a, b) => a + b, 0);
  return Math.abs(reduced - sum) <= 1e-12 * sum + 1e-300 ? undefined : `the ${reduction} is ${reduced}, not ${sum}`;
}

function checkRows(
  axis: Axis,
  targets: Int32Array,
  divisor: number,
  exact: TargetLoss['exact'],
  { arrays: { losses, slopes } }: Outcome,
): string | undefined {
  let row = -1;
  for (const at of indicesOfRows(axis)) {
    const target = targets[++row]!;
    if (target === IGNORED) {
      const isZero = divisor === 0 || (losses![row] === 0 && at.every((i) => !slopes || isNothing(slopes, i)));
      if (!isZero) return `ignored row ${row} has a loss or a gradient`;
      continue;
    }
    const wanted = exact(at, target, row);
    if (wanted === undefined) continue;
    const { value, slack } = wanted.loss;
    const got = losses![row]! * divisor;
    const isRight = value.hi === got || (value.hi !== value.hi && got !== got);
    if (
      !isRight &&
      !(Math.abs(got - value.hi - value.lo) <= slack + (divisor > 1 ? 4 : 1) * 2 ** -52 * Math.abs(value.hi) + 1e-290)
    )
      return `loss ${row} is ${got}, exactly ${value.hi}, within ${slack}`;
    for (const [c, i] of slopes ? at.entries() : []) {
      const of = wanted.slope(c);
      if (of === undefined) continue;
      if (divisor > 1 && Math.abs(of.value.hi) > MOST[axis.type]) continue; // it overflowed before it was divided
      const slope = divide(of.value, dd(divisor));
      const units = axis.type === 'f64' ? 1 : divisor === 1 ? 0.51 : 1.02; // a mean is rounded once more
      // Halves that are divided were halves before.
      const rounding = isHalf(axis.type) && divisor > 1 ? Math.abs(slope.hi) * 2 ** -8 + 2 ** -24 : 0;
      const half = Math.abs(slope.hi) * (axis.type === 'f64' ? 2 ** -53 : 2 ** -24) * (divisor > 1 ? 2 : 1);
      const slack = of.slack / divisor + rounding + half + 1e-290;
      const error = errorOfElement(axis.type, slopes!, i, slope, 2 * units, slack);
      if (!(error <= units)) return `gradient of row ${row}: ${complain(`[${c}]`, slopes![i], slope.hi, error)}`;
    }
  }
  return undefined;
}

/** A 0 of any type. */
const isNothing = (x: AnyArray, i: number): boolean => x[i] === 0 || (x instanceof Uint16Array && x[i] === 0x8000);
