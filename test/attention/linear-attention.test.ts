/** LinearAttentionState, magnitudeAwareAttention and injectiveLinearAttention: values, errors, edges, merging. */
import { describe, expect, it } from 'vitest';
import { backends } from '../support/backends.js';
import { row } from '../support/cases.js';
import { fixed } from '../support/exact.js';
import { forceBackend } from '../support/force-backend.js';
import { linearOracle, numberOf, type Map, type OracleForm } from './linear-oracle.js';

type Attention = typeof import('../../lib/attention.js');
type Promises = typeof import('../../lib/promises.js');

const q = Float32Array.of(1, 0, 0, 1, 1, 1);
const k = Float32Array.of(1, 0, 1, 1, 0, 2);
const v = Float32Array.of(1, 2, 3, 4, 5, 6);
const one = { heads: 1, headDim: 2 };

/** The part of an array that belongs to a head. */
const headOf = (x: Float32Array, at: number, n: number) => x.subarray(at * n, (at + 1) * n);

describe.each(backends)('%s', (name) => {
  let lib: Attention;
  let later: Promises;
  let setThreads: (n: number) => number;
  forceBackend(name, async () => {
    lib = await import('../../lib/attention.js');
    later = await import('../../lib/promises.js');
    ({ setThreads } = await import('../../lib/index.js'));
  });
  const rounded = (values: readonly number[]) => Float32Array.from(values);

  it('has the values of the definitions', () => {
    const { magnitudeAwareAttention: mala, injectiveLinearAttention: inline } = lib;
    expect(mala(q, k, v, one)).toEqual(
      rounded([
        2.9999992045050821, 3.9999989393401095, 4.7671539020600888, 5.7671536524930518, 4.1246266097953055,
        5.1246264169480387,
      ]),
    );
    const exact = [3, 4, 4.76715473884368, 5.76715473884368, 4.12462722340024, 5.12462722340024];
    expect(mala(q, k, v, { ...one, epsilon: 0 })).toEqual(rounded(exact));
    const paper = [3, 4, 9.352941176470589, 10.352941176470589, 7.181818181818182, 8.181818181818182];
    expect(mala(q, k, v, { ...one, scale: 'paper' })).toEqual(rounded(paper));
    const injective = [2.528595479208968, 3.9428090415820636, 3.471404520791031].flatMap((x) => [x, x + 1]);
    expect(inline(q, k, v, one)).toEqual(rounded(injective));
    const exps = [3.810005821928673, 10.376996743457477, 8.985178458691404].flatMap((x) => [x, x + 1]);
    expect(inline(q, k, v, { ...one, featureMap: 'exp' })).toEqual(rounded(exps));
    // φ(q) = [2, 1], [1, 2], [2, 2]; φ(k) = [2, 1], [2, 2], [1, 3].
    const state = new lib.LinearAttentionState({ headDim: 2 });
    expect(state.append(k, v)).toBe(3);
    const usual = [48 / 16, 57 / 17, 70 / 22].flatMap((x) => [x, x + 1]);
    expect(state.query(q)).toEqual(rounded(usual));
    expect(state.query(q, { form: 'sum' })).toEqual(rounded([48, 64, 57, 74, 70, 92]));
  });

  const forms: [OracleForm, Map, number, number?][] = [
    ['normalized', 'elu', 0],
    ['normalized', 'exp', 1e-6],
    ['normalized', 'identity', 0],
    ['normalized', 'relu', 0.5],
    ['sum', 'identity', 0],
    ['magnitudeAware', 'elu', 1e-6],
    ['magnitudeAware', 'elu', 0],
    ['paper', 'elu', 0],
    ['injective', 'identity', 0],
    ['injective', 'exp', 0, 0.2],
  ];
  it.each(forms)('is within its bound of the exact %s attention with φ %s, ε %s', (form, map, epsilon, scale = 1) => {
    for (const [keys, headDim, valueDim] of [
      [1, 1, 1],
      [40, 5, 3],
      [70, 9, 35],
    ] as const) {
      const [heads, kvHeads, queries] = [4, 2, 3];
      const Q = row('f32', 'N(0,1)', heads * queries * headDim, keys + 1).map((x) => 3 * x);
      const K = row('f32', 'N(0,1)', kvHeads * keys * headDim, keys + 2).map((x) => 3 * x);
      const V = row('f32', 'N(0,1)', kvHeads * keys * valueDim, keys + 3);
      const state = new lib.LinearAttentionState({ kvHeads, headDim, valueDim, featureMap: map, featureScale: scale });
      state.append(K, V);
      const asked =
        form === 'paper'
          ? ({ form: 'magnitudeAware', scale: 'paper', heads, epsilon } as const)
          : { form, heads, epsilon };
      const out = state.query(Q, asked);
      let worst = 0;
      for (let h = 0; h < heads; h++) {
        const head = {
          q: headOf(Q, h, queries * headDim),
          k: headOf(K, h >> 1, keys * headDim),
          v: headOf(V, h >> 1, keys * valueDim),
        };
        const exact = linearOracle({ ...head, headDim, valueDim, map, form, epsilon, featureScale: scale });
        exact.forEach(({ value, size }, i) => {
          const error = Math.abs(numberOf(fixed(out[h * queries * valueDim + i]!) - value));
          const bound = Math.abs(numberOf(value)) * 2 ** -24 + (keys + headDim + 20) * 2 ** -53 * size;
          worst = Math.max(worst, error === 0 ? 0 : error / bound);
        });
      }
      expect(worst).toBeLessThanOrEqual(1);
    }
  });

  const [batch, heads, kvHeads, tokens, headDim, valueDim] = [2, 4, 2, 150, 21, 37];
  const sizes = { batch, kvHeads, headDim, valueDim };
  const Q = row('f32', 'N(0,1)', batch * heads * tokens * headDim, 1);
  const K = row('f32', 'N(0,1)', batch * kvHeads * tokens * headDim, 2);
  const V = row('f32', 'N(0,1)', batch * kvHeads * tokens * valueDim, 3);
  /** The tokens [from, to) of all heads. */
  const cut = (x: Float32Array, n: number, from: number, to: number) =>
    Float32Array.from(
      Array.from({ length: x.length / (n * tokens) }, (_, h) => [
        ...x.subarray((h * tokens + from) * n, (h * tokens + to) * n),
      ]).flat(),
    );
  const stateOf = (from: number, to: number, featureMap: Map = 'elu') => {
    const state = new lib.LinearAttentionState({ ...sizes, featureMap });
    state.append(cut(K, headDim, from, to), cut(V, valueDim, from, to));
    return state;
  };

  it('gives the same bits whether tokens come at once, in chunks or one by one, and on any number of threads', () => {
    const whole = stateOf(0, tokens);
    const chunks = new lib.LinearAttentionState(sizes);
    for (const [from, to] of [
      [0, 1],
      [1, 2],
      [2, 66],
      [66, 66],
      [66, 149],
      [149, 150],
    ] as const)
      chunks.append(cut(K, headDim, from, to), cut(V, valueDim, from, to));
    expect(chunks.toBytes()).toEqual(whole.toBytes());
    const usual = whole.query(Q, { heads });
    const before = setThreads(3);
    try {
      const [length, dim] = [1200, 64];
      const [a, b] = [row('f32', 'N(0,1)', 2 * length * dim, 4), row('f32', 'N(0,1)', 2 * length * dim, 5)];
      const options = { heads: 2, headDim: dim };
      const shared = lib.magnitudeAwareAttention(a, b, a, options);
      setThreads(1);
      expect(lib.magnitudeAwareAttention(a, b, a, options)).toEqual(shared);
    } finally {
      setThreads(before);
    }
    for (let t = 0; t < tokens; t += 49) {
      const row = whole.query(cut(Q, headDim, t, t + 1), { heads });
      for (let h = 0; h < batch * heads; h++) {
        expect(headOf(row, h, valueDim)).toEqual(headOf(usual, h * tokens + t, valueDim));
      }
    }
  });

  it('attends causally as appending one and querying one does', () => {
    for (const form of ['normalized', 'magnitudeAware', 'injective'] as const) {
      const state = new lib.LinearAttentionState(sizes);
      const out = new Float32Array(batch * heads * tokens * valueDim);
      expect(state.attend(Q, K, V, { heads, form, out })).toBe(out);
      const other = new lib.LinearAttentionState(sizes);
      for (let t = 0; t < 20; t++) {
        other.append(cut(K, headDim, t, t + 1), cut(V, valueDim, t, t + 1));
        expect(other.query(cut(Q, headDim, t, t + 1), { heads, form })).toEqual(cut(out, valueDim, t, t + 1));
      }
      expect(state.toBytes()).toEqual(stateOf(0, tokens).toBytes());
    }
    const state = stateOf(0, 3);
    const bytes = state.toBytes();
    expect(() => state.attend(Q, K, V.subarray(1), { heads })).toThrow(RangeError);
    expect(() => state.attend(Q, K, V, { heads, out: V as never })).toThrow(RangeError);
    expect(state.toBytes()).toEqual(bytes);
  });

  it('merges in any grouping, forks and forgets', () => {
    const parts = [0, 1, 40, 41, 90, 150].slice(1).map((to, i) => stateOf([0, 1, 40, 41, 90][i]!, to));
    const [a, b] = [parts[0]!.fork(), parts[0]!.fork().reset()];
    for (const part of parts.slice(1)) a.merge(part);
    for (const part of parts.slice().reverse()) b.merge(part);
    const whole = stateOf(0, tokens);
    const exact = new Float64Array(whole.toBytes().buffer, 40);
    for (const state of [a, b]) {
      expect(state.tokens).toBe(tokens);
      const sums = new Float64Array(state.toBytes().buffer, 40);
      // |φ(k)| ≤ 5 and |v| ≤ 5 here.
      sums.forEach((sum, i) => expect(Math.abs(sum - exact[i]!)).toBeLessThanOrEqual(tokens * 25 * tokens * 2 ** -53));
    }
    const [left, right] = [parts[1]!.fork().merge(parts[2]!), parts[2]!.fork().merge(parts[1]!)];
    expect(left.toBytes()).toEqual(right.toBytes());
    expect(a.merge(a.fork()).tokens).toBe(2 * tokens);
    expect(a.reset().query(Q, { heads })).toEqual(new Float32Array(batch * heads * tokens * valueDim));
    expect(a.bytes).toBe(8 * batch * kvHeads * ((headDim + 1) * (valueDim + 1) - 1));
    for (const other of [
      new lib.LinearAttentionState({ ...sizes, kvHeads: 1 }),
      new lib.LinearAttentionState({ ...sizes, featureMap: 'exp' }),
      new lib.LinearAttentionState({ ...sizes, featureScale: 2 }),
    ])
      expect(() => whole.merge(other)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }));
    for (const other of [undefined, null, {}, 3, new Float32Array(2)])
      expect(() => whole.merge(other as never)).toThrow(TypeError);
  });

  it('gives promises the same results', async () => {
    for (const fn of ['magnitudeAwareAttention', 'injectiveLinearAttention'] as const) {
      const options = { batch, heads, kvHeads, headDim };
      const out = new Float32Array(batch * heads * tokens * valueDim);
      const wanted = lib[fn](Q, K, V, options);
      expect(await later[fn](Q, K, V, options)).toEqual(wanted);
      expect(await later[fn](Q, K, V, { ...options, out })).toBe(out);
      expect(out).toEqual(wanted);
      const aborted = later[fn](Q, K, V, { ...options, signal: AbortSignal.abort(new Error('enough')) });
      await expect(aborted).rejects.toThrow('enough');
    }
  });

  it('has edges', () => {
    const { magnitudeAwareAttention: mala, injectiveLinearAttention: inline } = lib;
    const values = Float32Array.of(1, 2, 3, 6);
    // All φ(k), or all of φ(q), underflow to 0: the mean of v.
    const far = new Float32Array(4).fill(-1e4);
    for (const scale of ['code', 'paper'] as const) {
      expect([...mala(q, far, values, { ...one, scale })]).toEqual([2, 4, 2, 4, 2, 4]);
      expect([...mala(far, k.subarray(2), values, { ...one, scale })]).toEqual([2, 4, 2, 4]);
    }
    const state = new lib.LinearAttentionState({ headDim: 2 });
    expect([...state.query(q)]).toEqual([0, 0, 0, 0, 0, 0]);
    state.append(far, values);
    expect([...state.query(q)]).toEqual([2, 4, 2, 4, 2, 4]);
    expect([...state.query(q, { form: 'sum' })]).toEqual([0, 0, 0, 0, 0, 0]);
    // One key: its value; φ(0) is 1, whatever the map.
    for (const featureMap of ['elu', 'exp'] as const) {
      const single = new lib.LinearAttentionState({ headDim: 1, featureMap });
      single.append(Float32Array.of(0), Float32Array.of(7));
      expect([...single.query(Float32Array.of(0), { form: 'sum' })]).toEqual([7]);
      expect([...single.query(Float32Array.of(-3))]).toEqual([7]);
    }
    // Zero keys and queries with φ the identity: every key counts alike.
    expect([...inline(new Float32Array(2), new Float32Array(4), values, one)]).toEqual([2, 4]);
    // A NaN stays in its head, and in a value in its column.
    const two = { heads: 2, headDim: 2 };
    const keys = Float32Array.of(NaN, 1, 1, 1, 1, 2, 3, 4);
    const out = mala(new Float32Array(8).fill(1), keys, new Float32Array(8).fill(1), two);
    expect([...out.subarray(0, 4)]).toEqual([NaN, NaN, NaN, NaN]);
    expect(out.subarray(4).every(Number.isFinite)).toBe(true);
    const column = inline(q, k.subarray(2), Float32Array.of(NaN, 1, 2, 3), one);
    expect([0, 2, 4].every((i) => Number.isNaN(column[i]))).toBe(true);
    expect([1, 3, 5].every((i) => Number.isFinite(column[i]))).toBe(true);
    for (const x of [NaN, Infinity]) expect([...mala(Float32Array.of(x, 1), k, v, one)]).toEqual([NaN, NaN]);
    expect([...mala(Float32Array.of(-Infinity, 1), k, v, one)].every(Number.isFinite)).toBe(true);
    expect([...inline(Float32Array.of(800, 1), k, v, { ...one, featureMap: 'exp' })]).toEqual([NaN, NaN]);
    for (const fn of [mala, inline]) {
      expect(fn(new Float32Array(0), k, v, one)).toEqual(new Float32Array(0));
      expect(fn(q, new Float32Array(0), new Float32Array(0), one)).toEqual(new Float32Array(6));
    }
  });
});
