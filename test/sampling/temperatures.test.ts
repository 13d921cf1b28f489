/**
 * Temperatures at the ends of the range of doubles, and logits that differ by less than a weight shows, on every
 * backend.
 */
import { describe, expect, it } from 'vitest';
import type { SampleKernel } from '../../lib/backend/backend.js';
import { backendNamed } from '../../lib/backend/named.js';
import { logProbs } from '../../lib/sampling.js';
import { backends } from '../support/backends.js';
import { generator, type Floats } from '../support/cases.js';
import { none, reference, type Filters } from './cases.js';

const TINY = Number.MIN_VALUE;

describe.each(backends)('on %s', (name) => {
  const run = (x: Floats, filters: Partial<Filters>, uniforms: readonly number[], mask: Uint8Array | null = null) => {
    const { temperature, topK, topP, minP, typicalP, epsilonCutoff } = { ...none, ...filters };
    const n = x.length;
    const outputs = [x.slice(), x.slice()] as [Floats, Floats];
    const [tokens, status] = [new Uint32Array(uniforms.length), new Int32Array(1)];
    const least = minP === 0 ? -Infinity : temperature * Math.log(minP);
    const kernel = backendNamed(name)[
      x instanceof Float32Array ? 'sample_f32' : 'sample_f64'
    ] as unknown as SampleKernel<Floats>;
    const draw = (kept: Floats | null, probabilities: Floats | null) =>
      kernel(
        x,
        tokens,
        kept,
        probabilities,
        status,
        Float64Array.from(uniforms),
        null,
        1,
        n,
        uniforms.length,
        topK || n,
        temperature,
        topP,
        least,
        typicalP,
        epsilonCutoff,
        mask,
        mask ? 1 : 0,
        null,
      );
    draw(null, null); // uses approximate sums, which are close here
    const quick = tokens.slice();
    draw(...outputs);
    expect([...quick]).toEqual([...tokens]);
    expect(status[0]).toBe(0);
    return { tokens: [...tokens], probabilities: outputs[1] };
  };
  const keptOf = (p: Floats) => Array.from(p.keys()).filter((i) => p[i]! > 0);

  it('draws evenly from finite logits at temperatures that leave no differences', () => {
    const uniforms = [0, 0.1, 0.5, 0.9, 0.93, 0.999, 1 - 2 ** -53];
    for (const Kind of [Float32Array, Float64Array])
      for (const n of [5, 261, 1024, 1025, 1500, 20_000]) {
        const random = generator(n);
        const x: Floats = new Kind(n);
        for (let i = 0; i < n; i++) x[i] = random() % 1000;
        const mask = Uint8Array.from(x, () => (random() % 3 ? 1 : 0)).fill(1, 0, 1);
        const holes = x.map((z, i) => (mask[i] ? z : -Infinity));
        const left = Array.from(mask.keys()).filter((i) => mask[i]);
        for (const temperature of [1e39, 1e300, Number.MAX_VALUE]) {
          const nth = (all: readonly number[], u: number) => all[Math.floor(u * all.length)]!;
          expect(run(x, { temperature }, uniforms).tokens).toEqual(uniforms.map((u) => nth([...x.keys()], u)));
          expect(run(x, { temperature }, uniforms, mask).tokens).toEqual(uniforms.map((u) => nth(left, u)));
          expect(run(holes, { temperature }, uniforms).tokens).toEqual(uniforms.map((u) => nth(left, u)));
          const { tokens, probabilities } = run(x, { temperature, topP: 0.75 }, uniforms);
          expect(tokens).toEqual(uniforms.map((u) => nth(keptOf(probabilities), u)));
        }
      }
  });

  it('tells subnormal logits apart at the smallest temperatures', () => {
    for (const temperature of [TINY, 7 * TINY, 1e-308, 2 ** -1000, 2 ** -995, 2 ** -991, 2 ** -990]) {
      const random = generator(4);
      const x = Float64Array.from({ length: 129 }, () => ((random() % 20) - 10) * Math.max(temperature / 4, TINY));
      for (const filters of [{}, { topP: 0.6 }, { typicalP: 0.1 }, { topK: 20, minP: 0.02 }, { epsilonCutoff: 0.02 }]) {
        const { kept, p } = reference(x, { ...none, ...filters, temperature });
        const { probabilities } = run(x, { ...filters, temperature }, [0.3, 0.7]);
        expect(keptOf(probabilities), `${temperature}, ${JSON.stringify(filters)}`).toEqual(kept);
        kept.forEach((token, i) => expect(Math.abs(probabilities[token]! / p[i]! - 1)).toBeLessThan(1e-9));
      }
      // Far below and far above, results are as usual.
      expect([...run(Float64Array.of(1, -1e300, 1), { temperature }, [0.7]).probabilities]).toEqual([0.5, 0, 0.5]);
      expect([...run(Float64Array.of(1e300, -1e300, 5), { temperature }, [0.7]).probabilities]).toEqual([1, 0, 0]);
      expect([...run(Float64Array.of(-1e300, -1e301), { temperature }, [0.7]).probabilities]).toEqual([1, 0]);
    }
  });

  it('epsilonCutoff keeps the largest logit, not all whose weight is rounded to as much', () => {
    const x = Float64Array.from({ length: 300 }, (_, i) => 3 + (i % 3) * 2 ** -51);
    const largest = Array.from(x.keys()).filter((i) => i % 3 === 2);
    for (const filters of [{}, { topK: 300 }, { topK: 299 }, { topP: 0.9 }])
      expect(keptOf(run(x, { ...filters, epsilonCutoff: 0.02 }, [0.5]).probabilities)).toEqual(
        filters.topP ? keptOf(run(x, filters, [0.5]).probabilities).filter((i) => i % 3 === 2) : largest,
      );
  });

  it('typicalP goes by distances, however small', () => {
    for (const size of [2 ** -149, 1e-30, 1e-12]) {
      const x = Float32Array.from({ length: 40 }, (_, i) => ((i * 7) % 40) ** 2 * size);
      const { kept } = reference(x, { ...none, typicalP: 0.1 });
      expect(keptOf(run(x, { typicalP: 0.1 }, [0.5]).probabilities)).toEqual(kept);
    }
  });
});

it('logProbs measures from the largest exact sum, also where more of them than `top` are the same double', () => {
  const x = Float32Array.of(-1.25, 0.5, 0.8125, 0.75, 0.25, 0.875, 0.125);
  const bias = new Float32Array(x.length).fill(3.4028234663852886e38);
  const { top, logProbs: chosen } = logProbs(x, 5, { bias, temperature: 0.04, top: 2 });
  expect([...top.indices]).toEqual([5, 2]);
  const exact = logProbs(Float64Array.from(x), 5, { temperature: 0.04, top: 2 });
  expect([...top.logProbs]).toEqual([...exact.top.logProbs]);
  expect(chosen[0]).toBe(exact.logProbs[0]);
});
