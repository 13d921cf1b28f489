/**
 * loadBalanceLoss, routeBackward, dispatchPlan and updateSelectBias: values against double-double definitions,
 * gradients against their differences.
 */
import { describe, expect, it } from 'vitest';
import { add, multiplyNumber, type DD } from '../../lib/cli/oracle.js';
import * as promises from '../../lib/promises.js';
import { dispatchPlan, loadBalanceLoss, route, routeBackward, updateSelectBias } from '../../lib/routing.js';
import { backends, isNative } from '../support/backends.js';
import { floatsOf, halvesOf } from '../support/halves.js';
import { backwardOn, balanceOn, normals, routeOn } from './cases.js';
import { derivative, lossOracle, weightsOf, ZERO, type Spec } from './route-oracle.js';

const exactly = (x: number): DD => ({ hi: x, lo: 0 });
const ways = (['softmax', 'sigmoid'] as const).flatMap((score) =>
  (['none', 'sum', 'softmax'] as const).map((normalize) => ({ score, normalize })),
);

/** Errors of a gradient: relative, and of a sum whose terms cancel. */
function expectNear(actual: ArrayLike<number>, wanted: readonly number[], size: number, what: string): void {
  wanted.forEach((w, i) => {
    const error = Math.abs(actual[i]! - w);
    if (!(error <= 2 ** -24 * Math.abs(w) + 1e-14 * size + 2 ** -149)) {
      expect.fail(`${what}: element ${i} is ${actual[i]}, exactly ${w}`);
    }
  });
}

for (const backend of backends) {
  describe(backend, () => {
    it('loadBalanceLoss is exact, and so is its gradient', () => {
      for (const score of ['softmax', 'sigmoid'] as const) {
        for (const experts of [1, 2, 5, 16, 21, 64]) {
          for (const shift of [0, -700, 30]) {
            const x = normals(3 * experts, experts, 2).map((v) => v + shift);
            const counts = Uint32Array.from({ length: experts }, (_, i) => (i * 7) % 11);
            if (experts === 1) counts[0] = 3;
            const total = counts.reduce((a, b) => a + b);
            const shares = Float64Array.from(counts, (c) => (2 * c) / total);
            const { means, gradient } = balanceOn(backend, x, shares, { score, factor: experts / 3 });
            const rows = [0, 1, 2].map((t) => Array.from(x.subarray(t * experts, (t + 1) * experts), exactly));
            const loss = (each: readonly (readonly DD[])[]) => lossOracle(each, counts, { score, byK: false, k: 2 });
            const wanted = loss(rows);
            const actual = (means.reduce((a, b) => a + b) * experts) / 3;
            expect(Math.abs(actual / wanted.hi - 1)).toBeLessThan(1e-14);
            rows.forEach((row, t) => {
              const slopes = derivative((z) => multiplyNumber(loss([z]), 1 / 3), row);
              const own = gradient.subarray(t * experts, (t + 1) * experts);
              expectNear(own, slopes, 10, `${score}, ${experts} experts, shift ${shift}`);
            });
          }
        }
      }
    });

    it('routeBackward is the derivative of the weights', () => {
      for (const way of ways) {
        for (const [experts, k, scale] of [
          [1, 1, 1],
          [4, 2, 1],
          [21, 5, 2.5],
          [64, 8, 0.5],
          [40, 19, 1],
        ] as const) {
          for (const shift of [0, -800, 50]) {
            const spec: Spec = { experts, k, scale, ...way };
            const x = normals(2 * experts, experts, 2).map((v) => v + shift);
            const routes = routeOn(backend, x, spec);
            routes.weights[0] = 0; // dropped
            const g = normals(2 * k, 77);
            const { out } = backwardOn(backend, x, routes, g, spec);
            for (const t of [0, 1]) {
              const row = Array.from(x.subarray(t * experts, (t + 1) * experts), exactly);
              const own = Array.from(routes.experts.subarray(t * k, (t + 1) * k));
              const loss = (z: readonly DD[]) =>
                weightsOf(z, own, spec).reduce(
                  (sum, w, j) => (routes.weights[t * k + j] === 0 ? sum : add(sum, multiplyNumber(w, g[t * k + j]!))),
                  ZERO,
                );
              const isNothing = routes.weights.subarray(t * k, (t + 1) * k).every((w) => w === 0);
              const wanted = isNothing ? row.map(() => 0) : derivative(loss, row);
              const what = `${JSON.stringify(spec)}, shift ${shift}, token ${t}`;
              expectNear(out.subarray(t * experts, (t + 1) * experts), wanted, 20 * scale, what);
            }
          }
        }
      }
    });

    it('nothing is written where a token has a NaN', () => {
      const x = normals(4 * 20, 1);
      x[79] = NaN;
      const balance = balanceOn(backend, x, new Float64Array(20).fill(1));
      expect(balance.status).toEqual(Int32Array.of(0, 0, 0, 1));
      expect(balance.gradient).toEqual(new Float32Array(80));
      const routes = { experts: new Uint32Array(8).fill(3), weights: new Float32Array(8).fill(0.5) };
      const backward = backwardOn(backend, x, routes, new Float32Array(8), { experts: 20, k: 2 });
      expect(backward.status).toEqual(Int32Array.of(0, 0, 0, 1));
      expect(backward.out).toEqual(new Float32Array(80).fill(7));
      routes.weights.fill(0, 6); // a token without a weight is not read
      const last = backwardOn(backend, x, routes, new Float32Array(8), { experts: 20, k: 2 });
      expect(last.out.subarray(60)).toEqual(new Float32Array(20));
      const mask = Uint8Array.of(1, 1, 1, 0);
      expect(balanceOn(backend, x, new Float64Array(20), { mask }).status).toEqual(new Int32Array(4));
    });

    it('has gradient 0 where scores are 0/0', () => {
      const nothing = new Float32Array(20).fill(-Infinity);
      for (const way of ways) {
        const spec = { experts: 20, k: 4, ...way };
        const routes = routeOn(backend, nothing, spec);
        const { out } = backwardOn(backend, nothing, routes, normals(4, 3), spec);
        expect(Array.from(out, Math.abs)).toEqual(new Array(20).fill(0));
      }
      for (const score of ['softmax', 'sigmoid'] as const) {
        const shares = Float64Array.from({ length: 20 }, (_, i) => i);
        const { means, gradient } = balanceOn(backend, nothing, shares, { score });
        expect(means[0]).toBeCloseTo(9.5, 14);
        expect(Array.from(gradient, Math.abs)).toEqual(new Array(20).fill(0));
      }
    });
  });
}

