/**
 * A fixed corpus of rows and the hash of softmax on each. All native backends must give the committed hashes, on any
 * machine, at any alignment, with any number of threads; so must the JavaScript one, which has bits of its own.
 */
import { createHash } from 'node:crypto';
import type { BackendName } from '../lib/backend/backend.js';
import { softmaxOn } from './backends.js';
import { bits, kinds, longest, row, typeNames, type Floats, type KindName } from './cases.js';

/** Name of a case → a hash for each length. */
export type Corpus = Record<string, string[]>;

export const corpusLengths = [1, 2, 7, 10, 16, 33, 100, 257, 1000, 4096, 10_007, 70_001].filter((n) => n <= longest);
const corpusTemperatures = [1, 0.7];

/** 48 bits of SHA-256 over the elements, little-endian as everywhere that Node runs. */
export function hash(x: Floats): string {
  return createHash('sha256').update(bits(x)).digest('hex').slice(0, 12);
}

export function corpusOf(backend: BackendName): Corpus {
  const corpus: Corpus = {};
  for (const type of typeNames) {
    for (const kind of Object.keys(kinds) as KindName[]) {
      for (const temperature of corpusTemperatures) {
        corpus[`${type}, ${kind}, temperature ${temperature}`] = corpusLengths.map((n) =>
          hash(softmaxOn(backend, row(type, kind, n), { temperature })),
        );
      }
    }
  }
  return corpus;
}
