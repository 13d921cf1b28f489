/** Copies stored tokens, bit for bit: a JavaScript number may lose bits of a float32 NaN. */
import { bufferOf, byteOffsetOf, lengthOf } from '../call/arrays.js';
import { types } from '../call/types.js';
import type { Stored } from './pages.js';
import { slabOf, TILE, tokenPlace, type CacheSizes } from './tiles.js';

/** Numbers as integers. */
export type Bits = Uint32Array | Uint16Array | Int8Array;

/** The same memory, with floats as the integers of their bits. */
export const bitsOf = (numbers: Stored): Bits =>
  types.isFloat32Array(numbers)
    ? new Uint32Array(bufferOf(numbers), byteOffsetOf(numbers), lengthOf(numbers))
    : (numbers as Bits);

/** The arrays of a store, with floats as bits. */
export interface StoredBits {
  readonly numbers: readonly Bits[];
  readonly scales: readonly Bits[];
}

export const storedBits = (slabs: readonly Stored[], scales: readonly Float32Array[]): StoredBits => ({
  numbers: slabs.map(bitsOf),
  scales: scales.map(bitsOf),
});

/** A token's page, and its place there. */
export interface TokenAt {
  readonly page: number;
  readonly lane: number;
}

/** Copies a token of all heads to another place. */
export function moveToken(sizes: CacheSizes, { numbers, scales }: StoredBits, from: TokenAt, to: TokenAt): void {
  const { kvHeads, headDim, valueDim } = sizes;
  const [source, target] = [numbers[slabOf(from.page)]!, numbers[slabOf(to.page)]!];
  for (let head = 0; head < kvHeads; head++) {
    const a = tokenPlace(sizes, source.length, from.page, head, from.lane);
    const b = tokenPlace(sizes, target.length, to.page, head, to.lane);
    for (let d = 0; d < headDim; d++) target[b.key + d * TILE] = source[a.key + d * TILE]!;
    for (let d = 0; d < valueDim; d++) target[b.value + d] = source[a.value + d]!;
    if (scales.length === 0) continue;
    const [sourceScales, targetScales] = [scales[slabOf(from.page)]!, scales[slabOf(to.page)]!];
    targetScales[b.keyScale] = sourceScales[a.keyScale]!;
    targetScales[b.valueScale] = sourceScales[a.valueScale]!;
  }
}
