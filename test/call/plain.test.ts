/** Calls without objects (lib/call/plain.ts), small arrays out of V8's heap (heap.ts), arguments that are absent. */
import { describe, expect, it } from 'vitest';
import { crossEntropy, logSoftmax, logSumExp, softmax } from '../../lib/index.js';
import type { Positional } from '../../lib/backend/operators.js';
import { chosenBackend, inForce, runOn } from '../../lib/backend/choice.js';
import { backendNamed } from '../../lib/backend/named.js';
import { nativeBackends } from '../support/backends.js';

const rows = Float32Array.from({ length: 96 }, (_, i) => Math.sin(i) * 5);

describe.each(nativeBackends)('%s', (name) => {
  const { softmax_f32: kernel, log_sum_exp_f64: sums } = backendNamed(name) as unknown as Record<string, Positional>;

  it('takes what a call does not give for null, but for numbers', () => {
    const [all, some] = [new Float32Array(96), new Float32Array(96)];
    kernel!(rows, all, 8, 12, 1, 0.7, null, 0, null);
    kernel!(rows, some, 8, 12, 1, 0.7);
    expect(some).toEqual(all);
    expect(() => kernel!(rows, some, 8, 12, 1)).toThrow(TypeError);
    expect(() => kernel!(rows)).toThrow(TypeError);
    expect(() => kernel!()).toThrow(TypeError);
    expect(() => sums!(new Float64Array(4), new Float32Array(2), 1, 4, 1, 1)).toThrow(TypeError);
  });

  it('gives small results the bits of large ones', () => {
    const before = inForce();
    runOn(chosenBackend(name));
    try {
      const targets = Int32Array.from({ length: 8 }, (_, i) => i);
      const together = [logSumExp(rows, { cols: 12 }), crossEntropy(rows, targets, { cols: 12 })] as const;
      for (let row = 0; row < 8; row++) {
        const x = rows.slice(12 * row, 12 * row + 12);
        const out = new Float64Array(1);
        expect(logSumExp(x)).toEqual(together[0].slice(row, row + 1));
        expect(logSumExp(x, { out })).toBe(out);
        expect(out[0]).toBe(together[0][row]);
        expect(crossEntropy(x, targets.slice(row, row + 1))).toEqual(together[1].slice(row, row + 1));
        expect(softmax(x)).toEqual(softmax(rows, { cols: 12 }).slice(12 * row, 12 * row + 12));
      }
    } finally {
      runOn(before);
    }
  });
});

it('runs no code of a value that is no number', () => {
  let calls = 0;
  const value = { valueOf: () => ++calls } as unknown as number;
  for (const options of [{ cols: value }, { temperature: value }, { cols: null }, { cols: '12' }, { out: null }]) {
    for (const run of [softmax, logSoftmax, logSumExp] as unknown as Positional[])
      expect(() => run(rows, options)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }));
  }
  expect(calls).toBe(0);
});

it('refuses wrong lengths of rows and places for results as all calls do', () => {
  const shared = new Float32Array(rows.buffer, 4, 95);
  for (const run of [softmax, logSoftmax] as unknown as Positional[]) {
    for (const cols of [0, -12, 1.5, 7, 97, NaN, Infinity]) expect(() => run(rows, { cols })).toThrow(RangeError);
    expect(() => run(rows.subarray(0, 95), { out: shared })).toThrow(/memory apart from it/);
    expect(() => run(rows, { out: new Float32Array(95) })).toThrow(/^Expected 96 elements/);
    expect(() => run(rows, { out: new Float64Array(96) })).toThrow(/^Expected a Float32Array/);
  }
  expect(logSumExp(new Float32Array(0))).toEqual(Float64Array.of(-Infinity));
  expect(softmax(new Float32Array(0))).toEqual(new Float32Array(0));
});
