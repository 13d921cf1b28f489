/** The checks of boxes, scores, classes and images, and the errors that name a box. */
import { NO_INDEX } from '../backend/backend.js';
import { kindOf, lengthOf } from '../call/arrays.js';
import { count } from '../call/checks.js';
import { describe, outOfRange, trueLength, wrongType, wrongValue } from '../call/errors.js';
import { isFloat32Array, isInt32Array, isTypedArray } from '../call/types.js';

/** The classes of boxes: integers from −2^31 to 2^31 − 1. */
export type Classes = Int8Array | Uint8Array | Int16Array | Uint16Array | Int32Array | Uint32Array | readonly number[];

const INTEGERS = ['Int8Array', 'Uint8Array', 'Int16Array', 'Uint16Array', 'Int32Array', 'Uint32Array'];

/** The number of boxes in an array of four numbers each. */
export function boxesIn(boxes: unknown, name: string): number {
  if (!isFloat32Array(boxes)) throw wrongType('a Float32Array', name, boxes);
  const length = trueLength(boxes, name);
  if (length % 4 !== 0) throw wrongValue('four numbers a box', name, `${length} numbers`);
  if (length / 4 >= NO_INDEX) throw outOfRange('fewer than 2^32 − 1 boxes', name, length / 4);
  return length / 4;
}

/** The number of images, and of boxes in each. */
export function imagesOf(scores: unknown, boxes: number, batch: unknown): { batch: number; n: number } {
  if (!isFloat32Array(scores)) throw wrongType('a Float32Array', 'scores', scores);
  const given = trueLength(scores, 'scores');
  if (given !== boxes) throw wrongValue(`${boxes} elements, one a box,`, 'scores', String(given));
  const images = batch === undefined ? 1 : count(batch, 'batch');
  if (boxes % images !== 0) throw wrongValue(`a divisor of the ${boxes} boxes`, 'batch', String(images));
  return { batch: images, n: boxes / images };
}

/** Classes whose elements run no code when they are read: the elements of a list are read here, once. */
export function listedClasses(classes: unknown): unknown {
  if (Array.isArray(classes)) return Array.from(classes as readonly unknown[]);
  if (classes !== undefined && !INTEGERS.includes(kindOf(classes) ?? '')) {
    throw wrongType('an Int32Array, another array of integers,', 'classes', classes);
  }
  return classes;
}

/** Classes as kernels take them: the caller's Int32Array, or a new one. */
export function classesOf(listed: unknown, boxes: number): Int32Array | null {
  if (listed === undefined) return null;
  const list = listed as ArrayLike<unknown>;
  const given = isTypedArray(list) ? trueLength(list, 'classes') : list.length;
  if (given !== boxes) throw wrongValue(`${boxes} elements, one a box,`, 'classes', String(given));
  if (isInt32Array(list)) return list;
  const classes = new Int32Array(boxes);
  for (let i = 0; i < boxes; i++) {
    const label = list[i];
    if (typeof label !== 'number') throw wrongType('integers', 'classes', label);
    classes[i] = label;
    if (classes[i] !== label) throw outOfRange('integers of 32 bits', 'classes', `${describe(label)} at ${i}`);
  }
  return classes;
}

/** Throws if a kernel found a box whose numbers it cannot use. `status` has an entry for each image. */
export function checkStatus(status: Uint32Array, name: string, isBatched: boolean): void {
  for (let image = 0; image < lengthOf(status); image++) {
    const box = status[image]!;
    if (box === NO_INDEX) continue;
    const where = isBatched ? `box ${box} of image ${image} of ${name}` : `box ${box} of ${name}`;
    throw wrongValue('finite coordinates, and a score that is neither NaN nor +∞,', where, 'others');
  }
}
