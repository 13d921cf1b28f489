/**
 * The contract of native/operators.def: a kernel refuses an array that is shorter than its call's sizes demand. One
 * right call of each operator is broken in one place at a time; then nothing may be written.
 */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { BackendName, Kernels } from '../../lib/backend/backend.js';
import { native } from '../../lib/backend/native.js';
import * as operators from '../../lib/backend/operators.js';
import type { AnyOperator, OperatorArguments, Positional } from '../../lib/backend/operators.js';
import { backendNamed } from '../../lib/backend/named.js';
import { inOrder } from '../../lib/call/call.js';
import { shapeArray } from '../../lib/attention/shape.js';
import { nativeBackends, sameBitBackends } from '../support/backends.js';
import { root } from '../support/emulated.js';
import { cols, elements, floats, inner, outer, rows } from './contract-rows.js';
import { brokenBoxes, detectionCalls } from './detection-calls.js';
import { headCalls } from './head-calls.js';
import { linearCalls } from './linear-calls.js';
import { lossCalls } from './loss-calls.js';
import { brokenRoutes, routingCalls } from './routing-contract.js';

const table = Object.fromEntries(Object.values(operators).map((operator) => [operator.name, operator])) as Record<
  string,
  AnyOperator
>;

const heads = {
  batch: 2,
  heads: 4,
  kvHeads: 2,
  queries: 3,
  headDim: 8,
  valueDim: 4,
  maskBatch: 60,
  maskHead: 15,
  maskQuery: 5,
  biasBatch: 0,
  biasHead: 15,
  biasQuery: 5,
};
const scores = {
  spans: new Float64Array(4),
  q: floats(2 * 4 * 3 * 8),
  slopes: floats(4),
  sinks: floats(4),
  mask: new Uint8Array(120).fill(1),
  bias: floats(60),
};
const results = { out: floats(96), lse: new Float64Array(24), sums: null, mantissa: null, exponent: null };
const page = 16;
const slab = (pages: number) => floats(2 * page * (8 + 16) * pages);
const cacheShape = shapeArray({ ...heads, pageSize: page });

