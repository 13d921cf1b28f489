/**
 * Arrays of callers in the WebAssembly backend: what is copied, and calls that are made for a block of rows after
 * another. The corpus and the fuzzer compare the results of whole calls with those of the other backends.
 */
import { beforeAll, describe, expect } from 'vitest';
import { MASK_NONE } from '../../lib/backend/backend.js';
import { backendNamed } from '../../lib/backend/named.js';
import type { Positional } from '../../lib/backend/operators.js';
import { wasm } from '../../lib/backend/wasm/host.js';
import { cutOf } from '../../lib/backend/wasm/blocks.js';
import { functionOf } from '../../lib/backend/wasm/kernels.js';
import { kernelsOf } from '../../lib/backend/wasm/parameters.js';
import { SIGNATURES } from '../../lib/backend/wasm/signatures.js';
import { work } from '../../lib/backend/wasm/space.js';
import { backends, nativeBackends } from '../support/backends.js';
import { itWith } from '../support/tools.js';
import { callOf, resultsOf, ROWS } from '../support/wasm-calls.js';

const relaxed = { name: 'relaxed SIMD', available: backends.includes('wasm'), path: '' };
const addon = { name: 'the addon', available: nativeBackends.length > 0, path: '' };

describe('calls of many rows', () => {
  const operators = SIGNATURES.map(kernelsOf).filter(([first]) => first!.rows >= 0);
  beforeAll(() => void wasm()); // finds the modules

  for (const kernels of operators)
    itWith([relaxed], `${kernels[0]!.operator} has the same bits in blocks`, () => {
      for (const kernel of kernels) {
        const [whole, inBlocks] = [functionOf(kernel, 2 ** 30), functionOf(kernel, 512)];
        const hasMask = kernel.parameters.some(({ name }) => name === 'maskLayout');
        for (const layout of hasMask ? [0, 1, 2, 3, 4] : [MASK_NONE])
          for (const isWhole of [false, true]) {
            const [expected, actual] = [callOf(kernel, layout, isWhole), callOf(kernel, layout, isWhole)];
            whole(...expected);
            expect(cutOf(kernel, expected, 512)?.rows, 'rows of a block').toBeLessThan(ROWS);
            inBlocks(...actual);
            expect(resultsOf(kernel, actual), `${kernel.kernel}, mask ${layout}`).toEqual(resultsOf(kernel, expected));
          }
      }
    });

  const softmax = operators.flat().find(({ kernel }) => kernel === 'softmax_f32')!;

  itWith([relaxed], 'write nothing if an array is too short for its last block', () => {
    const [x, out] = [new Float32Array(999), new Float32Array(1000).fill(7)];
    const run = functionOf(softmax, 1024);
    expect(() => run(x, out, 100, 10, 1, 1, null, 0, null)).toThrow(/^Expected 1000 elements for x of softmax/);
    const bias = new Float32Array(999);
    expect(() => run(new Float32Array(1000), out, 100, 10, 1, 1, null, 0, bias)).toThrow(/for bias of softmax/);
    expect(out).toEqual(new Float32Array(1000).fill(7));
  });

  itWith([relaxed], 'work in place, and take no more memory than a block', () => {
    const before = work().bytes;
    const x = new Float32Array(2 ** 23);
    backendNamed('wasm').softmax_f32(x, x, 2 ** 13, 2 ** 10, 1, 1, null, 0, null);
    expect(new Set(x)).toEqual(new Set([2 ** -10]));
    expect(work().bytes).toBeLessThan(before + 2 ** 22);
  });
});

describe('copies', () => {
  /** Kernels that leave elements of results: a row that is empty, or is not a number, or has no solution. */
  const calls: Readonly<Record<string, () => unknown[]>> = {
    exp_sum_f32: () => [new Float32Array(0), sevens(3), new Int32Array(3).fill(7), 3, 0, 1, 1, null, 0, null],
    soft_top_k_f32: () => [nan(12), floats(14), new Int32Array(3).fill(7), 2, 1, 3, 4, 1, null, 0, null],
    moments_f32: () => [nan(12), sevens(3), sevens(10), sevens(13), new Int32Array(3), 3, 4, null, 0, null],
    sample_f32: () => [
      ...[nan(12), new Uint32Array(4).fill(7), floats(13), floats(12), new Int32Array(3), new Float64Array(3), null],
      ...[3, 4, 1, 4, 1, 1, -Infinity, 1, 0, null, 0, null],
    ],
    softmax_f32: () => [nan(12), floats(15), 3, 4, 1, 1, null, 0, null],
    iou_matrix_f32: () => [nan(8), nan(4), floats(3), new Uint32Array(2), 2, 1, 0, 0],
  };
  const sevens = (n: number) => new Float64Array(n).fill(7);
  const floats = (n: number) => new Float32Array(n).fill(7);
  const nan = (n: number) => Float32Array.from({ length: n }, (_, i) => (i === 5 ? NaN : i % 3));

  for (const [name, make] of Object.entries(calls))
    itWith([relaxed, addon], `leave what ${name} leaves`, () => {
      const [expected, actual] = [make(), make()];
      const run = (backend: object, values: unknown[]) =>
        (backend as Readonly<Record<string, Positional>>)[name]!(...values);
      run(backendNamed(nativeBackends[0]!), expected);
      run(backendNamed('wasm'), actual);
      expect(actual).toEqual(expected);
    });
});
