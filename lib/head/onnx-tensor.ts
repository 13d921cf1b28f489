/** A TensorProto of ONNX: its description, and its bytes, which may be in another file. */
import { describe, wrongValue } from '../call/errors.js';
import { fieldsOf, integersOf, textOf, type Field, type Span } from './protobuf.js';
import { Cursor, fieldName, type ByteSource } from './source.js';

export const [FLOAT, UINT8, FLOAT16, BFLOAT16] = [1, 2, 10, 16] as const;

/** Names of data types by their number. */
export const TYPE_NAMES: Readonly<Record<number, string>> = {
  0: 'UNDEFINED',
  1: 'FLOAT',
  2: 'UINT8',
  3: 'INT8',
  6: 'INT32',
  7: 'INT64',
  8: 'STRING',
  10: 'FLOAT16',
  11: 'DOUBLE',
  16: 'BFLOAT16',
  21: 'UINT4',
  22: 'INT4',
};
const ELEMENT_BYTES: Readonly<Record<number, number>> = { [FLOAT]: 4, [UINT8]: 1, [FLOAT16]: 2, [BFLOAT16]: 2 };

export interface Tensor {
  readonly name: string;
  readonly dims: readonly number[];
  readonly type: number;
  /** raw_data, or float_data of a FLOAT, which has the same bytes. */
  readonly raw: Span | undefined;
  /** int32_data: a varint for each element of the other types. */
  readonly varints: Field | undefined;
  /** What external_data says: location, offset, length. */
  readonly external: ReadonlyMap<string, string> | undefined;
}

export function tensorOf(source: ByteSource, span: Span, name: string): Tensor {
  const dims: number[] = [];
  const external = new Map<string, string>();
  const tensor = { name, dims, type: 0, raw: undefined, varints: undefined, external: undefined } as {
    -readonly [Key in keyof Tensor]: Tensor[Key];
  };
  let isExternal = false;
  for (const field of fieldsOf(source, span, `initializer '${name}'`)) {
    if (field.number === 1) {
      const isShort = field.isVarint || field.end - field.at <= 80;
      if (!isShort || dims.length > 8) throw wrongValue('at most 8', fieldName(`dims of '${name}'`, source), 'more');
      for (const size of integersOf(source, field, `dims of '${name}'`)) dims.push(size);
    } else if (field.number === 2) tensor.type = field.value;
    else if (field.number === 9 || (field.number === 4 && !field.isVarint)) tensor.raw = field;
    else if (field.number === 5 && !field.isVarint) tensor.varints = field;
    else if (field.number === 13) {
      const pair = [...fieldsOf(source, field, `external_data of '${name}'`)];
      const [key, value] = [1, 2].map((number) => {
        const text = pair.find((each) => each.number === number);
        return text ? textOf(source, text, `external_data of '${name}'`) : '';
      });
      external.set(key!, value!);
    } else if (field.number === 14) isExternal = field.value === 1;
  }
  if (isExternal) tensor.external = external;
  return tensor;
}

/** The bytes of a tensor of whole bytes. RangeError unless there are as many as its dimensions say. */
export function tensorBytes(source: ByteSource, tensor: Tensor): Uint8Array {
  const { name, dims, type, raw, varints, external } = tensor;
  const length = dims.reduce((product, size) => product * size, ELEMENT_BYTES[type]!);
  if (external !== undefined) return externalBytes(source, tensor, length);
  if (raw !== undefined) {
    const has = raw.end - raw.at;
    if (has !== length) throw wrongValue(`${length} bytes`, fieldName(`raw_data of '${name}'`, source), String(has));
    return source.keep(raw.at, length);
  }
  // An element has one byte at least: a length that lies is longer than the field.
  if (varints === undefined || type === FLOAT || varints.end - varints.at < length / ELEMENT_BYTES[type]!) {
    throw wrongValue(`${length} bytes`, fieldName(`the data of '${name}'`, source), varints ? 'fewer' : 'none');
  }
  const bytes = new Uint8Array(length);
  const elements = type === UINT8 ? bytes : new Uint16Array(bytes.buffer);
  const values = integersOf(source, varints, `int32_data of '${name}'`);
  if (values.length !== elements.length) {
    throw wrongValue(`${elements.length}`, fieldName(`int32_data of '${name}'`, source), String(values.length));
  }
  const most = type === UINT8 ? 255 : 65535;
  const large = values.find((value) => value > most);
  if (large !== undefined)
    throw wrongValue(`at most ${most}`, fieldName(`int32_data of '${name}'`, source), String(large));
  elements.set(values);
  return bytes;
}

function externalBytes(source: ByteSource, { name, external }: Tensor, length: number): Uint8Array {
  const location = external!.get('location') ?? '';
  const isInside = location !== '' && !/^[\\/]|^[a-z]:|\0|(^|[\\/])\.\.([\\/]|$)/i.test(location);
  if (!isInside) {
    throw wrongValue(
      'a path in the folder of the model',
      fieldName(`location of '${name}'`, source),
      describe(location),
    );
  }
  const number = (key: string, usual: number): number => {
    const text = external!.get(key) ?? String(usual);
    const value = /^\d{1,16}$/.test(text) ? Number(text) : NaN;
    if (Number.isSafeInteger(value)) return value;
    throw wrongValue('an integer from 0', fieldName(`${key} of '${name}'`, source), describe(text));
  };
  const [offset, given] = [number('offset', 0), number('length', length)];
  if (given !== length) throw wrongValue(`${length}`, fieldName(`length of '${name}'`, source), String(given));
  const file = source.beside(location);
  try {
    const cursor = new Cursor(file, 0, file.size);
    cursor.skip(offset, `the offset of '${name}'`);
    return file.keep(cursor.skip(length, `the bytes of '${name}'`), length);
  } finally {
    file.close();
  }
}

/** The bytes of a matrix, [rows, cols] once it is transposed. */
export function matrixBytes(source: ByteSource, tensor: Tensor, isTransposed: boolean): Uint8Array {
  const bytes = tensorBytes(source, tensor);
  if (!isTransposed) return bytes;
  const [height, width] = tensor.dims as [number, number];
  const step = ELEMENT_BYTES[tensor.type]!;
  const { buffer, byteOffset } = aligned(bytes, step);
  const Elements = step === 4 ? Uint32Array : Uint16Array;
  return transposed(new Elements(buffer as ArrayBuffer, byteOffset, height * width), height, width);
}

/** The bytes themselves where their address is a multiple of `step`; else a copy. */
export const aligned = (bytes: Uint8Array, step: number): Uint8Array =>
  bytes.byteOffset % step === 0 ? bytes : new Uint8Array(bytes);

/** Columns read together: their rows of results fit a cache. */
const TILE = 64;

function transposed(x: Uint16Array | Uint32Array, height: number, width: number): Uint8Array {
  const out = x.BYTES_PER_ELEMENT === 4 ? new Uint32Array(x.length) : new Uint16Array(x.length);
  for (let from = 0; from < height; from += TILE) {
    const to = Math.min(height, from + TILE);
    for (let c = 0; c < width; c++) for (let r = from; r < to; r++) out[c * height + r] = x[r * width + c]!;
  }
  return new Uint8Array(out.buffer);
}
