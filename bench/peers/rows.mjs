// The rows that are measured: normal ones, and rows of which many elements are alike, as masks, integers and quantized
// logits make them.
const KINDS = {
  normal: (normal) => normal,
  constant: () => 1.5,
  integers: (normal) => Math.round(normal / 4),
  'int8 grid': (normal) => Math.max(-127, Math.min(127, Math.round(normal * 4))) / 4,
  'every second −10⁴': (normal, i) => (i % 2 ? -1e4 : normal),
};

/** All kinds but the normal rows. */
export const EQUAL_VALUES = Object.keys(KINDS).slice(1);

/** A seeded generator (mulberry32): every run measures the same numbers. */
export function generator(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function logitsOf(kind, length, deviation) {
  const random = generator(length);
  const x = new Float32Array(length);
  for (let i = 0; i < length; i++) {
    const normal = deviation * Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
    x[i] = KINDS[kind](normal, i);
  }
  return x;
}

/** The cases of a report that charts show: one normal row each. */
export const singleRows = ({ cases }) => cases.filter(({ rows, kind }) => rows === 1 && kind === 'normal');
