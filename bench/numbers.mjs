// Numbers that are the same in every run.

/** A seeded generator of numbers in (0, 1). */
export function uniform(seed) {
  let state = seed;
  return () => ((state = (Math.imul(state, 1664525) + 1013904223) >>> 0) + 0.5) / 2 ** 32;
}

/** Normal numbers as floats. */
export function normal(length, deviation = 1, seed = 12345) {
  const next = uniform(seed);
  return Float32Array.from(
    { length },
    () => deviation * Math.sqrt(-2 * Math.log(next())) * Math.cos(2 * Math.PI * next()),
  );
}
