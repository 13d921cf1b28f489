/** Cases of stableMax and logStableMax: s(z) / Σ s(z) and its logarithm, from integers (../support/exact.ts). */
import { LN2, LN2_LOW } from '../../lib/math/powers.js';
import { add, multiplyNumber, type DD } from '../../lib/cli/oracle.js';
import { log1pDD } from '../softmax/log-oracle.js';
import { fixed } from '../support/exact.js';
import { indicesOfRows, type Axis } from './axis.js';
import { confirmed, errorOfElement, type Outcome } from './judge.js';
import { complain, elementMaker, NAN } from './row-cases.js';
import { dd, negative, ZERO } from './row-oracle.js';

/** The bounds of test/losses/stable-max.test.ts, in ULP. */
const BOUNDS = { stableMax: { f32: 0.51, f64: 3 }, logStableMax: { f32: 0.51, f64: 4 } };

const BITS = 1400;
const ONE = fixed(1);
const LOW = dd(-Infinity);

/** s(z): z + 1 from 0 on, and 1 / (1 − z) below. */
const termOf = (z: bigint): bigint => (z < 0n ? (ONE * ONE) / (ONE - z) : z + ONE);

/** The nearest double of v ≥ 0, but for some last places. */
function doubleOf(v: bigint): number {
  const shift = Math.max(0, v.toString(16).length * 4 - 64);
  const half = Math.floor((shift - BITS) / 2);
  return Number(v >> BigInt(shift)) * 2 ** half * 2 ** (shift - BITS - half);
}

export function doublesOf(v: bigint): DD {
  const hi = doubleOf(v);
  const rest = v - fixed(hi);
  return { hi, lo: rest < 0n ? -doubleOf(-rest) : doubleOf(rest) };
}

/** log(1 + v) for v ≥ 0, beyond the range of doubles too. */
export function logOf1p(v: bigint): DD {
  const octaves = Math.max(0, v.toString(16).length * 4 - BITS - 500);
  if (octaves === 0) return log1pDD(doublesOf(v));
  const log = log1pDD(doublesOf((v >> BigInt(octaves)) - ONE));
  return add(log, multiplyNumber({ hi: LN2, lo: LN2_LOW }, octaves));
}

/** A row: its terms, null where nothing is visible or a logit is −∞; and their sum, null if a NaN or +∞ is visible. */
export function termsOf(axis: Axis, at: readonly number[]): { terms: (bigint | null)[]; sum: bigint | null } {
  const { values, biases, visible } = axis;
  let isPoisoned = false;
  const terms = at.map((i) => {
    const [x, bias] = [values[i]!, biases ? biases[i]! : 0];
    if (visible && visible[i] === 0) return null;
    if (x !== x || bias !== bias || x === Infinity || bias === Infinity) isPoisoned = true;
    return Number.isFinite(x) && Number.isFinite(bias) ? termOf(fixed(x) + fixed(bias)) : null;
  });
  return { terms, sum: isPoisoned ? null : terms.reduce<bigint>((all, term) => all + (term ?? 0n), 0n) };
}

const check =
  (operator: 'stableMax' | 'logStableMax') =>
  (axis: Axis, { arrays }: Outcome, isNative: boolean): string | undefined => {
    const y = arrays.y!;
    const bound = BOUNDS[operator][axis.type === 'f64' ? 'f64' : 'f32'];
    const hidden = operator === 'stableMax' ? ZERO : LOW;
    for (const at of indicesOfRows(axis)) {
      const { terms, sum } = termsOf(axis, at);
      const isFault = sum === null || (sum === 0n && axis.mask === undefined);
      for (const [c, i] of at.entries()) {
        const term = terms[c]!;
        const isHidden = axis.visible?.[i] === 0 || (!isFault && term === null);
        let wanted = isHidden ? hidden : NAN;
        let exactly = 0n;
        if (!isHidden && !isFault && operator === 'stableMax') {
          exactly = (term! << BigInt(BITS)) / sum;
          wanted = doublesOf(exactly);
        } else if (!isHidden && !isFault) {
          wanted = negative(logOf1p(((sum - term!) << BigInt(BITS)) / term!));
        }
        const error =
          operator === 'stableMax'
            ? confirmed(axis.type, y, i, wanted, bound, () => exactly)
            : errorOfElement(axis.type, y, i, wanted, bound);
        if (!(error <= bound)) return complain(`${isNative ? 'native' : 'js'} y[${i}]`, y[i], wanted.hi, error);
      }
    }
    return undefined;
  };

/** Integers of 2,800 bits take some microseconds an element. */
const MOST = 3000;

export const stableMakers = {
  stableMax: elementMaker('stableMax', check('stableMax'), { hasTemperature: false }, MOST),
  logStableMax: elementMaker('logStableMax', check('logStableMax'), { hasTemperature: false }, MOST),
};
