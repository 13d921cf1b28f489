/**
 * Weights of every format from random bytes, and their exact values from the published layouts of blocks (ggml's
 * ggml-common.h, ONNX's MatMulNBits), a column at a time: nothing is shared with the kernels.
 */
import type { HeadFormat, OutputHeadOptions } from '../../lib/head.js';
import { generator, normal, row } from '../support/cases.js';

export type Weights = Float32Array | Uint16Array | Int8Array | Uint8Array;

export interface Matrix {
  readonly weights: Weights;
  readonly options: OutputHeadOptions;
  /** The exact value of each weight, times the scale of an int8 row. */
  at(row: number, column: number): number;
  /** The sizes of the terms that the value is a sum of, where these are two. */
  sizeAt?(row: number, column: number): number;
}

/** The value of float16 bits. */
function half(bits: number): number {
  const sign = bits >= 0x8000 ? -1 : 1;
  const [exponent, fraction] = [Math.floor(bits / 1024) % 32, bits % 1024];
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
}
const halfOf = (bytes: Uint8Array, at: number): number => half(bytes[at]! + 256 * bytes[at + 1]!);
const int8 = (byte: number): number => (byte > 127 ? byte - 256 : byte);
const brain = (bits: number): number => {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint16(0, bits);
  return view.getFloat32(0);
};

/** The two terms of a weight of q4_K. */
const q4kTerms = (bytes: Uint8Array, block: number, i: number): readonly [number, number] => {
  const sub = Math.floor(i / 32);
  const p = bytes.subarray(block + 4, block + 16);
  const scale = sub < 4 ? p[sub]! % 64 : (p[sub + 4]! % 16) + 16 * Math.floor(p[sub - 4]! / 64);
  const least = sub < 4 ? p[sub + 4]! % 64 : Math.floor(p[sub + 4]! / 16) + 16 * Math.floor(p[sub]! / 64);
  const byte = bytes[block + 16 + 32 * Math.floor(sub / 2) + (i % 32)]!;
  const q = sub % 2 === 0 ? byte % 16 : Math.floor(byte / 16);
  return [halfOf(bytes, block) * scale * q, -halfOf(bytes, block + 2) * least];
};
const q4kAt = (bytes: Uint8Array, block: number, i: number): number => {
  const [first, second] = q4kTerms(bytes, block, i);
  return first + second;
};

const q6kAt = (bytes: Uint8Array, block: number, i: number): number => {
  const [side, within] = [Math.floor(i / 128), i % 128];
  const [quarter, l] = [Math.floor(within / 32), within % 32];
  const low = bytes[block + 64 * side + 32 * (quarter % 2) + l]!;
  const nibble = quarter < 2 ? low % 16 : Math.floor(low / 16);
  const pair = Math.floor(bytes[block + 128 + 32 * side + l]! / 4 ** quarter) % 4;
  return halfOf(bytes, block + 208) * int8(bytes[block + 192 + Math.floor(i / 16)]!) * (nibble + 16 * pair - 32);
};

/** Blocks of GGUF: their columns, their bytes, where their float16 numbers are, and the value of column i of one. */
const BLOCKS = {
  q8_0: [32, 34, [0], (b: Uint8Array, at: number, i: number) => halfOf(b, at) * int8(b[at + 2 + i]!)],
  q4_0: [
    32,
    18,
    [0],
    (b: Uint8Array, at: number, i: number) =>
      halfOf(b, at) * ((i < 16 ? b[at + 2 + i]! % 16 : Math.floor(b[at + i - 14]! / 16)) - 8),
  ],
  q4_K: [256, 144, [0, 2], q4kAt],
  q6_K: [256, 210, [208], q6kAt],
} as const;

/** The float16 bits of a small number. */
const smallHalf = (random: () => number): number =>
  (random() < 0.5 ? 0x8000 : 0) + 1024 * Math.floor(5 + 6 * random()) + Math.floor(1024 * random());

function blocks(format: keyof typeof BLOCKS, rows: number, cols: number, seed: number, offset: number): Matrix {
  const [columns, bytes, halves, valueAt] = BLOCKS[format];
  const next = generator(seed);
  const random = () => next() / 2 ** 32;
  const count = (rows * cols) / columns;
  const all = new Uint8Array(offset + count * bytes).map(() => Math.floor(256 * random()));
  const weights = all.subarray(offset); // misaligned, as tensors of a file can be
  for (let b = 0; b < count; b++) {
    for (const at of halves) {
      const bits = smallHalf(random);
      weights[b * bytes + at] = bits % 256;
      weights[b * bytes + at + 1] = Math.floor(bits / 256);
    }
  }
  const each = cols / columns;
  const blockAt = (row: number, column: number) => (row * each + Math.floor(column / columns)) * bytes;
  return {
    weights,
    options: { rows, cols, format },
    at: (row, column) => valueAt(weights, blockAt(row, column), column % columns),
    ...(format === 'q4_K' && {
      sizeAt(row, column) {
        const [first, second] = q4kTerms(weights, blockAt(row, column), column % columns);
        return Math.abs(first) + Math.abs(second);
      },
    }),
  };
}

