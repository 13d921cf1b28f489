/** argmax and topK against a sort, on every backend. */
import { describe, expect, it } from 'vitest';
import { backends } from '../support/backends.js';
import { MASK_NONE, MASK_ROW_BYTES, type TopKKernel } from '../../lib/backend/backend.js';
import { backendNamed } from '../../lib/backend/named.js';
import { argmax, topK } from '../../lib/sampling.js';
import { row, typeNames, type Floats } from '../support/cases.js';
import { lengths, makers } from './cases.js';

const inOrder = (x: ArrayLike<number>) => (a: number, b: number) => (x[a] === x[b] ? a - b : x[b]! - x[a]!);

for (const name of backends) {
  const backend = backendNamed(name);
  const topOn = (x: Floats, k: number) => {
    const [indices, values] = [new Uint32Array(k), x.slice(0, k)];
    const top = backend[x instanceof Float32Array ? 'top_k_f32' : 'top_k_f64'] as TopKKernel<Floats>;
    top(x, indices, values as Floats, null, null, 1, x.length, k, null, MASK_NONE, null);
    return { indices, values };
  };

  it(`argmax and topK agree with a sort, ${name}`, () => {
    for (const [kind, make] of Object.entries(makers)) {
      for (const type of typeNames) {
        for (const n of name === 'scalar' ? [1, 17, 300] : [...lengths, 10_000]) {
          const x = make(type, n, n + 3);
          const order = [...x.keys()].sort(inOrder(x));
          const index = new Uint32Array(1);
          if (x instanceof Float32Array) backend.argmax_f32(x, index, 1, n);
          else backend.argmax_f64(x, index, 1, n);
          expect(index[0], `${kind}, ${n}`).toBe(order[0]);
          for (const k of [1, 2, 5, 50, n >> 1, n]) {
            if (k < 1 || k > n) continue;
            const { indices, values } = topOn(x, k);
            expect([...indices], `${kind}, ${k} of ${n}`).toEqual(order.slice(0, k));
            expect([...values]).toEqual(order.slice(0, k).map((i) => x[i]));
          }
        }
      }
    }
  });
}

for (const name of backends) {
  const top = (x: Floats, k: number, mask: Uint8Array | null, bias: Floats | null) => {
    const indices = new Uint32Array(k);
    const kernel = backendNamed(name)[x instanceof Float32Array ? 'top_k_f32' : 'top_k_f64'] as TopKKernel<Floats>;
    const layout = mask === null ? MASK_NONE : MASK_ROW_BYTES;
    kernel(x, indices, x.slice(0, k) as Floats, null, null, 1, x.length, k, mask, layout, bias);
    return [...indices];
  };

  it(`topK of rows that are mostly −∞ or +∞, or all alike but for a few, ${name}`, () => {
    const n = name === 'scalar' ? 1000 : 20_000;
    for (const type of typeNames) {
      for (const [rest, few] of [
        [-Infinity, 1],
        [0, 1],
        [1, -Infinity],
        [2, Infinity],
        [-3e38, 3e38],
        [-Infinity, Infinity],
      ] as const) {
        for (const every of [3, 37, 900]) {
          const x = row(type, 'N(0,1)', n, every).map((z, i) =>
            i % every === 0 ? (Math.abs(few) === Infinity ? few : few * z) : rest,
          ) as Floats;
          const order = [...x.keys()].sort(inOrder(x));
          for (const k of [1, 7, 50, 64, 65, 300])
            expect(top(x, k, null, null), `${rest}, ${few}, ${every}, ${k}`).toEqual(order.slice(0, k));
        }
      }
    }
  });

  it(`topK with a mask and a bias, ${name}`, () => {
    for (const [i, n] of (name === 'scalar' ? [40, 300] : [40, 300, 1025, 9000]).entries()) {
      for (const type of typeNames) {
        const [x, bias] = [row(type, 'N(0,8)', n, i), row(type, 'N(0,1)', n, i + 9)];
        const mask = Uint8Array.from({ length: n }, (_, j) => (j * 7) % 3);
        x[3] = NaN; // hidden
        const z = Float64Array.from(x, (logit, j) => (mask[j] ? logit + bias[j]! : -Infinity));
        for (const k of [1, 20, n]) expect(top(x, k, mask, bias)).toEqual([...z.keys()].sort(inOrder(z)).slice(0, k));
      }
    }
  });
}

describe('argmax and topK', () => {
  it('take rows, infinities and a k beyond the row', () => {
    const x = Float32Array.of(1, 5, 5, -Infinity, -Infinity, -Infinity, 2, Infinity, 0);
    expect(argmax(x, { cols: 3 })).toEqual(Uint32Array.of(1, 0, 1));
    expect(topK(x, 2, { cols: 3 })).toEqual({
      indices: Uint32Array.of(1, 2, 0, 1, 1, 0),
      values: Float32Array.of(5, 5, -Infinity, -Infinity, Infinity, 2),
      k: 2,
    });
    expect(topK(x, 9, { cols: 3 }).k).toBe(3);
    expect(topK(new Float64Array(0), 3)).toEqual({ indices: new Uint32Array(0), values: new Float64Array(0), k: 0 });
  });

  it('name a row with a NaN', () => {
    const x = new Float64Array(300);
    x[250] = NaN;
    expect(() => argmax(x, { cols: 100 })).toThrow('Expected no NaN for row 2 of x but received one');
    expect(() => topK(x, 3, { cols: 100 })).toThrow('Expected no NaN for row 2 of x but received one');
    expect(() => argmax(new Float32Array(0))).toThrow('Expected at least one element for x');
  });
});
