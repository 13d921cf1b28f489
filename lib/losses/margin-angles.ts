/** The margins of rows as angles, and what they make of a cosine. */
import { outOfRange, trueLength, wrongType, wrongValue } from '../call/errors.js';
import { isFloat32Array, isFloat64Array } from '../call/types.js';
import { LARGEST_ANGLE, sinCos } from '../math/sin-cos.js';

/** The logit of a target's cosine, over the scale, and its slope. */
export type Moved = readonly [logit: number, slope: number];

/** An angle, its cosine and its sine. */
interface Angle {
  readonly m: number;
  readonly cos: number;
  readonly sin: number;
}

function angleOf(m: number): Angle {
  const [sin, cos] = sinCos(m);
  return { m, cos, sin };
}

/** cos(θ + m) and its slope by c = cos θ. */
export function arc(c: number, { m, cos, sin }: Angle, guard: 'none' | 'linear' | 'easy'): Moved {
  if (guard === 'easy' && !(c > 0)) return [c, 1];
  // θ + m > π
  if (guard === 'linear' && (m > Math.PI || c < -cos)) return [c - m * sin, 1];
  const sine = Math.sqrt(Math.max((1 - c) * (1 + c), 1e-12));
  return [c * cos - sine * sin, cos + (c * sin) / sine];
}

/** The margin of each row, checked. Its sine and cosine are computed for an angle alone. */
export function marginsOf(margin: unknown, rows: number, isArc: boolean): (row: number) => Angle {
  const check = (m: unknown): number => {
    if (typeof m !== 'number') throw wrongType('a number, or one for each row', 'margin', m);
    if (!(m >= 0 && m < Infinity)) throw outOfRange('finite numbers from 0', 'margin', m);
    if (isArc && m > LARGEST_ANGLE) throw outOfRange(`angles of at most ${LARGEST_ANGLE}`, 'margin', m);
    return m;
  };
  const angle = (m: number): Angle => (isArc ? angleOf(m) : { m, cos: 1, sin: 0 });
  if (margin === undefined || typeof margin === 'number') {
    const one = angle(check(margin ?? (isArc ? 0.5 : 0.35)));
    return () => one;
  }
  if (!Array.isArray(margin) && !isFloat32Array(margin) && !isFloat64Array(margin)) check(margin);
  const list = margin as ArrayLike<unknown>;
  const length = Array.isArray(margin) ? margin.length : trueLength(margin as Float64Array, 'margin');
  if (length !== rows) throw wrongValue(`${rows} elements, one a row,`, 'margin', String(length));
  const copy = new Float64Array(rows);
  for (let i = 0; i < rows; i++) copy[i] = check(list[i]);
  return (row) => angle(copy[row]!);
}
