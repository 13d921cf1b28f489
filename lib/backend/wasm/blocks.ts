/**
 * Calls of many rows, made for some rows at a time: copies of a block stay in the processor's caches, and the memory
 * that they take does not grow with the call. native/operators.def says which operators have rows that are apart
 * (BY_ROWS). The others are one piece: attention and its kin, whose rows share keys; the head, whose results share
 * weights; route, which counts over all rows; z_loss and stable_max_loss, which check all targets before the first
 * result is written; detection, whose batches are small.
 */
import { viewOf } from '../../call/arrays.js';
import { MASK_BITS, MASK_BYTES } from '../backend.js';
import { lengthOf } from './lengths.js';
import type { KernelParameters, Parameter } from './parameters.js';
import { copies, Copy, lengths, type Values } from './places.js';

/** How many elements of an array belong to a row; 0: all rows share it. */
function elementsOfRow({ parameters, rows }: KernelParameters, values: Values, i: number): number {
  const { length } = parameters[i]!;
  if (typeof length === 'object') {
    const count = values[rows] as number;
    return length.sizes.includes(rows) ? lengthOf(parameters[i]!, values)! / count : 0;
  }
  const ofLogits = (): number => elementsOfRow({ parameters, rows } as KernelParameters, values, 0);
  const cols = values[parameters.findIndex(({ name }) => name === 'cols')];
  if (length === 'bias') return lengths[i] === cols ? 0 : ofLogits();
  const layout = values[i + 1];
  return layout === MASK_BYTES ? ofLogits() : layout === MASK_BITS ? ofLogits() / 8 : 0;
}

/** How a call is cut: for each argument its elements a row, 0 where it stays whole; and the rows of a block. */
export interface Cut {
  readonly each: readonly number[];
  readonly rows: number;
}

/** The elements that a row of the call that was placed last has in each array; undefined: the call is one piece. */
function elementsOfRows(kernel: KernelParameters, values: Values): readonly number[] | undefined {
  const count = kernel.rows < 0 ? 1 : (values[kernel.rows] as number);
  if (count <= 1) return undefined;
  const each = kernel.parameters.map((parameter: Parameter, i) =>
    parameter.form === 'array' && lengths[i]! > 0 ? elementsOfRow(kernel, values, i) : 0,
  );
  // The kernel refuses a call with a shorter array, in one piece.
  return each.some((elements, i) => elements > 0 && count * elements > lengths[i]!) ? undefined : each;
}

/** The bits of eight rows are whole bytes. */
const wholeBytes = (each: readonly number[], rows: number): number =>
  each.every(Number.isInteger) ? rows : Math.ceil(rows / 8) * 8;

/**
 * The cut of the call that was placed last, to copies of about so many bytes, and to so many rows at least; undefined:
 * it is one piece.
 */
export function cutOf(kernel: KernelParameters, values: Values, most: number, least = 1): Cut | undefined {
  const each = elementsOfRows(kernel, values);
  if (each === undefined) return undefined;
  const bytesOfRow = each.reduce(
    (sum, n, i) => sum + (n > 0 && copies[i] === Copy.own ? n * kernel.parameters[i]!.bytes : 0),
    0,
  );
  const rows = wholeBytes(each, Math.max(least, Math.floor(most / bytesOfRow)));
  return rows < (values[kernel.rows] as number) ? { each, rows } : undefined;
}

/** The cut of the call that was placed last, to so many blocks; undefined: it is one piece. */
export function cutInto(kernel: KernelParameters, values: Values, blocks: number): Cut | undefined {
  const each = elementsOfRows(kernel, values);
  if (each === undefined) return undefined;
  return { each, rows: wholeBytes(each, Math.ceil((values[kernel.rows] as number) / blocks)) };
}

/** The arguments of a block, which begins at row `from`. */
export function block(kernel: KernelParameters, values: Values, { each, rows }: Cut, from: number): unknown[] {
  const to = Math.min(from + rows, values[kernel.rows] as number);
  const part: unknown[] = [];
  values.forEach((value, i) => {
    const same = values.indexOf(value);
    if (each[i] === 0) part.push(value);
    else if (same < i)
      part.push(part[same]); // one array in two places is one copy
    else part.push(viewOf(value as ArrayBufferView, from * each[i]!, Math.ceil(to * each[i]!)));
  });
  part[kernel.rows] = to - from;
  return part;
}
