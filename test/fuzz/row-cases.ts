/** Cases of softmax, logSoftmax, logSumExp, crossEntropy and softmaxBackward. */
import { axisOf, placed, rowsOf, spoil, type Axis, type Options } from './axis.js';
import type { Api, Maker } from './case.js';
import { isHalf, logitsOf, numbersOf, valuesOf, type Logits } from './data.js';
import { Draw } from './draw.js';
import { errorOf, errorOfElement, type Outcome } from './judge.js';
import type { AnyArray, Arena } from './memory.js';
import { backwardOf, dd, gradientOf, logSoftmaxOf, logSumExpOf, negative, softmaxOf, ZERO } from './row-oracle.js';
import type { DD } from '../../lib/cli/oracle.js';

/** What README.md and the functions promise, in units of the last place; softmax's exception of 2.6 is everybody's here. */
const BOUNDS = {
  softmax: { native: 2.6, short: 0.51, js: 0.51, f64: 2 },
  log: { f32: 1, f64: 3 },
  gradient: { f32: 3, f64: 4 },
};
const SHORT = 256;
/** Rows of float32 and half types that are longer are summed in float32 by native code. */
const SUMMED_IN_DOUBLE = 128;

export const NAN = dd(NaN);
const LOW = dd(-Infinity);

export const softmaxBound = ({ type, cols }: Axis, isNative: boolean): number =>
  type === 'f64' ? BOUNDS.softmax.f64 : !isNative ? BOUNDS.softmax.js : cols <= SHORT ? BOUNDS.softmax.short : BOUNDS.softmax.native;

/** How far the logarithm of a sum may be off where it is a double. */
export function slackOfLog(axis: Axis, isNative: boolean, others: number): number {
  const isOfFloats = isNative && axis.type !== 'f64' && axis.cols > SUMMED_IN_DOUBLE;
  return (isOfFloats ? 8e-8 : 2 ** -52) * Math.min(1, others);
}

export const complain = (where: string, got: unknown, exact: number, error: number): string => `${where} is ${String(got)}, not ${exact}: off by ${error.toPrecision(4)} ULP`;

type Way = 'new' | 'apart' | 'in place' | 'as float32';

function wayOf(draw: Draw, axis: Axis): Way {
  return draw.pick<Way>(isHalf(axis.type) ? ['new', 'apart', 'in place', 'as float32'] : ['new', 'apart', 'in place']);
}

/** Places x and out as the way says. */
export function withOut(arena: Arena, axis: Axis, way: Way, options: Options, name = 'x'): Logits {
  const x = way === 'in place' ? arena.inOut(name, axis.x) : arena.input(name, axis.x);
  if (way === 'in place') options.out = x;
  if (way === 'apart') options.out = arena.output('out', axis.x, axis.length);
  if (way === 'as float32') options.out = arena.output('out', new Float32Array(0), axis.length);
  return x;
}

/** softmax and logSoftmax. */
function elementMaker(operator: 'softmax' | 'logSoftmax'): Maker {
  return (draw, limit) => {
    const axis = axisOf(draw, limit);
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
      check: (outcome, isNative) => checkElements(operator, axis, outcome, isNative),
    };
  };
}

function call(api: Api, operator: string, arena: Arena, axis: Axis, way: Way, isBare: boolean, spoiling: number | undefined): unknown {
  const options = placed(arena, axis);
  const x = withOut(arena, axis, way, options);
  if (spoiling !== undefined) spoil(spoilerOf(spoiling), axis, options, 'element');
  return isBare && spoiling === undefined ? api[operator]!(x) : api[operator]!(x, arena.options(options));
}

/** A call is spoilt in the same way on every backend. */
export const spoilerOf = (word: number): Draw => new Draw(word);

function checkElements(operator: 'softmax' | 'logSoftmax', axis: Axis, { arrays }: Outcome, isNative: boolean): string | undefined {
  const y = arrays.y!;
  const [hidden, of] = operator === 'softmax' ? [ZERO, softmaxOf] : [LOW, logSoftmaxOf];
  const bound = operator === 'softmax' ? softmaxBound(axis, isNative) : axis.type === 'f64' ? BOUNDS.log.f64 : BOUNDS.log.f32;
  for (const { exact, at, isVisible } of rowsOf(axis)) {
    const whole = exact.state === 'poisoned' || (exact.state === 'low' && axis.mask === undefined) ? NAN : exact.state === 'ordinary' ? undefined : hidden;
    for (let c = 0; c < axis.cols; c++) {
      const wanted: DD = !isVisible(c) ? hidden : whole ?? of(exact, c);
      const error = errorOfElement(axis.type, y, at(c), wanted, bound);
      if (!(error <= bound)) return complain(`${isNative ? 'native' : 'js'} y[${at(c)}]`, y[at(c)], wanted.hi, error);
    }
  }
  return undefined;
}

