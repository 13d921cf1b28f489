/** Cases of softmax, logSoftmax and logSumExp, and the parts that all cases along an axis share. */
import { axisOf, placed, rowsOf, spoil, type Axis, type AxisNeeds, type Options } from './axis.js';
import type { Api, Maker } from './case.js';
import { isHalf, type Logits } from './data.js';
import { Draw } from './draw.js';
import { isNear } from './exact-row.js';
import { confirmed, errorOf, type Outcome } from './judge.js';
import type { AnyArray, Arena } from './memory.js';
import { dd, logSoftmaxOf, logSumExpOf, softmaxOf, ZERO } from './row-oracle.js';
import type { DD } from '../../lib/cli/oracle.js';

/**
 * The bounds that README.md and the functions promise, in ULP. `native` is softmax's exception of 2.6 for every row.
 */
export const BOUNDS = {
  softmax: { native: 2.6, short: 0.51, js: 0.51, f64: 2 },
  log: { f32: 1, f64: 3 },
  gradient: { f32: 3, f64: 4 },
};
const SHORT = 256;
/** Native code sums longer rows of float32 and half types in float32. */
const SUMMED_IN_DOUBLE = 128;

export const NAN = dd(NaN);
const LOW = dd(-Infinity);

export function softmaxBound(axis: Axis, isNative: boolean): number {
  if (axis.type === 'f64') return BOUNDS.softmax.f64;
  if (!isNative) return BOUNDS.softmax.js;
  return axis.cols <= SHORT && isOrdinary(axis) ? BOUNDS.softmax.short : BOUNDS.softmax.native;
}

/** Rows of logits up to this many temperatures are summed without their maximum. `short` holds for them alone. */
const NEAR = 22_000;

/** True if rows follow one another, and neither logits nor the temperature are far from 1. */
function isOrdinary({ inner, values, biases, visible, temperature, places }: Axis): boolean {
  if (inner !== 1 || places !== undefined || temperature < 1e-3 || temperature > 1e3) return false;
  const isNear = (x: number) => x === -Infinity || !(Math.abs(x) > NEAR * temperature);
  return values.every((x, i) => visible?.[i] === 0 || (isNear(x) && (biases === undefined || isNear(biases[i]!))));
}

/** The bound of the logarithm of a sum, where the logarithm is a double. */
export function slackOfLog(axis: Axis, isNative: boolean, others: number): number {
  const isOfFloats = isNative && axis.type !== 'f64' && axis.cols > SUMMED_IN_DOUBLE;
  return (isOfFloats ? 8e-8 : 2 ** -52) * Math.min(1, others);
}

export const complain = (where: string, got: unknown, exact: number, error: number): string =>
  `${where} is ${String(got)}, not ${exact}: off by ${error.toPrecision(4)} ULP`;

export type Way = 'new' | 'apart' | 'in place' | 'as float32';

export function wayOf(draw: Draw, axis: Axis): Way {
  return draw.pick<Way>(isHalf(axis.type) ? ['new', 'apart', 'in place', 'as float32'] : ['new', 'apart', 'in place']);
}

/** Places x and out as `way` tells. */
export function withOut(arena: Arena, axis: Axis, way: Way, options: Options, name = 'x'): Logits {
  const x = way === 'in place' ? arena.inOut(name, axis.x) : arena.input(name, axis.x);
  if (way === 'in place') options.out = x;
  if (way === 'apart') options.out = arena.output('out', axis.x, axis.length);
  if (way === 'as float32') options.out = arena.output('out', new Float32Array(0), axis.length);
  return x;
}

type Check = (axis: Axis, outcome: Outcome, isNative: boolean) => string | undefined;

/** An operator that gives a number for each element, of rows of at most `most` elements. */
export function elementMaker(operator: string, check: Check, needs: AxisNeeds = {}, most = Infinity): Maker {
  return (draw, limit) => {
    const axis = axisOf(draw, Math.min(limit, most), needs);
    const way = wayOf(draw, axis);
    const isBare = Object.keys(axis.plain).length === 0 && !axis.mask && !axis.bias && way === 'new';
    const spoiling = draw.chance(0.08) ? draw.word() : undefined;
    return {
      text: `${operator}(${axis.text}) ${way}`,
      elements: axis.length,
      hasPromise: true,
      isSameEverywhere: false,
      expects: spoiling === undefined ? 'value' : 'error',
      invoke: (api, arena) => call(api, operator, arena, axis, way, isBare, spoiling),
      outputs: (y: AnyArray) => ({ y }),
      check: (outcome, isNative) => check(axis, outcome, isNative),
    };
  };
}

