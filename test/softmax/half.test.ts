/** Half types: inputs are exact, and outputs are the float32 result rounded once, by a search through all values. */
import { describe, expect, it } from 'vitest';
import {
  crossEntropy,
  expSum,
  ExpSumAccumulator,
  logSoftmax,
  logSumExp,
  normalize,
  softmax,
  softmaxBackward,
} from '../../lib/index.js';
import type { BackwardKernel, CrossEntropyKernel, NormalizeKernel, SoftmaxKernel } from '../../lib/backend/backend.js';
import { backendNamed } from '../../lib/backend/named.js';
import { backends, isNative } from '../support/backends.js';
import { firstDifference, generator, row, type Floats } from '../support/cases.js';
import { isLong } from '../support/long.js';
import { dtypes, floatsOf, halvesOf, valueOf } from '../support/halves.js';
import { backwardOn, crossEntropyOn, logSoftmaxOn, logSumExpOn } from '../support/family.js';

/** Rows of several parts (2^18) are for the backends that have the time for them. */
const isVector = (name: string) => isNative(name) && name !== 'scalar';

for (const type of ['f16', 'bf16'] as const) {
  describe(type, () => {
    for (const name of backends) {
      const backend = backendNamed(name);
      it(`${name}: all 65536 values are read exactly`, () => {
        const x = Uint16Array.from({ length: 65536 }, (_, i) => i);
        const sums = new Float64Array(65536);
        backend[`log_sum_exp_${type}`](x, sums, 65536, 1, 1, 1, null, 0, null);
        const wanted = Float64Array.from(x, (bits) => valueOf(type, bits));
        sums.forEach((v, i) => {
          if (!(v === wanted[i] || (Number.isNaN(v) && Number.isNaN(wanted[i]))))
            expect.fail(`${i.toString(16)} gave ${v}, is ${wanted[i]}`);
        });
      });

      it(`${name}: results are the float32 results, rounded once`, () => {
        for (const [outer, cols, inner] of [
          [1, 1, 1],
          [1, 17, 1],
          [isLong ? 900 : 90, 100, 1],
          [1, isLong || isVector(name) ? 300_001 : 70_001, 1],
          [3, 7, 5],
          [2, isLong ? 1000 : 200, 33],
          [isLong ? 11 : 2, 8001, 1],
        ] as const) {
          const size = outer * cols * inner;
          const x = halvesOf(type, row('f32', 'N(0,8)', size));
          const random = generator(size);
          const mask = Uint8Array.from({ length: Math.ceil(size / 8) }, () => random() | random());
          const bias = halvesOf(type, row('f32', 'N(0,1)', size % 2 ? cols : size, 3));
          for (const isPlain of [true, false]) {
            const rest = [outer, cols, inner, 0.7, isPlain ? null : mask, isPlain ? 0 : 3] as const;
            const [z, b] = [floatsOf(type, x), isPlain ? null : floatsOf(type, bias)];
            const options = {
              outer,
              cols,
              inner,
              temperature: 0.7,
              ...(!isPlain && { mask, maskLayout: 3, bias: b! }),
            };
            const half = isPlain ? null : bias;
            const what = `[${outer}, ${cols}, ${inner}], ${isPlain ? 'plain' : 'mask and bias'}`;
            const same = (got: Uint16Array, wanted: Floats, op: string) => {
              const bits = halvesOf(type, wanted);
              const i = got.findIndex((v, k) => v !== bits[k]);
              if (i >= 0)
                expect.fail(
                  `${op}, ${what}: [${i}] is ${got[i]!.toString(16)}, ${bits[i]!.toString(16)} wanted for ${wanted[i]}`,
                );
            };
            const out = new Uint16Array(size);
            const wide = new Float32Array(size);

            const probabilities = new Float32Array(size);
            backend.softmax_f32(z, probabilities, ...rest, b);
            backend[`softmax_${type}`](x, out, ...rest, half);
            same(out, probabilities, 'softmax');
            (backend[`softmax_${type}_f32`] as SoftmaxKernel<Uint16Array, Float32Array>)(x, wide, ...rest, half);
            expect(firstDifference(wide, probabilities), what).toBe(-1);

            const logs = logSoftmaxOn(name, z, options);
            backend[`log_softmax_${type}`](x, out, ...rest, half);
            same(out, logs, 'logSoftmax');
            (backend[`log_softmax_${type}_f32`] as SoftmaxKernel<Uint16Array, Float32Array>)(x, wide, ...rest, half);
            expect(firstDifference(wide, logs), what).toBe(-1);

            const sums = new Float64Array(outer * inner);
            backend[`log_sum_exp_${type}`](x, sums, ...rest, half);
            expect(firstDifference(sums, logSumExpOn(name, z, options)), what).toBe(-1);

            const [m, e] = [new Float64Array(outer * inner), new Int32Array(outer * inner)];
            const [ofHalves, at] = [new Float64Array(outer * inner), new Int32Array(outer * inner)];
            backend.exp_sum_f32(z, m, e, ...rest, b);
            backend[`exp_sum_${type}`](x, ofHalves, at, ...rest, half);
            expect([ofHalves, at], what).toEqual([m, e]);
            backend.normalize_f32(z, probabilities, m, e, ...rest, b);
            (backend[`normalize_${type}`] as NormalizeKernel<Uint16Array>)(x, out, m, e, ...rest, half);
            same(out, probabilities, 'normalize');
            (backend[`normalize_${type}_f32`] as NormalizeKernel<Uint16Array, Float32Array>)(
              x,
              wide,
              m,
              e,
              ...rest,
              half,
            );
            expect(firstDifference(wide, probabilities), what).toBe(-1);

            const targets = Int32Array.from({ length: outer * inner }, () => random() % cols);
            const wanted = crossEntropyOn(name, z, targets, options);
            (backend[`cross_entropy_${type}`] as CrossEntropyKernel<Uint16Array>)(x, targets, sums, out, ...rest, half);
            expect(firstDifference(sums, wanted.loss), what).toBe(-1);
            same(out, wanted.gradient, 'crossEntropy');

            const y = halvesOf(type, probabilities);
            const dx = backwardOn(name, floatsOf(type, y), z, options);
            (backend[`softmax_backward_${type}`] as BackwardKernel<Uint16Array>)(y, x, out, 0, ...rest);
            same(out, dx, 'softmaxBackward');
            (backend[`softmax_backward_${type}_f32`] as BackwardKernel<Uint16Array, Float32Array>)(
              y,
              x,
              wide,
              0,
              ...rest,
            );
            expect(firstDifference(wide, dx), what).toBe(-1);
          }
        }
      }, 120_000);

      it(`${name}: ties, subnormals, overflow, NaN`, () => {
        // dx = y · (dy − Σ): with y = 1 beside a zero, dx of the zero's row is the float product.
        const random = generator(1);
        const all = Uint16Array.from({ length: 40_000 }, () => random() & 0xffff);
        const pairs = floatsOf(type, all);
        const out = new Uint16Array(all.length);
        (backend[`softmax_backward_${type}`] as BackwardKernel<Uint16Array>)(
          all,
          all.slice().reverse(),
          out,
          0,
          20_000,
          2,
          1,
          1,
          null,
          0,
        );
        const wanted = backwardOn(name, pairs, pairs.slice().reverse(), { cols: 2 });
        const bits = halvesOf(type, wanted);
        const isNaNOf = (v: number) => Number.isNaN(valueOf(type, v));
        out.forEach((v, i) => {
          if (v !== bits[i] && !(isNaNOf(v) && isNaNOf(bits[i]!)))
            expect.fail(`[${i}] ${v.toString(16)}, ${bits[i]!.toString(16)} wanted for ${wanted[i]}`);
        });
      });
    }
  });
}

