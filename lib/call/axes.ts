/**
 * Rows over one axis of a tensor, or over several. Axes with nothing between them are one axis to a kernel; rows over
 * others have no stride, and need a copy in compact order (compact.ts).
 */
import { describe, outOfRange, wrongType, wrongValue } from './errors.js';

/** The compact order of a tensor. Its runs, the elements along the last group of axes, stay whole. */
export interface CompactOrder {
  /** The sizes of the groups of axes before the last group, and how far apart their indices are in compact order. */
  readonly sizes: readonly number[];
  readonly steps: readonly number[];
  /** The elements of the last group. */
  readonly run: number;
}

/** Rows of a tensor as kernels take them, [outer, cols, inner]; with `order`: of its elements in that order. */
export interface Rows {
  readonly outer: number;
  readonly cols: number;
  readonly inner: number;
  readonly order?: CompactOrder;
}

/** Checks an axis, or a list of axes of which each element was read once; returns them as indices from 0. */
export function axesOf(axis: unknown, rank: number, takesLists: boolean): readonly number[] {
  const isList = takesLists && Array.isArray(axis);
  const list: readonly unknown[] = isList ? axis : [axis];
  if (list.length === 0)
    throw wrongValue('one axis at least, or no value for the last axis,', 'axis', 'an empty array');
  const first = new Map<number, number>(); // where in the list each axis stands
  list.forEach((given, i) => {
    const name = isList ? `axis[${i}]` : 'axis';
    if (typeof given !== 'number')
      throw wrongType(takesLists && !isList ? 'an integer or an array of integers' : 'an integer', name, given);
    if (!(Number.isInteger(given) && given >= -rank && given < rank))
      throw outOfRange(`an integer from ${-rank} to ${rank - 1}`, name, given);
    const index = given < 0 ? given + rank : given;
    const before = first.get(index);
    if (before !== undefined) throw wrongValue(`another axis than axis[${before}]`, name, describe(given));
    first.set(index, i);
  });
  return [...first.keys()];
}

interface Group {
  size: number;
  readonly isRow: boolean;
}

const product = (groups: readonly Group[]): number => groups.reduce((size, group) => size * group.size, 1);

/** Rows over some axes of a tensor of so many elements. */
export function rowsOver(sizes: readonly number[], axes: readonly number[], elements: number): Rows {
  const inRow = new Set(axes);
  const groups: Group[] = [];
  sizes.forEach((size, i) => {
    const last = groups.at(-1);
    if (size === 1) return;
    if (last?.isRow === inRow.has(i)) last.size *= size;
    else groups.push({ size, isRow: inRow.has(i) });
  });
  const [row, kept] = [groups.filter(({ isRow }) => isRow), groups.filter(({ isRow }) => !isRow)];
  const [cols, rows, last] = [product(row), product(kept), groups.at(-1)];
  if (elements === 0 || last === undefined) return { outer: rows, cols, inner: 1 };
  const inner = last.isRow ? 1 : last.size;
  const shape = { outer: rows / inner, cols, inner };
  return row.length < 2 ? shape : { ...shape, order: orderOf(groups, row, kept) };
}

/** In compact order the axes that rows keep come first, then the axes of a row; the last group stays the last. */
function orderOf(groups: readonly Group[], row: readonly Group[], kept: readonly Group[]): CompactOrder {
  const last = groups.at(-1)!;
  const before = [...kept, ...row].filter((group) => group !== last);
  const step = new Map<Group, number>();
  before.reduceRight((size, group) => {
    step.set(group, size);
    return size * group.size;
  }, last.size);
  const others = groups.slice(0, -1);
  return { sizes: others.map(({ size }) => size), steps: others.map((group) => step.get(group)!), run: last.size };
}
