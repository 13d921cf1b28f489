/** attentionBackward with `keyLengths`: keys behind them have the gradient 0, and nothing that lies there matters. */
import { describe, expect, it } from 'vitest';
import * as now from '../../lib/attention.js';
import { backends } from '../support/backends.js';
import { bits, row } from '../support/cases.js';
import { forceBackend } from '../support/force-backend.js';

const [heads, kvHeads, queries, keys, headDim] = [4, 2, 7, 37, 24];

const numbers = (n: number, seed: number) => row('f32', 'N(0,1)', n, seed);

describe.each(backends)('%s', (backend) => {
  let api: typeof now;
  forceBackend(backend, async () => {
    api = await import('../../lib/attention.js');
  });
  describe.each([{}, { causal: true }, { causal: 'topLeft', window: [9, 0] }, { window: [5, 2] }] as const)(
    '%j',
    (of) => {
      it.each([0, 1, 16, 30, 37])('%i of 37 keys', (length) => {
        const { attention, attentionBackward } = api;
        const options = { heads, kvHeads, headDim, ...of };
        const q = numbers(heads * queries * headDim, 1);
        const [k, v] = [2, 3].map((seed) => numbers(kvHeads * keys * headDim, seed)) as [Float32Array, Float32Array];
        const cut = (x: Float32Array) =>
          Float32Array.from({ length: kvHeads * length * headDim }, (_, i) => {
            const [head, rest] = [Math.floor(i / (length * headDim)), i % (length * headDim)];
            return x[head * keys * headDim + rest]!;
          });
        const [shortK, shortV] = [cut(k), cut(v)];
        for (let head = 0; head < kvHeads; head++) {
          for (const x of [k, v]) x.fill(NaN, (head * keys + length) * headDim, (head + 1) * keys * headDim);
        }
        const dOut = numbers(heads * queries * headDim, 4);
        const padded = attention(q, k, v, { ...options, keyLengths: [length], lse: true });
        const short = attention(q, shortK, shortV, { ...options, queries, keys: length, valueDim: headDim, lse: true });
        expect(bits(padded.out)).toEqual(bits(short.out));
        const got = attentionBackward(q, k, v, dOut, { ...options, ...padded, keyLengths: [length] });
        const sizes = { queries, keys: length, valueDim: headDim };
        const wanted = attentionBackward(q, shortK, shortV, dOut, { ...options, ...short, ...sizes });
        expect(bits(got.dq)).toEqual(bits(wanted.dq));
        expect([bits(cut(got.dk)), bits(cut(got.dv))]).toEqual([bits(wanted.dk), bits(wanted.dv)]);
        const behind = (x: Float32Array) => x.filter((_, i) => Math.floor(i / headDim) % keys >= length);
        expect(behind(got.dk).every((g) => g === 0)).toBe(true);
        expect(behind(got.dv).every((g) => g === 0)).toBe(true);
      });
    },
  );
});

it('refuses lengths that are none of the keys', () => {
  const x = new Float32Array(8);
  const options = { heads: 1, headDim: 8, out: x, lse: new Float64Array(1) };
  expect(() => now.attentionBackward(x, x, x, x, { ...options, keyLengths: [2] })).toThrow(/keyLengths/);
});
