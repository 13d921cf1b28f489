/** The checks of an OutputHead's weights and options. */
import { bufferOf, byteLengthOf, byteOffsetOf, copyOf, kindOf } from '../call/arrays.js';
import { count, oneOf, positive } from '../call/checks.js';
import { outOfRange, trueLength, wrongType, wrongValue } from '../call/errors.js';
import { optionsOf } from '../call/options.js';
import type { Float16ArrayLike, NewFloat32Array } from '../call/types.js';
import { isUint8Array } from '../call/types.js';
import { float16 } from '../math/half.js';
import * as formats from './formats.js';
import { HEAD_FORMATS, type HeadFormat } from './formats.js';
import { inverseLengths } from './matrix-calls.js';

/** The arrays that weights of a format are in. */
export type HeadArray = Float32Array | Uint16Array | Float16ArrayLike | Int8Array | Uint8Array;

export interface OutputHeadOptions {
  /** The number of classes: rows of the matrix. */
  rows: number;
  /** The length of a hidden state. A multiple of 32 for 'q8_0' and 'q4_0', of 256 for 'q4_K' and 'q6_K'. */
  cols: number;
  /** How the weights are stored. Default: 'float32'. */
  format?: HeadFormat | undefined;
  /**
   * 'int8': a scale for each row. 'nbits4', 'nbits8': a scale for each block, [rows, ⌈cols / blockSize⌉]. A
   * Float32Array, or float16 as a Float16Array or the bits in a Uint16Array. Copied.
   */
  scales?: Float32Array | Uint16Array | Float16ArrayLike | undefined;
  /**
   * 'nbits4', 'nbits8': the zero point of each block, [rows, ⌈blocks / 2⌉] bytes with the first of two in the low
   * nibble, or [rows, blocks]. Default: 8, or 128. Copied.
   */
  zeroPoints?: Uint8Array | undefined;
  /** 'nbits4', 'nbits8': the columns of a block, a power of two from 16 on. Default: 32. */
  blockSize?: number | undefined;
  /** Added to each class's logit. Copied. */
  bias?: Float32Array | undefined;
  /** Logits become softcap · tanh(logit / softcap): above 0. Default: they stay as they are. */
  softcap?: number | undefined;
  /** Logits are the cosines of hidden states and rows: 0 for a vector of zeros. Default: false. */
  normalize?: boolean | undefined;
  /**
   * 'int8': hidden states are rounded to bytes with a scale for each 32 columns, and multiplied as integers. For
   * formats of integers: from 'int8' on. Default: 'float32'.
   */
  activations?: 'float32' | 'int8' | undefined;
}

const NAMES = [
  'rows',
  'cols',
  'format',
  'scales',
  'zeroPoints',
  'blockSize',
  'bias',
  'softcap',
  'normalize',
  'activations',
] as const satisfies readonly (keyof OutputHeadOptions)[];

/** A matrix of weights whose options have been checked. Of a shard, the rows of the shard. */
export interface HeadMatrix {
  readonly rows: number;
  readonly cols: number;
  readonly format: number;
  readonly block: number;
  /** The caller's memory. */
  readonly weights: Uint8Array;
  readonly scales: Float32Array | null;
  readonly zeroPoints: Uint8Array | null;
  /** What the dot product of each row is multiplied by. */
  readonly factors: Float32Array | null;
  readonly bias: Float32Array | null;
  readonly softcap: number;
  readonly isCosine: boolean;
  /** Whether states are rounded to bytes. */
  readonly hasByteStates: boolean;
}

/** The kind of array of each format, in the order of HEAD_FORMATS. */
const KINDS = ['Float32Array', 'Uint16Array', 'Uint16Array', 'Int8Array'] as const;

function checkKind(weights: unknown, format: number): asserts weights is HeadArray {
  const [kind, wanted] = [kindOf(weights), KINDS[format] ?? 'Uint8Array'];
  if (kind === wanted || (format === formats.FLOAT16 && kind === 'Float16Array')) return;
  throw wrongType(`a ${wanted} for the format '${HEAD_FORMATS[format]}'`, 'weights', weights);
}

/** A copy of an optional array of floats, of so many elements. */
function floatsOf(given: unknown, name: string, length: number, halves: boolean): NewFloat32Array {
  const kind = kindOf(given);
  const isHalf = halves && (kind === 'Uint16Array' || kind === 'Float16Array');
  if (kind !== 'Float32Array' && !isHalf) {
    throw wrongType(halves ? 'a Float32Array, or float16 in a Uint16Array,' : 'a Float32Array', name, given);
  }
  const array = given as Float32Array;
  const has = trueLength(array, name);
  if (has !== length) throw wrongValue(`${length} elements`, name, String(has));
  if (!isHalf) return copyOf(array) as NewFloat32Array;
  const bits = kind === 'Uint16Array' ? array : new Uint16Array(bufferOf(array), byteOffsetOf(array), length);
  return Float32Array.from(bits as ArrayLike<number>, (each) => float16.toFloat(each));
}