const logSumExp: Maker = (draw, limit) => {
  const axis = axisOf(draw, Math.min(limit, 20_000));
  const hasOut = draw.chance(0.4);
  const spoiling = draw.chance(0.08) ? draw.word() : undefined;
  return {
    text: `logSumExp(${axis.text})`,
    elements: axis.length,
    hasPromise: true,
    isSameEverywhere: false,
    expects: spoiling === undefined ? 'value' : 'error',
    invoke(api, arena) {
      const options = placed(arena, axis, hasOut ? { out: arena.output('out', new Float64Array(0), axis.outer * axis.inner) } : {});
      if (spoiling !== undefined) spoil(spoilerOf(spoiling), axis, options, 'row');
      return api.logSumExp!(arena.input('x', axis.x), arena.options(options));
    },
    outputs: (sums: AnyArray) => ({ sums }),
    check({ arrays }, isNative) {
      let r = 0;
      for (const { exact } of rowsOf(axis, true)) {
        const got = arrays.sums![r]!;
        const wanted = exact.state === 'ordinary' ? logSumExpOf(exact) : exact.state === 'poisoned' ? (exact.hasNaN ? NAN : dd(Infinity)) : LOW;
        const slack = exact.state === 'ordinary' ? slackOfLog(axis, isNative, exact.others.hi) : 0;
        const error = errorOf('f64', got, wanted, slack);
        if (!(error <= 1.5)) return complain(`${isNative ? 'native' : 'js'} row ${r}`, got, wanted.hi, error);
        r++;
      }
      return r === arrays.sums!.length ? undefined : `${arrays.sums!.length} sums of ${r} rows`;
    },
  };
};

const crossEntropy: Maker = (draw, limit) => {
  const axis = axisOf(draw, Math.min(limit, 20_000));
  const rows = axis.outer * axis.inner;
  const ignoreIndex = draw.chance(0.7) ? undefined : draw.pick([-1, 255, -100]);
  const ignored = ignoreIndex ?? -100;
  const targets = Int32Array.from({ length: rows }, () => (draw.chance(0.1) || axis.cols === 0 ? ignored : draw.int(axis.cols)));
  const gradient = draw.pick(['none', 'apart', 'in place'] as const);
  const hasOut = draw.chance(0.3);
  const isArray = draw.chance(0.3);
  const spoiling = draw.chance(0.08) ? draw.word() : undefined;
  return {
    text: `crossEntropy(${axis.text}) gradient ${gradient}`,
    elements: axis.length,
    hasPromise: true,
    isSameEverywhere: false,
    expects: spoiling === undefined ? 'value' : 'error',
    invoke(api, arena) {
      const options = placed(arena, axis, hasOut ? { out: arena.output('out', new Float64Array(0), rows) } : {});
      if (ignoreIndex !== undefined) options.ignoreIndex = ignoreIndex;
      const x = gradient === 'in place' ? arena.inOut('logits', axis.x) : arena.input('logits', axis.x);
      if (gradient !== 'none') options.gradient = gradient === 'in place' ? x : arena.output('gradient', axis.x, axis.length);
      if (spoiling !== undefined) spoil(spoilerOf(spoiling), axis, options, 'row');
      const given = options.gradient;
      const loss = api.crossEntropy!(x, isArray ? Array.from(targets) : arena.input('targets', targets), arena.options(options));
      const both = (done: unknown) => ({ loss: done, gradient: given });
      return loss instanceof Promise ? loss.then(both) : both(loss);
    },
    outputs: ({ loss, gradient: slopes }: { loss: AnyArray; gradient?: AnyArray }) => ({ loss, ...(slopes && { gradient: slopes }) }),
    check: (outcome, isNative) => checkLosses(axis, targets, ignored, outcome, isNative),
  };
};

