/**
 * NumPy's .npy files (format 1.0, 2.0, 3.0): a magic string, a version, a header that is the text of a Python
 * dictionary, and the elements. A small parser reads the text; it knows strings, integers, booleans, tuples, lists and
 * dictionaries only. Nothing in a file is evaluated, and every length is checked against the bytes of the file.
 * https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
 */
import { Failure } from './command.js';
import {
  bytesOf,
  checkShape,
  floatsOf,
  littleEndian,
  shapeText,
  SIZES,
  type Floats,
  type FloatType,
} from './floats.js';

/** Elements in C order. */
export interface Npy {
  readonly type: FloatType;
  readonly shape: readonly number[];
  readonly data: Floats;
}

const MAGIC = [0x93, ...Buffer.from('NUMPY')];
const LONGEST_HEADER = 2 ** 20; // floats need a hundred bytes; only structured types have longer headers

// ---- the header ---------------------------------------------------------------------------------------

type Literal = string | number | boolean | Literal[] | Map<Literal, Literal>;

const TOKEN = /\s*(?:'([^'\\]*)'|"([^"\\]*)"|(-?\d+)L?|(True|False)|([{}()[\],:]))/y;
const CLOSING: Record<string, string> = { '{': '}', '(': ')', '[': ']' };

/** The value of one Python literal; undefined for any other text, and for more than eight levels of nesting. */
export function parseLiteral(text: string): Literal | undefined {
  const tokens: { mark?: string; value?: string | number | boolean }[] = [];
  const body = text.trimEnd();
  TOKEN.lastIndex = 0;
  for (let at = 0; at < body.length; at = TOKEN.lastIndex) {
    const match = TOKEN.exec(body);
    if (!match) return undefined;
    const [, single, double, integer, bool, mark] = match;
    if (mark) tokens.push({ mark });
    else if (integer) tokens.push({ value: Number(integer) });
    else if (bool) tokens.push({ value: bool === 'True' });
    else tokens.push({ value: single ?? double! });
  }

  let next = 0;
  const accept = (mark: string) => tokens[next]?.mark === mark && ++next > 0;
  function literal(depth: number): Literal | undefined {
    const { mark, value } = tokens[next++] ?? {};
    if (value !== undefined) return value;
    const closing = mark && CLOSING[mark];
    if (!closing || depth > 8) return undefined;
    const items: Literal[] = [];
    const map = new Map<Literal, Literal>();
    while (!accept(closing)) {
      const item = literal(depth + 1);
      if (item === undefined) return undefined;
      items.push(item);
      if (mark === '{') {
        const content = accept(':') ? literal(depth + 1) : undefined;
        if (content === undefined || map.has(item)) return undefined;
        map.set(item, content);
      }
      if (!accept(',') && tokens[next]?.mark !== closing) return undefined;
    }
    return mark === '{' ? map : items;
  }
  const result = literal(0);
  return next === tokens.length ? result : undefined;
}

const KINDS: Record<string, string> = {
  O: 'Python objects',
  V: 'raw bytes',
  S: 'byte strings',
  a: 'byte strings',
  U: 'strings',
  b: 'booleans or bytes',
  '?': 'booleans',
  i: 'integers',
  u: 'unsigned integers',
  f: 'floats of another size',
  c: 'complex numbers',
  M: 'dates',
  m: 'time spans',
};

/** The type and byte order that a header describes. ml_dtypes saves bfloat16 as two raw bytes, V2. */
function elementType(descr: Literal): { type: FloatType; isBig: boolean } {
  const text = typeof descr === 'string' ? descr : undefined;
  const match = text && /^([<>=|])(?:f([248])|V2)$/.exec(text);
  if (match && (match[2] === undefined || match[1] !== '|')) {
    const type = match[2] === undefined ? 'bfloat16' : (`float${Number(match[2]) * 8}` as FloatType);
    return { type, isBig: match[1] === '>' || (match[1] === '=' && !littleEndian) };
  }
  const kind = text ? (KINDS[text.replace(/^[<>=|]/, '')[0] ?? ''] ?? 'unknown') : 'structured';
  const received = text ? `'${text.slice(0, 40)}' (${kind})` : 'a structured type';
  throw new Failure(`Expected elements of float16, bfloat16, float32 or float64 but received ${received}`);
}

