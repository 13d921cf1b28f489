/**
 * Weights of heads in WebAssembly's memory. Kernels of that backend copy arrays that lie elsewhere for each call, so
 * the first call of a head makes a copy there that stays: with it a call copies states and results alone.
 */
import { choice } from '../backend/choice.js';
import { wasm } from '../backend/wasm/host.js';
import { byteLengthOf } from '../call/arrays.js';
import type { HeadMatrix } from './matrix.js';
import { partOf } from './matrix-calls.js';

/** Bytes of weights up to which a copy for each call costs less than memory of their own. */
const FEW_BYTES = 2 ** 16;
/** Each array begins at a cache line. */
const LINE = 64;

/** The copies of matrices; the matrix itself where there is no memory for one. */
const kept = new WeakMap<HeadMatrix, HeadMatrix>();

interface Shard {
  readonly whole: HeadMatrix;
  readonly from: number;
  readonly to: number;
}
const shards = new WeakMap<HeadMatrix, Shard>();

/** The part of a matrix with the rows [from, to): it uses the copy of the whole where there is one. */
export function shardOf(whole: HeadMatrix, from: number, to: number): HeadMatrix {
  const part = partOf(whole, from, to);
  shards.set(part, { whole, from, to });
  return part;
}

/** A matrix whose arrays kernels use where they are, as far as there is memory for that. */
export function keptMatrix(matrix: HeadMatrix): HeadMatrix {
  if (choice().name !== 'wasm' || byteLengthOf(matrix.weights) <= FEW_BYTES) return matrix;
  const known = kept.get(matrix);
  if (known !== undefined) return known;
  if (!('head_logits_f32' in wasm().backend!)) return matrix; // its module has not been loaded
  const shard = shards.get(matrix);
  const whole = shard && kept.get(shard.whole);
  const made = whole && whole !== shard.whole ? partOf(whole, shard.from, shard.to) : copyOf(matrix);
  kept.set(matrix, made);
  return made;
}

/** A copy of all arrays of a matrix in one memory; of an array that has no room there, the array itself. */
function copyOf(matrix: HeadMatrix): HeadMatrix {
  const { scales, zeroPoints, factors, bias } = matrix;
  const arrays = [matrix.weights, scales, zeroPoints, factors, bias];
  const bytes = arrays.reduce((sum, array) => sum + (array === null ? 0 : byteLengthOf(array) + LINE), 0);
  const { keepCopy } = wasm();
  const weights = keepCopy?.({ module: 'head', beside: [], bytes }, matrix.weights);
  if (weights === undefined) return matrix;
  const copied = <A extends ArrayBufferView>(array: A | null): A | null =>
    array && (keepCopy?.({ module: 'head', beside: [weights] }, array) ?? array);
  return {
    ...matrix,
    weights,
    scales: copied(scales),
    zeroPoints: copied(zeroPoints),
    factors: copied(factors),
    bias: copied(bias),
  };
}
