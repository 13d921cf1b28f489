/** The filters against the float64 reference of cases.ts: exactly the same tokens, on every backend. */
import { describe, expect, it } from 'vitest';
import { backends } from '../support/backends.js';
import { row, typeNames, type Floats } from '../support/cases.js';
import { generator, lengths, makers, none, reference, someFilters, type Filters } from './cases.js';
import { isLong, sample } from '../support/long.js';
import { forceBackend } from '../support/force-backend.js';

type Sampling = typeof import('../../lib/sampling.js');

const rowsFor = (name: string) => (name === 'scalar' ? 150 : isLong ? 3000 : 1000);

for (const name of backends) {
  describe(name, () => {
    let sampling: Sampling;
    forceBackend(name, async () => {
      sampling = await import('../../lib/sampling.js');
    });

    const filtered = (x: Floats, options: object) => sampling.filterLogits(x as Float32Array, options);
    const keptBy = (logits: Floats) => [...logits.keys()].filter((i) => logits[i]! > -Infinity);

    function check(x: Floats, f: Filters, about: string): void {
      const { logits, probabilities } = filtered(x, f);
      const { kept, p } = reference(x, f);
      expect(keptBy(logits), about).toEqual(kept);
      const isSingle = x instanceof Float32Array;
      // Logits are divided by the temperature, relative to the largest if that is beyond the type.
      const top = kept.reduce((most, i) => Math.max(most, x[i]!), -Infinity);
      const largest = isSingle ? Math.fround(top / f.temperature) : top / f.temperature;
      const origin = f.temperature > 0 && Math.abs(largest) === Infinity ? top : 0;
      kept.forEach((i, at) => {
        const value = f.temperature === 0 ? x[i]! : (x[i]! - origin) / f.temperature;
        if (logits[i] !== (isSingle ? Math.fround(value) : value)) expect(logits[i], about).toBe(value);
        const most = p[at]! * (isSingle ? 2 ** -23 : 2e-12) + 1e-19;
        if (Math.abs(probabilities[i]! - p[at]!) > most) expect(probabilities[i], about).toBe(p[at]);
      });
    }

    it(`${rowsFor(name)} random and awkward rows`, () => {
      const random = generator(11);
      const names = Object.keys(makers);
      for (let i = 0; i < rowsFor(name); i++) {
        const kind = names[random() % names.length]!;
        const n = lengths[random() % lengths.length]!;
        const type = typeNames[i & 1]!;
        const f = someFilters(random, n);
        check(makers[kind]!(type, n, i), f, `${kind}, ${type}, ${n}, ${JSON.stringify(f)}`);
      }
    });

    // So long that a sample of the row chooses the tokens to look at.
    const shares = [0.05, 0.5, 0.95, 0.999];
    const long = name === 'scalar' ? [20_000] : [16_384, 20_001, 128_256];
    it.each(long)('a nucleus of %i', (n) => {
      const kinds = n > 50_000 ? ['N(0,1)', 'nearly flat', 'N(0,8)'] : Object.keys(makers);
      for (const [turn, kind] of kinds.entries()) {
        for (const topP of name === 'scalar' ? [0.95] : sample(shares, 4, turn + backends.indexOf(name))) {
          check(makers[kind]!('f32', n, n), { ...none, topP }, `${kind}, top ${topP}`);
        }
        check(
          makers[kind]!('f64', n, n),
          { ...none, topP: 0.9, minP: 0.02, epsilonCutoff: 1e-5, temperature: 1.2 },
          kind,
        );
        check(makers[kind]!('f32', n, n), { ...none, minP: 0.01 }, `${kind}, min`);
      }
    });

    it('what a nucleus keeps of equal logits: the lowest indices, by exact sums', () => {
      for (const n of [10, 20, 1000]) {
        for (const topP of [0, 0.1, 0.25, 0.5, 0.75, 0.95, 1]) {
          const kept = keptBy(filtered(new Float32Array(n).fill(2), { topP }).logits);
          expect(kept, `${topP} of ${n}`).toEqual([...Array(Math.max(1, Math.ceil(topP * n))).keys()]);
        }
      }
    });

    it('edges: one is left always, k ≥ n and p = 1 leave all, temperature 0 the first of the largest', () => {
      const x = Float32Array.of(1, 3, 2, 3, -Infinity);
      expect(keptBy(filtered(x, { topP: 0 }).logits)).toEqual([1]);
      expect(keptBy(filtered(x, { topP: 1 }).logits)).toEqual([0, 1, 2, 3]);
      expect(keptBy(filtered(x, { topK: 99 }).logits)).toEqual([0, 1, 2, 3]);
      expect(keptBy(filtered(x, { topK: 1 }).logits)).toEqual([1]);
      expect(keptBy(filtered(x, { minP: 1 }).logits)).toEqual([1, 3]);
      expect(keptBy(filtered(x, { epsilonCutoff: 1 }).logits)).toEqual([1, 3]);
      expect(keptBy(filtered(x, { typicalP: 0 }).logits)).toHaveLength(1);
      expect(filtered(x, { temperature: 0 })).toEqual({
        logits: Float32Array.of(-Infinity, 3, -Infinity, -Infinity, -Infinity),
        probabilities: Float32Array.of(0, 1, 0, 0, 0),
      });
    });

    it('far temperatures and logits', () => {
      for (const temperature of [1e-300, 1e-30, 1e-6, 1e6, 1e30, 1e300]) {
        for (const x of [
          Float64Array.of(1, 2, 2, 1),
          Float64Array.of(-1e300, 1e300, 0),
          row('f64', 'about 1e7', 100),
        ]) {
          check(x, { ...none, temperature, topP: 0.9 }, `temperature ${temperature}`);
        }
      }
    });

    it('masked logits do not matter, and biases are added before the filters', () => {
      const random = generator(5);
      for (let i = 0; i < (name === 'scalar' ? 20 : 200); i++) {
        const cols = [1, 5, 17, 300, 1500][i % 5]!;
        const rows = 1 + (i % 3);
        const type = typeNames[i & 1]!;
        const x = makers['N(0,8)']!(type, rows * cols, i);
        const isShared = i % 4 < 2;
        const mask = Uint8Array.from({ length: isShared ? cols : x.length }, () => random() % 4);
        for (let r = 0; r < rows; r++) mask[isShared ? 0 : r * cols] = 1;
        x.forEach((_, at) => {
          if (mask[isShared ? at % cols : at] === 0 && at % 2) x[at] = NaN;
        });
        const bias = makers['N(0,1)']!(type, i % 2 ? cols : x.length, i + 1);
        const f = someFilters(random, cols);
        const { logits } = filtered(x, { ...f, cols, mask, bias });
        for (let r = 0; r < rows; r++) {
          const z = Float64Array.from({ length: cols }, (_, c) =>
            mask[isShared ? c : r * cols + c]
              ? x[r * cols + c]! + bias[bias.length === cols ? c : r * cols + c]!
              : -Infinity,
          );
          expect(keptBy(logits.subarray(r * cols, (r + 1) * cols)), JSON.stringify({ f, cols, rows })).toEqual(
            reference(z, f).kept,
          );
        }
      }
    });

    it('half types as float32', () => {
      const bf16 = Uint16Array.from(
        makers['N(0,8)']!('f32', 3000, 1),
        (v) => new Uint32Array(Float32Array.of(v).buffer)[0]! >>> 16,
      );
      const wide = Float32Array.from(bf16, (b) => new Float32Array(Uint32Array.of(b << 16).buffer)[0]!);
      for (const f of [{ topP: 0.9 }, { topK: 30, minP: 0.1 }, { temperature: 0.7, bias: 1 }]) {
        const [bias, same] = f.bias ? [bf16.slice(0, 1000), wide.slice(0, 1000)] : [undefined, undefined];
        expect(sampling.filterLogits(bf16, { ...f, bias, cols: 1000, dtype: 'bfloat16' })).toEqual(
          sampling.filterLogits(wide, { ...f, bias: same, cols: 1000 }),
        );
        expect(sampling.sample(bf16, { ...f, bias, cols: 1000, dtype: 'bfloat16', seed: 3 })).toEqual(
          sampling.sample(wide, { ...f, bias: same, cols: 1000, seed: 3 }),
        );
      }
      expect(sampling.argmax(bf16, { cols: 1000, dtype: 'bfloat16' })).toEqual(sampling.argmax(wide, { cols: 1000 }));
      const top = sampling.topK(bf16, 9, { cols: 1000, dtype: 'bfloat16' });
      expect(top.indices).toEqual(sampling.topK(wide, 9, { cols: 1000 }).indices);
      expect(top.values).toEqual(Uint16Array.from(top.indices, (index, i) => bf16[Math.floor(i / 9) * 1000 + index]!));
      const f16 = Uint16Array.of(0x3c00, 0x4000, 0xc000, 0x3800);
      expect(sampling.filterLogits(f16, { dtype: 'float16', topK: 2 }).logits).toEqual(
        Float32Array.of(1, 2, -Infinity, -Infinity),
      );
    });

    it('rows without an answer are named', () => {
      const x = new Float32Array(4 * 300);
      for (const [at, value, message] of [
        [700, NaN, 'no NaN for row 2'],
        [900, Infinity, 'a finite largest logit for row 3'],
      ] as const) {
        const bad = x.slice();
        bad[at] = value;
        for (const options of [{}, { topK: 5 }, { topP: 0.5 }, { temperature: 0 }, { minP: 0.1 }]) {
          expect(() => sampling.sample(bad, { cols: 300, ...options })).toThrow(
            expect.objectContaining({
              name: 'RangeError',
              code: 'ERR_INVALID_ARG_VALUE',
              message: expect.stringContaining(message),
            }),
          );
          expect(() => filtered(bad, { cols: 300, ...options })).toThrow(message);
        }
      }
      const nothing = x.slice().fill(-Infinity, 300, 600);
      expect(() => sampling.sample(nothing, { cols: 300 })).toThrow(
        'Expected a finite largest logit for row 1 of logits but received none',
      );
      expect(() => sampling.sample(x, { cols: 300, mask: new Uint8Array(300) })).toThrow('row 0');
      expect(() => sampling.sample(new Float32Array(0))).toThrow('row 0');
      expect(sampling.sample(new Float32Array(0), { cols: 7 })).toHaveLength(0);
    });
  });
}
