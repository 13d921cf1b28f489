/** Numbers that a batch has one of a row: a number for all rows, or a list of one for each. */
import { kindOf } from '../call/arrays.js';
import { wrongValue } from '../call/errors.js';
import { listOf } from './options.js';

/** A number for all rows, or an array of any kind with one for each row. */
export type PerRow = number | ArrayLike<number>;

/** Checked numbers. Their count is compared with the rows by `checkRows`, once lengths may be taken. */
export class RowNumbers<T = number> {
  readonly name: string;
  /** One for each row; undefined: all rows have `first`. */
  readonly each: readonly T[] | undefined;
  /** That of all rows, or of the first one. */
  readonly first: T;

  constructor(name: string, first: T, each?: readonly T[]) {
    this.name = name;
    this.first = first;
    this.each = each;
  }

  at(row: number): T {
    return this.each === undefined ? this.first : this.each[row]!;
  }

  /** Whether a number passes a test, of any row. */
  some(test: (value: T) => boolean): boolean {
    return this.each === undefined ? test(this.first) : this.each.some(test);
  }

  /** Throws unless there is one number, or one a row. */
  checkRows(rows: number): void {
    if (this.each !== undefined && this.each.length !== rows) {
      throw wrongValue(`${rows} numbers, one a row,`, this.name, String(this.each.length));
    }
  }
}

/** Whether a value is a list: a typed array, or an array. */
export const isList = (value: unknown): value is ArrayLike<unknown> =>
  Array.isArray(value) || kindOf(value) !== undefined;

/** Checks a number, or each of a list, whose errors name the row. Each element is read once. */
export function perRow<T>(value: unknown, name: string, check: (value: unknown, name: string) => T): RowNumbers<T> {
  if (!isList(value)) return new RowNumbers(name, check(value, name));
  const each = listOf(value, name, (element, row) => check(element, `${name} of row ${row}`));
  return new RowNumbers(name, each[0]!, each);
}
