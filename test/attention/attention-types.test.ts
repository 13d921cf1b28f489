/** attention and its kin with halves and doubles, and with weights and scores: what they take and give. */
import { describe, expect, expectTypeOf, it } from 'vitest';
import { attention, attentionPartial, decodeAttention, KVCache } from '../../lib/attention.js';
import { shapeArray } from '../../lib/attention/shape.js';
import type { BackendName } from '../../lib/backend/backend.js';
import { backendNamed } from '../../lib/backend/named.js';
import type { NewFloat32Array, NewFloat64Array, NewUint16Array } from '../../lib/call/types.js';
import * as promises from '../../lib/promises.js';
import { backends } from '../support/backends.js';
import { dtypes, floatsOf, halvesOf, type HalfName } from '../support/halves.js';
import { numbers, sameBits } from './attention-cases.js';

const names = ['f16', 'bf16'] as const;

/** Kernels of halves give the results of the float kernel on the same numbers, rounded once. */
function compareHalves(name: BackendName, half: HalfName, sizes: Record<string, number>, isExact: boolean) {
  const { batch = 1, heads = 1, kvHeads = heads, queries = 1, keys = 1, headDim = 1, valueDim = 1 } = sizes;
  const shape = shapeArray({ batch, kvHeads, scale: 0.3, ...sizes });
  const rows = batch * heads * queries;
  const lengths = batch > 1 ? Int32Array.from({ length: batch }, (_, b) => keys - b) : null;
  const inputs = [rows * headDim, batch * kvHeads * keys * headDim, batch * kvHeads * keys * valueDim].map((n, i) =>
    halvesOf(half, numbers(n, i + keys, i < 2 ? 2 : 1)),
  );
  const run = (type: string, arrays: readonly unknown[], make: (n: number) => ArrayLike<number>) => {
    const kernel = (backendNamed(name) as unknown as Record<string, (...args: unknown[]) => void>)[
      `attention${isExact ? '_exact' : ''}_${type}`
    ]!;
    const [out, weights, scores] = [make(rows * valueDim), make(rows * keys), make(rows * keys)];
    const lse = new Float64Array(rows);
    const sinks = Float32Array.from({ length: heads }, (_, i) => i);
    const middle = isExact ? [null, null, null, out, weights, scores, 0] : [out];
    kernel(shape, null, lengths, ...arrays, null, sinks, null, null, ...middle, lse, null, null, null);
    return { out, weights, scores, lse };
  };
  const got = run(half, inputs, (n) => new Uint16Array(n));
  const wider = run(`${half}_f32`, inputs, (n) => new Float32Array(n));
  const floats = inputs.map((x) => floatsOf(half, x));
  const want = run('f32', floats, (n) => new Float32Array(n));
  for (const part of ['out', 'weights', 'scores', 'lse'] as const) {
    const what = `${name} ${half} ${isExact ? 'exact ' : ''}${part} ${JSON.stringify(sizes)}`;
    sameBits(wider[part], want[part], what);
    sameBits(got[part], part === 'lse' ? want.lse : halvesOf(half, want[part] as Float32Array), what);
  }
}

describe.each(backends)('%s', (name) => {
  it.each(names)('%s: the results of float32, rounded once', (half) => {
    for (const isExact of [false, true]) {
      for (const positionsFirst of [0, 1]) {
        const more = { positionsFirst, softcap: positionsFirst * 5 };
        const small = { heads: 4, kvHeads: 2, batch: 2, queries: 3, keys: 21, headDim: 19, valueDim: 9, ...more };
        compareHalves(name, half, small, isExact);
        compareHalves(name, half, { ...small, queries: 1, headDim: 32, valueDim: 48, causal: 1 }, isExact);
        compareHalves(name, half, { heads: 1, queries: 40, keys: 600, headDim: 16, valueDim: 32, ...more }, isExact);
        compareHalves(name, half, { heads: 2, queries: 2, keys: 1, headDim: 3, valueDim: 5, ...more }, isExact);
      }
    }
  });
});

const sizes = { heads: 2, kvHeads: 1, headDim: 8 } as const;
const [q, k, v] = [numbers(48, 1), numbers(40, 2), numbers(40, 3)];
const doubles = [q, k, v].map((x) => Float64Array.from(x, (n) => n / 3)) as [Float64Array, Float64Array, Float64Array];

