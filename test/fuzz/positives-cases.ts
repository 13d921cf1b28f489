/** Cases of decoupledSoftmax: positives of each row in compressed rows, against the negatives alone. */
import { add, divide, multiplyNumber, type DD } from '../../lib/cli/oracle.js';
import { sigmoidDD, softplusDD, subtract, total } from '../losses/oracle.js';
import { axisOf, indicesOfRows, placed, type Axis } from './axis.js';
import { chain, type Maker } from './case.js';
import type { Draw } from './draw.js';
import { errorOfElement, type Outcome } from './judge.js';
import type { AnyArray } from './memory.js';
import { complain, NAN, slackOfLog } from './row-cases.js';
import { dd, exactRow, logSumExpOf, softmaxOf, ZERO, type ExactRow } from './row-oracle.js';

interface Positives {
  readonly indptr: number[];
  readonly indices: number[];
  readonly weights: number[] | undefined;
}

function positivesOf(draw: Draw, { outer, cols, inner }: Axis): Positives {
  const [indptr, indices, weights]: [number[], number[], number[]] = [[0], [], []];
  const share = draw.pick([0.05, 0.3, 0.9]);
  for (let r = 0; r < outer * inner; r++) {
    const isEmpty = draw.chance(0.1);
    const own = Array.from({ length: cols }, (_, c) => c).filter(() => !isEmpty && draw.chance(share));
    if (draw.chance(0.5)) own.reverse();
    for (const c of own) {
      indices.push(c);
      weights.push(draw.int(9) / 4);
    }
    indptr.push(indices.length);
  }
  return { indptr, indices, weights: draw.chance(0.5) ? weights : undefined };
}

/** A row's negatives, and the logits of its positives over the temperature. */
interface Row {
  readonly exact: ExactRow;
  readonly lse: DD;
  readonly positives: readonly { column: number; share: number; s: DD; isHidden: boolean }[];
}

function rowOf(axis: Axis, at: readonly number[], csr: Positives, r: number): Row {
  const pick = (all: Float64Array) => Float64Array.from(at, (i) => all[i]!);
  const { temperature } = axis;
  const [x, bias] = [pick(axis.values), axis.biases && pick(axis.biases)];
  const range = Array.from({ length: csr.indptr[r + 1]! - csr.indptr[r]! }, (_, j) => csr.indptr[r]! + j);
  const own = new Set(range.map((j) => csr.indices[j]!));
  const visible = Uint8Array.from(at, (i, c) => +(axis.visible?.[i] !== 0 && !own.has(c)));
  const exact = exactRow({ x, bias, visible, temperature, precise: true });
  const whole = range.reduce((sum, j) => sum + (csr.weights?.[j] ?? 1), 0);
  const positives = range.map((j) => {
    const column = csr.indices[j]!;
    const alone = Uint8Array.from(at, (_, c) => +(c === column));
    const row = exactRow({ x, bias, visible: alone, temperature, precise: true });
    const isLow = row.state === 'low' || axis.visible?.[at[column]!] === 0;
    const s = isLow ? dd(-Infinity) : row.state === 'ordinary' ? row.top : NAN;
    return { column, share: whole === 0 ? 0 : (csr.weights?.[j] ?? 1) / whole, s, isHidden: isLow };
  });
  return { exact, lse: exact.state === 'ordinary' ? logSumExpOf(exact) : dd(-Infinity), positives };
}

const EPSILON = 2 ** -50;

