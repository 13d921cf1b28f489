/** The mask and the bias of a call along an axis: for each element, or for one row that all rows share. */
import { MASK_BITS, MASK_BYTES, MASK_ROW_BITS, MASK_ROW_BYTES, type KernelArray } from '../backend/backend.js';
import { bufferOf, byteOffsetOf, kindOf } from './arrays.js';
import { bitsOf, isLike, oneOf } from './checks.js';
import { trueLength, wrongType, wrongValue } from './errors.js';
import { isInt32Array, isUint8Array, type LogitArray } from './types.js';

/** A mask as kernels take it. */
export interface KernelMask {
  readonly mask: Uint8Array;
  readonly maskLayout: number;
}

/** Rows of a call: [outer, cols, inner]. */
interface MaskedRows {
  readonly cols: number;
  readonly inner: number;
}

/** A checked mask: bytes, bits, or the 32-bit words of a grammar, for all elements or for a row. */
export function maskOf(mask: unknown, maskFormat: unknown, elements: number, rows: MaskedRows): KernelMask {
  const isWords = isInt32Array(mask);
  if (!isUint8Array(mask) && !isWords) throw wrongType("a Uint8Array, or an Int32Array of 'bits',", 'mask', mask);
  const isBits = oneOf(maskFormat, ['bytes', 'bits'], 'maskFormat') === 'bits';
  if (isWords && !isBits) throw wrongValue("'bits' beside an Int32Array", 'maskFormat', "'bytes'");
  if (isWords) return wordsOf(mask, elements, rows);
  const { cols } = rows;
  const perByte = isBits ? 8 : 1;
  const all = Math.ceil(elements / perByte);
  const row = Math.ceil(cols / perByte);
  const given = trueLength(mask, 'mask');
  if (given === all && given === row && elements !== cols) {
    throw wrongValue("maskFormat 'bytes', as so few bits may be one row's or all rows',", 'mask', "'bits'");
  }
  if (given === all) return { mask, maskLayout: isBits ? MASK_BITS : MASK_BYTES };
  if (given === row) return { mask, maskLayout: isBits ? MASK_ROW_BITS : MASK_ROW_BYTES };
  throw wrongValue(lengths(all, row, 'byte'), 'mask', String(given));
}

/**
 * The words of a grammar: ⌈cols / 32⌉ for each row, or for one that all share; bit i & 31 of word i >> 5 is position i.
 * They are read in place, unless rows of words end with unused bits: these are copied.
 */
function wordsOf(words: Int32Array, elements: number, { cols, inner }: MaskedRows): KernelMask {
  const each = Math.ceil(cols / 32);
  const count = cols === 0 ? 0 : elements / cols;
  const given = trueLength(words, 'mask');
  const isOne = given === each;
  if (!isOne && (given !== count * each || inner !== 1)) {
    throw wrongValue(lengths(inner === 1 ? count * each : each, each, 'word'), 'mask', String(given));
  }
  const bytes = new Uint8Array(bufferOf(words), byteOffsetOf(words), 4 * given);
  if (isOne)
    return { mask: bytes.subarray(0, Math.ceil(cols / 8)), maskLayout: count === 1 ? MASK_BITS : MASK_ROW_BITS };
  if (cols % 32 === 0) return { mask: bytes, maskLayout: MASK_BITS };
  const mask = new Uint8Array(Math.ceil(elements / 8));
  for (let r = 0, at = 0; r < count; r++, at += cols) {
    const skip = at & 7;
    for (let i = 0; 8 * i < cols; i++) {
      const left = Math.min(8, cols - 8 * i);
      const bits = (bytes[4 * each * r + i]! & ((1 << left) - 1)) << skip;
      mask[(at >> 3) + i]! |= bits;
      if (bits > 255) mask[(at >> 3) + i + 1]! |= bits >> 8;
    }
  }
  return { mask, maskLayout: MASK_BITS };
}

/** A checked bias, as kernels take it. `name` is what callers know x as. */
export function biasOf(bias: unknown, x: LogitArray, elements: number, cols: number, name: string): KernelArray {
  if (!isLike(bias, x)) throw wrongType(`a ${kindOf(x)}, as ${name} is,`, 'bias', bias);
  const given = trueLength(bias, 'bias');
  if (given !== elements && given !== cols) throw wrongValue(lengths(elements, cols, 'element'), 'bias', String(given));
  return bitsOf(bias);
}

function lengths(all: number, row: number, unit: string): string {
  const some = `${all} ${unit}${all === 1 ? '' : 's'}`;
  return all === row ? some : `${some}, or ${row} for one row,`;
}