describe('results', () => {
  it('are exactly those that were asked for', async () => {
    const all = attention(q, k, v, { ...sizes, weights: true, scores: 'masked', lse: true, causal: true });
    expectTypeOf(all).toEqualTypeOf<{
      readonly out: NewFloat32Array;
      readonly lse: NewFloat64Array;
      readonly weights: NewFloat32Array;
      readonly scores: NewFloat32Array;
    }>();
    expect(Object.keys(all).sort()).toEqual(['lse', 'out', 'scores', 'weights']);
    expect([all.weights.length, all.scores.length]).toEqual([30, 30]);
    const given = new Float32Array(30);
    const one = attention(q, k, v, { ...sizes, weights: given, causal: true });
    expectTypeOf(one.weights).toEqualTypeOf<Float32Array<ArrayBuffer>>();
    expect(Object.keys(one)).toEqual(['out', 'weights']);
    expect(one.weights).toBe(given);
    sameBits(one.weights, all.weights, 'weights');
    sameBits(attention(q, k, v, { ...sizes, scores: 'softmax', causal: true }).scores, all.weights, 'softmax');
    const plain = attention(q, k, v, { ...sizes, weights: false, causal: true, accumulate: 'float64' });
    expectTypeOf(plain).toEqualTypeOf<NewFloat32Array>();
    sameBits(plain, all.out, 'the output of a call in double');
    const later = await promises.attention(q, k, v, {
      ...sizes,
      weights: true,
      scores: 'masked',
      lse: true,
      causal: true,
    });
    for (const part of ['out', 'lse', 'weights', 'scores'] as const) sameBits(later[part], all[part], part);
  });

  it('have the type of q, and agree between types', async () => {
    const wide = attention(...doubles, { ...sizes, weights: true, lse: true });
    expectTypeOf(wide.out).toEqualTypeOf<NewFloat64Array>();
    expect([wide.out, wide.weights].map((x) => x.constructor)).toEqual([Float64Array, Float64Array]);
    const later = await promises.attention(...doubles, { ...sizes, lse: true });
    sameBits(later.out, wide.out, 'a promise');
    const exact = attention(Float64Array.from(q), Float64Array.from(k), Float64Array.from(v), { ...sizes });
    sameBits(attention(q, k, v, { ...sizes, accumulate: 'float64' }), Float32Array.from(exact), 'float32 in double');
    for (const half of names) {
      const dtype = dtypes[half];
      const halves = [q, k, v].map((x) => halvesOf(half, x)) as [NewUint16Array, NewUint16Array, NewUint16Array];
      const floats = halves.map((x) => floatsOf(half, x)) as [Float32Array, Float32Array, Float32Array];
      const bias = halvesOf(half, numbers(15, 4));
      const got = attention(...halves, { ...sizes, dtype, bias, lse: true });
      expectTypeOf(got.out).toEqualTypeOf<NewUint16Array>();
      const want = attention(...floats, { ...sizes, bias: floatsOf(half, bias), lse: true });
      sameBits(got.out, halvesOf(half, want.out), dtype);
      sameBits(got.lse, want.lse, dtype);
      sameBits(await promises.attention(...halves, { ...sizes, dtype, bias }), got.out, 'a promise');
      const out = new Float32Array(48);
      expect(attention(...halves, { ...sizes, dtype, bias, out })).toBe(out);
      sameBits(out, want.out, 'float32 results of halves');
      const weights = attention(...halves, { ...sizes, dtype, weights: true });
      expect(weights.weights).toBeInstanceOf(Uint16Array);
      const state = attentionPartial(...halves, { ...sizes, dtype });
      sameBits(state.out, attentionPartial(...floats, sizes).out, 'a state');
    }
    const { Float16Array } = globalThis as { Float16Array?: Float32ArrayConstructor };
    if (Float16Array) {
      const [a, b, c] = [q, k, v].map((x) => Float16Array.from(x)) as unknown as [
        Float32Array,
        Float32Array,
        Float32Array,
      ];
      const got = attention(a, b, c, { ...sizes });
      expect(got).toBeInstanceOf(Float16Array);
    }
  });

  it('of decoding have the type of q', async () => {
    const cache = new KVCache({ kvHeads: 1, headDim: 8 });
    const sequence = cache.create();
    cache.append(sequence, k, v);
    for (const half of names) {
      const [dtype, halves] = [dtypes[half], halvesOf(half, q.subarray(0, 16))];
      const want = decodeAttention(floatsOf(half, halves), cache, sequence, { lse: true });
      const got = decodeAttention(halves, cache, sequence, { dtype, lse: true });
      sameBits(got.out, halvesOf(half, want.out), dtype);
      sameBits(got.lse, want.lse, dtype);
      const out = new Uint16Array(16);
      expect(await promises.decodeAttention(halves, cache, sequence, { dtype, out })).toBe(out);
      sameBits(out, got.out, 'a promise into out');
      expect(() => decodeAttention(halves, cache, sequence, { dtype, out: halves })).toThrow(
        /memory apart from q for out/,
      );
      const wide = decodeAttention(halves, cache, sequence, { dtype, out: new Float32Array(16) });
      sameBits(wide, want.out, 'float32');
      sameBits(
        attentionPartial(halves, cache, sequence, { dtype }).out,
        attentionPartial(floatsOf(half, halves), cache, sequence).out,
        'a state',
      );
    }
    expect(() => decodeAttention(new Float64Array(16) as never, cache, sequence)).toThrow(
      /a Float32Array, a Float16Array/,
    );
    cache.dispose();
  });

  it('of parts in double add up to the whole', () => {
    const state = attentionPartial(...doubles, { ...sizes, accumulate: 'float64' });
    const whole = attention(...doubles, { ...sizes, lse: true });
    const { out, lse } = state.finish({ lse: true });
    for (let i = 0; i < 48; i++) expect(Math.abs(out[i]! - whole.out[i]!)).toBeLessThan(1e-7);
    for (let i = 0; i < 6; i++) expect(Math.abs(lse[i]! - whole.lse[i]!)).toBeLessThan(1e-14);
    for (let i = 0; i < 48; i++) {
      const exact = state.out[i]! / state.mantissa[Math.floor(i / 8)]!;
      expect(Math.abs(exact - whole.out[i]!)).toBeLessThan(1e-14);
    }
  });

  it('leave a sink its share of the weights', () => {
    const sinks = Float32Array.of(1, -Infinity);
    const { weights, lse, scores } = attention(q, k, v, {
      ...sizes,
      sinks,
      weights: true,
      lse: true,
      scores: 'masked',
    });
    for (let row = 0; row < 6; row++) {
      const sum = weights.subarray(row * 5, row * 5 + 5).reduce((a, b) => a + b, 0);
      const share = row < 3 ? Math.exp(1 - lse[row]!) : 0;
      expect(sum + share).toBeCloseTo(1, 6);
      expect(weights[row * 5]).toBeCloseTo(Math.exp(scores[row * 5]! - lse[row]!), 6);
    }
  });
});