function checkRow(axis: Axis, row: Row, at: readonly number[], got: number, slopes: AnyArray | undefined, js: boolean) {
  const { exact, lse, positives } = row;
  const counted = positives.filter(({ share }) => share > 0);
  const isNothing = counted.length === 0 || exact.state === 'masked' || exact.state === 'low';
  const isBad = exact.state === 'poisoned' || counted.some(({ s, isHidden }) => s.hi !== s.hi && !isHidden);
  if (counted.length === 0) return got === 0 ? undefined : `loss ${got} without positives`;
  if (isBad) return got !== got ? undefined : `loss ${got} of a NaN`;
  if (isNothing) return got === 0 ? undefined : `loss ${got} without negatives`;
  const far = Math.max(...counted.map(({ s }) => (s.hi === -Infinity ? 0 : Math.abs(s.hi))), Math.abs(lse.hi));
  if (!(far < 1e6)) return undefined;
  const isInfinite = counted.some(({ s }) => s.hi === -Infinity); // masked, or too far below for a double
  const slackOfLse = slackOfLog(axis, !js, exact.others.hi);
  if (isInfinite && got !== Infinity) return `loss ${got} of a positive at −∞`;
  const terms = counted.map(({ s, share }) =>
    s.hi === -Infinity ? ZERO : multiplyNumber(softplusDD(subtract(lse, s)), share),
  );
  const loss = total(terms);
  const slack = (EPSILON * (1 + far) + slackOfLse) * loss.hi + 1e-290;
  if (!isInfinite && !(Math.abs(got - loss.hi) <= slack)) return `loss ${got}, exactly ${loss.hi}, within ${slack}`;
  if (slopes === undefined || axis.temperature < 1e-100 || axis.temperature > 1e100) return undefined;
  const pull = (s: DD): DD => (s.hi === -Infinity ? dd(1) : sigmoidDD(subtract(lse, s)));
  const factor = counted.reduce((sum, { s, share }) => add(sum, multiplyNumber(pull(s), share)), ZERO);
  for (const [c, i] of at.entries()) {
    const own = positives.find(({ column }) => column === c);
    let wanted = ZERO;
    if (own) wanted = own.isHidden && own.share === 0 ? ZERO : multiplyNumber(pull(own.s), -own.share);
    else if (axis.visible?.[i] !== 0) {
      const p = softmaxOf(exact, c);
      wanted = { hi: p.hi * factor.hi, lo: p.hi * factor.lo + p.lo * factor.hi };
    }
    if (axis.visible?.[i] === 0) wanted = ZERO;
    const slope = divide(wanted, dd(axis.temperature));
    const relative = axis.type === 'f64' ? EPSILON * (1 + far) + 2 ** -50 : 4 * 2 ** -23 + slackOfLse;
    const error = errorOfElement(axis.type, slopes, i, slope, 4, relative * Math.abs(slope.hi) + 1e-290);
    if (!(error <= 4)) return `gradient ${complain(`[${c}]`, slopes[i], slope.hi, error)}`;
  }
  return undefined;
}

function check(axis: Axis, csr: Positives, { arrays: { loss, slopes } }: Outcome, js: boolean): string | undefined {
  let r = -1;
  for (const at of indicesOfRows(axis)) {
    const fault = checkRow(axis, rowOf(axis, at, csr, ++r), at, loss![r]!, slopes, js);
    if (fault !== undefined) return `row ${r}: ${fault}`;
  }
  return undefined;
}

const decoupledSoftmax: Maker = (draw, limit) => {
  const axis = axisOf(draw, Math.min(limit, 1000), { isMild: draw.chance(0.5) });
  const csr = positivesOf(draw, axis);
  const gradient = draw.pick(['none', 'apart', 'in place'] as const);
  const isTyped = draw.chance(0.5);
  return {
    text: `decoupledSoftmax(${axis.text}) ${csr.indices.length} positives gradient ${gradient}`,
    elements: axis.length,
    hasPromise: true,
    isSameEverywhere: false,
    expects: 'value',
    invoke(api, arena) {
      const x = gradient === 'in place' ? arena.inOut('logits', axis.x) : arena.input('logits', axis.x);
      const slopes = gradient === 'apart' ? arena.output('gradient', axis.x, axis.length) : x;
      const out = arena.output('out', new Float64Array(0), axis.outer * axis.inner);
      const options = placed(arena, axis, { out, ...(gradient !== 'none' && { gradient: slopes }) });
      const typed = {
        indptr: arena.input('indptr', Uint32Array.from(csr.indptr)),
        indices: arena.input('indices', Int32Array.from(csr.indices)),
        weights: csr.weights && arena.input('weights', Float64Array.from(csr.weights)),
      };
      const call = api.decoupledSoftmax!(x, isTyped ? typed : csr, arena.options(options));
      return chain([call], ([loss]) => ({ loss, slopes }));
    },
    outputs: ({ loss, slopes }: { loss: AnyArray; slopes: AnyArray }) => ({
      loss,
      ...(gradient !== 'none' && { slopes }),
    }),
    check: (outcome, isNative) => check(axis, csr, outcome, !isNative),
  };
};

export const positivesMakers: Record<string, Maker> = { decoupledSoftmax };