/** The shape that a header describes. */
function shapeOf(shape: Literal): number[] {
  if (!Array.isArray(shape) || !shape.every((n): n is number => typeof n === 'number')) {
    throw new Failure('Expected a shape of integers in the header');
  }
  return checkShape(shape);
}

// ---- reading ------------------------------------------------------------------------------------------

/** The header's dictionary, and where the elements begin. */
function readHeader(bytes: Uint8Array): { header: Literal | undefined; end: number } {
  if (!MAGIC.every((byte, i) => bytes[i] === byte)) {
    throw new Failure('Expected a NumPy .npy file but received something else');
  }
  const [major = 0, minor = 0] = bytes.subarray(6, 8);
  const start = major === 1 ? 10 : 12;
  if (bytes.length < start) throw new Failure('Expected a header but the file ends before it');
  if (major < 1 || major > 3 || minor !== 0) {
    throw new Failure(`Expected .npy format 1.0, 2.0 or 3.0 but received ${major}.${minor}`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = major === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  if (length > LONGEST_HEADER) {
    throw new Failure(`Expected a header of at most ${LONGEST_HEADER} bytes but received ${length}`);
  }
  const end = start + length;
  if (end > bytes.length) {
    throw new Failure(`Expected a header of ${length} bytes but the file ends after ${bytes.length - start}`);
  }
  const text = Buffer.from(bytes.subarray(start, end)).toString(major === 3 ? 'utf8' : 'latin1');
  return { header: parseLiteral(text), end };
}

/** The array in a file of these bytes. It may share their memory. */
export function parseNpy(bytes: Uint8Array): Npy {
  const { header, end } = readHeader(bytes);
  const keys = header instanceof Map ? [...header.keys()].sort().join() : '';
  const fortran = header instanceof Map && header.get('fortran_order');
  if (!(header instanceof Map) || keys !== 'descr,fortran_order,shape' || typeof fortran !== 'boolean') {
    throw new Failure("Expected a header with 'descr', 'fortran_order' and 'shape' but received something else");
  }
  const { type, isBig } = elementType(header.get('descr')!);
  const shape = shapeOf(header.get('shape')!);

  const size = shape.reduce((product, n) => product * n, SIZES[type]);
  const received = bytes.length - end;
  if (size !== received) {
    throw new Failure(`Expected ${size} bytes for ${type} of shape ${shapeText(shape)} but received ${received}`);
  }
  const data = floatsOf(bytes.subarray(end), type, isBig);
  return { type, shape, data: fortran && shape.length > 1 ? fromFortran(data, shape) : data };
}

/** Fortran order, in which the first index runs fastest, to C order. */
function fromFortran(data: Floats, shape: readonly number[]): Floats {
  const result = data.slice(); // of the same type; every element is overwritten
  const index = shape.map(() => 0);
  for (let i = 0; i < data.length; i++) {
    let at = 0;
    for (let axis = 0; axis < shape.length; axis++) at = at * shape[axis]! + index[axis]!;
    result[at] = data[i]!;
    for (let axis = 0; axis < shape.length && ++index[axis]! === shape[axis]; axis++) index[axis] = 0;
  }
  return result;
}

// ---- writing ------------------------------------------------------------------------------------------

/**
 * The two parts of a file of format 1.0: the header, padded so that the elements begin at a multiple of 64; the
 * elements.
 */
export function formatNpy(data: Floats, shape: readonly number[]): [Uint8Array, Uint8Array] {
  const dictionary = `{'descr': '<f${data.BYTES_PER_ELEMENT}', 'fortran_order': False, 'shape': ${shapeText(shape)}, }`;
  const start = MAGIC.length + 4;
  const text = `${dictionary.padEnd(Math.ceil((start + dictionary.length + 1) / 64) * 64 - start - 1)}\n`;
  const header = Buffer.from([...MAGIC, 1, 0, text.length & 255, text.length >> 8, ...Buffer.from(text, 'latin1')]);
  return [header, bytesOf(data)];
}
