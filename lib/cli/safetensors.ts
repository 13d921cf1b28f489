/**
 * Hugging Face's safetensors: the length of a header, the header in JSON, which has type, shape and place of each
 * array, and the elements, low bytes first. https://huggingface.co/docs/safetensors
 */
import { Failure } from './command.js';
import { bytesOf, checkShape, floatsOf, shapeText, SIZES, type Floats, type FloatType } from './floats.js';
import type { Npy } from './npy.js';

const TYPES: Readonly<Record<string, FloatType>> = { F16: 'float16', BF16: 'bfloat16', F32: 'float32', F64: 'float64' };
const LENGTH_BYTES = 8;
const LONGEST_HEADER = 100 * 2 ** 20; // the limit of the format

type Header = Readonly<Record<string, unknown>>;

function readHeader(bytes: Uint8Array): { header: Header; start: number } {
  if (bytes.length < LENGTH_BYTES) throw new Failure('Expected a safetensors file but it ends before its header');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = Number(view.getBigUint64(0, true));
  if (length > Math.min(LONGEST_HEADER, bytes.length - LENGTH_BYTES)) {
    throw new Failure(`Expected a header of ${length} bytes but the file ends after ${bytes.length - LENGTH_BYTES}`);
  }
  const start = LENGTH_BYTES + length;
  let header: unknown;
  try {
    header = JSON.parse(Buffer.from(bytes.subarray(LENGTH_BYTES, start)).toString());
  } catch {
    header = undefined;
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header)) {
    throw new Failure('Expected a safetensors header of JSON but received something else');
  }
  return { header: header as Header, start };
}

/** The names of the arrays in a file. */
export function namesInSafetensors(bytes: Uint8Array): string[] {
  return Object.keys(readHeader(bytes).header).filter((name) => name !== '__metadata__');
}

const isWholeNumbers = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0);

/** The array of this name. */
export function parseSafetensors(bytes: Uint8Array, name: string): Npy {
  const { header, start } = readHeader(bytes);
  const entry = header[name] as Readonly<Record<string, unknown>> | null;
  const { dtype, shape, data_offsets: offsets } = entry ?? {};
  const type = typeof dtype === 'string' && Object.hasOwn(TYPES, dtype) ? TYPES[dtype] : undefined;
  if (type === undefined) throw new Failure(`Expected ${name} to be F16, BF16, F32 or F64 but it is ${String(dtype)}`);
  if (!isWholeNumbers(shape)) throw new Failure(`Expected a shape of whole numbers for ${name}`);
  checkShape(shape);
  const size = shape.reduce((product, n) => product * n, SIZES[type]);
  const [from = -1, to = -1] = isWholeNumbers(offsets) ? offsets : [];
  if (to - from !== size || from < 0 || start + to > bytes.length) {
    const place = `${size} bytes within the file for ${name} of shape ${shapeText(shape)}`;
    throw new Failure(`Expected ${place} but received data_offsets ${JSON.stringify(offsets)}`);
  }
  return { type, shape, data: floatsOf(bytes.subarray(start + from, start + to), type) };
}

/** The parts of a file with one array. */
export function formatSafetensors(data: Floats, shape: readonly number[], name: string): Uint8Array[] {
  const dtype = data.BYTES_PER_ELEMENT === 8 ? 'F64' : 'F32';
  const text = JSON.stringify({ [name]: { dtype, shape, data_offsets: [0, data.byteLength] } });
  const header = Buffer.from(text);
  const padded = Buffer.alloc(Math.ceil(header.length / 8) * 8, ' '); // elements begin at a multiple of 8
  header.copy(padded);
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeBigUInt64LE(BigInt(padded.length));
  return [length, padded, bytesOf(data)];
}
