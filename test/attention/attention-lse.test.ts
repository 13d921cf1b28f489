/**
 * The log-sum-exp of attention on every backend: its bound, its order in both layouts, sinks of any size. States over
 * no keys, and the exactness of decoding an int8 cache.
 */
import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { asCase, dense, denseOn, numbers, sameBits, type Dense } from './attention-cases.js';
import { attentionOracle, type AttentionCase } from './attention-oracle.js';
import { backends } from '../support/backends.js';
import { viewOf } from '../../lib/attention/kv-cache.js';
import { forceBackend } from '../support/force-backend.js';

type Attention = typeof import('../../lib/attention.js');

const F = (...x: number[]) => Float32Array.of(...x);
const [heads, kvHeads, headDim, valueDim] = [6, 2, 20, 37];
const sizes = { heads, kvHeads, headDim, valueDim };
const largest = 3.4028234663852886e38;

function near(got: ArrayLike<number>, want: ArrayLike<number>, what: string): void {
  expect(got.length, what).toBe(want.length);
  for (let i = 0; i < want.length; i++) {
    if (!(Math.abs(got[i]! - want[i]!) < 1e-6)) expect.fail(`${what}: ${i} is ${got[i]}, not ${want[i]}`);
  }
}

/** The largest Σ |q · k| · scale of each row, in the oracle's order. */
function sizesOf(c: AttentionCase): number[] {
  const { kvHeads: kv = c.heads, scale = 1 / Math.sqrt(c.headDim) } = c;
  return attentionOracle(c).map((_, row) => {
    const [b, m] = [Math.floor(row / c.heads / c.queries), row % c.queries];
    const head = Math.floor(row / c.queries) % c.heads;
    const kvHead = Math.floor(head / (c.heads / kv));
    let most = 0;
    for (let n = 0; n < c.keys[b]!; n++) {
      let sum = 0;
      for (let d = 0; d < c.headDim; d++) sum += Math.abs(c.q(b, head, m, d) * c.k(b, kvHead, n, d));
      most = Math.max(most, sum * scale);
    }
    return most;
  });
}

/** The errors of a call's lse, relative to the bound that attention() documents. */
function lseErrors(name: (typeof backends)[number], call: Omit<Dense, 'seed' | 'valueDim'>) {
  const c = dense({ ...call, valueDim: 1, seed: 7 });
  const { lse } = denseOn(name, c);
  const exact = asCase(c);
  const most = sizesOf(exact);
  const [last, fixed] = name === 'js' ? [2 ** -52, c.keys] : [2 ** -24, 40];
  let [off, share] = [0, 0];
  attentionOracle(exact).forEach((row, r) => {
    const error = Math.abs(lse[r]! - row.lse);
    off = Math.max(off, error);
    share = Math.max(share, error / ((fixed + (2 + c.headDim / 2) * most[r]!) * last));
  });
  return { off, share };
}

