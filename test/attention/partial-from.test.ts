/** AttentionPartial.from: states of finished results, which merge and finish as the states of attentionPartial do. */
import { describe, expect, it } from 'vitest';
import { attention, AttentionPartial, attentionPartial, mergeAttentionPartials } from '../../lib/attention.js';
import { backends } from '../support/backends.js';
import { forceBackend } from '../support/force-backend.js';
import { numbers } from './attention-cases.js';

type Attention = typeof import('../../lib/attention.js');

const sizes = { heads: 4, headDim: 8 };

describe.each(backends)('%s', (name) => {
  let api: Attention;
  forceBackend(name, async () => {
    api = await import('../../lib/attention.js');
  });

  it('merges finished parts to attention over all keys, in either layout', () => {
    for (const layout of ['bhsd', 'bshd'] as const) {
      const options = { ...sizes, layout, queries: 3 };
      const q = numbers(3 * 32, 1, 3);
      const [k, v] = [numbers(50 * 32, 2, 3), numbers(50 * 32, 3)];
      const part = (x: Float32Array, from: number, to: number) =>
        layout === 'bshd'
          ? x.slice(from * 32, to * 32)
          : x.filter((_, i) => Math.floor(i / 8) % 50 >= from && Math.floor(i / 8) % 50 < to);
      const states = [
        [0, 20],
        [20, 50],
      ].map(([from, to]) => {
        const { out, lse } = api.attention(q, part(k, from!, to!), part(v, from!, to!), { ...options, lse: true });
        return api.AttentionPartial.from(out, lse, { layout, heads: 4, queries: 3 });
      });
      const finish = { layout, heads: 4, queries: 3, lse: true } as const;
      const merged = api.mergeAttentionPartials(states).finish(finish);
      const wanted = api.attention(q, k, v, { ...options, lse: true });
      merged.out.forEach((x, i) => expect(Math.abs(x - wanted.out[i]!)).toBeLessThan(4e-6));
      merged.lse.forEach((x, i) => expect(Math.abs(x - wanted.lse[i]!)).toBeLessThan(3e-6));
    }
  });
});

describe('AttentionPartial.from', () => {
  const exact = (bits: number): number => bits * Math.LN2;

  it.each([
    [undefined, 1, 2 ** -50],
    [Math.E, 1, 2 ** -50],
    [2, Math.LN2, 2 ** -50],
    [16, 4 * Math.LN2, 2 ** -50],
    [0.5, -Math.LN2, 2 ** -50],
    [10, Math.LN10, 2 ** -49],
  ])('gives out and lse of base %s back', (base, factor, bound) => {
    const values = [
      0, -0, 1, -1, 0.1, 3.7, -12.3, 88.7, 709.9, -745.2, 1e-8, -1e-300, 12345.678, -98765.4321, 3e5, 1e8,
    ];
    const lse = Float64Array.from(values);
    const out = numbers(lse.length * 3, 4, 5);
    out.set([3.4e38, 1e-45, -0]);
    const result = AttentionPartial.from(out, lse, base === undefined ? {} : { base }).finish({ lse: true });
    expect(result.out).toEqual(out);
    result.lse.forEach((x, i) => {
      const wanted = lse[i]! * factor;
      expect(Math.abs(x - wanted), `${values[i]}`).toBeLessThanOrEqual(bound * Math.max(1, Math.abs(wanted)));
    });
    const sums = AttentionPartial.from(Float64Array.of(0.1, 0.2), Float64Array.of(exact(3)));
    expect(sums.finish()).toEqual(Float32Array.of(0.1, 0.2));
  });

  it('takes FlashInfer’s logarithms of base 2, and parts without keys', () => {
    const q = numbers(8, 1);
    const [k, v] = [numbers(80, 2), numbers(80, 3)];
    const one = { heads: 1, headDim: 8 };
    const [first, second] = [0, 40].map((at) => {
      return attention(q, k.subarray(at, at + 40), v.subarray(at, at + 40), { ...one, lse: true });
    });
    const flashInfer = AttentionPartial.from(first!.out, Float32Array.of(first!.lse[0]! / Math.LN2), { base: 2 });
    const none = AttentionPartial.from(new Float32Array(8).fill(NaN), Float32Array.of(-Infinity));
    expect(none).toEqual(AttentionPartial.empty(1, 8));
    const rest = attentionPartial(q, k.subarray(40), v.subarray(40), one);
    const merged = mergeAttentionPartials([none, flashInfer, rest]).finish({ lse: true });
    const wanted = attention(q, k, v, { ...one, lse: true });
    merged.out.forEach((x, d) => expect(x).toBeCloseTo(wanted.out[d]!, 5));
    expect(merged.lse[0]).toBeCloseTo(wanted.lse[0]!, 5);
    expect(mergeAttentionPartials(none, AttentionPartial.from(second!.out, second!.lse)).finish()).toEqual(second!.out);
    expect(AttentionPartial.fromBytes(flashInfer.toBytes())).toEqual(flashInfer);
  });

  it('lets NaN and infinities go on', () => {
    const result = AttentionPartial.from(Float64Array.of(1, NaN, 2, Infinity), Float64Array.of(NaN, 0, Infinity, 1));
    expect(result.finish()).toEqual(Float32Array.of(NaN, NaN, NaN, Infinity));
    expect(result.finish({ lse: true }).lse).toEqual(Float64Array.of(NaN, 0, Infinity, 1));
  });

  it('refuses what is no result', () => {
    const bad = (args: unknown[], message: RegExp) => {
      const error = expect.objectContaining({
        code: expect.stringMatching(/^ERR_/),
        message: expect.stringMatching(message),
      });
      expect(() => AttentionPartial.from(...(args as [Float32Array, Float32Array]))).toThrow(error as Error);
    };
    const [out, lse] = [new Float32Array(6), new Float32Array(3)];
    bad([[1], lse], /a Float32Array or a Float64Array for out/);
    bad([out, new Int32Array(3)], /a Float32Array or a Float64Array for lse/);
    bad(
      [out.subarray(1), lse],
      /a multiple of 3 elements, one or more for each element of lse, for out but received 5/,
    );
    bad([out.subarray(6), lse], /for out but received 0/);
    bad([out, lse.subarray(3)], /for out but received 6/);
    bad([out, lse, { base: 1 }], /a base other than 1/);
    bad([out, lse, { base: 0 }], /for base/);
    bad([out, lse, { base: '2' }], /for base/);
    bad([out, lse, { bases: 2 }], /only base, heads, queries/);
    bad([out, lse, null], /for options/);
    bad([out, lse, { layout: 'bshd', queries: 3 }], /for heads, beside layout 'bshd'/);
    bad([out, lse, { layout: 'bshd', queries: 2, heads: 2 }], /a divisor of the 3 rows of lse for heads · queries/);
    bad([out, lse.fill(2 ** 31), { base: 2 }], /at most 2\^31 octaves for lse but received 2147483648/);
    const gone = new Float32Array(3);
    structuredClone(gone.buffer, { transfer: [gone.buffer] });
    bad([out, gone], /for lse but received a detached Float32Array/);
    expect(AttentionPartial.from(new Float32Array(0), new Float32Array(0)).mantissa.length).toBe(0);
  });
});
