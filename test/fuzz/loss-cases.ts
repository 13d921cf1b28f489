/** Cases of crossEntropy and softmaxBackward. */
import { axisOf, placed, rowsOf, spoil, type Axis } from './axis.js';
import type { Maker } from './case.js';
import { isHalf, logitsOf, numbersOf, valuesOf } from './data.js';
import { integerBackward, isNear } from './exact-row.js';
import { confirmed, errorOf, type Outcome } from './judge.js';
import type { AnyArray } from './memory.js';
import { BOUNDS, complain, NAN, slackOfLog, spoilerOf, withOut, type Way } from './row-cases.js';
import { backwardOf, dd, gradientOf, logSoftmaxOf, negative, ZERO } from './row-oracle.js';

const crossEntropy: Maker = (draw, limit) => {
  const axis = axisOf(draw, Math.min(limit, 20_000));
  const rows = axis.outer * axis.inner;
  const ignoreIndex = draw.chance(0.7) ? undefined : draw.pick([-1, 255, -100]);
  const ignored = ignoreIndex ?? -100;
  const targets = Int32Array.from({ length: rows }, () =>
    draw.chance(0.1) || axis.cols === 0 ? ignored : draw.int(axis.cols),
  );
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
      if (gradient !== 'none')
        options.gradient = gradient === 'in place' ? x : arena.output('gradient', axis.x, axis.length);
      if (spoiling !== undefined) spoil(spoilerOf(spoiling), axis, options, 'row');
      const given = options.gradient;
      const loss = api.crossEntropy!(
        x,
        isArray ? Array.from(targets) : arena.input('targets', targets),
        arena.options(options),
      );
      const both = (done: unknown) => ({ loss: done, gradient: given });
      return loss instanceof Promise ? loss.then(both) : both(loss);
    },
    outputs: ({ loss, gradient: slopes }: { loss: AnyArray; gradient?: AnyArray }) => ({
      loss,
      ...(slopes && { gradient: slopes }),
    }),
    check: (outcome, isNative) => checkLosses(axis, targets, ignored, outcome, isNative),
  };
};

function checkLosses(
  axis: Axis,
  targets: Int32Array,
  ignored: number,
  { arrays: { loss, gradient } }: Outcome,
  isNative: boolean,
): string | undefined {
  let r = -1;
  for (const { exact, integers, at, isVisible } of rowsOf(axis, true)) {
    const [target, name] = [targets[++r]!, isNative ? 'native' : 'js'];
    const isHidden = target !== ignored && !isVisible(target);
    const wanted =
      target === ignored
        ? ZERO
        : exact.state === 'poisoned'
          ? NAN
          : exact.state === 'ordinary'
            ? isHidden
              ? dd(Infinity)
              : negative(logSoftmaxOf(exact, target))
            : dd(axis.mask || isHidden ? Infinity : NaN);
    const slack = exact.state === 'ordinary' ? slackOfLog(axis, isNative, exact.others.hi) : 0;
    const isEither = exact.state === 'poisoned' && isHidden && loss![r] === Infinity; // both are right
    const error = isEither ? 0 : errorOf('f64', loss![r]!, wanted, slack);
    const isRight =
      error <= 3 || (Number.isFinite(wanted.hi) && isNear('f64', loss![r]!, -integers.logSoftmax(target), 3, slack));
    if (!isRight) return complain(`${name} loss ${r}`, loss![r], wanted.hi, error);
    if (gradient === undefined) continue;
    const bound = axis.type === 'f64' ? BOUNDS.gradient.f64 : BOUNDS.gradient.f32;
    for (let c = 0; c < axis.cols; c++) {
      const isZero = target === ignored || !isVisible(c);
      const isNone = exact.state === 'poisoned' || (exact.state === 'low' && axis.mask === undefined);
      const slope = isZero
        ? ZERO
        : isNone
          ? NAN
          : exact.state === 'ordinary'
            ? isHidden
              ? undefined
              : gradientOf(exact, c, target, axis.temperature)
            : ZERO;
      if (slope === undefined) continue; // the loss is infinite
      const exactly = () => (exact.state === 'ordinary' && !isZero ? integers.gradient(c, target) : 0n);
      const off = confirmed(axis.type, gradient, at(c), slope, bound, exactly);
      if (!(off <= bound))
        return complain(`${name} gradient[${at(c)}], target ${target}, column ${c}`, gradient[at(c)], slope.hi, off);
    }
  }
  return undefined;
}

const softmaxBackward: Maker = (draw, limit) => {
  const axis = axisOf(draw, Math.min(limit, 20_000), { hasBias: false, isMild: true });
  for (let i = 0; i < axis.length; i++) axis.values[i] = draw.uniform() ** 4; // roughly the y of a softmax
  const given = logitsOf(axis.type, axis.values);
  (axis.x as Float64Array).set(given as Float64Array);
  axis.values.set(valuesOf(axis.type, given));
  const values = numbersOf(
    draw,
    axis.type,
    axis.length,
    draw.pick(['normal', 'N(0,1)', 'constant', 'integers', 'zeros', 'subnormal', 'one peak']),
  );
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
    if (!(size < Infinity)) continue; // nothing is promised
    let integers: bigint[] | undefined;
    const exactly = (c: number) =>
      (integers ??= integerBackward(pick(axis.values), pick(slopes), seen, temperature))[c]!;
    for (let c = 0; c < cols; c++) {
      // The sum is exact to a double's rounding of its terms, which cancellation keeps.
      const slack = (2 ** -50 * axis.values[at(c)]! * (size + Math.abs(slopes[at(c)]!))) / temperature;
      const isKnown = Number.isFinite(value[c]!.hi) || isHalf(type);
      // Products of double-doubles overflow before the result does: then integers alone judge it.
      const error = isKnown
        ? confirmed(type, arrays.dx!, at(c), value[c]!, 3, () => exactly(c), slack)
        : isNear(type, arrays.dx![at(c)]!, exactly(c), 3, slack)
          ? 0
          : Infinity;
      if (!(error <= 3))
        return complain(`${isNative ? 'native' : 'js'} dx[${at(c)}]`, arrays.dx![at(c)], value[c]!.hi, error);
    }
  }
  return undefined;
}

export const lossMakers: Record<string, Maker> = { crossEntropy, softmaxBackward };