function checkLosses(axis: Axis, targets: Int32Array, ignored: number, { arrays: { loss, gradient } }: Outcome, isNative: boolean): string | undefined {
  let r = -1;
  for (const { exact, at, isVisible } of rowsOf(axis, true)) {
    const [target, name] = [targets[++r]!, isNative ? 'native' : 'js'];
    const isHidden = target !== ignored && !isVisible(target);
    const wanted = target === ignored ? ZERO : exact.state === 'poisoned' ? NAN : exact.state === 'ordinary' ? (isHidden ? dd(Infinity) : negative(logSoftmaxOf(exact, target))) : dd(axis.mask || isHidden ? Infinity : NaN);
    const slack = exact.state === 'ordinary' ? slackOfLog(axis, isNative, exact.others.hi) : 0;
    const isEither = exact.state === 'poisoned' && isHidden && loss![r] === Infinity; // both are said of it
    const error = isEither ? 0 : errorOf('f64', loss![r]!, wanted, slack);
    if (!(error <= 3)) return complain(`${name} loss ${r}`, loss![r], wanted.hi, error);
    if (gradient === undefined) continue;
    const bound = axis.type === 'f64' ? BOUNDS.gradient.f64 : BOUNDS.gradient.f32;
    for (let c = 0; c < axis.cols; c++) {
      const isZero = target === ignored || !isVisible(c);
      const isNone = exact.state === 'poisoned' || (exact.state === 'low' && axis.mask === undefined);
      const slope = isZero ? ZERO : isNone ? NAN : exact.state === 'ordinary' ? (isHidden ? undefined : gradientOf(exact, c, target, axis.temperature)) : ZERO;
      if (slope === undefined) continue; // of a loss that is infinite
      const off = errorOfElement(axis.type, gradient, at(c), slope, bound);
      if (!(off <= bound)) return complain(`${name} gradient[${at(c)}], target ${target}, column ${c}`, gradient[at(c)], slope.hi, off);
    }
  }
  return undefined;
}

const softmaxBackward: Maker = (draw, limit) => {
  const axis = axisOf(draw, Math.min(limit, 20_000), { hasBias: false, isMild: true });
  for (let i = 0; i < axis.length; i++) axis.values[i] = draw.uniform() ** 4; // y of a softmax, more or less
  const given = logitsOf(axis.type, axis.values);
  (axis.x as Float64Array).set(given as Float64Array);
  axis.values.set(valuesOf(axis.type, given));
  const values = numbersOf(draw, axis.type, axis.length, draw.pick(['normal', 'N(0,1)', 'constant', 'integers', 'zeros', 'subnormal', 'one peak']));
  const dy = logitsOf(axis.type, values);
  const way = draw.pick<Way | 'in dy'>(['new', 'apart', 'in place', 'in dy']);
  const spoiling = draw.chance(0.08) ? draw.word() : undefined;
  return {
    text: `softmaxBackward(${axis.text}) ${way}`,
    elements: axis.length,
    hasPromise: true,
    isSameEverywhere: false,
    expects: spoiling === undefined ? 'value' : 'error',
    invoke(api, arena) {
      const options = placed(arena, axis);
      const y = way === 'in dy' ? arena.input('y', axis.x) : withOut(arena, axis, way, options, 'y');
      const slopes = way === 'in dy' ? arena.inOut('dy', dy) : arena.input('dy', dy);
      if (way === 'in dy') options.out = slopes;
      if (spoiling !== undefined) spoil(spoilerOf(spoiling), axis, options, 'element');
      return api.softmaxBackward!(y, slopes, arena.options(options));
    },
    outputs: (dx: AnyArray) => ({ dx }),
    check: (outcome, isNative) => checkBackward(axis, values, outcome, isNative),
  };
};

function checkBackward(axis: Axis, slopes: Float64Array, { arrays }: Outcome, isNative: boolean): string | undefined {
  const { outer, cols, inner, visible, type, temperature } = axis;
  for (let r = 0; r < outer * inner; r++) {
    const at = (c: number) => (Math.floor(r / inner) * cols + c) * inner + (r % inner);
    const pick = (all: Float64Array) => Float64Array.from({ length: cols }, (_, c) => all[at(c)]!);
    const seen = visible && Uint8Array.from({ length: cols }, (_, c) => visible[at(c)]!);
    const { value, size } = backwardOf(pick(axis.values), pick(slopes), seen, temperature);
    if (!(size < Infinity)) continue; // nothing is said of it
    for (let c = 0; c < cols; c++) {
      // The sum is good to a double's rounding of its terms: what cancels is off by that.
      const slack = (2 ** -50 * axis.values[at(c)]! * (size + Math.abs(slopes[at(c)]!))) / temperature;
      const error = errorOfElement(type, arrays.dx!, at(c), value[c]!, 3, slack);
      if (!(error <= 3)) return complain(`${isNative ? 'native' : 'js'} dx[${at(c)}]`, arrays.dx![at(c)], value[c]!.hi, error);
    }
  }
  return undefined;
}

export const rowMakers: Record<string, Maker> = { softmax: elementMaker('softmax'), logSoftmax: elementMaker('logSoftmax'), logSumExp, crossEntropy, softmaxBackward };