function blockOf(blockSize: unknown, format: number): number {
  if (!formats.hasFreeBlocks(format)) {
    if (blockSize !== undefined)
      throw wrongValue("no value beside formats but 'nbits4' and 'nbits8'", 'blockSize', String(blockSize));
    return 1;
  }
  const block = blockSize === undefined ? 32 : count(blockSize, 'blockSize');
  if (block < 16 || block > 2 ** 30 || (block & (block - 1)) !== 0) {
    throw outOfRange('a power of two from 16', 'blockSize', block);
  }
  return block;
}

/** Refuses options of other formats. */
function checkOthers({ scales, zeroPoints }: Partial<OutputHeadOptions>, format: number): void {
  const isFree = formats.hasFreeBlocks(format);
  if (scales !== undefined && !isFree && format !== formats.INT8) {
    throw wrongValue(`no value beside the format '${HEAD_FORMATS[format]}'`, 'scales', 'an array');
  }
  if (scales === undefined && isFree) throw wrongType('a Float32Array', 'scales', scales);
  if (zeroPoints !== undefined && !isFree) {
    throw wrongValue(`no value beside the format '${HEAD_FORMATS[format]}'`, 'zeroPoints', 'an array');
  }
}

function areBytes(activations: unknown, format: number): boolean {
  const type = oneOf(activations ?? 'float32', ['float32', 'int8'], 'activations');
  if (type === 'int8' && format < formats.INT8) {
    const integers = HEAD_FORMATS.slice(formats.INT8).map((name) => `'${name}'`);
    throw wrongValue(`${integers.join(', ')} beside activations: 'int8'`, 'format', `'${HEAD_FORMATS[format]}'`);
  }
  return type === 'int8';
}

function zeroPointsOf(given: unknown, length: number): Uint8Array {
  if (!isUint8Array(given)) throw wrongType('a Uint8Array', 'zeroPoints', given);
  const has = trueLength(given, 'zeroPoints');
  if (has !== length) throw wrongValue(`${length} bytes`, 'zeroPoints', String(has));
  return copyOf(given) as Uint8Array;
}

/** Checks the weights and options of a head. */
export function matrixOf(weights: unknown, options: OutputHeadOptions): HeadMatrix {
  const given = optionsOf<Partial<OutputHeadOptions>>(options ?? {}, NAMES);
  const [rows, cols] = [count(given.rows, 'rows'), count(given.cols, 'cols')];
  if (rows >= 2 ** 31) throw outOfRange('less than 2^31', 'rows', rows);
  const format = HEAD_FORMATS.indexOf(oneOf(given.format ?? 'float32', HEAD_FORMATS, 'format'));
  const block = blockOf(given.blockSize, format);
  checkOthers(given, format);
  const softcap = given.softcap === undefined ? 0 : positive(given.softcap, 'softcap');
  const isCosine = given.normalize ?? false;
  if (typeof isCosine !== 'boolean') throw wrongType('a boolean', 'normalize', isCosine);
  const hasByteStates = areBytes(given.activations, format);
  checkKind(weights, format);
  const columns = formats.blockColumns(format);
  if (cols % columns !== 0)
    throw wrongValue(`a multiple of ${columns} for '${HEAD_FORMATS[format]}'`, 'cols', String(cols));
  const bytes = rows * formats.rowBytes(format, cols, block);
  trueLength(weights, 'weights');
  if (byteLengthOf(weights) !== bytes) throw wrongValue(`${bytes} bytes`, 'weights', String(byteLengthOf(weights)));
  const isFree = formats.hasFreeBlocks(format);
  const scales =
    given.scales === undefined
      ? null
      : floatsOf(given.scales, 'scales', isFree ? rows * formats.rowScales(format, cols, block) : rows, true);
  const zeroPoints =
    given.zeroPoints === undefined
      ? null
      : zeroPointsOf(given.zeroPoints, rows * formats.rowZeroPoints(format, cols, block));
  const bias = given.bias === undefined ? null : floatsOf(given.bias, 'bias', rows, false);
  const matrix: HeadMatrix = {
    rows,
    cols,
    format,
    block,
    weights: new Uint8Array(bufferOf(weights), byteOffsetOf(weights), bytes),
    scales: isFree ? scales : null,
    zeroPoints,
    factors: isFree ? null : scales,
    bias,
    softcap: softcap < 2 ** 1000 ? softcap : 0,
    isCosine,
    hasByteStates,
  };
  return isCosine ? { ...matrix, factors: inverseLengths(matrix) } : matrix;
}
