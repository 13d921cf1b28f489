/**
 * The table of edge values: rows of logits at the edges of number ranges, and their options.
 * test/softmax/edge-table.test.ts runs all of them on every backend, for every element type.
 */

/** The ends of a type's range, and a logit whose probability beside a logit of 0 is subnormal. */
export interface Limits {
  readonly max: number;
  readonly tiny: number;
  readonly bottom: number;
}

export const limits = {
  f32: { max: 3.4028234663852886e38, tiny: 2 ** -149, bottom: -100 },
  f64: { max: Number.MAX_VALUE, tiny: Number.MIN_VALUE, bottom: -740 },
  f16: { max: 65504, tiny: 2 ** -24, bottom: -16 },
  bf16: { max: 255 * 2 ** 120, tiny: 2 ** -133, bottom: -90 },
} as const satisfies Record<string, Limits>;

export type TypeName = keyof typeof limits;

/**
 * The value that a row repeats, and its values at the start, the middle and the end; undefined keeps the repeated one.
 */
export interface EdgeRow {
  readonly name: string;
  readonly of: (type: Limits) => {
    readonly repeated: readonly number[];
    readonly at?: readonly (number | undefined)[];
  };
}

const row = (name: string, of: EdgeRow['of']): EdgeRow => ({ name, of });
const always = (name: string, repeated: readonly number[], at?: readonly (number | undefined)[]): EdgeRow =>
  row(name, () => (at === undefined ? { repeated } : { repeated, at }));

export const rows: readonly EdgeRow[] = [
  always('ordinary', [0, 1, -2, 0.5]),
  always('a NaN first', [1, -3, 0], [NaN]),
  always('a NaN in the middle, −∞ around', [-Infinity, 2, -Infinity], [undefined, NaN]),
  always('a NaN last', [0.5, -Infinity], [undefined, undefined, NaN]),
  always('NaN throughout', [NaN]),
  always('a +∞ first', [1, -Infinity, 3], [Infinity]),
  always('a +∞ last', [1, -1], [undefined, undefined, Infinity]),
  always('+∞ throughout', [Infinity]),
  always('+∞ and −∞', [Infinity, -Infinity]),
  always('a NaN and a +∞', [1, -Infinity], [NaN, undefined, Infinity]),
  always('every other −∞', [-Infinity, 3, -Infinity, 2.5]),
  always('−∞ but for one', [-Infinity], [undefined, -7]),
  always('−∞ throughout', [-Infinity]),
  row('the largest throughout', ({ max }) => ({ repeated: [max] })),
  row('the lowest throughout', ({ max }) => ({ repeated: [-max] })),
  row('the lowest, and one zero', ({ max }) => ({ repeated: [-max], at: [undefined, 0] })),
  row('the largest, the lowest and zero', ({ max }) => ({ repeated: [max, -max, 0] })),
  row('the largest and −∞', ({ max }) => ({ repeated: [-Infinity, max] })),
  row('half the largest, either way', ({ max }) => ({ repeated: [max / 2, -max / 2, max / 2] })),
  row('more than half of the lowest', ({ max }) => ({ repeated: [(-max / 8) * 5, (-max / 4) * 3] })),
  row('zero, and results that are subnormal', ({ bottom }) => ({ repeated: [bottom, bottom - 0.5], at: [0] })),
  row('the smallest numbers', ({ tiny }) => ({ repeated: [tiny, 0, -tiny, 3 * tiny] })),
];

/** Biases: none, or a number for each logit. */
export const biases: Record<string, ((x: number, i: number, type: Limits) => number) | null> = {
  none: null,
  zero: () => 0,
  'the logits once more': (x) => (Math.abs(x) < Infinity ? x : 1),
  'the logits negated': (x) => (Math.abs(x) < Infinity ? -x : 1),
  'the lowest': (_, i, { max }) => (i % 5 === 4 ? 0 : -max),
  'the largest': (_, i, { max }) => (i % 7 === 6 ? max / 2 : max),
  'a −∞ now and then': (_, i) => (i % 3 === 1 ? -Infinity : 0.25),
};

/** Masks: the visible positions. */
export const masks: Record<string, ((i: number, n: number, x: number) => boolean) | null> = {
  none: null,
  all: () => true,
  nothing: () => false,
  'two of three': (i) => i % 3 !== 2,
  'the first half': (i, n) => i < n / 2,
  'finite logits': (_, __, x) => Math.abs(x) < Infinity,
};

export const lengths: readonly number[] = [1, 2, 10, 64, 65, 200, 257, 1000, 5000];

/** Temperatures for each type. At the last ones a quotient or its inverse is at the end of the range of doubles. */
export const temperatures: Record<TypeName, readonly number[]> = {
  f32: [1, 0.7, 4, 1e-39, 1e-300, Number.MIN_VALUE, 2 ** 21, 3e38, Number.MAX_VALUE],
  f64: [1, 0.7, 4, 1e-39, 1e-300, 1e-308, Number.MIN_VALUE, 2 ** 21, 1e300, 1.7e308],
  f16: [1, 0.7, 4, 1e-39, 1e300],
  bf16: [1, 0.7, 4, 1e-39, 3e38],
};

/** A row of n numbers for this type's range. */
export function valuesOf(edge: EdgeRow, type: TypeName, n: number): number[] {
  const { repeated, at = [] } = edge.of(limits[type]);
  const values = Array.from({ length: n }, (_, i) => repeated[i % repeated.length]!);
  [0, n >> 1, n - 1].forEach((place, i) => {
    if (at[i] !== undefined) values[place] = at[i]!;
  });
  return values;
}
