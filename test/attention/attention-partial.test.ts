/**
 * attentionPartial: parts of the keys, however they are cut, merge into the whole; sinks count once; the wire form;
 * unifiedMax.
 */
import { describe, expect, it } from 'vitest';
import {
  attention,
  AttentionPartial,
  attentionPartial,
  decodeAttention,
  KVCache,
  mergeAttentionPartials,
  type DensePartOptions,
} from '../../lib/attention.js';
import { shapeArray } from '../../lib/attention/shape.js';
import { backendNamed } from '../../lib/backend/named.js';
import { numbers } from './attention-cases.js';
import { attentionOracle } from './attention-oracle.js';
import { backends } from '../support/backends.js';

const [heads, kvHeads, queries, keys, headDim, valueDim] = [4, 2, 3, 700, 8, 20];
const sizes = { heads, kvHeads, headDim };
const q = numbers(heads * queries * headDim, 1, 4);
const [k, v] = [numbers(kvHeads * keys * headDim, 2), numbers(kvHeads * keys * valueDim, 3)];

/** The keys [from, to) of all heads. */
function part(from: number, to: number): [Float32Array, Float32Array] {
  const cut = (x: Float32Array, dim: number) =>
    Float32Array.from(
      Array.from({ length: kvHeads }, (_, head) => [
        ...x.subarray((head * keys + from) * dim, (head * keys + to) * dim),
      ]).flat(),
    );
  return [cut(k, headDim), cut(v, valueDim)];
}
const partial = (from: number, to: number, options: Partial<DensePartOptions> = {}) =>
  attentionPartial(q, ...part(from, to), { ...sizes, keyOffset: from, totalKeys: keys, valueDim, ...options });
const near = (a: ArrayLike<number>, b: ArrayLike<number>, within = 1e-6) => {
  expect(a.length).toBe(b.length);
  for (let i = 0; i < a.length; i++)
    if (!(a[i] === b[i] || Math.abs(a[i]! - b[i]!) <= within)) expect.fail(`${i}: ${a[i]}, ${b[i]}`);
};

describe.each(backends)('%s', (name) => {
  it('gives states whose sums the oracle confirms', () => {
    for (const size of [1, 300, 1e5]) {
      const x = q.map((each) => each * size);
      const state = new AttentionPartial(
        new Float64Array(heads * queries * valueDim),
        new Float64Array(heads * queries),
        new Int32Array(heads * queries),
      );
      const shape = shapeArray({ batch: 1, heads, kvHeads, queries, keys, headDim, valueDim, scale: 0.25, causal: 1 });
      backendNamed(name).attention_f32(
        shape,
        Float64Array.of(300, 900),
        null,
        x,
        k,
        v,
        null,
        null,
        null,
        null,
        null,
        null,
        state.out,
        state.mantissa,
        state.exponent,
      );
      const rows = attentionOracle({
        heads,
        kvHeads,
        queries,
        keys: [keys],
        headDim,
        valueDim,
        scale: 0.25,
        causal: true,
        spans: [[300, 900]],
        q: (_b, h, m, d) => x[(h * queries + m) * headDim + d]!,
        k: (_b, h, n, d) => k[(h * keys + n) * headDim + d]!,
        v: (_b, h, n, d) => v[(h * keys + n) * valueDim + d]!,
      });
      const { out, lse } = state.finish({ lse: true });
      rows.forEach((row, r) => {
        expect(state.mantissa[r]).toBeGreaterThanOrEqual(1);
        expect(state.mantissa[r]).toBeLessThan(2);
        expect(Math.abs(lse[r]! - row.lse)).toBeLessThan(1e-6 + 1e-12 * Math.abs(row.lse));
        near(out.subarray(r * valueDim, (r + 1) * valueDim), row.out, 2e-6 * row.most);
      });
    }
  });
});

