/**
 * States of partial sums and of partial attention as callers give them: many, with getters, detached, of another copy
 * of the package. Files of the wire form that version 0.1 wrote.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it, vi } from 'vitest';
import { AttentionPartial, mergeAttentionPartials } from '../../lib/attention.js';
import { ExpSumAccumulator, expSum, logSumExp, mergeExpSums, type ExpSums } from '../../lib/index.js';

const F = (...x: number[]) => Float64Array.from(x);
const I = (...x: number[]) => Int32Array.from(x);
function detached<A extends ArrayBufferView>(x: A): A {
  structuredClone(x.buffer, { transfer: [x.buffer as ArrayBuffer] });
  return x;
}
const sum = (m: number, e = 0): ExpSums => ({ mantissa: F(m), exponent: I(e) });
const part = (m: number, e = 0) => ({ out: F(m, 3 * m), mantissa: F(m), exponent: I(e) });
const typeError = expect.objectContaining({ name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' });

describe('merging', () => {
  it('takes states one by one or in one array, however many', () => {
    expect(mergeExpSums([sum(1.5), sum(1.25, 1)])).toEqual(mergeExpSums(sum(1.5), sum(1.25, 1)));
    expect(mergeExpSums([sum(3)])).toEqual(mergeExpSums(sum(3)));
    expect(mergeAttentionPartials([part(1), part(1, 2)])).toEqual(mergeAttentionPartials(part(1), part(1, 2)));
    const sums = mergeExpSums(Array.from({ length: 100_000 }, () => sum(1)));
    expect(sums).toEqual({ mantissa: F(100_000 / 2 ** 16), exponent: I(16) });
    const parts = mergeAttentionPartials(Array.from({ length: 100_000 }, () => part(1)));
    expect([...parts.finish()]).toEqual([1, 3]);
    for (const merge of [mergeExpSums, mergeAttentionPartials] as ((states: unknown) => unknown)[]) {
      expect(() => merge([])).toThrow(/one state or more for states but received none/);
      expect(() => merge([3])).toThrow(/for states\[0\] but received 3/);
    }
  });

  it('reads each field once, and before any length is taken', () => {
    let reads = 0;
    const once = (first: ArrayBufferView, then: ArrayBufferView) => () => (reads++ ? then : first);
    const state = Object.defineProperty({ ...sum(1.5) }, 'mantissa', { get: once(F(1.5), F(1, 1, 1)) });
    expect(mergeExpSums(state, sum(1))).toEqual(mergeExpSums(sum(1.5), sum(1)));
    expect(reads).toBe(1);
    expect([...logSumExp(Object.defineProperty({ ...sum(1) }, 'mantissa', { get: () => F(1) }))]).toEqual([0]);
    const first = sum(1);
    const trap = Object.defineProperty({ ...sum(1) }, 'exponent', { get: () => (detached(first.mantissa), I(0)) });
    expect(() => mergeExpSums(first, trap)).toThrow(typeError);
    const one = part(1);
    const bad = Object.defineProperty({ ...part(1) }, 'out', { get: () => (detached(one.out), F(1, 3)) });
    expect(() => mergeAttentionPartials(one, bad)).toThrow(typeError);
  });

  it('takes true lengths, and makes plain arrays', () => {
    class Long extends Float64Array {
      static get [Symbol.species](): Float64ArrayConstructor {
        return expect.fail('nobody asks');
      }
      override get length(): number {
        return 1 << 20;
      }
    }
    const long = { mantissa: new Long(F(1.5)), exponent: I(0) };
    expect(mergeExpSums(long).mantissa).toEqual(F(1.5));
    expect([...logSumExp(long)]).toEqual([Math.log(1.5)]);
    const merged = mergeAttentionPartials({ ...long, out: new Long(F(3, 6)) });
    expect(merged).toEqual(new AttentionPartial(F(3, 6), F(1.5), I(0)));
  });

  it('refuses detached arrays', () => {
    for (const field of ['mantissa', 'exponent', 'raised'] as const) {
      const state = { ...sum(1), raised: Uint8Array.of(0) };
      detached(state[field]);
      expect(() => mergeExpSums(state)).toThrow(typeError);
      expect(() => logSumExp(state)).toThrow(typeError);
      expect(() => mergeAttentionPartials({ ...state, out: F(1) })).toThrow(typeError);
    }
    expect(() => mergeAttentionPartials({ ...part(1), out: detached(F(1)) })).toThrow(typeError);
  });
});

describe('AttentionPartial', () => {
  it('checks its fields before it uses them', () => {
    const use = (change: object) => {
      const state = Object.assign(new AttentionPartial(F(1, 2), F(1), I(0)), change);
      const error = expect.objectContaining({ code: expect.stringMatching(/^ERR_INVALID/) });
      for (const call of [() => state.finish(), () => state.toBytes()]) expect(call).toThrow(error);
    };
    use({ out: [1, 2] });
    use({ mantissa: F(1, 1, 1) });
    use({ exponent: I() });
    use({ raised: new Uint8Array(9) });
    use({ out: detached(F(1, 2)) });
    const error = expect.objectContaining({ code: 'ERR_MEMORY_ALLOCATION_FAILED' });
    expect(() => AttentionPartial.empty(2 ** 50, 8)).toThrow(error);
  });
});

describe('ExpSumAccumulator', () => {
  it('has a temperature that stays', () => {
    const accumulator = new ExpSumAccumulator({ temperature: 2 });
    expect(() => ((accumulator as { temperature: number }).temperature = -1)).toThrow(TypeError);
    expect(accumulator.add(F(2, 2)).logSumExp()).toBe(1 + Math.LN2);
  });

  it('merges one of another copy of the package', async () => {
    vi.resetModules();
    const other = (await import('../../lib/index.js')).ExpSumAccumulator;
    expect(other).not.toBe(ExpSumAccumulator);
    const foreign = new other({ temperature: 3 }).add(F(1, 2, 3));
    const merged = new ExpSumAccumulator({ temperature: 3 }).add(F(5)).merge(foreign as never);
    const own = new ExpSumAccumulator({ temperature: 3 }).add(F(5)).merge(expSum(F(1, 2, 3), { temperature: 3 }));
    expect(merged.state).toEqual(own.state);
    expect(() => new ExpSumAccumulator().merge(foreign as never)).toThrow(/temperature 1 for other but received 3/);
  });

  it('checks the values of a forged one', () => {
    const brand = Symbol.for('flash-softmax.ExpSumAccumulator.1');
    const forged =
      (state: unknown, temperature: unknown = 1) =>
      () =>
        new ExpSumAccumulator().merge({ [brand]: true, temperature, state } as never);
    const states = [undefined, { mantissa: [1], exponent: I(0) }, sum(-1), { ...sum(1), exponent: I(1, 2) }];
    for (const call of [...states.map((state) => forged(state)), forged(sum(1), '1')]) {
      expect(call).toThrow(expect.objectContaining({ code: expect.stringMatching(/^ERR_/) }));
    }
    expect(forged(sum(1))().logSumExp()).toBe(0);
    for (const value of [null, 3, undefined]) {
      expect(() => new ExpSumAccumulator().merge(value as never)).toThrow(typeError);
    }
  });
});

describe('wire version 1, as 0.1 wrote it', () => {
  const file = (name: string) => readFileSync(new URL(`../fixtures/wire/${name}.bin`, import.meta.url));

  it.each([
    ['nothing', 1, 0, 0],
    ['ordinary', 0.7, 1.2345678901234567, -12],
    ['far-out', 3e-5, 1.9999999999999998, 2147483000],
    ['tiny', 1e300, 1, -2147483647],
    ['nan', 1, NaN, 0],
    ['infinity', 2, Infinity, 0],
  ])('ExpSumAccumulator: %s', (name, temperature, mantissa, exponent) => {
    const bytes = file(`exp-sum-v1-${name}`);
    const accumulator = ExpSumAccumulator.fromBytes(bytes);
    expect(accumulator.temperature).toBe(temperature);
    expect(accumulator.state).toEqual({ mantissa: F(mantissa), exponent: I(exponent) });
    expect(Buffer.from(accumulator.toBytes()).equals(bytes)).toBe(true);
  });

  it.each<[string, AttentionPartial]>([
    [
      'ordinary',
      new AttentionPartial(
        F(1.5, -2.25, 1e-300, 0, 0, 0, 3, -0, 0.1),
        F(1.25, 0, 1.9999999999999998),
        I(-7, 0, 2147483000),
      ),
    ],
    ['special', new AttentionPartial(F(NaN, Infinity, -Infinity, 5), F(NaN, Infinity), I(0, 0))],
    ['raised', new AttentionPartial(F(0.375, 12.5), F(0.001953125, 1.75), I(6, -1000), Uint8Array.of(0, 1))],
    ['no-rows', new AttentionPartial(F(), F(), I())],
  ])('AttentionPartial: %s', (name, state) => {
    const bytes = file(`attention-partial-v1-${name}`);
    expect(AttentionPartial.fromBytes(bytes)).toEqual(state);
    expect(Buffer.from(AttentionPartial.fromBytes(bytes).toBytes()).equals(bytes)).toBe(true);
  });

  it('comes in any Uint8Array: a Buffer, a part of one, shared, with a length of its own', () => {
    const files = { 'exp-sum-v1-ordinary': ExpSumAccumulator, 'attention-partial-v1-raised': AttentionPartial };
    for (const [name, read] of Object.entries(files)) {
      const bytes = file(name);
      const within = new Uint8Array(bytes.length + 9);
      within.set(bytes, 5);
      const shared = new Uint8Array(new SharedArrayBuffer(bytes.length));
      shared.set(bytes);
      class Lying extends Uint8Array {
        static get [Symbol.species](): Uint8ArrayConstructor {
          return expect.fail('nobody asks');
        }
        override get length(): number {
          return 1 << 30;
        }
        override get buffer(): ArrayBuffer {
          return new ArrayBuffer(3);
        }
      }
      const wanted = read.fromBytes(bytes).toBytes();
      for (const each of [within.subarray(5, 5 + bytes.length), shared, new Lying(bytes), new Uint8Array(bytes)]) {
        expect(read.fromBytes(each).toBytes()).toEqual(wanted);
      }
      expect(() => read.fromBytes(new Lying(9))).toThrow(/bytes( at least)? for bytes but received 9/);
      expect(() => read.fromBytes(detached(new Uint8Array(bytes)))).toThrow(typeError);
    }
  });
});