/** A right call of each operator, on float32. */
const calls: OperatorArguments = {
  softmax: { x: floats(elements), out: floats(elements), ...rows },
  log_softmax: { x: floats(elements), out: floats(elements), ...rows },
  log_sum_exp: { x: floats(elements), out: new Float64Array(outer * inner), ...rows },
  ...lossCalls,
  ...headCalls,
  softmax_backward: {
    ...{ y: floats(elements), dy: floats(elements), out: floats(elements), isLog: 0 },
    ...{ outer, cols, inner, temperature: 1, mask: rows.mask, maskLayout: 1 },
  },
  exp_sum: {
    x: floats(elements),
    mantissa: new Float64Array(outer * inner),
    exponent: new Int32Array(outer * inner),
    ...rows,
  },
  normalize: {
    ...{ x: floats(elements), out: floats(elements), ...rows },
    ...{ mantissa: new Float64Array(outer * inner).fill(1), exponent: new Int32Array(outer * inner) },
  },
  attention: {
    ...{ shape: shapeArray({ ...heads, keys: 5 }), ...scores, keyLengths: Int32Array.of(5, 0) },
    ...{ k: floats(2 * 2 * 5 * 8), v: floats(2 * 2 * 5 * 4), ...results },
  },
  attention_exact: {
    ...{ shape: shapeArray({ ...heads, keys: 5 }), ...scores, keyLengths: Int32Array.of(5, 0) },
    ...{ k: floats(2 * 2 * 5 * 8), v: floats(2 * 2 * 5 * 4), stage: 2 },
    ...{ wideSlopes: new Float64Array(4), wideSinks: new Float64Array(4), wideBias: new Float64Array(60) },
    ...{ weights: floats(2 * 4 * 3 * 5), scores: floats(2 * 4 * 3 * 5), ...results },
  },
  attention_backward: {
    ...{ shape: shapeArray({ ...heads, keys: 5 }), ...scores, keyLengths: Int32Array.of(5, 0) },
    ...{ k: floats(2 * 2 * 5 * 8), v: floats(2 * 2 * 5 * 4), dOut: floats(96) },
    ...{ out: floats(96), lse: new Float64Array(24).fill(1) },
    ...{ dq: floats(192), dk: floats(160), dv: floats(80), dBias: floats(60), dSinks: floats(4) },
  },
  attention_cached: {
    shape: cacheShape,
    ...scores,
    slabs: [slab(2)],
    scales: [],
    table: Uint32Array.of(0, 1),
    lengths: Int32Array.of(5, 3),
    ...results,
  },
  kv_append: {
    shape: shapeArray({ ...heads, batch: 1, heads: 2, queries: 0, keys: 20, pageSize: page }),
    k: floats(20 * 2 * 8),
    v: floats(20 * 2 * 4),
    slabs: [slab(2)],
    scales: [],
    table: Uint32Array.of(1, 0),
    from: 5,
  },
  ...linearCalls,
  ...routingCalls,
  argmax: { x: floats(elements), indices: new Uint32Array(6), rows: 6, cols: 5 },
  top_k: {
    x: floats(elements),
    indices: new Uint32Array(12),
    values: floats(12),
    targets: new Uint32Array(6),
    ranks: new Uint32Array(6),
    rows: 6,
    cols: 5,
    k: 2,
    mask: rows.mask,
    maskLayout: 1,
    bias: floats(elements),
  },
  sample: {
    x: floats(elements),
    tokens: new Uint32Array(12),
    kept: floats(elements),
    probabilities: floats(elements),
    status: new Int32Array(6),
    uniforms: new Float64Array(12),
    rowFilters: Float64Array.from({ length: 36 }, (_, i) => [5, 1, 1, -Infinity, 1, 0][i % 6]!),
    rows: 6,
    cols: 5,
    draws: 2,
    topK: 5,
    temperature: 1,
    topP: 1,
    minDistance: -Infinity,
    typicalP: 1,
    epsilon: 0,
    mask: rows.mask,
    maskLayout: 1,
    bias: floats(elements),
  },
  moments: {
    x: floats(elements),
    temperatures: new Float64Array(6).fill(1),
    spread: new Float64Array(18),
    mass: new Float64Array(24),
    status: new Int32Array(6),
    rows: 6,
    cols: 5,
    mask: rows.mask,
    maskLayout: 1,
    bias: floats(elements),
  },
  sample_penalized: {
    x: floats(elements),
    tokens: new Uint32Array(6),
    status: new Int32Array(6),
    uniforms: new Float64Array(6),
    entries: Uint32Array.of(3, 1, 0, 0, ...new Uint32Array(60)),
    regions: Uint32Array.from({ length: 12 }, (_, i) => (i % 2 === 0 ? 0 : 8)),
    settings: Float64Array.from({ length: 66 }, (_, i) => [5, 1, 1, -Infinity, 1, 0, 1, 1.5, 0.5, 0, 0][i % 11]!),
    rows: 6,
    cols: 5,
    slots: 8,
  },
  ...detectionCalls,
};

type Arguments = Record<string, unknown>;

/** A copy of all arrays, so that no test sees what another one wrote. */
const fresh = (args: Arguments): Arguments => structuredClone(args);

/** Broken calls, each with the name that the error's message must have. */
function* broken(operator: AnyOperator, args: Arguments): Generator<[what: string, name: string, args: Arguments]> {
  for (const name of [...operator.inputs, ...operator.outputs]) {
    const array = args[name] as Float32Array | null;
    if (array === null) continue;
    const native = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    yield [`${name} that lacks one element`, native, { ...args, [name]: array.slice(0, -1) }];
    yield [`${name} without elements`, native, { ...args, [name]: array.slice(0, 0) }];
  }
  const shape = args.shape as Float64Array | undefined;
  for (const [i, value] of [
    [0, 1e9],
    [2, 3],
    [5, -1],
    [5, 0.5],
    [6, NaN],
    [14, 2 ** 60],
  ] as const) {
    if (shape && !(i === 0 && 'from' in args))
      yield [`${value} for number ${i} of the shape`, operator.name, { ...args, shape: shape.with(i, value) }];
  }
  if ('table' in args) {
    yield ['a page beyond its slab', 'table', { ...args, table: Uint32Array.of(0, 2) }];
    yield ['a page of no slab', 'table', { ...args, table: Uint32Array.of(0, 1 << 26) }];
    yield ['a slab that is too short', 'table', { ...args, slabs: [slab(1)] }];
    yield ['scales where there should be none', 'table', { ...args, scales: [floats(64)] }];
  }
  if ('lengths' in args) yield ['more tokens than pages', 'table', { ...args, lengths: Int32Array.of(17, 3) }];
  if ('lengths' in args) yield ['a negative length', 'lengths', { ...args, lengths: Int32Array.of(-1, 3) }];
  if ('keyLengths' in args) {
    for (const length of [-1, 6, 2 ** 31 - 1])
      yield [`a key length of ${length}`, 'key lengths', { ...args, keyLengths: Int32Array.of(5, length) }];
  }
  if ('k' in args && 'rows' in args)
    yield ['k above cols', 'k', { ...args, k: 6, indices: new Uint32Array(36), values: floats(36) }];
  if ('classes' in args && 'x' in args) yield ['no class', 'class', { ...args, classes: 0 }];
  if ('experts' in args) yield* brokenRoutes(args);
  if ('edge' in args) yield* brokenBoxes(args);
  if ('order' in args) yield ['an odd order', 'order', { ...args, order: 3 }];
  if ('a' in args) yield ['a target beyond cols', 'targets', { ...args, targets: new Int32Array(6).fill(cols) }];
  if ('depth' in args) yield ['a size that wraps around', '', { ...args, heads: 2 ** 53 - 1, depth: 2 ** 53 - 1 }];
  if ('outer' in args) yield ['a size that wraps around', '', { ...args, outer: 2 ** 53 - 1, cols: 2 ** 53 - 1 }];
}

