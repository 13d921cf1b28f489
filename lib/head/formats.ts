/** The formats of an output head's weights: their names, their numbers in kernels, and the sizes of their blocks. */

/** How the weights of an OutputHead are stored. */
export type HeadFormat =
  'float32' | 'float16' | 'bfloat16' | 'int8' | 'q8_0' | 'q4_0' | 'q4_K' | 'q6_K' | 'nbits4' | 'nbits8';

/** In the order of native/head/weight_formats.h. */
export const HEAD_FORMATS: readonly HeadFormat[] = [
  'float32',
  'float16',
  'bfloat16',
  'int8',
  'q8_0',
  'q4_0',
  'q4_K',
  'q6_K',
  'nbits4',
  'nbits8',
];

export const [FLOAT32, FLOAT16, BFLOAT16, INT8, Q8_0, Q4_0, Q4_K, Q6_K, NBITS4, NBITS8] = [
  0, 1, 2, 3, 4, 5, 6, 7, 8, 9,
] as const;

/** Columns and bytes of a block. Those of NBITS4 and NBITS8 have `blockSize` columns. */
const BLOCKS = [
  [1, 4],
  [1, 2],
  [1, 2],
  [1, 1],
  [32, 34],
  [32, 18],
  [256, 144],
  [256, 210],
] as const;

export const hasFreeBlocks = (format: number): boolean => format >= NBITS4;

/** The columns that a row must have whole blocks of. */
export const blockColumns = (format: number): number => (hasFreeBlocks(format) ? 1 : BLOCKS[format]![0]);

/** The bytes of a row. `block` counts for NBITS4 and NBITS8 alone. */
export function rowBytes(format: number, cols: number, block: number): number {
  if (hasFreeBlocks(format)) return Math.ceil(cols / block) * (format === NBITS4 ? block / 2 : block);
  const [columns, bytes] = BLOCKS[format]!;
  return (cols / columns) * bytes;
}

/** The blocks of a row that have scales of their own. */
export const rowScales = (format: number, cols: number, block: number): number =>
  hasFreeBlocks(format) ? Math.ceil(cols / block) : 0;

/** The bytes of a row's zero points. */
export const rowZeroPoints = (format: number, cols: number, block: number): number =>
  format === NBITS4 ? Math.ceil(Math.ceil(cols / block) / 2) : rowScales(format, cols, block);
