/** The largest and the least of a list of any length: arguments of Math.max would overflow the stack. */

/** −Infinity for none, as Math.max. */
export const largestOf = (numbers: readonly number[]): number => numbers.reduce((a, b) => Math.max(a, b), -Infinity);

/** Infinity for none, as Math.min. */
export const leastOf = (numbers: readonly number[]): number => numbers.reduce((a, b) => Math.min(a, b), Infinity);
