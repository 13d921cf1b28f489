/** Attention without softmax: the values of the definitions, a plain reading of them on random data, and edges. */
import { describe, expect, it } from 'vitest';
import {
  l2NormalizedAttention,
  softmaxFreeAttention,
  softplusAttention,
  taylorAttention,
} from '../../lib/attention.js';
import * as promises from '../../lib/promises.js';
import { row } from '../support/cases.js';

const q = Float32Array.of(1, 0, 0, 1, 1, 1);
const k = Float32Array.of(1, 0, 1, 1, 0, 2);
const v = Float32Array.of(1, 2, 3, 4, 5, 6);
const one = { heads: 1, headDim: 2 };

const close = (actual: Float32Array, wanted: readonly number[], digits = 6) => {
  expect(actual.length).toBe(wanted.length);
  wanted.forEach((each, i) => expect(actual[i]).toBeCloseTo(each, digits));
};

describe('values', () => {
  it('l2NormalizedAttention', () => {
    close(
      l2NormalizedAttention(q, k, v, one),
      [
        0.5852156381313138, 0.8108777077257452, 0.622181346718732, 0.782873151791058, 0.6116179597516147,
        0.7911532539965138,
      ],
    );
    const causal = l2NormalizedAttention(q, k, v, { ...one, causal: true });
    close(causal.subarray(0, 4), [0.4472135954999579, 0.8944271909999159, 0.5737679500304429, 0.8190179115977032]);
  });

  it('causal from the top left: query m sees keys 0 … m', () => {
    for (const form of [l2NormalizedAttention, taylorAttention]) {
      const two = q.subarray(0, 4);
      const square = form(two, k.subarray(0, 4), v.subarray(0, 4), { ...one, causal: true });
      expect(form(two, k, v, { ...one, causal: 'topLeft' })).toEqual(square);
      expect(form(two, k, v, { ...one, causal: 'bottomRight' })).toEqual(form(two, k, v, { ...one, causal: true }));
      expect(form(q, k.subarray(0, 2), v.subarray(0, 2), { ...one, causal: 'topLeft' })).toEqual(
        form(q, k.subarray(0, 2), v.subarray(0, 2), one),
      );
    }
  });

  it('softplusAttention', () => {
    close(softplusAttention(q, k, v, one), [1, 2, 2.1173014735454343, 3.1173014735454343, 3, 4]);
    const out = softplusAttention(
      Float32Array.of(...q, 1, -1, 2, 1),
      Float32Array.of(...k, -1, 1, 2, 0.5),
      Float32Array.of(...v, 7, 8, 9, 10),
      { ...one, sharpen: 15 },
    );
    close(out.subarray(8), [7.6807062000791149, 8.6807062000791149]);
  });

  it('softmaxFreeAttention', () => {
    close(
      softmaxFreeAttention(q, v, one),
      [
        5.990148580818517, 8.185405773540316, 7.004011198028038, 9.199268390749836, 7.808754005306238,
        10.213131007959358,
      ],
      5,
    );
    const wanted = [
      5.956729695936787, 8.137381719877615, 6.95097921174709, 9.13163123568792, 6.070480766009665, 8.12159708159571,
    ];
    close(softmaxFreeAttention(q, v, { ...one, landmarks: [0, 1] }), wanted, 5);
    // As many landmarks as positions and almost no ridge: the full kernel.
    close(softmaxFreeAttention(q, v, { ...one, landmarks: 3, ridge: 1e-12 }), [...softmaxFreeAttention(q, v, one)], 5);
  });

  it('taylorAttention', () => {
    const weights = Float32Array.of(1, 0, 0, 0, 1, 0, 0, 0, 1);
    const first = taylorAttention(Float32Array.of(1, 1), Float32Array.of(1, 0, 1, 1, 0, 2), weights, one);
    close(first, [0.2227646950249595, 0.3886176524875202, 0.3886176524875202]);
    const fourth = taylorAttention(Float32Array.of(1, 1), k, weights, { ...one, order: 4 });
    close(fourth, [0.2000242137973642, 0.39998789310131794, 0.39998789310131794]);
  });
});

