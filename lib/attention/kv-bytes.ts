/** The wire form of a sequence of a cache: what is stored, in the order of tokens, for pages of any size. */
import { allocate } from '../call/allocate.js';
import { byteLengthOf, copyInto, isDetached, newArray, viewOf } from '../call/arrays.js';
import { outOfRange, wrongValue } from '../call/errors.js';
import { types, type NewUint8Array } from '../call/types.js';
import { wireHeader, wireView } from '../call/wire.js';
import { BYTES, TYPES } from './kv-format.js';
import { storedBits, type Bits, type StoredBits } from './kv-move.js';
import type { CacheState, Sequence } from './kv-state.js';
import type { KVType } from './kv-types.js';
import { slabOf, TILE, tokenPlace, type CacheSizes } from './tiles.js';

/** flash-softmax, keys and values. */
const MAGIC = 'FSKV';
const HEADER = 24;

/** What the header says. */
export interface WireSequence {
  readonly dtype: KVType;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly valueDim: number;
  readonly tokens: number;
}

/** One of the arrays behind the header, a row for each token: where it begins, and the bytes of a row. */
interface Section {
  readonly name: 'key' | 'value' | 'keyScale' | 'valueScale';
  readonly start: number;
  readonly rowBytes: number;
  /** Bytes of a number. */
  readonly width: number;
}

/** The arrays behind the header, and the number of all bytes. */
function layoutOf({ dtype, kvHeads, headDim, valueDim, tokens }: WireSequence) {
  const width = BYTES[dtype];
  const rows: Omit<Section, 'start'>[] = [
    { name: 'key', rowBytes: kvHeads * headDim * width, width },
    { name: 'value', rowBytes: kvHeads * valueDim * width, width },
  ];
  if (dtype === 'int8') {
    rows.unshift(
      { name: 'keyScale', rowBytes: kvHeads * 4, width: 4 },
      { name: 'valueScale', rowBytes: kvHeads * 4, width: 4 },
    );
  }
  let bytes = HEADER;
  const sections = rows.map((row) => {
    const section: Section = { ...row, start: bytes };
    bytes += row.rowBytes * tokens;
    return section;
  });
  return { sections, bytes };
}

const isLittleEndian = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/** Reverses the bytes of each number, on a machine that has them the other way round. */
function littleEndian(bytes: Uint8Array, width: number): void {
  if (isLittleEndian) return;
  for (let at = 0; at < bytes.length; at += width) bytes.subarray(at, at + width).reverse();
}

export function sequenceToBytes({ store, sizes, format }: CacheState, { pages, length }: Sequence): NewUint8Array {
  const { kvHeads, headDim, valueDim, pageSize } = sizes;
  const { sections, bytes: total } = layoutOf({ dtype: format.dtype, kvHeads, headDim, valueDim, tokens: length });
  const bytes = allocate('Uint8Array', total, 'toBytes');
  const view = new DataView(bytes.buffer);
  bytes.set([...wireHeader(MAGIC), TYPES.indexOf(format.dtype)]);
  [kvHeads, headDim, valueDim, length].forEach((n, i) => view.setUint32(8 + 4 * i, n, true));
  const stored = storedBits(store.slabs, store.scales);
  for (const { name, start, rowBytes, width } of sections) {
    const row = newArray('Uint8Array', rowBytes);
    const numbers = numbersIn(row, format.dtype, name);
    for (let token = 0; token < length; token++) {
      const page = pages[Math.floor(token / pageSize)]!;
      copyRow(sizes, stored, { page, token }, { name, numbers, isRead: true });
      littleEndian(row, width);
      copyInto(bytes, row, start + token * rowBytes);
    }
  }
  return bytes;
}

/** The numbers of a row, as integers of their bits. */
function numbersIn(row: Uint8Array<ArrayBuffer>, dtype: KVType, name: Section['name']): Bits {
  if (name === 'keyScale' || name === 'valueScale') return new Uint32Array(row.buffer);
  const width = BYTES[dtype];
  return width === 4
    ? new Uint32Array(row.buffer)
    : width === 2
      ? new Uint16Array(row.buffer)
      : new Int8Array(row.buffer);
}

interface Row {
  readonly name: Section['name'];
  readonly numbers: Bits;
  /** Whether the row is read from the cache; otherwise it is written there. */
  readonly isRead: boolean;
}

/** Copies one token's keys, values or scales of all heads. */
function copyRow(
  sizes: CacheSizes,
  { numbers, scales }: StoredBits,
  { page, token }: { readonly page: number; readonly token: number },
  row: Row,
): void {
  const { name, numbers: own, isRead } = row;
  const slab = numbers[slabOf(page)]!;
  const isScale = name === 'keyScale' || name === 'valueScale';
  const memory = isScale ? scales[slabOf(page)]! : slab;
  const n = isScale ? 1 : name === 'key' ? sizes.headDim : sizes.valueDim;
  const step = name === 'key' ? TILE : 1;
  for (let head = 0; head < sizes.kvHeads; head++) {
    const at: number = tokenPlace(sizes, slab.length, page, head, token)[name];
    const first = head * n;
    if (isRead) for (let d = 0; d < n; d++) own[first + d] = memory[at + d * step]!;
    else for (let d = 0; d < n; d++) memory[at + d * step] = own[first + d]!;
  }
}

