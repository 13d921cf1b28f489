/** States of attention from finished results: an output, and the log-sum-exp of each row in any base. */
import { isDetached, lengthOf } from '../call/arrays.js';
import { count, positive } from '../call/checks.js';
import { outOfRange, wrongType, wrongValue } from '../call/errors.js';
import { types } from '../call/types.js';
import { extendedExp } from '../math/exp.js';
import { exp2 } from '../math/exp2.js';
import { extended, type Extended } from '../math/extended.js';
import { LOG2_E } from '../math/powers.js';
import { copyOptions, layoutFlag } from './options.js';
import { newState, type StateArrays } from './state-fields.js';
import type { FromOptions } from './state-types.js';

type Floats = Float32Array | Float64Array;

/** The arrays of the state: Σ exp(score) = base^lse, and the output times that. */
export function stateFrom(out: Floats, lse: Floats, options: FromOptions): StateArrays {
  const own = copyOptions(options, ['base', 'heads', 'queries', 'layout'], true);
  const sumOf = sumsOfBase(own.base ?? Math.E);
  const rows = lengthOf(floatsOf(lse, 'lse'));
  const elements = lengthOf(floatsOf(out, 'out'));
  if (rows === 0 ? elements > 0 : elements === 0 || elements % rows !== 0) {
    throw wrongValue(`a multiple of ${rows} elements, one or more for each element of lse,`, 'out', String(elements));
  }
  const rowOf = lseRows(own, rows);
  const valueDim = rows === 0 ? 0 : elements / rows;
  const { sums, mantissa, exponent } = newState(rows, valueDim);
  for (let r = 0; r < rows; r++) {
    const [m, e] = sumOf(lse[rowOf(r)]!);
    if (!(Math.abs(e) < 2 ** 31)) throw outOfRange('a log-sum-exp of at most 2^31 octaves', 'lse', lse[rowOf(r)]);
    mantissa[r] = m;
    exponent[r] = e;
    if (m === 0) continue; // no keys: whatever stands there
    for (let d = r * valueDim; d < (r + 1) * valueDim; d++) sums[d] = out[d]! * m;
  }
  return { sums, mantissa, exponent };
}

function floatsOf(x: unknown, name: string): Floats {
  const isKind = types.isFloat32Array(x) || types.isFloat64Array(x);
  if (!isKind || isDetached(x)) throw wrongType('a Float32Array or a Float64Array', name, x);
  return x;
}

/** A function that gives base^lse. */
function sumsOfBase(base: number): (lse: number) => Extended {
  positive(base, 'base');
  if (base === 1) throw outOfRange('a base other than 1', 'base', base);
  const octaves = base === Math.E ? LOG2_E : Math.log2(base);
  return (lse) => {
    const x = lse * octaves;
    if (!Number.isFinite(x)) return [x === -Infinity ? 0 : x, 0];
    if (base === Math.E) {
      const [m, e] = extendedExp(lse);
      return extended(m, e);
    }
    const whole = Math.floor(x);
    return extended(exp2(x - whole), whole);
  };
}

/** The place of each row's number in lse: transposed with layout 'bshd' and more than one query. */
function lseRows({ heads, queries = 1, layout = 'bhsd' }: FromOptions, rows: number): (r: number) => number {
  count(queries, 'queries');
  const isTransposed = layoutFlag(layout, 'bshd', 'bhsd') === 1 && queries > 1;
  if (!isTransposed) return (r) => r;
  const all = count(heads, "heads, beside layout 'bshd',");
  if (rows % (all * queries) !== 0) {
    throw wrongValue(`a divisor of the ${rows} rows of lse`, 'heads · queries', `${all} · ${queries}`);
  }
  return headsFirst(all, queries);
}

/** Maps row [batch, query, head] to its place in [batch, heads, queries]. */
export function headsFirst(heads: number, queries: number): (r: number) => number {
  return (r) => (Math.floor(r / (heads * queries)) * heads + (r % heads)) * queries + (Math.floor(r / heads) % queries);
}