function onnx(bits: 4 | 8, rows: number, cols: number, seed: number): Matrix {
  const next = generator(seed);
  const random = () => next() / 2 ** 32;
  const blockSize = [16, 32, 64][seed % 3]!;
  const each = Math.ceil(cols / blockSize);
  const size = (blockSize * bits) / 8;
  const bytes = (n: number) => new Uint8Array(n).map(() => Math.floor(256 * random()));
  const weights = bytes(rows * each * size);
  const zeroRow = bits === 4 ? Math.ceil(each / 2) : each;
  const zeroPoints = seed % 2 === 0 ? undefined : bytes(rows * zeroRow);
  const areHalves = seed % 4 < 2;
  const numbers = Float32Array.from({ length: rows * each }, () => normal(next) / 16);
  const halves = Uint16Array.from(numbers, () => smallHalf(random));
  const scaleOf = (i: number) => (areHalves ? half(halves[i]!) : numbers[i]!);
  return {
    weights,
    options: { rows, cols, format: `nbits${bits}`, blockSize, scales: areHalves ? halves : numbers, zeroPoints },
    at(row, column) {
      const [block, within] = [Math.floor(column / blockSize), column % blockSize];
      const start = (row * each + block) * size;
      let [q, zero] = bits === 4 ? [0, 8] : [weights[start + within]!, 128];
      if (bits === 4) q = Math.floor(weights[start + Math.floor(within / 2)]! / 16 ** (within % 2)) % 16;
      if (zeroPoints !== undefined) {
        const byte = zeroPoints[row * zeroRow + (bits === 4 ? Math.floor(block / 2) : block)]!;
        zero = bits === 4 ? Math.floor(byte / 16 ** (block % 2)) % 16 : byte;
      }
      return (q - zero) * scaleOf(row * each + block);
    },
  };
}

/** The columns of a format that are next to `cols`. */
export const columnsFor = (format: HeadFormat, cols: number): number => {
  const unit = format.endsWith('K') ? 256 : format.startsWith('q') ? 32 : 1;
  return Math.ceil(cols / unit) * unit;
};

/** Random weights of a format. */
export function matrix(format: HeadFormat, rows: number, cols: number, seed: number): Matrix {
  const next = generator(seed);
  const random = () => next() / 2 ** 32;
  const n = rows * cols;
  const options = { rows, cols, format };
  switch (format) {
    case 'float32': {
      const weights = Float32Array.from({ length: n }, () => normal(next) / 8);
      return { weights, options, at: (r, c) => weights[r * cols + c]! };
    }
    case 'float16': {
      const weights = Uint16Array.from({ length: n }, () => smallHalf(random));
      return { weights, options, at: (r, c) => half(weights[r * cols + c]!) };
    }
    case 'bfloat16': {
      const weights = Uint16Array.from(
        { length: n },
        () => 0x3c00 + Math.floor(512 * random()) + (random() < 0.5 ? 0x8000 : 0),
      );
      return { weights, options, at: (r, c) => brain(weights[r * cols + c]!) };
    }
    case 'int8': {
      const weights = Int8Array.from({ length: n }, () => Math.floor(256 * random()) - 128);
      const scales = Float32Array.from({ length: rows }, () => (normal(next) + 2) / 256);
      return { weights, options: { ...options, scales }, at: (r, c) => weights[r * cols + c]! * scales[r]! };
    }
    case 'nbits4':
      return onnx(4, rows, cols, seed);
    case 'nbits8':
      return onnx(8, rows, cols, seed);
    default:
      return blocks(format, rows, cols, seed, seed % 3);
  }
}

/** A dot product in double of numbers and weights, and the sum of the sizes of its terms. */
export function product(
  m: Matrix,
  row: number,
  hidden: ArrayLike<number>,
  state: number,
): { sum: number; size: number } {
  const { cols } = m.options;
  let [sum, low, size] = [0, 0, 0];
  for (let c = 0; c < cols; c++) {
    const term = hidden[state * cols + c]! * m.at(row, c); // exact, or within 2^-53
    const next = sum + term;
    const ofTerm = next - sum;
    low += sum - (next - ofTerm) + (term - ofTerm);
    sum = next;
    size += m.sizeAt ? Math.abs(hidden[state * cols + c]!) * m.sizeAt(row, c) : Math.abs(term);
  }
  return { sum: sum + low, size };
}

/** A matrix, as many states as `count`, and a bias. */
export function biasedCase(format: HeadFormat, rows: number, width: number, count: number) {
  const m = matrix(format, rows, columnsFor(format, width), rows + count);
  const { cols } = m.options;
  const hidden = row('f32', 'N(0,1)', count * cols, rows);
  return { m, cols, hidden, bias: Float32Array.from(row('f32', 'N(0,1)', rows, 9)) };
}

/** What rounding may move a logit by, of terms whose sizes have this sum. */
export const boundOf = (cols: number, size: number, logit: number): number =>
  (cols / 512 + 40) * 2 ** -24 * size + 2 ** -24 * Math.abs(logit) + 2 ** -140;