function call(
  api: Api,
  operator: string,
  arena: Arena,
  axis: Axis,
  way: Way,
  isBare: boolean,
  spoiling: number | undefined,
): unknown {
  const options = placed(arena, axis);
  const x = withOut(arena, axis, way, options);
  if (spoiling !== undefined) spoil(spoilerOf(spoiling), axis, options, 'element');
  return isBare && spoiling === undefined ? api[operator]!(x) : api[operator]!(x, arena.options(options));
}

/** A call has the same fault on every backend. */
export const spoilerOf = (word: number): Draw => new Draw(word);

const checkElements =
  (operator: 'softmax' | 'logSoftmax'): Check =>
  (axis, { arrays }, isNative) => {
    const y = arrays.y!;
    const [hidden, of] = operator === 'softmax' ? [ZERO, softmaxOf] : [LOW, logSoftmaxOf];
    const bound =
      operator === 'softmax' ? softmaxBound(axis, isNative) : axis.type === 'f64' ? BOUNDS.log.f64 : BOUNDS.log.f32;
    for (const { exact, integers, at, isVisible } of rowsOf(axis)) {
      const whole =
        exact.state === 'poisoned' || (exact.state === 'low' && axis.mask === undefined)
          ? NAN
          : exact.state === 'ordinary'
            ? undefined
            : hidden;
      for (let c = 0; c < axis.cols; c++) {
        const wanted: DD = !isVisible(c) ? hidden : (whole ?? of(exact, c));
        const exactly = () => (Number.isFinite(exact.distances[c]?.hi) ? integers[operator](c) : 0n);
        const error = confirmed(axis.type, y, at(c), wanted, bound, exactly);
        if (!(error <= bound)) return complain(`${isNative ? 'native' : 'js'} y[${at(c)}]`, y[at(c)], wanted.hi, error);
      }
    }
    return undefined;
  };

const logSumExp: Maker = (draw, limit) => {
  const axis = axisOf(draw, Math.min(limit, 20_000), { hasAxes: true });
  const hasOut = draw.chance(0.4);
  const spoiling = draw.chance(0.08) ? draw.word() : undefined;
  return {
    text: `logSumExp(${axis.text})`,
    elements: axis.length,
    hasPromise: true,
    isSameEverywhere: false,
    expects: spoiling === undefined ? 'value' : 'error',
    invoke(api, arena) {
      const options = placed(
        arena,
        axis,
        hasOut ? { out: arena.output('out', new Float64Array(0), axis.outer * axis.inner) } : {},
      );
      if (spoiling !== undefined) spoil(spoilerOf(spoiling), axis, options, 'row');
      return api.logSumExp!(arena.input('x', axis.x), arena.options(options));
    },
    outputs: (sums: AnyArray) => ({ sums }),
    check({ arrays }, isNative) {
      let r = 0;
      for (const { exact, integers } of rowsOf(axis, true)) {
        const got = arrays.sums![r]!;
        const wanted =
          exact.state === 'ordinary'
            ? logSumExpOf(exact)
            : exact.state === 'poisoned'
              ? exact.hasNaN
                ? NAN
                : dd(Infinity)
              : LOW;
        const slack = exact.state === 'ordinary' ? slackOfLog(axis, isNative, exact.others.hi) : 0;
        const error = errorOf('f64', got, wanted, slack);
        const isRight =
          error <= 1.5 || (exact.state === 'ordinary' && isNear('f64', got, integers.logSumExp, 1.5, slack));
        if (!isRight) return complain(`${isNative ? 'native' : 'js'} row ${r}`, got, wanted.hi, error);
        r++;
      }
      return r === arrays.sums!.length ? undefined : `${arrays.sums!.length} sums of ${r} rows`;
    },
  };
};

export const rowMakers: Record<string, Maker> = {
  softmax: elementMaker('softmax', checkElements('softmax'), { hasAxes: true }),
  logSoftmax: elementMaker('logSoftmax', checkElements('logSoftmax'), { hasAxes: true }),
  logSumExp,
};