describe('random heads', () => {
  const [batch, heads, kvHeads, queries, keys, headDim, valueDim] = [2, 4, 2, 9, 9, 5, 3];
  const options = { batch, heads, kvHeads, headDim };
  const Q = row('f32', 'N(0,1)', batch * heads * queries * headDim, 1);
  const K = row('f32', 'N(0,1)', batch * kvHeads * keys * headDim, 2);
  const V = row('f32', 'N(0,1)', batch * kvHeads * keys * valueDim, 3);

  /** Weights of one query, from its scores: q · k of the visible keys. */
  function plain(weigh: (dots: number[], lengths: number[]) => number[], isCausal: boolean): number[] {
    const out: number[] = [];
    for (let h = 0; h < batch * heads; h++) {
      const kv = Math.floor(h / heads) * kvHeads + Math.floor((h % heads) / (heads / kvHeads));
      for (let m = 0; m < queries; m++) {
        const a = [...Q.subarray((h * queries + m) * headDim, (h * queries + m + 1) * headDim)];
        const seen = Array.from({ length: isCausal ? m + 1 : keys }, (_, j) => [
          ...K.subarray((kv * keys + j) * headDim, (kv * keys + j + 1) * headDim),
        ]);
        const dots = seen.map((b) => b.reduce((sum, each, d) => sum + each * a[d]!, 0));
        const weights = weigh(
          dots,
          seen.map((b) => Math.hypot(...a) * Math.hypot(...b)),
        );
        for (let d = 0; d < valueDim; d++) {
          out.push(weights.reduce((sum, w, j) => sum + w * V[(kv * keys + j) * valueDim + d]!, 0));
        }
      }
    }
    return out;
  }
  const normalized = (w: number[]): number[] => w.map((each) => each / w.reduce((a, b) => a + b, 0));

  it('are those of the definitions', async () => {
    const s = 1 / Math.sqrt(headDim);
    const exps = plain((dots) => dots.map((each) => Math.exp(each * s)), true);
    const unit = exps.map((each, i) => {
      const start = i - (i % valueDim);
      return each / Math.hypot(...exps.slice(start, start + valueDim));
    });
    close(l2NormalizedAttention(Q, K, V, { ...options, causal: true }), unit);
    const taylor = plain((dots) => normalized(dots.map((d) => 1 + d * s + (d * s) ** 2 / 2)), false);
    close(taylorAttention(Q, K, V, options), taylor);
    const lssa = (dots: number[], lengths: number[]) =>
      normalized(
        dots.map((d, j) => Math.log1p(Math.exp((Math.log(headDim) * Math.log(dots.length) * d) / lengths[j]!))),
      );
    close(softplusAttention(Q, K, V, options), plain(lssa, true));
    const lssar = (dots: number[], lengths: number[]) => {
      const n = dots.length;
      const a = lssa(dots, lengths);
      const above = a.map((w) => Math.max(0, w * n - (n <= 3 ? 0 : 1)) ** 3);
      return above.some((w) => w > 0) ? normalized(above) : a;
    };
    close(softplusAttention(Q, K, V, { ...options, sharpen: 3 }), plain(lssar, true));
    for (const name of ['l2NormalizedAttention', 'taylorAttention', 'softplusAttention'] as const) {
      const here = { l2NormalizedAttention, taylorAttention, softplusAttention }[name];
      const out = new Float32Array(taylor.length);
      expect(await promises[name](Q, K, V, { ...options, out })).toBe(out);
      expect(out).toEqual(here(Q, K, V, options));
    }
    expect(await promises.softmaxFreeAttention(q, v, one)).toEqual(softmaxFreeAttention(q, v, one));
  });

  it('are rejected for a key that loses its memory while queries are copied', async () => {
    const many = new Float32Array(2 ** 18 + 64); // more than one turn copies
    for (const name of ['l2NormalizedAttention', 'lucidAttention'] as const) {
      const [keys, values] = [new Float32Array(64), new Float32Array(64)];
      const promise = promises[name](many, keys, values, { heads: 1, headDim: 64 });
      structuredClone(keys.buffer, { transfer: [keys.buffer] });
      await expect(promise).rejects.toThrow(/for k but received 0/);
    }
  });

  it('have edges', () => {
    const far = Float32Array.of(1e18, 1e18);
    expect([...l2NormalizedAttention(far, far, Float32Array.of(3, 4), one)]).toEqual([
      Math.fround(0.6),
      Math.fround(0.8),
    ]);
    expect([...l2NormalizedAttention(q, k, new Float32Array(6), one)]).toEqual([0, 0, 0, 0, 0, 0]);
    expect([...taylorAttention(far, far, Float32Array.of(3, 4), { ...one, order: 16 })]).toEqual([3, 4]);
    expect([...softplusAttention(new Float32Array(4), new Float32Array(4), Float32Array.of(1, 3), one)]).toEqual([
      1, 2,
    ]);
    // Two queries before the only key see nothing.
    expect([...softplusAttention(q, Float32Array.of(1, 0), Float32Array.of(7), one)]).toEqual([0, 0, 7]);
    // Equal weights: nothing above the mean, and the row stays.
    const five = new Float32Array(10).fill(1);
    const last = softplusAttention(five, five, Float32Array.of(1, 2, 3, 4, 5), { ...one, sharpen: 15 });
    expect(last[4]).toBeCloseTo(3, 6);
    for (const of of [l2NormalizedAttention, taylorAttention, softplusAttention]) {
      expect([...of(Float32Array.of(NaN, 1), k, v, one)]).toEqual([NaN, NaN]);
      expect(of(new Float32Array(0), k, v, one)).toEqual(new Float32Array(0));
      expect(of(q, new Float32Array(0), new Float32Array(0), one)).toEqual(new Float32Array(6));
      expect(() => of(q, k, v, { ...one, heads: 4 })).toThrow(RangeError);
      expect(() => of(q, k, v, { ...one, out: q })).toThrow(RangeError);
      expect(() => of(q, k, v, { ...one, mask: 1 } as never)).toThrow(TypeError);
      expect(() => of([] as never, k, v, one)).toThrow(TypeError);
    }
    expect(() => taylorAttention(q, k, v, { ...one, order: 3 })).toThrow(RangeError);
    expect(() => softplusAttention(q, k, v, { ...one, sharpen: 0 })).toThrow(RangeError);
    for (const landmarks of [0, 4, [], [3], [0, 0], [0.5]]) {
      expect(() => softmaxFreeAttention(q, v, { ...one, landmarks })).toThrow(RangeError);
    }
    expect([...softmaxFreeAttention(Float32Array.of(NaN, 1, 0, 0), Float32Array.of(1, 2), one)]).toEqual([NaN, NaN]);
  });
});