describe('parts of the keys', () => {
  it.each<[string, Partial<DensePartOptions>]>([
    ['plain', {}],
    ['causal', { causal: true }],
    ['a causal window', { causal: true, window: 300 }],
    ['alibi', { alibi: true }],
    ['causal from the top left, alibi', { causal: 'topLeft', alibi: true }],
    ['a window from the top left', { causal: 'topLeft', window: [1, 0] }],
    ['a window of two sides', { window: [300, 0] }],
    ['a window without a bound before', { window: [Infinity, 0] }],
    ['softcap', { softcap: 3 }],
  ])('add up to the whole: %s', (_, options) => {
    const { out, lse } = attention(q, k, v, { ...sizes, ...options, lse: true });
    for (const cuts of [
      [0, 700],
      [0, 1, 700],
      [0, 512, 700],
      [0, 100, 100, 350, 699, 700],
    ]) {
      const states = cuts.slice(1).map((to, i) => partial(cuts[i]!, to, options));
      for (const order of [states, [...states].reverse()]) {
        const whole = mergeAttentionPartials(...order).finish({ lse: true });
        near(whole.out, out);
        near(whole.lse, lse, 1e-6);
      }
    }
  });

  it('of 512 keys, in order: the sums of the whole', () => {
    const state = mergeAttentionPartials(partial(0, 512), partial(512, 700));
    const whole = partial(0, 700);
    near(state.out, whole.out, 1e-13);
    near(state.mantissa, whole.mantissa, 1e-13);
    expect(state.exponent).toEqual(whole.exponent);
  });

  it('a state over no keys changes nothing', () => {
    const state = partial(0, 300);
    const none = attentionPartial(q, new Float32Array(0), new Float32Array(0), { ...sizes, valueDim });
    const empty = AttentionPartial.empty(heads * queries, valueDim);
    expect(none).toEqual(empty);
    expect(mergeAttentionPartials(empty, state, none)).toEqual(state);
    expect([...empty.finish()]).toEqual(new Array(heads * queries * valueDim).fill(0));
    expect([...empty.finish({ lse: true }).lse]).toEqual(new Array(heads * queries).fill(-Infinity));
  });

  it('sinks count once', () => {
    const sinks = numbers(heads, 9, 5);
    for (const layout of ['bhsd', 'bshd'] as const) {
      const options = { ...sizes, layout };
      const whole = attention(q, k, v, { ...options, sinks, lse: true });
      const single = attentionPartial(q, k, v, options).finish({ sinks, heads, queries, layout, lse: true });
      near(single.out, whole.out);
      near(single.lse, whole.lse, 1e-6);
    }
    const cut = mergeAttentionPartials(partial(0, 200), partial(200, 700)).finish({ sinks, heads, queries, lse: true });
    const whole = attention(q, k, v, { ...sizes, sinks, lse: true });
    near(cut.out, whole.out);
    near(cut.lse, whole.lse, 1e-6);
    expect(() => partial(0, 5, { sinks } as never)).toThrow(/sinks for finish\(\)/);
    expect(
      [...AttentionPartial.empty(heads, 2).finish({ sinks, heads, lse: true }).lse].map((x) => Math.fround(x)),
    ).toEqual([...sinks]);
    expect(
      mergeAttentionPartials(partial(0, 9)).finish({ sinks: new Float32Array(heads).fill(-Infinity), heads, queries }),
    ).toEqual(partial(0, 9).finish());
  });

  it('of a cache, each in a cache of its own', () => {
    const cached = (from: number, to: number) => {
      const cache = new KVCache({ kvHeads, headDim, valueDim });
      const id = cache.create();
      cache.append(id, ...part(from, to), { layout: 'hsd' });
      return attentionPartial(q, cache, id, { queries, keyOffset: from, totalKeys: keys });
    };
    const state = mergeAttentionPartials(cached(0, 130), cached(130, 700));
    near(state.finish(), attention(q, k, v, { ...sizes, causal: true }));
    const cache = new KVCache({ kvHeads, headDim, valueDim });
    const id = cache.create();
    cache.append(id, k, v, { layout: 'hsd' });
    expect(attentionPartial(q, cache, id, { queries }).finish()).toEqual(decodeAttention(q, cache, id, { queries }));
  });

  it('NaN and Infinity stay', () => {
    const of = (m: number): AttentionPartial =>
      new AttentionPartial(Float64Array.of(m, 1), Float64Array.of(m), Int32Array.of(0));
    expect(mergeAttentionPartials(of(1), of(NaN)).mantissa[0]).toBeNaN();
    expect(mergeAttentionPartials(of(Infinity), of(1)).finish({ lse: true })).toEqual({
      out: Float32Array.of(NaN, NaN),
      lse: Float64Array.of(Infinity),
    });
    expect(mergeAttentionPartials(of(Infinity), of(NaN)).mantissa[0]).toBeNaN();
  });
});

