/** The function route: its options, its promise, and its errors. */
import { describe, expect, it } from 'vitest';
import * as promises from '../../lib/promises.js';
import { route } from '../../lib/routing.js';
import { floatsOf, halvesOf } from '../support/halves.js';
import { normals } from './cases.js';

describe('route', () => {
  const x = normals(12 * 30, 4);
  const options = { experts: 30, k: 4 } as const;

  it('is the same as a promise', async () => {
    for (const more of [{}, { capacity: { factor: 0.5 } }, { mask: new Uint8Array(12).fill(1, 3) }]) {
      expect(await promises.route(x, { ...options, ...more })).toEqual(route(x, { ...options, ...more }));
    }
    const large = normals(3000 * 64, 9);
    const spec = { experts: 64, k: 6, score: 'sigmoid', normalize: 'sum', selectBias: new Float32Array(64) } as const;
    expect(await promises.route(large, spec)).toEqual(route(large, spec));
    await expect(
      promises.route(
        x.map(() => NaN),
        options,
      ),
    ).rejects.toThrow(/token 0/);
  });

  it('drops by order and by weight', () => {
    const all = route(x, options);
    const room = Math.ceil((0.5 * 12 * 4) / 30);
    for (const drop of [undefined, 'order', 'weight'] as const) {
      const routes = route(x, { ...options, capacity: drop ? { factor: 0.5, drop } : { factor: 0.5 } });
      expect(routes.experts).toEqual(all.experts);
      expect(routes.counts).toEqual(all.counts);
      let dropped = 0;
      for (let e = 0; e < 30; e++) {
        const own = Array.from(all.experts.keys()).filter((p) => all.experts[p] === e);
        const kept = drop === 'weight' ? [...own].sort((a, b) => all.weights[b]! - all.weights[a]! || a - b) : own;
        for (const p of own) {
          const isKept = kept.indexOf(p) < room;
          expect(routes.weights[p]).toBe(isKept ? all.weights[p] : 0);
          dropped += Number(!isKept);
        }
      }
      expect(routes.dropped).toBe(dropped);
      expect(dropped).toBeGreaterThan(0);
    }
    const half = new Uint8Array(12).fill(1, 6); // six tokens count: half the room
    const masked = route(x, { ...options, mask: half, capacity: { factor: 2.5 } });
    const most = Math.ceil((2.5 * 6 * 4) / 30);
    expect(masked.dropped).toBe(masked.counts.reduce((sum, n) => sum + Math.max(0, n - most), 0));
  });

  it('takes masks of bits, halves and subclasses', () => {
    const bytes = Uint8Array.from({ length: 12 }, (_, i) => (i % 3 ? 9 : 0));
    const bits = new Uint8Array(2);
    bytes.forEach((byte, i) => (bits[i >> 3]! |= byte ? 1 << (i & 7) : 0));
    const wanted = route(x, { ...options, mask: bytes });
    expect(route(x, { ...options, mask: bits, maskFormat: 'bits' })).toEqual(wanted);
    const halves = halvesOf('f16', x);
    expect(route(halves, { ...options, dtype: 'float16' })).toEqual(route(floatsOf('f16', halves), options));
    expect(route(new Float32Array(0), options)).toMatchObject({ experts: new Uint32Array(0), dropped: 0 });
  });

  it('names what is wrong', () => {
    const nan = x.slice();
    nan[70] = NaN;
    const infinite = x.slice();
    infinite[95] = Infinity;
    const bias = new Float64Array(30);
    const wrong: [unknown, object, string, RegExp][] = [
      [nan, {}, 'ERR_INVALID_ARG_VALUE', /no NaN for token 2 of logits/],
      [infinite, {}, 'ERR_INVALID_ARG_VALUE', /token 3 of logits/],
      [x, { k: 31 }, 'ERR_OUT_OF_RANGE', /from 1 to 30/],
      [x, { groups: 10, topGroups: 1 }, 'ERR_OUT_OF_RANGE', /from 1 to 3.* k .*4/],
      [x, { groups: 7 }, 'ERR_INVALID_ARG_VALUE', /divisor/],
      [x, { groups: 3, topGroups: 4 }, 'ERR_OUT_OF_RANGE', /topGroups/],
      [x, { topGroups: 2 }, 'ERR_OUT_OF_RANGE', /topGroups/],
      [x, { selectBias: bias.map((_, i) => (i > 2 ? -Infinity : 0)) }, 'ERR_INVALID_ARG_VALUE', /at least 4 experts/],
      [x, { selectBias: bias.fill(NaN, 3, 4) }, 'ERR_OUT_OF_RANGE', /NaN for expert 3/],
      [x, { selectBias: new Float32Array(29) }, 'ERR_INVALID_ARG_VALUE', /selectBias.*29/],
      [x, { selectBias: [0] }, 'ERR_INVALID_ARG_TYPE', /selectBias/],
      [x, { score: 'relu' }, 'ERR_INVALID_ARG_VALUE', /score/],
      [x, { normalize: true }, 'ERR_INVALID_ARG_TYPE', /normalize/],
      [x, { scale: 0 }, 'ERR_OUT_OF_RANGE', /scale/],
      [x, { capacity: 1 }, 'ERR_INVALID_ARG_TYPE', /capacity/],
      [x, { capacity: { factor: 0 } }, 'ERR_OUT_OF_RANGE', /capacity.factor/],
      [x, { capacity: { factor: 1, by: 'order' } }, 'ERR_INVALID_ARG_TYPE', /by/],
      [x, { capacity: { factor: 1, drop: 'random' } }, 'ERR_INVALID_ARG_VALUE', /capacity.drop/],
      [x, { mask: new Uint8Array(11) }, 'ERR_INVALID_ARG_VALUE', /12 bytes.*11/],
      [x, { mask: [1] }, 'ERR_INVALID_ARG_TYPE', /mask/],
      [x, { experts: 31 }, 'ERR_INVALID_ARG_VALUE', /divisor/],
      [x, { experts: 2.5 }, 'ERR_OUT_OF_RANGE', /experts/],
      [x, { topK: 3 }, 'ERR_INVALID_ARG_TYPE', /topK/],
      [x, { dtype: 'float16' }, 'ERR_INVALID_ARG_VALUE', /dtype/],
      [new Uint16Array(60), {}, 'ERR_INVALID_ARG_TYPE', /dtype/],
      [new Float64Array(60), {}, 'ERR_INVALID_ARG_TYPE', /logits/],
    ];
    for (const [logits, more, code, message] of wrong) {
      const call = () => route(logits as Float32Array, { ...options, ...more } as never);
      expect(call, String(message)).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }));
    }
    expect(() => route(x, undefined as never)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }));
  });
});
