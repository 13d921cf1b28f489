/**
 * A tensor of a GGUF file (the format of llama.cpp, versions 2 and 3). The header is walked and not kept: files have
 * hundreds of thousands of strings before the place of a tensor. What it says is compared with the size of the file
 * before anything is read.
 */
import { describe, wrongValue } from '../call/errors.js';
import { blockColumns, HEAD_FORMATS, rowBytes, type HeadFormat } from './formats.js';
import { Cursor, fieldName, type ByteSource } from './source.js';

/** A matrix as a file has it. */
export interface FileMatrix {
  readonly rows: number;
  readonly cols: number;
  readonly format: HeadFormat;
  readonly bytes: Uint8Array;
}

/** Formats by ggml's number of the type. */
const TYPES: Readonly<Record<number, HeadFormat>> = {
  0: 'float32',
  1: 'float16',
  2: 'q4_0',
  8: 'q8_0',
  12: 'q4_K',
  14: 'q6_K',
  30: 'bfloat16',
};

/** Bytes of a metadata value by its type; 8 is a string, and 9 an array. */
const VALUE_BYTES: Readonly<Record<number, number>> = {
  0: 1,
  1: 1,
  2: 2,
  3: 2,
  4: 4,
  5: 4,
  6: 4,
  7: 1,
  10: 8,
  11: 8,
  12: 8,
};
const [STRING, ARRAY, UINT32] = [8, 9, 4];

/** The description of a tensor. */
interface TensorInfo {
  readonly dims: readonly number[];
  readonly type: number;
  readonly offset: number;
}

export function ggufMatrix(source: ByteSource, tensor: string): FileMatrix {
  const cursor = new Cursor(source, 0, source.size);
  const magic = cursor.text(4, 'magic');
  if (magic !== 'GGUF') throw wrongValue("'GGUF'", fieldName('magic', source), describe(magic));
  const version = cursor.uint32('version');
  if (version !== 2 && version !== 3) throw wrongValue('2 or 3', fieldName('version', source), String(version));
  const tensors = cursor.uint64('tensor_count');
  const values = cursor.uint64('metadata_kv_count');
  let alignment = 32;
  for (let i = 0; i < values; i++) {
    const key = cursor.text(cursor.uint64('a metadata key'), 'a metadata key');
    const type = cursor.uint32(`the type of '${key}'`);
    if (key === 'general.alignment' && type === UINT32) alignment = cursor.uint32(key);
    else skipValue(cursor, type, source, key, 0);
  }
  if (alignment === 0 || (alignment & (alignment - 1)) !== 0) {
    throw wrongValue('a power of two', fieldName('general.alignment', source), String(alignment));
  }
  let found: TensorInfo | undefined;
  for (let i = 0; i < tensors; i++) {
    const name = cursor.text(cursor.uint64('the name of a tensor'), 'the name of a tensor');
    const info = tensorInfo(cursor, source, name);
    if (name === tensor) found = info;
  }
  if (found === undefined) throw wrongValue(`a tensor of ${source.name}`, 'tensor', describe(tensor));
  return matrixAt(source, tensor, found, Math.ceil(cursor.at / alignment) * alignment);
}

function skipValue(cursor: Cursor, type: number, source: ByteSource, key: string, depth: number): void {
  const size = VALUE_BYTES[type];
  if (size !== undefined) cursor.skip(size, key);
  else if (type === STRING) cursor.skip(cursor.uint64(key), key);
  else if (type === ARRAY && depth < 4) {
    const of = cursor.uint32(key);
    const length = cursor.uint64(key);
    const each = VALUE_BYTES[of];
    if (each !== undefined) cursor.skip(length * each, key);
    // Each element has eight bytes at least: a count that lies meets the end of the file.
    else for (let i = 0; i < length; i++) skipValue(cursor, of, source, key, depth + 1);
  } else throw wrongValue('a type of GGUF', fieldName(`the type of '${key}'`, source), String(type));
}

function tensorInfo(cursor: Cursor, source: ByteSource, name: string): TensorInfo {
  const count = cursor.uint32(`n_dims of '${name}'`);
  if (count > 8) throw wrongValue('at most 8', fieldName(`n_dims of '${name}'`, source), String(count));
  const dims = Array.from({ length: count }, () => cursor.uint64(`dims of '${name}'`));
  return { dims, type: cursor.uint32(`the type of '${name}'`), offset: cursor.uint64(`the offset of '${name}'`) };
}

function matrixAt(source: ByteSource, tensor: string, { dims, type, offset }: TensorInfo, start: number): FileMatrix {
  const [cols, rows] = dims;
  if (dims.length !== 2 || !(cols! > 0 && rows! > 0)) {
    throw wrongValue('two dimensions', fieldName(`dims of '${tensor}'`, source), `[${dims.join(', ')}]`);
  }
  const format = TYPES[type];
  if (format === undefined) {
    const known = Object.entries(TYPES).map(([number, name]) => `${number} (${name})`);
    throw wrongValue(known.join(', '), fieldName(`the type of '${tensor}'`, source), String(type));
  }
  const number = HEAD_FORMATS.indexOf(format);
  const columns = blockColumns(number);
  if (cols! % columns !== 0) {
    throw wrongValue(`a multiple of ${columns} columns`, fieldName(`dims of '${tensor}'`, source), String(cols));
  }
  const length = rows! * rowBytes(number, cols!, 1);
  const data = new Cursor(source, Math.min(start, source.size), source.size);
  data.skip(offset, `the offset of '${tensor}'`);
  const at = data.skip(length, `the bytes of '${tensor}'`);
  return { rows: rows!, cols: cols!, format, bytes: source.keep(at, length) };
}