describe('unifiedMax', () => {
  it('gives rows one exponent, and the same results', () => {
    const general = mergeAttentionPartials(partial(0, 300), partial(300, 700));
    const [a, b] = [partial(0, 300, { unifiedMax: 4 }), partial(300, 700, { unifiedMax: 4 })];
    expect(new Set([...a.exponent, ...b.exponent])).toEqual(new Set([Math.round(4 * Math.LOG2E)]));
    const unified = mergeAttentionPartials(a, b);
    expect([...unified.raised!].every((x) => x === 0)).toBe(true);
    near(unified.finish(), general.finish(), 1e-12);
    const { out, mantissa, exponent } = mergeAttentionPartials({
      out: unified.out,
      mantissa: unified.mantissa,
      exponent: unified.exponent,
    });
    near(mantissa, general.mantissa, 1e-14);
    near(out, general.out, 1e-12);
    expect(exponent).toEqual(general.exponent);
  });

  it('leaves rows outside its range as they are, and says so', () => {
    const range = [-1, 1] as const;
    const [a, b] = [partial(0, 300, { unifiedMax: 8, range }), partial(300, 700, { unifiedMax: 8, range })];
    expect(new Set([...a.raised!, ...b.raised!]).size).toBe(2);
    near(mergeAttentionPartials(a, b).finish(), attention(q, k, v, sizes));
    near(mergeAttentionPartials(a, partial(300, 700)).finish(), attention(q, k, v, sizes));
    expect(() => partial(0, 5, { range })).toThrow(/range without unifiedMax/);
  });
});

describe('the wire form', () => {
  it('comes back as it was', () => {
    for (const state of [
      partial(0, 90),
      partial(0, 90, { unifiedMax: 3 }),
      AttentionPartial.empty(3, 5),
      AttentionPartial.empty(0, 5),
    ]) {
      const back = AttentionPartial.fromBytes(state.toBytes());
      expect(back).toEqual(state);
      expect(back).toBeInstanceOf(AttentionPartial);
    }
    const bytes = new AttentionPartial(Float64Array.of(3), Float64Array.of(1.5), Int32Array.of(-2)).toBytes();
    expect(Buffer.from(bytes).toString('hex')).toBe(
      '46534150' + '01000000' + '01000000' + '01000000' + '000000000000f83f' + '0000000000000840' + 'feffffff',
    );
    // A structured clone of a state works too.
    const plain = structuredClone(partial(0, 90)) as AttentionPartial;
    expect(mergeAttentionPartials(plain)).toEqual(partial(0, 90));
  });

  it('refuses other bytes', () => {
    const good = () => partial(0, 9).toBytes();
    expect(() => AttentionPartial.fromBytes([] as never)).toThrow(TypeError);
    expect(() => AttentionPartial.fromBytes(good().subarray(0, 9))).toThrow(/16 bytes at least/);
    expect(() => AttentionPartial.fromBytes(good().subarray(1))).toThrow(/'FSAP' at the beginning/);
    expect(() => AttentionPartial.fromBytes(good().subarray(0, 100))).toThrow(/bytes for 12 rows of 20/);
    for (const [at, value] of [
      [4, 2],
      [5, 2],
      [6, 1],
      [8, 1],
      [23, 0xbf],
    ] as const) {
      const bytes = good();
      bytes[at] = value;
      expect(() => AttentionPartial.fromBytes(bytes), `${at}`).toThrow(RangeError);
    }
  });
});

describe('errors', () => {
  it('states that do not fit', () => {
    expect(() => mergeAttentionPartials()).toThrow(/one state or more/);
    expect(() => mergeAttentionPartials(3 as never)).toThrow(TypeError);
    expect(() => mergeAttentionPartials({ out: [1], mantissa: [1], exponent: [1] } as never)).toThrow(
      /a Float64Array for states\[0\].out/,
    );
    expect(() => mergeAttentionPartials(AttentionPartial.empty(2, 3), AttentionPartial.empty(3, 3))).toThrow(
      /2 rows for states\[1\]/,
    );
    expect(() => mergeAttentionPartials(AttentionPartial.empty(2, 3), AttentionPartial.empty(2, 4))).toThrow(
      /6 elements for states\[1\].out/,
    );
    expect(() => AttentionPartial.empty(2, 3).finish({ sinks: new Float32Array(3), heads: 3 })).toThrow(RangeError);
    expect(() => AttentionPartial.empty(2, 3).finish({ out: new Float32Array(5) })).toThrow(/for out/);
    expect(() => AttentionPartial.empty(2, 3).finish({ outs: 1 } as never)).toThrow(/only sinks/);
  });

  it('positions and scores', () => {
    expect(() => partial(0, 5, { keyOffset: -1 })).toThrow(/an integer from 0 for keyOffset/);
    expect(() => partial(0, 5, { keyOffset: 9, totalKeys: 13 })).toThrow(/an integer from 14 for totalKeys/);
    expect(() => partial(0, 5, { keyOffset: [1, 2] })).toThrow(/one number, or one for each of 1 sequences/);
    expect(() => partial(0, 5, { unifiedMax: NaN })).toThrow(RangeError);
    expect(() =>
      attentionPartial(Float32Array.of(3e9), Float32Array.of(1), Float32Array.of(1), { heads: 1, headDim: 1 }),
    ).toThrow(/for row 0 but received larger ones/);
    expect(() => attentionPartial(q, k, v, { ...sizes, out: q } as never)).toThrow(/for options but received 'out'/);
  });
});
