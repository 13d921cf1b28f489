/**
 * Readers of bytes that nobody vouches for: array files of the command line, models, states on the wire, saved
 * samplers. A target takes any bytes. It throws if the reader throws what is not an error of its own, or reads what it
 * cannot write and read again. bytes.test.ts feeds them for a second each, scripts/fuzz-bytes.mjs by coverage.
 */
import { AttentionPartial, KVCache, LinearAttentionState } from '../../lib/attention.js';
import { FORMATS, formatArray, parseArray } from '../../lib/cli/array-file.js';
import { Failure } from '../../lib/cli/command.js';
import { OutputHead } from '../../lib/head.js';
import { ExpSumAccumulator } from '../../lib/index.js';
import { Sampler, type SamplerState } from '../../lib/sampling.js';

export type Target = (bytes: Uint8Array) => void;

const MOST_WEIGHTS = 4096; // of a head that is tried out: a few bytes may ask for a large one

/** What `read` gives; undefined if it refuses the bytes with an error that is meant for the caller. */
function read<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof Failure) return undefined;
    if (/^ERR_(INVALID_ARG|OUT_OF_RANGE|MEMORY_ALLOCATION)/.test((error as { code?: string }).code ?? ''))
      return undefined;
    throw error;
  }
}

function sameBytes(actual: Uint8Array, expected: Uint8Array, what: string): void {
  if (Buffer.compare(actual, expected) !== 0) throw new Error(`${what} does not come back as it was written`);
}

/** The first byte chooses a format or says that the contents do; names of arrays are the file's own. */
const arrays: Target = (bytes) => {
  const format = FORMATS[(bytes[0] ?? 0) % (FORMATS.length + 1)];
  const file = bytes.subarray(1);
  const array = read(() => parseArray(file, format)) ?? read(() => parseArray(file, format, 'a'));
  if (array === undefined) return;
  if (array.shape.reduce((n, dimension) => n * dimension, 1) !== array.data.length) throw new Error('a wrong length');
  const written = Buffer.concat(formatArray('npy', array.data, array.shape));
  const again = parseArray(written, 'npy');
  sameBytes(Buffer.concat(formatArray('npy', again.data, again.shape)), written, 'an array');
};

const heads: Target = (bytes) => {
  const file = bytes.subarray(1);
  const source = (bytes[0] ?? 0) % 2 === 0 ? OutputHead.fromGGUF : OutputHead.fromOnnx;
  const head = read(() => source.call(OutputHead, file, 'w'));
  if (head === undefined || head.rows * head.cols > MOST_WEIGHTS) return;
  if (head.logits(new Float32Array(head.cols)).length !== head.rows) throw new Error('a wrong number of logits');
};

const WIRES = [
  (bytes: Uint8Array) => ExpSumAccumulator.fromBytes(bytes).toBytes(),
  (bytes: Uint8Array) => AttentionPartial.fromBytes(bytes).toBytes(),
  (bytes: Uint8Array) => LinearAttentionState.fromBytes(bytes).toBytes(),
  (bytes: Uint8Array) => {
    const { cache, sequence } = KVCache.fromBytes(bytes);
    return cache.toBytes(sequence);
  },
];
const states: Target = (bytes) => {
  const through = WIRES[(bytes[0] ?? 0) % WIRES.length]!;
  const written = read(() => through(bytes.subarray(1)));
  if (written !== undefined) sameBytes(through(written), written, 'a state');
};

const samplers: Target = (bytes) => {
  let state: SamplerState;
  try {
    state = JSON.parse(Buffer.from(bytes).toString()) as SamplerState;
  } catch {
    return; // no JSON: JSON.parse is not ours
  }
  const sampler = read(() => new Sampler({ temperature: 1, seed: 1 }).restore(state));
  if (sampler === undefined) return;
  read(() => sampler.next(new Float32Array(64)));
  const saved = JSON.stringify(sampler.save());
  const again = JSON.stringify(
    new Sampler({ temperature: 1, seed: 1 }).restore(JSON.parse(saved) as SamplerState).save(),
  );
  sameBytes(Buffer.from(again), Buffer.from(saved), 'a sampler');
};

export const targets = { arrays, heads, states, samplers };
