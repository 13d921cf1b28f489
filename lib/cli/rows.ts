/** Rows of logits for bench and verify, with the same bits on every machine. */

/** A generator of numbers close to N(0,1): sums of 12 uniform numbers of a 32-bit xorshift, less 6. */
function normals(seed: number): () => number {
  let state = seed | 1;
  return () => {
    let sum = -6;
    for (let i = 0; i < 12; i++) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      sum += (state >>> 0) / 2 ** 32;
    }
    return sum;
  };
}

type Value = (normal: () => number, i: number, n: number) => number;

/** Logits as models give them, then logits that are hard on a sum of exponentials. */
const VALUES = {
  'N(0,1)': (normal) => normal(),
  'N(0,8)': (normal) => 8 * normal(),
  equal: () => 0.7,
  'N(0,100)': (normal) => 100 * normal(),
  'a ramp': (_, i, n) => (100 * i) / n,
  'into the subnormals': (_, i, n) => (-110 * i) / n,
  'one peak': (normal, i, n) => (i === n >> 1 ? 30 : normal()),
  'a third −∞': (normal, i) => (i % 3 === 1 ? -Infinity : 4 * normal()),
  'about 1e5': (normal) => 1e5 + 8 * normal(),
  'about −1e7': (normal) => -1e7 + 8 * normal(),
  '±3e38': (normal) => 5e37 * normal(),
} satisfies Record<string, Value>;

export type Kind = keyof typeof VALUES;
export const KINDS = Object.keys(VALUES) as Kind[];

/** Fills an array with logits of a kind. */
export function fill<A extends Float32Array | Float64Array>(x: A, kind: Kind, seed: number): A {
  const normal = normals(seed);
  const value: Value = VALUES[kind];
  for (let i = 0; i < x.length; i++) x[i] = value(normal, i, x.length);
  return x;
}

/** The scalar reference is slow: on longer rows it would take most of the time of bench and verify. */
const SCALAR_LONGEST = 2 ** 17 + 1;

/** Whether a backend is fast enough for a row of this length. */
export const fits = ({ name }: { readonly name: string }, elements: number): boolean =>
  name !== 'scalar' || elements <= SCALAR_LONGEST;
