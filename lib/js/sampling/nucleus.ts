/** The edge of topP in a row, without a sort of the row: only the logits near the edge are sorted. */
import { DEEPEST, IntegerSum, type TokenWeights } from '../../sampling/weights.js';
import type { Floats } from './rows.js';

/** A shorter row is sorted as a whole. */
const SHORT = 128;
/** Weights are added up by the eighth of an octave that their logits are below the largest. */
const BUCKETS = 1 - DEEPEST;
/** Sums of buckets in two parts: a multiple of CARRY, and an integer below it. */
const CARRY = 2 ** 52;
const highs = new Float64Array(BUCKETS);
const lows = new Float64Array(BUCKETS);

/** The last token of the smallest set of the most probable tokens that has the share topP. */
export function lastOfNucleus(
  z: Floats,
  start: number,
  n: number,
  weights: TokenWeights,
  topP: number,
): { readonly z: number; readonly index: number } {
  const isShort = n <= SHORT;
  const target = topP * (isShort ? totalOf(z, start, n, weights) : fillBuckets(z, start, n, weights));
  let bucket = -1;
  let before = new IntegerSum();
  if (!isShort) [bucket, before] = bucketOf(target);
  const logits = new Float64Array(isShort ? n : countOf(z, start, n, weights, bucket));
  for (let i = 0, at = 0; i < n; i++) {
    const logit = z[start + i]!;
    if (isShort || bucketAt(weights, logit) === bucket) logits[at++] = logit;
  }
  logits.sort();
  let equal = 0;
  let edge = NaN;
  for (let i = logits.length - 1; i >= 0; i--) {
    equal = logits[i] === edge ? equal + 1 : 1;
    edge = logits[i]!;
    if (before.add(weights.of(edge)).value >= target) break;
  }
  let index = -1;
  while (equal > 0) if (z[start + ++index] === edge) equal--;
  return { z: edge, index };
}

const bucketAt = (weights: TokenWeights, logit: number): number => -weights.distance(logit) | 0;

function totalOf(z: Floats, start: number, n: number, weights: TokenWeights): number {
  const sum = new IntegerSum();
  for (let i = 0; i < n; i++) sum.add(weights.of(z[start + i]!));
  return sum.value;
}

/** Returns the sum of all weights. */
function fillBuckets(z: Floats, start: number, n: number, weights: TokenWeights): number {
  highs.fill(0);
  lows.fill(0);
  for (let i = 0; i < n; i++) {
    const logit = z[start + i]!;
    const bucket = bucketAt(weights, logit);
    const low = lows[bucket]! + weights.of(logit);
    if (low >= CARRY) highs[bucket]! += CARRY;
    lows[bucket] = low >= CARRY ? low - CARRY : low;
  }
  const sum = new IntegerSum();
  for (let b = 0; b < BUCKETS; b++) addBucket(sum, b);
  return sum.value;
}

/** Adds the sum of a bucket: numbers below 2^53, which IntegerSum takes. */
function addBucket(sum: IntegerSum, bucket: number): void {
  for (let left = highs[bucket]!; left > 0; left -= CARRY) sum.add(CARRY);
  sum.add(lows[bucket]!);
}

/** The bucket in which sums, from the largest logit on, reach the target, and the sum before it. */
function bucketOf(target: number): readonly [bucket: number, before: IntegerSum] {
  const sum = new IntegerSum();
  let bucket = 0;
  for (; bucket < BUCKETS - 1; bucket++) {
    addBucket(sum, bucket);
    if (sum.value >= target) break;
  }
  const before = new IntegerSum();
  for (let b = 0; b < bucket; b++) addBucket(before, b);
  return [bucket, before];
}

function countOf(z: Floats, start: number, n: number, weights: TokenWeights, bucket: number): number {
  let count = 0;
  for (let i = 0; i < n; i++) if (bucketAt(weights, z[start + i]!) === bucket) count++;
  return count;
}