/** Reads the header of untrusted bytes, and checks their number. */
export function headerOf(bytes: unknown): WireSequence {
  const isWhole = types.isUint8Array(bytes) && !isDetached(bytes) && byteLengthOf(bytes) > HEADER;
  // A sequence has no origin, which version 2 would add.
  if (isWhole && viewOf(bytes, 0, HEADER)[MAGIC.length] === 2) throw wrongValue('version 1', 'bytes', 'version 2');
  const { view } = wireView(isWhole ? viewOf(bytes, 0, HEADER) : bytes, MAGIC, HEADER, true);
  const [type, ...reserved] = [view.getUint8(5), view.getUint8(6), view.getUint8(7)] as const;
  const dtype = TYPES[type];
  if (dtype === undefined) throw wrongValue(`a type from 0 to ${TYPES.length - 1}`, 'dtype of bytes', String(type));
  if (reserved.some((byte) => byte !== 0)) throw wrongValue('0 for reserved bytes', 'bytes', reserved.join(', '));
  const size = (name: string, i: number): number => {
    const n = view.getUint32(8 + 4 * i, true);
    if (n === 0) throw wrongValue('a size from 1 on', `${name} of bytes`, '0');
    return n;
  };
  const tokens = view.getUint32(20, true);
  if (tokens >= 2 ** 31) throw outOfRange('fewer than 2^31 tokens', 'tokens of bytes', tokens);
  const header = {
    dtype,
    kvHeads: size('kvHeads', 0),
    headDim: size('headDim', 1),
    valueDim: size('valueDim', 2),
    tokens,
  };
  const { bytes: expected } = layoutOf(header);
  const received = byteLengthOf(bytes as Uint8Array);
  if (received !== expected) {
    const sizes = `${tokens} tokens, kvHeads ${header.kvHeads}, headDim ${header.headDim}, valueDim ${header.valueDim}`;
    throw wrongValue(`${expected} bytes for ${sizes} of ${dtype}`, 'bytes', String(received));
  }
  return header;
}

/** The pages of a new sequence with the numbers of untrusted bytes. A call that throws has changed nothing. */
export function pagesFromBytes(state: CacheState, given: Uint8Array): { pages: number[]; tokens: number } {
  const header = headerOf(given);
  const own: Readonly<Record<string, unknown>> = { ...state.sizes, dtype: state.format.dtype };
  for (const name of ['dtype', 'kvHeads', 'headDim', 'valueDim'] as const) {
    if (header[name] === own[name]) continue;
    throw wrongValue(`${String(own[name])}, as the cache has,`, `${name} of bytes`, String(header[name]));
  }
  const { store, sizes } = state;
  const pages = store.take(Math.ceil(header.tokens / sizes.pageSize), 'fromBytes');
  try {
    writeNumbers(state, header, given, pages);
    return { pages, tokens: header.tokens };
  } catch (error) {
    store.giveBack(pages);
    throw error;
  }
}

/** Reads each number once: other threads may write to bytes in shared memory. */
function writeNumbers(
  { store, sizes }: CacheState,
  header: WireSequence,
  given: Uint8Array,
  pages: readonly number[],
): void {
  const stored = storedBits(store.slabs, store.scales);
  for (const { name, start, rowBytes, width } of layoutOf(header).sections) {
    const row = newArray('Uint8Array', rowBytes);
    const numbers = numbersIn(row, header.dtype, name);
    for (let token = 0; token < header.tokens; token++) {
      copyInto(row, viewOf(given, start + token * rowBytes, start + (token + 1) * rowBytes));
      littleEndian(row, width);
      if (header.dtype === 'int8') checkInt8(name, numbers, row);
      const page = pages[Math.floor(token / sizes.pageSize)]!;
      copyRow(sizes, stored, { page, token }, { name, numbers, isRead: false });
    }
  }
}

/** The scale of the largest float. */
const MOST_SCALE = Math.fround(((2 - 2 ** -23) * 2 ** 127) / 127);

/** Refuses numbers that no append stores: a scale is NaN, 0, or from 2^-120 on, and −128 has no place. */
function checkInt8(name: Section['name'], numbers: Bits, row: Uint8Array<ArrayBuffer>): void {
  if (name === 'key' || name === 'value') {
    if (numbers.includes(-128)) throw wrongValue('numbers from −127 to 127', `${name}s of bytes`, '-128');
    return;
  }
  for (const scale of new Float32Array(row.buffer)) {
    const isSound = scale !== scale || Object.is(scale, 0) || (scale >= 2 ** -120 && scale <= MOST_SCALE);
    if (!isSound) throw wrongValue('NaN, 0 or a scale from 2^-120 on', `${name}s of bytes`, String(scale));
  }
}
