/** The unified maximum of FlashDecoding++: an exponent that all sums share, so that merging them is an addition. */
import { outOfRange, wrongType, wrongValue } from '../call/errors.js';
import type { NewFloat64Array, NewInt32Array } from '../call/types.js';
import { isOrdinary, powerOfTwo, type Extended } from '../math/extended.js';
import type { NewExpSums } from './exp-sum-state.js';

/** The widest range, in temperatures: 2^±866. Doubles have room to add such sums up. */
const WIDEST = 600;
const LOG2_E = 1.4426950408889634;

export interface Unified {
  readonly exponent: number;
  /** The smallest and the largest sum with the shared exponent. */
  readonly least: Extended;
  readonly most: Extended;
}

/** exp(log). */
function exponential(log: number): Extended {
  const octaves = log * LOG2_E;
  return [2 ** (octaves - Math.floor(octaves)), Math.floor(octaves)];
}

export function unify(unifiedMax: unknown, range: unknown, temperature: number): Unified {
  if (typeof unifiedMax !== 'number') throw wrongType('a number', 'unifiedMax', unifiedMax);
  const phi = unifiedMax / temperature;
  if (!(Math.abs(phi) < 1.48e9)) throw outOfRange('a number within 1.48e9 temperatures', 'unifiedMax', unifiedMax);
  const within = (below: number, above: number): Unified => ({
    exponent: Math.round(phi * LOG2_E),
    least: exponential(phi + below),
    most: exponential(phi + above),
  });
  if (range === undefined) return within(-WIDEST, WIDEST);
  if (!Array.isArray(range)) throw wrongType('an array of two numbers', 'range', range);
  const [below, above]: unknown[] = range;
  if (range.length !== 2) throw wrongValue('two numbers', 'range', String(range.length));
  if (typeof below !== 'number' || typeof above !== 'number') {
    throw wrongType('two numbers', 'range', typeof below === 'number' ? above : below);
  }
  const widest = WIDEST * temperature; // infinite at the highest temperatures
  const isFinite = below > -Infinity && above < Infinity;
  if (!(below <= above && below >= -widest && above <= widest && isFinite)) {
    throw wrongValue(`two rising numbers within ${WIDEST} temperatures`, 'range', `[${below}, ${above}]`);
  }
  return within(below / temperature, above / temperature);
}

/** Whether a sum in canonical form gets the shared exponent. */
export function isWithin({ least, most }: Unified, m: number, e: number): boolean {
  return (e > least[1] || (e === least[1] && m >= least[0])) && (e < most[1] || (e === most[1] && m <= most[0]));
}

/** Gives the shared exponent to the sums in range; `raised` is 1 for the others. */
export function shareExponent(mantissa: NewFloat64Array, exponent: NewInt32Array, unified: Unified): NewExpSums {
  const raised = new Uint8Array(mantissa.length);
  for (let r = 0; r < mantissa.length; r++) {
    const m = mantissa[r]!;
    const e = exponent[r]!;
    if (isOrdinary(m)) {
      if (!isWithin(unified, m, e)) {
        raised[r] = 1;
        continue;
      }
      mantissa[r] = m * powerOfTwo(e - unified.exponent);
    }
    exponent[r] = unified.exponent;
  }
  return { mantissa, exponent, raised };
}