it('all native backends have the same bits', () => {
  const x = normals(40 * 96, 8, 2);
  const natives = backends.filter(isNative);
  const shares = Float64Array.from(normals(96, 4));
  for (const score of ['softmax', 'sigmoid'] as const) {
    const all = natives.map((name) => balanceOn(name, x, shares, { score, factor: 0.3 }));
    for (const each of all) expect(each).toEqual(all[0]);
  }
  for (const way of ways) {
    const spec = { experts: 96, k: 6, ...way };
    const all = natives.map((name) => backwardOn(name, x, routeOn(natives[0]!, x, spec), normals(240, 3), spec));
    for (const each of all) expect(each).toEqual(all[0]);
  }
});

describe('the public functions', () => {
  const x = Float32Array.of(1, 3, 2, 0.5, 0, 0, 1, 2, 2, 1, 0, 0);
  const options = { experts: 4, k: 2 } as const;
  const routes = route(x, options);

  it('loadBalanceLoss has the values of the definition', async () => {
    expect(Math.abs(loadBalanceLoss(routes, x) - 1.989809691322873)).toBeLessThan(2e-14);
    expect(Math.abs(loadBalanceLoss(routes, x, { normalizeByK: true }) - 0.99490484566143648)).toBeLessThan(1e-14);
    const gradient = new Float32Array(12);
    const later = new Float32Array(12);
    const loss = loadBalanceLoss(routes, x, { ...options, gradient });
    expect(await promises.loadBalanceLoss(routes, x, { gradient: later })).toBe(loss);
    expect(later).toEqual(gradient);
    const same = x.slice();
    expect(loadBalanceLoss(routes, same, { gradient: same })).toBe(loss);
    expect(same).toEqual(gradient);
  });

  it('loadBalanceLoss takes counts of a larger batch, and masked tokens', () => {
    const twice = { counts: routes.counts.map((c) => 2 * c), k: 2 };
    expect(loadBalanceLoss(twice, x)).toBeCloseTo(loadBalanceLoss(routes, x), 14);
    const mask = Uint8Array.of(1, 0, 1);
    const masked = route(x, { ...options, mask });
    const wanted = loadBalanceLoss(
      route(Float32Array.of(...x.subarray(0, 4), ...x.subarray(8)), options),
      Float32Array.of(...x.subarray(0, 4), ...x.subarray(8)),
    );
    const gradient = new Float32Array(12).fill(5);
    expect(loadBalanceLoss(masked, x, { mask, gradient })).toBeCloseTo(wanted, 14);
    expect(gradient.subarray(4, 8)).toEqual(new Float32Array(4));
    expect(loadBalanceLoss({ counts: new Uint32Array(4), k: 2 }, new Float32Array(0))).toBe(0);
    expect(loadBalanceLoss(masked, x, { mask: new Uint8Array(3) })).toBe(0);
  });

  it('routeBackward runs in place, as a promise and on halves', async () => {
    const big = normals(200 * 64, 2);
    const spec = { experts: 64, k: 6, score: 'sigmoid', normalize: 'sum', scale: 2.5 } as const;
    const all = route(big, { ...spec, capacity: { factor: 1 } });
    const g = normals(1200, 5);
    const wanted = routeBackward(all, g, big, spec);
    expect(await promises.routeBackward(all, g, big, spec)).toEqual(wanted);
    const same = big.slice();
    expect(routeBackward(all, g, same, { ...spec, out: same })).toBe(same);
    expect(same).toEqual(wanted);
    const halves = halvesOf('bf16', big);
    const dtype = 'bfloat16' as const;
    const narrow = routeBackward(all, g, halves, { ...spec, dtype });
    expect(narrow).toEqual(halvesOf('bf16', routeBackward(all, g, floatsOf('bf16', halves), spec)));
    const slopes = new Uint16Array(halves.length);
    loadBalanceLoss(all, halves, { gradient: slopes, dtype });
    const wide = new Float32Array(halves.length);
    loadBalanceLoss(all, floatsOf('bf16', halves), { gradient: wide });
    expect(slopes).toEqual(halvesOf('bf16', wide));
  });

  it('dispatchPlan sorts choices by expert, and leaves out those without a weight', () => {
    expect(dispatchPlan(routes)).toEqual({
      offsets: Uint32Array.of(0, 1, 3, 5, 6),
      order: Uint32Array.of(4, 0, 5, 1, 3, 2),
    });
    const masked = route(x, { ...options, mask: Uint8Array.of(0, 1, 1), capacity: { factor: 0.5 } });
    const { offsets, order } = dispatchPlan(masked);
    expect(offsets[4]).toBe(4 - masked.dropped);
    for (let e = 0; e < 4; e++) {
      for (const p of order.subarray(offsets[e], offsets[e + 1])) {
        expect(masked.experts[p]).toBe(e);
        expect(masked.weights[p]).toBeGreaterThan(0);
      }
    }
    expect(promises.dispatchPlan).toBe(dispatchPlan);
  });

  it('updateSelectBias moves towards the mean', () => {
    const bias = Float64Array.of(0, 1, 2, -Infinity);
    expect(updateSelectBias(bias, Uint32Array.of(5, 1, 2, 0), { rate: 0.25 })).toBe(bias);
    expect(bias).toEqual(Float64Array.of(-0.25, 1.25, 2, -Infinity));
    expect(updateSelectBias(new Float32Array(2), Uint32Array.of(1, 3))).toEqual(Float32Array.of(0.001, -0.001));
    expect(promises.updateSelectBias).toBe(updateSelectBias);
  });

  it('name what is wrong, and write nothing then', () => {
    const gradient = new Float32Array(12).fill(9);
    const out = gradient;
    const nan = x.slice();
    nan[11] = NaN;
    const g = new Float32Array(6);
    const calls: [() => unknown, string, RegExp][] = [
      [() => loadBalanceLoss(routes, nan, { gradient }), 'ERR_INVALID_ARG_VALUE', /token 2 of logits/],
      [() => loadBalanceLoss(routes, x, { experts: 5 }), 'ERR_INVALID_ARG_VALUE', /experts/],
      [() => loadBalanceLoss(routes, x, { k: 3 }), 'ERR_INVALID_ARG_VALUE', /k but/],
      [() => loadBalanceLoss(routes, x.subarray(1)), 'ERR_INVALID_ARG_VALUE', /divisor/],
      [() => loadBalanceLoss(routes, x, { gradient: new Float32Array(11) }), 'ERR_INVALID_ARG_VALUE', /gradient/],
      [() => loadBalanceLoss(routes, x.subarray(0, 8), { gradient: x.subarray(4) }), 'ERR_INVALID_ARG_VALUE', /apart/],
      [() => loadBalanceLoss(routes, x, { normalizeByK: 1 as never }), 'ERR_INVALID_ARG_TYPE', /normalizeByK/],
      [() => loadBalanceLoss(null as never, x), 'ERR_INVALID_ARG_TYPE', /routes/],
      [() => loadBalanceLoss({ counts: [1] as never, k: 1 }, x), 'ERR_INVALID_ARG_TYPE', /counts/],
      [() => loadBalanceLoss({ counts: new Uint32Array(0), k: 1 }, x), 'ERR_INVALID_ARG_VALUE', /counts/],
      [() => routeBackward(routes, g, nan, { out }), 'ERR_INVALID_ARG_VALUE', /token 2 of logits/],
      [() => routeBackward(routes, g.subarray(1), x, { out }), 'ERR_INVALID_ARG_VALUE', /dWeights/],
      [() => routeBackward(routes, [] as never, x), 'ERR_INVALID_ARG_TYPE', /dWeights/],
      [() => routeBackward(routes, g, x.subarray(4), { out }), 'ERR_INVALID_ARG_VALUE', /3 tokens/],
      [
        () => routeBackward({ ...routes, experts: Uint32Array.of(0, 1, 2, 3, 4, 0) }, g, x, { out }),
        'ERR_OUT_OF_RANGE',
        /routes.experts but received '4 at 4'/,
      ],
      [() => dispatchPlan({ ...routes, weights: g.subarray(1) }), 'ERR_INVALID_ARG_VALUE', /routes.weights/],
      [() => dispatchPlan({ ...routes, k: 4 }), 'ERR_INVALID_ARG_VALUE', /multiple of k/],
      [() => updateSelectBias(new Float32Array(3), routes.counts), 'ERR_INVALID_ARG_VALUE', /bias/],
      [() => updateSelectBias(new Float32Array(4), routes.counts, { rate: -1 }), 'ERR_INVALID_ARG_VALUE', /rate/],
      [() => updateSelectBias([] as never, routes.counts), 'ERR_INVALID_ARG_TYPE', /bias/],
      [() => updateSelectBias(new Float32Array(4), [] as never), 'ERR_INVALID_ARG_TYPE', /counts/],
    ];
    for (const [call, code, message] of calls) {
      expect(call, String(message)).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }));
    }
    expect(gradient).toEqual(new Float32Array(12).fill(9));
  });

  it('leaves halves, and the arrays of promises, as they are where a token has a NaN', async () => {
    const [type, dtype, g] = ['f16', 'float16', new Float32Array(6)] as const;
    const own = route(normals(12, 1), { experts: 4, k: 2 });
    const bits = halvesOf(type, normals(12, 1).with(9, NaN));
    const result = () => new Uint16Array(12).fill(0x5a5a);
    for (const api of [{ loadBalanceLoss, routeBackward }, promises]) {
      const [slopes, out] = [result(), result()];
      await expect((async () => api.loadBalanceLoss(own, bits, { dtype, gradient: slopes }))()).rejects.toThrow(
        /token 2/,
      );
      await expect((async () => api.routeBackward(own, g, bits, { dtype, out }))()).rejects.toThrow(/token 2/);
      expect([slopes, out]).toEqual([result(), result()]);
    }
  });
});
