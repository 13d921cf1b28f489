/** Long rows of halves, which native backends read where they lie: float32 results, rounded once, of any values. */
import { describe, expect, it } from 'vitest';
import type { CrossEntropyKernel, NormalizeKernel } from '../../lib/backend/backend.js';
import { backendNamed } from '../../lib/backend/named.js';
import { backends } from '../support/backends.js';
import { generator, row } from '../support/cases.js';
import { floatsOf, halvesOf, type HalfName } from '../support/halves.js';

const normal = (n: number) => row('f32', 'N(0,1)', n).map((v) => 3 * v);
/** Rows of n logits by what is seldom in them. */
const kinds: Record<string, (n: number) => Float32Array> = {
  noise: normal,
  constant: (n) => new Float32Array(n).fill(1.5),
  'two values': (n) => Float32Array.from({ length: n }, (_, i) => (i % 2 ? -10_000 : 3)),
  integers: (n) => normal(n).map(Math.round),
  'a peak': (n) => normal(n).map((v, i) => (i === n - 5 ? 40 : v)),
  'far from 0': (n) => normal(n).map((v) => 30_000 + 32 * v),
  '−∞ now and then': (n) => normal(n).map((v, i) => (i % 7 === 3 ? -Infinity : v)),
  'nothing but −∞': (n) => new Float32Array(n).fill(-Infinity),
  'a late rise': (n) => normal(n).map((v, i) => (i > n / 2 ? v + 400 : v - 400)),
  'a NaN': (n) => normal(n).map((v, i) => (i === n - 3 ? NaN : v)),
  'a +∞': (n) => normal(n).map((v, i) => (i === 300 ? Infinity : v)),
};

/** The first element in which halves differ from rounded floats, as text; undefined: none. Any NaN is as good. */
function difference(type: HalfName, got: Uint16Array, wanted: Float32Array): string | undefined {
  const bits = halvesOf(type, wanted);
  const i = got.findIndex(
    (v, k) => v !== bits[k] && !(Number.isNaN(wanted[k]!) && Number.isNaN(floatsOf(type, got.subarray(k, k + 1))[0]!)),
  );
  return i < 0 ? undefined : `[${i}] is ${got[i]!.toString(16)}, ${bits[i]!.toString(16)} wanted`;
}

for (const name of backends.filter((b) => b !== 'js')) {
  describe(name, () => {
    const backend = backendNamed(name);
    const lengths = name === 'scalar' || name === 'wasm' ? [1025, 2100] : [1025, 2100, 66_000];
    for (const type of ['f16', 'bf16'] as const) {
      it.each(Object.keys(kinds))(`${type}: %s`, (kind) => {
        for (const cols of lengths) {
          const x = halvesOf(type, kinds[kind]!(cols));
          const z = floatsOf(type, x);
          for (const [temperature, masked] of [
            [1, false],
            [0.7, false],
            [1e30, false],
            [1, true],
          ] as const) {
            const random = generator(cols);
            const mask = masked ? Uint8Array.from({ length: cols }, () => random() & 1) : null;
            const rest = [1, cols, 1, temperature, mask, masked ? 1 : 0] as const;
            const what = `${cols} of ${kind} at ${temperature}${masked ? ', masked' : ''}`;
            const floats = new Float32Array(cols);
            const out = new Uint16Array(cols);
            const inPlace = x.slice();
            const same = (op: string, got = out) =>
              expect(difference(type, got, floats), `${op}, ${what}`).toBe(undefined);

            backend.softmax_f32(z, floats, ...rest, null);
            backend[`softmax_${type}`](x, out, ...rest, null);
            same('softmax');
            backend[`softmax_${type}`](inPlace, inPlace, ...rest, null);
            same('softmax in place', inPlace);

            backend.log_softmax_f32(z, floats, ...rest, null);
            backend[`log_softmax_${type}`](x, out, ...rest, null);
            same('logSoftmax');

            const [sum, half] = [new Float64Array(1), new Float64Array(1)];
            backend.log_sum_exp_f32(z, sum, ...rest, null);
            backend[`log_sum_exp_${type}`](x, half, ...rest, null);
            expect(half, `logSumExp, ${what}`).toEqual(sum);

            const target = Int32Array.of(cols - 5);
            (backend.cross_entropy_f32 as CrossEntropyKernel<Float32Array>)(z, target, sum, floats, ...rest, null);
            (backend[`cross_entropy_${type}`] as CrossEntropyKernel<Uint16Array>)(x, target, half, out, ...rest, null);
            expect(half, `crossEntropy, ${what}`).toEqual(sum);
            same('crossEntropy');

            const [m, e, halfM, halfE] = [
              new Float64Array(1),
              new Int32Array(1),
              new Float64Array(1),
              new Int32Array(1),
            ];
            backend.exp_sum_f32(z, m, e, ...rest, null);
            backend[`exp_sum_${type}`](x, halfM, halfE, ...rest, null);
            expect([halfM, halfE], `expSum, ${what}`).toEqual([m, e]);
            backend.normalize_f32(z, floats, m, e, ...rest, null);
            (backend[`normalize_${type}`] as NormalizeKernel<Uint16Array>)(x, out, m, e, ...rest, null);
            same('normalize');
          }
        }
      });
    }

    it('a target that does not count has no loss and no gradient', () => {
      const x = halvesOf('bf16', normal(1400));
      const [loss, gradient] = [new Float64Array(2), new Uint16Array(1400)];
      const targets = Int32Array.of(-1, 7);
      backend.cross_entropy_bf16(x, targets, loss, gradient, 2, 700, 1, 1, null, 0, null);
      expect(loss[0]).toBe(0);
      expect(gradient.subarray(0, 700).every((v) => v === 0)).toBe(true);
      expect(loss[1]).toBeGreaterThan(0);
    });
  });
}
