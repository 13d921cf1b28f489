/** What selection and sampling keep, for any rows: on every backend. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { softmax } from '../../lib/index.js';
import { argmax, filterLogits, gumbelTopK, sample, Sampler, topK, type SamplerState } from '../../lib/sampling.js';
import { keysFor, onEachBackend, row } from './settings.js';

/** Columns by falling logit, the lower column first among equals. */
const sorted = (x: Float32Array): number[] => [...x.keys()].sort((a, b) => (x[a] === x[b] ? a - b : x[b]! - x[a]!));
const seeds = fc.record({ seed: fc.nat(2 ** 31), step: fc.nat(1000) });

onEachBackend(() => {
  it('topK and argmax are the head of a sorted row', () =>
    fc.assert(
      fc.property(row, fc.nat(40), (x, k) => {
        const wanted = Math.min(k, x.length);
        const { indices, values } = topK(x, wanted);
        const head = sorted(x).slice(0, wanted);
        expect([...indices]).toEqual(head);
        expect([...values]).toEqual(head.map((i) => x[i]));
        expect(argmax(x)[0]).toBe(sorted(x)[0]);
      }),
    ));

  it('a top-p nucleus is the shortest head that has the share', () =>
    fc.assert(
      fc.property(row, fc.double({ min: 0.01, max: 0.99, noNaN: true }), (x, topP) => {
        const { logits } = filterLogits(x, { topP });
        const p = softmax(Float64Array.from(x));
        const order = sorted(x);
        const kept = order.filter((i) => logits[i]! > -Infinity).length;
        const share = (count: number) => order.slice(0, count).reduce((sum, i) => sum + p[i]!, 0);
        expect(order.slice(0, kept).every((i) => logits[i]! > -Infinity)).toBe(true);
        expect(share(kept)).toBeGreaterThan(topP - 1e-6);
        expect(share(kept - 1)).toBeLessThan(topP + 1e-6);
      }),
    ));

  it('filters only drop: fewer tokens as they get stricter', () =>
    fc.assert(
      fc.property(
        row,
        fc.integer({ min: 1, max: 50 }),
        fc.double({ min: 0.001, max: 0.5, noNaN: true }),
        (x, k, minP) => {
          const keptBy = (options: object) =>
            [...filterLogits(x, options).logits.entries()].filter(([, logit]) => logit > -Infinity).map(([i]) => i);
          const loose = new Set(keptBy({ topK: k + 5, minP: minP / 2 }));
          expect(keptBy({ topK: k, minP }).every((i) => loose.has(i))).toBe(true);
        },
      ),
    ));

  it('a drawn token is one that the filters and the mask leave', () =>
    fc.assert(
      fc.property(
        row.chain((x) => fc.tuple(fc.constant(x), keysFor(x.length))),
        seeds,
        ([x, keys], seed) => {
          const mask = Uint8Array.from(keys, (key) => (key % 4 > 0 ? 1 : 0));
          fc.pre(x.some((logit, i) => mask[i] === 1 && logit > -Infinity));
          const filters = { temperature: 0.9, topK: 20, topP: 0.9, mask };
          const [token] = sample(x, { ...filters, ...seed });
          expect(filterLogits(x, filters).probabilities[token!]).toBeGreaterThan(0);
          expect(mask[token!]).toBe(1);
        },
      ),
    ));

  it('a row draws the same token alone, in a batch, and from a Sampler', () =>
    fc.assert(
      fc.property(row, seeds, (x, { seed }) => {
        const options = { temperature: 0.8, topP: 0.95, seed };
        const sampler = new Sampler(options);
        const drawn = [0, 1, 2].map(() => sampler.next(x));
        expect(drawn).toEqual([0, 1, 2].map((step) => sample(x, { ...options, step })[0]));
        const batch = Float32Array.from([...x, ...x]);
        const [first, second] = sample(batch, { ...options, cols: x.length, step: 2 });
        expect(first).toBe(drawn[2]);
        expect(second).toBe(sample(x, { ...options, step: 2, firstRow: 1 })[0]);
      }),
    ));

  it('a sampler that was saved goes on as if it had not been', () =>
    fc.assert(
      fc.property(row, seeds, fc.integer({ min: 1, max: 5 }), (x, { seed }, draws) => {
        const options = { temperature: 1.1, repetitionPenalty: 1.2, presencePenalty: 0.3, seed };
        const sampler = new Sampler(options);
        for (let i = 0; i < draws; i++) sampler.next(x);
        const other = new Sampler(options).restore(JSON.parse(JSON.stringify(sampler.save())) as SamplerState);
        expect([other.next(x), other.next(x)]).toEqual([sampler.next(x), sampler.next(x)]);
      }),
    ));

  it('a vocabulary in parts draws what the whole draws', () =>
    fc.assert(
      fc.property(row, seeds, fc.nat(600), (x, seed, place) => {
        fc.pre(x.every((logit) => logit > -Infinity) && x.length > 1);
        const cut = 1 + (place % (x.length - 1));
        const parts = [0, cut].map((firstColumn) => {
          const { indices, values } = gumbelTopK(firstColumn === 0 ? x.subarray(0, cut) : x.subarray(cut), 1, {
            ...seed,
            firstColumn,
          });
          return { token: firstColumn + indices[0]!, value: values[0]! };
        });
        const best = parts[1]!.value > parts[0]!.value ? parts[1]! : parts[0]!;
        const whole = gumbelTopK(x, 1, seed);
        fc.pre(parts[0]!.value !== parts[1]!.value);
        expect(best.token).toBe(whole.indices[0]);
      }),
    ));
});
