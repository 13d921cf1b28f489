/** The mask and the bias of a call along an axis: for each element, or for one row that all rows share. */
import { MASK_BITS, MASK_BYTES, MASK_ROW_BITS, MASK_ROW_BYTES, type KernelArray } from '../backend/backend.js';
import { kindOf } from './arrays.js';
import { bitsOf, isLike, oneOf } from './checks.js';
import { trueLength, wrongType, wrongValue } from './errors.js';
import { isUint8Array, type LogitArray } from './types.js';

/** How kernels read a mask of a call: as bytes or bits, for all elements or for a row. */
export function maskLayoutOf(mask: Uint8Array, maskFormat: unknown, elements: number, cols: number): number {
  if (!isUint8Array(mask)) throw wrongType('a Uint8Array', 'mask', mask);
  const isBits = oneOf(maskFormat, ['bytes', 'bits'], 'maskFormat') === 'bits';
  const perByte = isBits ? 8 : 1;
  const all = Math.ceil(elements / perByte);
  const row = Math.ceil(cols / perByte);
  const given = trueLength(mask, 'mask');
  if (given === all && given === row && elements !== cols) {
    throw wrongValue("maskFormat 'bytes', as so few bits may be one row's or all rows',", 'mask', "'bits'");
  }
  if (given === all) return isBits ? MASK_BITS : MASK_BYTES;
  if (given === row) return isBits ? MASK_ROW_BITS : MASK_ROW_BYTES;
  throw wrongValue(lengths(all, row, 'byte'), 'mask', String(given));
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