describe("ONNX's node tests of Attention, by their formulas", () => {
  // numpy's reference: scores = scale · q kᵀ, softcap, + mask, softmax, as op_attention.py has it.
  const [batch, heads, queries, keys, dim] = [2, 3, 4, 6, 8];
  const draw = (n: number, seed: number) => numbers(n, seed).map(Math.abs);
  const [a, b, c] = [
    draw(batch * heads * queries * dim, 1),
    draw(batch * heads * keys * dim, 2),
    draw(batch * heads * keys * dim, 3),
  ];
  const bias = numbers(queries * keys, 4);
  it.each([
    ['attention_4d', {}],
    ['attention_4d_scaled', { scale: 0.01 }],
    ['attention_4d_softcap', { softcap: 2 }],
    ['attention_4d_attn_mask', { bias }],
    ['attention_4d_with_qk_matmul_softcap', { softcap: 2, bias }],
  ] as const)('%s', (_, options) => {
    const {
      scale = 1 / Math.sqrt(dim),
      softcap,
      bias: mask,
    } = options as { scale?: number; softcap?: number; bias?: Float32Array };
    for (let stage = 0; stage < 4; stage++) {
      const names = ['raw', 'softcapped', 'masked', 'softmax'] as const;
      const { out, scores } = attention(a, b, c, { batch, heads, headDim: dim, ...options, scores: names[stage]! });
      for (let row = 0; row < batch * heads * queries; row++) {
        const [head, m] = [Math.floor(row / queries), row % queries];
        const stages = Array.from({ length: keys }, (_x, n) => {
          let s = 0;
          for (let d = 0; d < dim; d++) s += a[row * dim + d]! * b[(head * keys + n) * dim + d]!;
          const raw = s * scale;
          const capped = softcap === undefined ? raw : softcap * Math.tanh(raw / softcap);
          return [raw, capped, capped + (mask?.[m * keys + n] ?? 0)];
        });
        const exps = stages.map(([, , x]) => Math.exp(x!));
        const sum = exps.reduce((x, y) => x + y, 0);
        stages.forEach((x, n) => {
          expect(scores[row * keys + n]).toBeCloseTo(stage < 3 ? x[stage]! : exps[n]! / sum, 5);
        });
        let y = 0;
        for (let n = 0; n < keys; n++) y += (exps[n]! / sum) * c[(head * keys + n) * dim]!;
        expect(out[row * dim]).toBeCloseTo(y, 5);
      }
    }
  });
});

