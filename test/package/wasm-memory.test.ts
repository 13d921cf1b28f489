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
import { lengthOf } from '../../lib/backend/wasm/lengths.js';
import { kernelsOf, type KernelParameters, type Parameter } from '../../lib/backend/wasm/parameters.js';
import { SIGNATURES } from '../../lib/backend/wasm/signatures.js';
import { work } from '../../lib/backend/wasm/space.js';
import { newArray } from '../../lib/call/arrays.js';
import { backends, nativeBackends } from '../support/backends.js';
import { itWith } from '../support/tools.js';

const relaxed = { name: 'relaxed SIMD', available: backends.includes('wasm'), path: '' };
const addon = { name: 'the addon', available: nativeBackends.length > 0, path: '' };

type Numbers = Float32Array | Float64Array | Int32Array | Uint32Array | Uint16Array | Uint8Array;

const ROWS = 37;
const COLS = 19;
/** Sizes and numbers of the calls, by name. */
const NUMBERS: Readonly<Record<string, number>> = {
  outer: ROWS,
  rows: ROWS,
  tokens: ROWS,
  cols: COLS,
  experts: COLS,
  inner: 3,
  draws: 2,
  k: 3,
  topK: 5,
  slots: 8,
  order: 4,
  temperature: 0.7,
  topP: 0.9,
  minDistance: -Infinity,
  typicalP: 1,
  alpha: 1.5,
  reach: 3,
  scale: 2,
  factor: 2,
  smoothing: 0.1,
};

/** Of a row of sample. */
const FILTERS = [5, 0.7, 0.9, -Infinity, 1, 0];
/** Of a row of sample_penalized: its filters, which leave all, then no penalties. */
const SETTINGS = [COLS, 1, 1, -Infinity, 1, 0, 0, 0, 1, 1, 0];

let seed = 1;
const random = (): number => (seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff) / 0x80000000;

/** An element of an argument. */
function element({ name, kind }: Parameter, i: number): number {
  if (name === 'targets') return Math.floor(random() * COLS);
  if (name === 'chosen') return Math.floor(random() * COLS);
  if (name === 'uniforms' || name === 'shares') return random();
  if (name === 'temperatures') return 1;
  if (name === 'mantissa') return 1 + random();
  if (name === 'regions') return i % 2 === 0 ? 0 : 8;
  if (name === 'settings') return SETTINGS[i % SETTINGS.length]!;
  if (name === 'rowFilters') return FILTERS[i % FILTERS.length]!;
  if (name === 'mask') return Math.floor(random() * 256);
  if (kind === 'Uint16Array') return 0x3800 + Math.floor(random() * 0x700);
  return kind === 'Float32Array' || kind === 'Float64Array' ? random() * 8 - 4 : 0;
}

function filled(parameter: Parameter, length: number): Numbers {
  const array = newArray(parameter.kind, length) as unknown as Numbers;
  for (let i = 0; i < length; i++) array[i] = element(parameter, i);
  return array;
}

/** A call of a kernel: a mask of a layout, a bias with one row or all elements. Results hold 7. */
function callOf(kernel: KernelParameters, maskLayout: number, isWhole: boolean): unknown[] {
  const { parameters } = kernel;
  const values: unknown[] = parameters.map(({ name }) => (name === 'maskLayout' ? maskLayout : (NUMBERS[name] ?? 0)));
  const elements = lengthOf(parameters[0]!, values)!;
  const masks = [0, elements, COLS, Math.ceil(elements / 8), Math.ceil(COLS / 8)];
  parameters.forEach((parameter, i) => {
    if (parameter.form !== 'array') return;
    const given = lengthOf(parameter, values) ?? (parameter.length === 'mask' ? masks[maskLayout]! : COLS);
    const length = parameter.length === 'bias' && isWhole ? elements : given;
    const isLeft = ['rowFilters', 'soft', 'given', 'entries', 'mask'].includes(parameter.name) && length === 0;
    values[i] = isLeft || (parameter.name === 'rowFilters' && !isWhole) ? null : filled(parameter, length);
    if (parameter.isWritten) (values[i] as Numbers).fill(7);
  });
  return values;
}

const resultsOf = ({ parameters }: KernelParameters, values: readonly unknown[]): unknown[] =>
  values.filter((_, i) => parameters[i]!.isWritten);

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
            const [expected, actual] = [layout + 1, layout + 1].map((first) => {
              seed = first;
              return callOf(kernel, layout, isWhole);
            });
            whole(...expected!);
            expect(cutOf(kernel, expected!, 512)?.rows, 'rows of a block').toBeLessThan(ROWS);
            inBlocks(...actual!);
            expect(resultsOf(kernel, actual!), `${kernel.kernel}, mask ${layout}`).toEqual(
              resultsOf(kernel, expected!),
            );
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
