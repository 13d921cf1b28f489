/** Rows of an output head's weights as numbers, each the exact value rounded once to a float. */
import { BFLOAT16, FLOAT16, FLOAT32, INT8, NBITS4, Q4_0, Q4_K, Q6_K, Q8_0, rowBytes } from '../../head/formats.js';
import { bfloat16, float16 } from '../../math/half.js';

/** The weights of a kernel's call. */
export interface HeadWeights {
  readonly weights: Uint8Array;
  readonly scales: Float32Array | null;
  readonly zeroPoints: Uint8Array | null;
  readonly cols: number;
  readonly block: number;
  readonly format: number;
}

const float = new Float32Array(1);
const word = new Uint32Array(float.buffer);

function float32At(bytes: Uint8Array, at: number): number {
  word[0] = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
  return float[0]!;
}
const bitsAt = (bytes: Uint8Array, at: number): number => bytes[at]! | (bytes[at + 1]! << 8);
const halfAt = (bytes: Uint8Array, at: number): number => float16.toFloat(bitsAt(bytes, at));
const signed = (byte: number): number => (byte << 24) >> 24;

type Decode = (bytes: Uint8Array, at: number, row: Float32Array) => void;

/** A decoder of blocks of `bytes` bytes, from one of a block: `to` is its first column. */
const blocksOf =
  (
    columns: number,
    bytes: number,
    one: (from: Uint8Array, at: number, row: Float32Array, to: number) => void,
  ): Decode =>
  (from, at, row) => {
    for (let to = 0; to < row.length; to += columns, at += bytes) one(from, at, row, to);
  };

const q8: Decode = blocksOf(32, 34, (from, at, row, to) => {
  const scale = halfAt(from, at);
  for (let i = 0; i < 32; i++) row[to + i] = scale * signed(from[at + 2 + i]!);
});

const q4: Decode = blocksOf(32, 18, (from, at, row, to) => {
  const scale = halfAt(from, at);
  for (let i = 0; i < 16; i++) {
    row[to + i] = scale * ((from[at + 2 + i]! & 15) - 8);
    row[to + 16 + i] = scale * ((from[at + 2 + i]! >> 4) - 8);
  }
});

/** Scale and minimum `j` of a block of q4_K, six bits each. */
function packedPair(from: Uint8Array, at: number, j: number): readonly [number, number] {
  if (j < 4) return [from[at + j]! & 63, from[at + j + 4]! & 63];
  const both = from[at + j + 4]!;
  return [(both & 15) | ((from[at + j - 4]! >> 6) << 4), (both >> 4) | ((from[at + j]! >> 6) << 4)];
}

const q4k: Decode = blocksOf(256, 144, (from, at, row, to) => {
  const [d, least] = [halfAt(from, at), halfAt(from, at + 2)];
  for (let j = 0; j < 8; j++) {
    const [scale, minimum] = packedPair(from, at + 4, j);
    const bytes = at + 16 + 32 * (j >> 1);
    for (let i = 0; i < 32; i++) {
      const q = (from[bytes + i]! >> (4 * (j & 1))) & 15;
      row[to + 32 * j + i] = d * scale * q - least * minimum; // exact in double
    }
  }
});

const q6k: Decode = blocksOf(256, 210, (from, at, row, to) => {
  const d = halfAt(from, at + 208);
  for (let i = 0; i < 256; i++) {
    const [half, group, l] = [i >> 7, (i >> 5) & 3, i & 31];
    const nibble = (from[at + 64 * half + 32 * (group & 1) + l]! >> (4 * (group >> 1))) & 15;
    const pair = (from[at + 128 + 32 * half + l]! >> (2 * group)) & 3;
    row[to + i] = d * signed(from[at + 192 + (i >> 4)]!) * ((nibble | (pair << 4)) - 32);
  }
});

const numbers =
  (bytes: number, read: (from: Uint8Array, at: number) => number): Decode =>
  (from, at, row) => {
    for (let i = 0; i < row.length; i++, at += bytes) row[i] = read(from, at);
  };

const DECODERS: Readonly<Record<number, Decode>> = {
  [FLOAT32]: numbers(4, float32At),
  [FLOAT16]: numbers(2, halfAt),
  [BFLOAT16]: numbers(2, (from, at) => bfloat16.toFloat(bitsAt(from, at))),
  [INT8]: numbers(1, (from, at) => signed(from[at]!)),
  [Q8_0]: q8,
  [Q4_0]: q4,
  [Q4_K]: q4k,
  [Q6_K]: q6k,
};

/** A row of ONNX's MatMulNBits: (q − zero point) · scale. */
function decodeBits(
  { weights, scales, zeroPoints, cols, block, format }: HeadWeights,
  index: number,
  row: Float32Array,
) {
  const isNibble = format === NBITS4;
  const blocks = Math.ceil(cols / block);
  const start = index * rowBytes(format, cols, block);
  const zeros = index * (isNibble ? Math.ceil(blocks / 2) : blocks);
  for (let b = 0; b < blocks; b++) {
    const scale = scales![index * blocks + b]!;
    let zero = isNibble ? 8 : 128;
    if (zeroPoints !== null) {
      zero = isNibble ? (zeroPoints[zeros + (b >> 1)]! >> (4 * (b & 1))) & 15 : zeroPoints[zeros + b]!;
    }
    const end = Math.min(cols, (b + 1) * block);
    for (let i = b * block; i < end; i++) {
      const q = isNibble ? (weights[start + (i >> 1)]! >> (4 * (i & 1))) & 15 : weights[start + i]!;
      row[i] = (q - zero) * scale;
    }
  }
}

/** Reads row `index` into an array of `cols` floats. */
export function decodeRow(head: HeadWeights, index: number, row: Float32Array): void {
  const decode = DECODERS[head.format];
  if (decode === undefined) decodeBits(head, index, row);
  else decode(head.weights, index * rowBytes(head.format, head.cols, head.block), row);
}
