/** A KVCache beside plain lists of tokens: any sequence of calls leaves both with the same contents. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { attention, decodeAttention, KVCache, type SequenceId } from '../../lib/attention.js';
import './settings.js';

const [KV_HEADS, HEAD_DIM, PAGE] = [2, 3, 16];
const WIDTH = KV_HEADS * HEAD_DIM;

/** A token: the number that all of its keys and values are made of. */
type Token = number;
/** Sequences of a cache, and what each should hold. */
type Model = Map<SequenceId, Token[]>;

const keysOf = (tokens: readonly Token[]): Float32Array =>
  Float32Array.from(tokens.flatMap((token) => Array.from({ length: WIDTH }, (_, i) => Math.fround(token / 8 + i))));
const valuesOf = (tokens: readonly Token[]): Float32Array => keysOf(tokens).map((key) => 1 - key);

const lengths = fc.oneof(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 3 * PAGE }));
/** A step: what is done, to which sequence (by its place among those that live), and how much of it. */
const steps = fc.array(
  fc.record({
    call: fc.constantFrom('create', 'append', 'append', 'append', 'fork', 'truncate', 'evict', 'free', 'copy'),
    sequence: fc.nat(50),
    length: lengths,
  }),
  { minLength: 1, maxLength: 40, size: 'max' },
);
type Step = typeof steps extends fc.Arbitrary<(infer S)[]> ? S : never;

let last = 0;
const newTokens = (count: number): Token[] => Array.from({ length: count }, () => last++ % 4096);

/** One step, on the cache and on its model. */
function take(cache: KVCache, model: Model, { call, sequence, length }: Step): void {
  const id = [...model.keys()][sequence % model.size];
  if (call === 'create' || id === undefined) return void model.set(cache.create(), []);
  const tokens = model.get(id)!;
  const upTo = Math.min(length, tokens.length);
  if (call === 'append') {
    const more = newTokens(length);
    cache.append(id, keysOf(more), valuesOf(more));
    tokens.push(...more);
  } else if (call === 'fork') model.set(cache.fork(id, upTo), tokens.slice(0, upTo));
  else if (call === 'truncate') {
    cache.truncate(id, upTo);
    tokens.length = upTo;
  } else if (call === 'evict') {
    const gone = cache.evict(id, { window: 1 + length, sinks: 2, exact: true });
    tokens.splice(2, gone);
  } else if (call === 'copy') model.set(cache.fromBytes(cache.toBytes(id)), [...tokens]);
  else {
    cache.free(id);
    model.delete(id);
  }
}

function expectSame(cache: KVCache, model: Model): void {
  for (const [id, tokens] of model) {
    expect(cache.length(id)).toBe(tokens.length);
    const { k, v } = cache.read(id);
    expect(k).toEqual(keysOf(tokens));
    expect(v).toEqual(valuesOf(tokens));
  }
}

describe('KVCache', () => {
  it('holds what lists would hold, whatever is called', () =>
    fc.assert(
      fc.property(steps, (list) => {
        const cache = new KVCache({ kvHeads: KV_HEADS, headDim: HEAD_DIM, pageSize: PAGE });
        const model: Model = new Map();
        for (const step of list) take(cache, model, step);
        expectSame(cache, model);
        for (const id of [...model.keys()]) cache.free(id);
        expect(cache.bytes).toBe(0);
      }),
    ));

  it('decodes as attention over the lists', () =>
    fc.assert(
      fc.property(steps, (list) => {
        const cache = new KVCache({ kvHeads: KV_HEADS, headDim: HEAD_DIM, pageSize: PAGE });
        const model: Model = new Map();
        for (const step of list) take(cache, model, step);
        const q = Float32Array.from({ length: WIDTH }, (_, i) => Math.sin(i) / 64);
        for (const [id, tokens] of model) {
          const sizes = { heads: KV_HEADS, headDim: HEAD_DIM, layout: 'bshd' } as const;
          const expected = attention(q, keysOf(tokens), valuesOf(tokens), { ...sizes, queries: 1 });
          const largest = Math.max(0, ...valuesOf(tokens).map(Math.abs));
          const out = decodeAttention(q, cache, id);
          expect(out.findIndex((y, i) => !(Math.abs(y - expected[i]!) <= 4e-6 * largest))).toBe(-1);
        }
      }),
      { numRuns: 60 },
    ));
});