describe.each(backends)('%s', (name) => {
  let sync: Attention;
  forceBackend(name, async () => {
    sync = await import('../../lib/attention.js');
  });

  describe('an lse is within its bound', () => {
    it('of ordinary scores, and 1e-6', () => {
      for (const dim of name === 'scalar' ? [16] : [1, 16, 64, 128, 256]) {
        for (const [keys, size] of [
          [2, 1],
          [33, 1],
          [33, 3],
          [40, 3],
          [600, 1],
          [600, 3],
        ] as const) {
          const { off, share } = lseErrors(name, { heads: 2, queries: 2, keys, headDim: dim, size });
          expect(off, `depth ${dim}, ${keys} keys`).toBeLessThan(name === 'js' ? 1e-14 : 1e-6);
          expect(share, `depth ${dim}, ${keys} keys`).toBeLessThan(1);
        }
      }
    });

    it('of products that are all alike, whose roundings add up', () => {
      const single = { heads: 1, queries: 1, keys: 100 };
      for (const dim of name === 'scalar' ? [64] : [64, 128, 256]) {
        for (const x of [0.2, 0.3, 0.55, 0.57]) {
          const alike = lseErrors(name, { ...single, headDim: dim, query: () => x, key: () => x });
          const opposite = (d: number) => (d < dim / 2 ? 30 * x : -30 * x);
          const key = (_b: number, _h: number, _n: number, d: number) => opposite(d);
          const cancelling = lseErrors(name, { ...single, headDim: dim, query: () => 1, key });
          for (const { share } of [alike, cancelling]) expect(share, `${x}, depth ${dim}`).toBeLessThan(1);
        }
      }
      for (const score of [0.1, 0.3, 0.7, 1.9]) {
        const equal = lseErrors(name, { ...single, keys: 5000, headDim: 1, query: () => 1, key: () => score });
        expect(equal.share, `${score}`).toBeLessThan(1);
      }
    });
  });

  describe('a sink of any size', () => {
    const sinks = F(largest, -largest, 1e13, -1e13, 5e15, 1e20, 700, 0, -0.5, -Infinity, Infinity, NaN);

    /** log(exp(lse) + exp(sink)), and the factor that outputs are multiplied by. */
    function withSink(lse: number, sink: number): [lse: number, factor: number] {
      if (sink === -Infinity) return [lse, 1];
      if (!(sink < Infinity)) return [sink, NaN];
      const [top, bottom] = [Math.max(lse, sink), Math.min(lse, sink)];
      const total = top + Math.log1p(Math.exp(bottom - top));
      return [total, Math.exp(lse - total)];
    }

    it.each([0, 1, 3, 600])('beside %i keys', (keys) => {
      if (name === 'scalar' && keys > 100) return;
      const single = { heads: 1, headDim: 3, valueDim: 2 };
      const [q, k, v] = [numbers(3, 1), numbers(keys * 3, 2), numbers(keys * 2, 3)];
      const { out: plain, lse: alone } = sync.attention(q, k, v, { ...single, lse: true });
      for (const sink of sinks) {
        const [lse, factor] = withSink(alone[0]!, sink);
        const whole = sync.attention(q, k, v, { ...single, sinks: F(sink), lse: true });
        const state = sync.attentionPartial(q, k, v, single).finish({ sinks: F(sink), heads: 1, lse: true });
        for (const got of [whole, state]) {
          // Where the sink has all of the weight, the lse is the sink.
          if (sink === lse || sink - sink !== 0) sameBits(got.lse, [lse], `lse with a sink of ${sink}`);
          else near(got.lse, [lse], `lse with a sink of ${sink}`);
          if (factor !== factor) sameBits(got.out, [NaN, NaN], `out with a sink of ${sink}`);
          else
            near(
              got.out,
              plain.map((x) => x * factor),
              `out with a sink of ${sink}`,
            );
        }
      }
      const weightless = sync.attention(q, k, v, { ...single, sinks: F(-largest), lse: true });
      if (keys > 0) expect(weightless).toEqual({ out: plain, lse: alone });
    });

    it('as large as the scores takes its share', () => {
      for (const size of F(1, 1000, 1e13, 1e16, 1e20, largest)) {
        const single = { heads: 1, headDim: 1, valueDim: 1, scale: 1, sinks: F(size), lse: true as const };
        const { out, lse } = sync.attention(F(size), F(1), F(8), single);
        near(out, [4], `out of ${size}`);
        expect(Math.abs(lse[0]! - (size + Math.LN2)) / lse[0]!, `lse of ${size}`).toBeLessThan(1e-15);
        near(sync.attention(F(size), F(1, 1), F(9, 9), single).out, [6], `out of two keys of ${size}`);
      }
    });
  });

  describe('an lse is [batch, heads, queries] in both layouts', () => {
    const [batch, queries, keys] = [2, 5, 40];
    /** [batch, heads, positions, dim] as [batch, positions, heads, dim]. */
    const turned = (x: Float32Array, all: number, dim: number) => {
      const positions = x.length / batch / all / dim;
      return x.map((_, i) => {
        const row = Math.floor(i / dim);
        const [b, position, head] = [Math.floor(row / all / positions), Math.floor(row / all) % positions, row % all];
        return x[((b * all + head) * positions + position) * dim + (i % dim)]!;
      });
    };
    const q = numbers(batch * heads * queries * headDim, 1);
    const [k, v] = [numbers(batch * kvHeads * keys * headDim, 2), numbers(batch * kvHeads * keys * valueDim, 3)];
    const [tk, tv] = [turned(k, kvHeads, headDim), turned(v, kvHeads, valueDim)];
    const inputs = { bhsd: [q, k, v], bshd: [turned(q, heads, headDim), tk, tv] } as const;
    const call = { ...sizes, batch, queries, sinks: numbers(heads, 4), causal: true, lse: true as const };

    function filled() {
      const cache = new sync.KVCache({ kvHeads, headDim, valueDim });
      const ids = [cache.create(), cache.create()];
      const of = (x: Float32Array, b: number) => x.subarray((b * x.length) / batch, ((b + 1) * x.length) / batch);
      ids.forEach((id, b) => cache.append(id, of(tk, b), of(tv, b)));
      return { cache, ids };
    }

    it('of attention', () => {
      const first = sync.attention(...inputs.bhsd, call);
      const second = sync.attention(...inputs.bshd, { ...call, layout: 'bshd' });
      sameBits(second.lse, first.lse, 'lse');
      sameBits(second.out, turned(first.out, heads, valueDim), 'out');
    });

    it('of decodeAttention', () => {
      const { cache, ids } = filled();
      const { lse } = sync.attention(...inputs.bhsd, call);
      for (const layout of ['bhsd', 'bshd'] as const) {
        const options = { queries, layout, sinks: call.sinks, lse: true as const };
        near(sync.decodeAttention(inputs[layout][0], cache, ids, options).lse, lse, layout);
      }
    });

    it('of finish, if it is told how rows lie', () => {
      const { cache, ids } = filled();
      const { lse, out } = sync.attention(...inputs.bshd, { ...call, layout: 'bshd' });
      const state = sync.attentionPartial(inputs.bshd[0], cache, ids, { queries, layout: 'bshd' });
      const rows = { heads, queries, layout: 'bshd' as const };
      const whole = state.finish({ ...rows, sinks: call.sinks, lse: true });
      near(whole.lse, lse, 'lse');
      near(whole.out, out, 'out');
      const [moved, byRow] = [state.finish({ ...rows, lse: true }).lse, state.finish({ lse: true }).lse];
      const first = (r: number) => Math.floor(r / heads / queries) * heads * queries;
      const place = (r: number) => first(r) + (r % heads) * queries + (Math.floor(r / heads) % queries);
      byRow.forEach((x, r) => expect(moved[place(r)]).toBe(x));
      const noHeads = () => state.finish({ queries, layout: 'bshd', lse: true });
      expect(noHeads).toThrow(/for heads, beside lse and layout 'bshd',/);
      expect(() => state.finish({ ...rows, heads: 7, lse: true })).toThrow(RangeError);
      expect(state.finish({ queries, layout: 'bshd' })).toEqual(state.finish());
    });

    it('of promises', async () => {
      const built = existsSync(new URL('../../dist/promises.js', import.meta.url));
      expect(built, 'dist/ is there (npm run compile)').toBe(true);
      const later = await import('../../lib/promises.js');
      const { cache, ids } = filled();
      for (const layout of ['bhsd', 'bshd'] as const) {
        const [x, y, z] = inputs[layout];
        const both = [
          sync.attention(x, y, z, { ...call, layout }),
          await later.attention(x, y, z, { ...call, layout }),
        ];
        expect(both[1]).toEqual(both[0]);
        const options = { queries, layout, lse: true as const };
        const wanted = sync.decodeAttention(inputs[layout][0], cache, ids, options);
        expect(await later.decodeAttention(inputs[layout][0], cache, ids, options)).toEqual(wanted);
      }
    });
  });

  it('states over no keys, masked keys, or keys far below change nothing', () => {
    const [single, q] = [{ heads: 1, headDim: 2, scale: 1 }, F(1, 1)];
    const a = sync.attentionPartial(q, F(1, 0), F(1, 2), single);
    const masked = sync.attentionPartial(q, F(1, 0), F(9, 9), { ...single, bias: F(-Infinity) });
    const far = sync.attentionPartial(q, F(-1e5, 0), F(7, 7), single);
    const empty = sync.AttentionPartial.empty(1, 2);
    for (const states of [
      [empty, a],
      [masked, a, masked],
      [far, a],
      [a, far, empty, masked],
    ]) {
      const { out, lse } = sync.mergeAttentionPartials(...states).finish({ lse: true });
      sameBits(out, [1, 2], 'out');
      expect(Math.abs(lse[0]! - 1)).toBeLessThan(2 ** -51);
    }
    const none = sync.mergeAttentionPartials(empty, masked).finish({ lse: true });
    expect(none).toEqual({ out: F(0, 0), lse: Float64Array.of(-Infinity) });
    const hidden = sync.attention(q, F(1, 0, 0, 1), F(NaN, Infinity, 3, 4), { ...single, bias: F(-Infinity, 0) });
    sameBits(hidden, [3, 4], 'NaN values behind −∞');
  });

  it('decoding int8 is attention over scale · int8, not rounded', () => {
    const [keys, page, width] = [200, 32, 48];
    const cache = new sync.KVCache({ kvHeads, headDim, valueDim, dtype: 'int8', pageSize: page });
    const id = cache.create();
    cache.append(id, numbers(kvHeads * keys * headDim, 2, 4), numbers(kvHeads * keys * valueDim, 3));
    const q = numbers(heads * headDim, 1, 40);
    const { slabs, scales, table } = viewOf(cache, [id]);
    const tileSize = 16 * (headDim + width);
    const exact = (head: number, n: number, d: number, isValue: boolean) => {
      const entry = table[Math.floor(n / page)]!;
      const slab = slabs[entry >>> 26]!;
      const first = head * (slab.length / tileSize / kvHeads) + ((entry & 0x3ffffff) * page + (n % page)) / 16;
      const [tile, lane] = [Math.floor(first), n % 16];
      const stored = slab[tile * tileSize + (isValue ? 16 * headDim + lane * width + d : d * 16 + lane)]!;
      return stored * scales[entry >>> 26]![(2 * tile + Number(isValue)) * 16 + lane]!;
    };
    const { k } = cache.read(id);
    k.forEach((x, i) => {
      const row = Math.floor(i / headDim);
      expect(Math.fround(exact(row % kvHeads, Math.floor(row / kvHeads), i % headDim, false))).toBe(x);
    });
    const rows = attentionOracle({
      heads,
      kvHeads,
      queries: 1,
      keys: [keys],
      headDim,
      valueDim,
      q: (_b, h, _m, d) => q[h * headDim + d]!,
      k: (_b, head, n, d) => exact(head, n, d, false),
      v: (_b, head, n, d) => exact(head, n, d, true),
    });
    const { out, lse } = sync.decodeAttention(q, cache, id, { lse: true });
    rows.forEach((row, r) => {
      row.out.forEach((x, d) => expect(Math.abs(out[r * valueDim + d]! - x)).toBeLessThan(2e-6 * row.most));
      expect(row.lse).toBeGreaterThan(100);
      expect(Math.abs(lse[r]! - row.lse)).toBeLessThan(1e-6);
    });
  });
});
