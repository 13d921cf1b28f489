/** The arguments of attentionBackward(): targets of gradients, shapes of biases, promises, and its errors. */
import { describe, expect, it } from 'vitest';
import { attention, attentionBackward } from '../../lib/attention.js';
import * as promises from '../../lib/promises.js';
import { numbers } from './attention-cases.js';

describe('attentionBackward', () => {
  const [q, k, v, dOut] = [numbers(2 * 3 * 4, 1), numbers(5 * 4, 2), numbers(5 * 6, 3), numbers(2 * 3 * 6, 4)];
  const sizes = { heads: 2, kvHeads: 1, headDim: 4 };
  const scores = { ...sizes, bias: numbers(15, 5), sinks: numbers(2, 6), causal: true };
  const options = { ...scores, ...attention(q, k, v, { ...scores, lse: true }) };

  it('gives new arrays, or writes into given ones, or leaves gradients out', () => {
    const all = attentionBackward(q, k, v, dOut, { ...options, dBias: true, dSinks: true });
    expect([all.dq, all.dk, all.dv, all.dBias, all.dSinks].map((x) => x.length)).toEqual([24, 20, 30, 15, 2]);
    const plain = attentionBackward(q, k, v, dOut, options);
    expect(plain).toEqual({ ...all, dBias: null, dSinks: null });
    const dv = new Float32Array(30);
    const some = attentionBackward(q, k, v, dOut, { ...options, dq: null, dk: false, dv });
    expect(some).toEqual({ dq: null, dk: null, dv: all.dv, dBias: null, dSinks: null });
    expect(some.dv).toBe(dv);
    const none = attentionBackward(q, k, v, dOut, { ...options, dq: null, dk: null, dv: null });
    expect(Object.values(none)).toEqual([null, null, null, null, null]);
  });

  it('gives a promise of the same', async () => {
    const given = { ...options, dBias: true, dSinks: new Float32Array(2) } as const;
    const expected = attentionBackward(q, k, v, dOut, { ...given, dSinks: true });
    const got = await promises.attentionBackward(q, k, v, dOut, given);
    expect(got).toEqual(expected);
    expect(got.dSinks).toBe(given.dSinks);
    const signal = AbortSignal.abort(new Error('enough'));
    await expect(promises.attentionBackward(q, k, v, dOut, { ...given, signal })).rejects.toThrow('enough');
  });

  it('clears the gradient of a bias without queries', () => {
    const dBias = new Float32Array(5).fill(7);
    const empty = { out: new Float32Array(0), lse: new Float64Array(0), queries: 0, bias: numbers(5, 5), dBias };
    const none = new Float32Array(0);
    expect(attentionBackward(none, k, v, none, { ...sizes, ...empty }).dv).toEqual(new Float32Array(30));
    expect(dBias).toEqual(new Float32Array(5));
  });

  it('refuses what does not fit, by name', () => {
    const bad = (changes: object) => () =>
      attentionBackward(q, k, v, dOut, { ...options, ...changes } as unknown as typeof options);
    expect(() => attentionBackward(q, k, v, dOut.subarray(1), options)).toThrow(
      'Expected 36 elements, one an element of the output, for dOut but received 35',
    );
    expect(bad({ out: undefined })).toThrow('Expected a Float32Array for out but received undefined');
    expect(bad({ out: new Float32Array(35) })).toThrow(/for out but received 35/);
    expect(bad({ lse: true })).toThrow('Expected a Float64Array for lse but received true');
    expect(bad({ lse: new Float64Array(5) })).toThrow('Expected 6 elements, one a query row, for lse but received 5');
    expect(bad({ dq: 1 })).toThrow('Expected a Float32Array, a boolean or null for dq but received 1');
    expect(bad({ dk: new Float32Array(3) })).toThrow('Expected 20 elements, as its input has, for dk but received 3');
    expect(bad({ bias: undefined, dBias: true })).toThrow(
      'Expected none, as bias is not given, for dBias but received true',
    );
    expect(bad({ sinks: undefined, dSinks: new Float32Array(2) })).toThrow(/as sinks is not given, for dSinks/);
    expect(bad({ dq: q })).toThrow('Expected memory apart from q for dq but received an overlap');
    const shared = new Float32Array(44);
    expect(bad({ dq: shared.subarray(0, 24), dk: shared.subarray(20, 40) })).toThrow(/apart from dq for dk/);
    expect(bad({ d: 1 })).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }));
  });
});
