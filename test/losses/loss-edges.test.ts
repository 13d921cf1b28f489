/** Losses where sums are far, given or dropped: on every backend. */
import { describe, expect, it } from 'vitest';
import { add, divide, expDD, multiply, type DD } from '../../lib/cli/oracle.js';
import type { RowLossKernel } from '../../lib/backend/backend.js';
import { backendNamed } from '../../lib/backend/named.js';
import type * as Losses from '../../lib/losses.js';
import { log1pDD } from '../softmax/log-oracle.js';
import { backends } from '../support/backends.js';
import { floats, generator, normal, typeNames, type Floats } from '../support/cases.js';
import { forceBackend } from '../support/force-backend.js';
import { dd, negative, sigmoidDD, subtract, sumsOf, total } from './oracle.js';

let losses: typeof Losses;
const load = async () => void (losses = await import('../../lib/losses.js'));

/** The gradient of decoupledSoftmax at temperature 1, and the log sum of the negatives. */
function decoupledSlopes(x: readonly DD[], positives: readonly number[]) {
  const negatives = x.filter((_, i) => !positives.includes(i));
  const top = negatives.reduce((a, b) => (b.hi > a.hi ? b : a));
  const others = total(negatives.filter((v) => v !== top).map((v) => expDD(subtract(v, top))));
  const lse = add(top, log1pDD(others));
  const sigmas = positives.map((j) => divide(sigmoidDD(subtract(lse, x[j]!)), dd(positives.length)));
  const slopes = x.map((v, i) => {
    const at = positives.indexOf(i);
    return at >= 0 ? negative(sigmas[at]!) : multiply(total(sigmas), expDD(subtract(v, lse)));
  });
  return { slopes, lse: lse.hi };
}

describe.each(backends)('%s', (backend) => {
  forceBackend(backend, load);

  it('drops a masked class whose share is 0 by labelSmoothing 1', () => {
    for (const type of typeNames) {
      const x = floats[type].of(1, 2, 3, 4) as Float64Array;
      const soft = floats[type].of(0.25, 0.25, 0.25, 0.25) as Float64Array;
      const [gradient, wanted] = [new floats[type](4), new floats[type](4)] as Float64Array[];
      const mask = Uint8Array.of(1, 0, 1, 1);
      const options = { mask, labelSmoothing: 1 };
      const [loss] = losses.crossEntropy(x, soft, { ...options, gradient: gradient! });
      const [same] = losses.crossEntropy(x, [0], { ...options, gradient: wanted! });
      expect(loss).toBe(same);
      expect(gradient).toEqual(wanted);
      expect(loss).toBeLessThan(3);
      expect(losses.crossEntropy(x, soft, { mask, labelSmoothing: 0.5 })[0]).toBe(Infinity);
    }
  });

  it.each(typeNames)('%s sums of whole rows count a given target beside a penalty', (type) => {
    const kernel = backendNamed(backend)[`row_loss_${type}`] as RowLossKernel<Floats>;
    const random = generator(8);
    for (const n of [2, 3, 16, 17, 130]) {
      for (const inner of [1, 3]) {
        const x = floats[type].from(Array.from({ length: n * inner }, () => normal(random)));
        const run = (given: Float64Array | null, logits: Floats) => {
          const [loss, gradient] = [new Float64Array(inner), floats[type].from(logits)];
          const numbers = [0, 0, 0, 0.3, 2] as const;
          const rows = [1, n, inner, 0.7, null, 0, null] as const;
          kernel(logits, new Int32Array(inner).fill(1), null, null, given, loss, gradient, ...numbers, ...rows);
          return { loss, gradient };
        };
        const whole = run(null, x);
        const without = floats[type].from(x);
        const given = new Float64Array(2 * inner).fill(1);
        for (let r = 0; r < inner; r++) {
          given[2 * r] = x[inner + r]!;
          without[inner + r] = -Infinity;
        }
        const got = run(given, without);
        got.loss.forEach((v, r) => expect(Math.abs(v / whole.loss[r]! - 1)).toBeLessThan(1e-14));
        const bound = type === 'f32' ? 2 ** -23 : 1e-14;
        for (const [i, v] of whole.gradient.entries()) {
          expect(Math.abs(got.gradient[i]! - v)).toBeLessThan(bound * (Math.abs(v) + +(type === 'f64')) + 1e-300);
        }
      }
    }
  });

  it('decoupledSoftmax has float64 gradients within 2^-52 · (1 + |lse|), and far rows', () => {
    const random = generator(3);
    for (const shift of [0, 30, -700, 5000]) {
      for (const n of [3, 9, 40, 300]) {
        const x = Float64Array.from({ length: n }, () => shift + 3 * normal(random));
        const gradient = new Float64Array(n);
        losses.decoupledSoftmax(x, { indptr: [0, 2], indices: [0, n - 1] }, { gradient });
        const { slopes, lse } = decoupledSlopes(sumsOf(x), [0, n - 1]);
        slopes.forEach(({ hi, lo }, i) => {
          const error = Math.abs((gradient[i]! - hi - lo) / hi);
          expect(error).toBeLessThan(2 ** -52 * (1 + Math.abs(lse)));
        });
      }
    }
    for (const top of [2 ** 32, -(2 ** 32)]) {
      const x = Float64Array.of(top, top - 1, top - 2, top - 3);
      const gradient = new Float64Array(4);
      const [loss] = losses.decoupledSoftmax(x, { indptr: [0, 1], indices: [2] }, { gradient });
      const { slopes } = decoupledSlopes(sumsOf(x), [2]);
      expect(loss).toBeCloseTo(Math.log1p(Math.E ** 2 * (1 + Math.exp(-1) + Math.exp(-3))), 5);
      slopes.forEach(({ hi }, i) => expect(gradient[i]).toBeCloseTo(hi, 5));
      const cold = new Float64Array(4);
      losses.decoupledSoftmax(
        x.map((v) => v / 4),
        { indptr: [0, 1], indices: [2] },
        { gradient: cold, temperature: 0.25 },
      );
      cold.forEach((v, i) => expect(v).toBeCloseTo(4 * gradient[i]!, 5));
    }
  });
});