describe('refusals', () => {
  const bad =
    (options: object, arrays: readonly unknown[] = [q, k, v]) =>
    () =>
      (attention as (...args: unknown[]) => unknown)(...arrays, { ...sizes, ...options });
  it.each([
    [TypeError, /a Float32Array, as q is, for k/, {}, [q, doubles[1], v]],
    [TypeError, /dtype 'float16' or 'bfloat16' beside a Uint16Array for q/, {}, [new Uint16Array(48), k, v]],
    [RangeError, /no value beside a Float32Array for dtype/, { dtype: 'float16' }, [q, k, v]],
    [RangeError, /'float32' or 'float64' for accumulate/, { accumulate: 'float16' }, [q, k, v]],
    [RangeError, /'float64' beside float64 inputs for accumulate/, { accumulate: 'float32' }, doubles],
    [RangeError, /'float64' beside weights or scores/, { accumulate: 'float32', weights: true }, [q, k, v]],
    [TypeError, /a Float32Array, as q is, for out/, { out: new Float64Array(48) }, [q, k, v]],
    [TypeError, /a Float64Array, as q is, for out/, { out: new Float32Array(48) }, doubles],
    [
      TypeError,
      /a boolean or a Float32Array, as the output is, for weights/,
      { weights: new Float64Array(30) },
      [q, k, v],
    ],
    [
      RangeError,
      /6 rows of 5 keys, 30 elements, for weights but received 29/,
      { weights: new Float32Array(29) },
      [q, k, v],
    ],
    [RangeError, /'raw', 'softcapped', 'masked' or 'softmax' for scores/, { scores: 'all' }, [q, k, v]],
    [TypeError, /for scores/, { scores: true }, [q, k, v]],
    [RangeError, /memory apart from q for weights/, { weights: q.subarray(0, 30) }, [q, k, v]],
    [TypeError, /a Float32Array for bias/, { bias: new Float64Array(15) }, [q, k, v]],
    [TypeError, /a Float32Array or Float64Array for sinks/, { sinks: [1, 2] }, doubles],
  ] as const)('%s %s', (kind, message, options, arrays) => {
    expect(bad(options, arrays)).toThrow(kind);
    expect(bad(options, arrays)).toThrow(message);
  });
  it('of results that share memory', () => {
    const both = new Float32Array(60);
    expect(bad({ out: both.subarray(0, 48), weights: both.subarray(30, 60) })).toThrow(
      /memory apart from out for weights/,
    );
    expect(both.every((x) => x === 0)).toBe(true);
  });
  it('takes slopes, sinks and biases of doubles beside doubles', () => {
    const [sinks, alibi, bias] = [Float64Array.of(0.1, 0.2), Float64Array.of(1, 0.3), new Float64Array(15).fill(0.7)];
    const got = attention(...doubles, { ...sizes, sinks, alibi, bias, causal: true, lse: true });
    const near = attention(...doubles, {
      ...sizes,
      sinks: Float32Array.from(sinks),
      causal: true,
      lse: true,
      alibi: Float32Array.from(alibi),
      bias: Float32Array.from(bias),
    });
    got.lse.forEach((x, i) => expect(Math.abs(x - near.lse[i]!)).toBeLessThan(1e-6));
    expect(Array.from(got.lse)).not.toEqual(Array.from(near.lse));
  });
});