const isAccepted = (kernel: Positional, operator: AnyOperator, args: Arguments) =>
  operator.call(kernel, fresh(args)) === undefined;

/** The kernel as a job; undefined for WebAssembly, which has none of its own. */
function jobOf(name: BackendName, kernel: keyof Kernels): Positional | undefined {
  return nativeBackends.includes(name) ? (native().addon!.jobs(name)[kernel] as Positional) : undefined;
}

for (const name of sameBitBackends) {
  describe(name, () => {
    for (const [operatorName, args] of Object.entries(calls)) {
      const operator = table[operatorName]!;
      const kernel = `${operatorName}_f32` as keyof Kernels;

      it(`${operatorName} refuses arrays that are too short, at once and as a job`, async () => {
        const run = backendNamed(name)[kernel] as Positional;
        const job = jobOf(name, kernel);
        expect(isAccepted(run, operator, args as Arguments)).toBe(true);
        const later =
          job && ((...values: unknown[]) => Reflect.apply(job, undefined, [new Int32Array(1), ...values]) as unknown);
        if (later) await operator.call(later, fresh(args as Arguments));
        for (const [what, part, wrong] of broken(operator, args as Arguments)) {
          for (const start of later ? [run, later] : [run]) {
            const given = fresh(wrong);
            let error: unknown;
            try {
              await operator.call(start, given);
            } catch (thrown) {
              error = thrown;
            }
            expect(error, what).toBeInstanceOf(RangeError);
            expect(error, what).toMatchObject({
              code: 'ERR_INVALID_ARG_VALUE',
              message: expect.stringContaining(part),
            });
            expect(given, what).toEqual(wrong);
          }
        }
      });
    }

    it('refuses an array of another type, and a stop flag without an element', () => {
      const { softmax } = calls;
      const run = backendNamed(name).softmax_f32 as Positional;
      const job = jobOf(name, 'softmax_f32');
      for (const x of [
        new Float64Array(elements),
        [...floats(elements)],
        new DataView(new ArrayBuffer(4 * elements)),
        3,
        undefined,
      ]) {
        expect(() => operators.SOFTMAX.call(run, { ...softmax, x: x as unknown as Float32Array })).toThrow(
          expect.objectContaining({ name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' }),
        );
      }
      expect(() => operators.SOFTMAX.call(run, { ...softmax, x: null as unknown as Float32Array })).toThrow(RangeError);
      if (!job) return;
      expect(() =>
        Reflect.apply(job, undefined, [new Int32Array(0), ...inOrder(operators.SOFTMAX, { ...softmax })]),
      ).toThrow(TypeError);
    });
  });
}

it('lib/backend/operators.ts follows from native/operators.def', () => {
  const { status, stderr } = spawnSync(process.execPath, [path.join(root, 'scripts', 'operators.mjs'), '--check'], {
    encoding: 'utf8',
  });
  expect(status, stderr).toBe(0);
});

it('has a right call for each operator', () => {
  expect(Object.keys(calls).sort()).toEqual(Object.keys(table).sort());
});