describe('the public functions', () => {
  it('take Uint16Array with a dtype', () => {
    for (const type of ['f16', 'bf16'] as const) {
      const dtype = dtypes[type];
      const x = halvesOf(type, row('f32', 'N(0,1)', 120));
      const options = { cols: 40, dtype } as const;
      const y = softmax(x, options);
      expect(y).toBeInstanceOf(Uint16Array);
      const wide = softmax(x, { ...options, out: new Float32Array(120) });
      expect(wide).toBeInstanceOf(Float32Array);
      expect([...y]).toEqual([...halvesOf(type, wide)]);
      expect([...halvesOf(type, logSoftmax(x, { ...options, out: new Float32Array(120) }))]).toEqual([
        ...logSoftmax(x, options),
      ]);
      expect(logSumExp(x, options)).toHaveLength(3);
      const gradient = new Uint16Array(120);
      expect(crossEntropy(x, [1, 2, -100], { ...options, gradient })[2]).toBe(0);
      expect([...gradient.subarray(80)].every((v) => v === 0)).toBe(true);
      expect(softmaxBackward(y, x, options)).toHaveLength(120);

      const state = expSum(x, options);
      expect(state).toEqual(expSum(floatsOf(type, x), { cols: 40 }));
      const parts = normalize(x, state, { ...options, out: new Float32Array(120) });
      expect([...halvesOf(type, parts)]).toEqual([...normalize(x, state, options)]);
      const accumulator = new ExpSumAccumulator()
        .add(x.subarray(0, 40), { dtype })
        .merge(expSum(x.subarray(40, 80), { dtype }));
      expect(accumulator.state).toEqual(
        new ExpSumAccumulator().add(floatsOf(type, x.subarray(0, 40))).add(floatsOf(type, x.subarray(40, 80))).state,
      );
      expect(accumulator.normalize(x.subarray(0, 40), undefined, { dtype })).toBeInstanceOf(Uint16Array);
      expect(accumulator.normalize(x.subarray(0, 40), new Float32Array(40), { dtype })).toBeInstanceOf(Float32Array);
    }
  });

  it('name the fault of an argument', () => {
    const x = new Uint16Array(4) as never;
    const refused = (options: object, code: string, message: string) =>
      expect(() => softmax(x, options as never)).toThrow(
        expect.objectContaining({ code, message: expect.stringContaining(message) }),
      );
    refused({}, 'ERR_INVALID_ARG_TYPE', "Expected dtype 'float16' or 'bfloat16' beside a Uint16Array for x");
    refused(
      { dtype: 'half' },
      'ERR_INVALID_ARG_VALUE',
      "Expected 'float16' or 'bfloat16' for dtype but received 'half'",
    );
    refused({ dtype: 'float16', bias: new Float32Array(4) }, 'ERR_INVALID_ARG_TYPE', 'for bias');
    refused({ dtype: 'float16', out: new Float64Array(4) }, 'ERR_INVALID_ARG_TYPE', 'or a Float32Array for out');
    expect(() => softmax(new Float32Array(4), { dtype: 'float16' })).toThrow(
      'Expected no value beside a Float32Array for dtype',
    );
    const buffer = new ArrayBuffer(16);
    expect(() => softmax(new Uint16Array(buffer, 0, 4), { dtype: 'float16', out: new Float32Array(buffer) })).toThrow(
      'for out but received a part of x',
    );
  });

  const Float16Array = (globalThis as { Float16Array?: new (values: number[]) => never }).Float16Array;
  it.runIf(Float16Array)('take a Float16Array', () => {
    const y = softmax(new Float16Array!([0, 0])) as ArrayLike<number>;
    expect([y[0], y[1]]).toEqual([0.5, 0.5]);
    const x = new Float16Array!([0, 0]);
    expect([...(normalize(x, expSum(x)) as Iterable<number>)]).toEqual([0.5, 0.5]);
  });
});
