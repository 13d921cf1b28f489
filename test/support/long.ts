/**
 * What `npm test` leaves to a long run (FLASH_SOFTMAX_LONG=1, which the nightly workflow sets). `npm test` takes a
 * sample of the inputs, a long run all of them.
 */

/** True if every input is tested, however long that takes. */
export const isLong = process.env.FLASH_SOFTMAX_LONG === '1';

/**
 * Every `step`-th item from the `first` on (counted modulo `step`); all items in a long run. Callers in a loop give its
 * turn as `first`, so that together they have all items.
 */
export function sample<T>(items: readonly T[], step: number, first = 0): readonly T[] {
  return isLong ? items : items.filter((_, i) => i % step === first % step);
}
