/**
 * The memory that a row of logits is copied to, as doubles: its logits, then its weights, in `cells`, and in
 * `remainders` what rounding takes from them. load.ts, bias.ts, exponentials.ts and store.ts have the steps on it.
 *
 * Why kernels copy: V8 checks an array that is a parameter at each access in a loop, but knows the address and the
 * length of one that is a constant where the function is made. So all arithmetic happens in such arrays, and loops that
 * copy take four elements a turn, to share the checks. Constants of a module would do, but bundlers turn them into
 * variables, which costs a factor of 2.5: hence functions that make the steps.
 */

/** The longest row that is copied as a whole, with its remainders. */
export const HELD_LENGTH = 2 ** 20;

/** The longest row without remainders that is copied as a whole: 32 MiB, which the system provides as they are used. */
export const LONGEST_HELD = 2 ** 22;

/** A longer row is copied in parts of this length. A part stays in a second-level cache from one step to the next. */
export const PART_LENGTH = 2 ** 16;

/** Visits each row of [outer, cols, inner]: the index of its first element, and its number. */
export function eachRow(outer: number, cols: number, inner: number, visit: (start: number, row: number) => void): void {
  for (let o = 0, row = 0; o < outer; o++) {
    for (let start = o * cols * inner, end = start + inner; start < end; start++) visit(start, row++);
  }
}
