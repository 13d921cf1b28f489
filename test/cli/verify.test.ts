/** flash-softmax verify: it passes here, and finds wrong results. */
import { describe, expect, it } from 'vitest';
import type { Backend } from '../../lib/backend/backend.js';
import { backendNamed } from '../../lib/backend/named.js';
import { availableBackends } from '../../lib/backend/choice.js';
import { examine, holds, rows, type Row } from '../../lib/cli/examine.js';
import { examineSums, examineVariants, threadCounts } from '../../lib/cli/variants.js';
import { nativeBackends } from '../support/backends.js';
import { capture } from './capture.js';

it('finds every promise kept on this machine', { timeout: 300_000 }, async () => {
  const { status, stdout, stderr } = await capture(['verify', '--json']);
  const report = JSON.parse(stdout);
  expect(report.findings.filter(({ ok }: { ok: boolean }) => !ok)).toEqual([]);
  expect(report.disagreements).toEqual([]);
  expect([report.ok, status, stderr]).toEqual([true, 0, '']);
  const examined = report.findings.map(({ backend, type }: { backend: string; type: string }) => `${backend} ${type}`);
  const quick = availableBackends().filter((name) => name !== 'scalar');
  expect(report.sums.map(({ backend }: { backend: string }) => backend)).toEqual([...quick, ...quick]);
  expect(report.sums.filter(({ sumError }: { sumError: number }) => !(sumError <= 1e-6))).toEqual([]);
  if (nativeBackends.length > 0) expect(report.variants).toMatchObject({ differences: [] });
  expect(examined.sort()).toEqual(
    availableBackends()
      .flatMap((name) => [`${name} f32`, `${name} f64`])
      .sort(),
  );
});

it('examines few enough logits for half a minute on a slow machine', () => {
  expect(rows().reduce((sum, { elements }) => sum + elements, 0)).toBeLessThan(7e6);
});

/** The fallback under another name, with its results slightly changed. */
function spoilt(name: Backend['name'], spoil: (y: Float32Array | Float64Array) => void): Backend {
  const js = backendNamed('js');
  return {
    ...js,
    name,
    softmax_f32(...args) {
      js.softmax_f32(...args);
      spoil(args[1]);
    },
    softmax_f64(...args) {
      js.softmax_f64(...args);
      spoil(args[1]);
    },
  };
}

const twoRows: Row[] = [100, 101].map((elements) => ({ elements, kind: 'N(0,1)', temperature: 1 }));
const found = (...backends: Backend[]) => examine(backends, twoRows);

it('accepts two backends that do the same', () => {
  const { findings, disagreements } = found(
    spoilt('avx2', () => {}),
    spoilt('scalar', () => {}),
  );
  expect(findings.map(holds)).toEqual([true, true, true, true]);
  expect(disagreements).toEqual([]);
});

it('notices an error of a few units, in its size and its row', () => {
  const { findings } = found(
    spoilt('avx2', (y) => y.length === 101 && (y[7]! *= 1 + 8 / (y instanceof Float32Array ? 2 ** 23 : 2 ** 52))),
  );
  for (const finding of findings) {
    expect(finding.ulp).toBeGreaterThan(3.4);
    expect(finding.ulp).toBeLessThan(16.6);
    expect(finding.row.elements).toBe(101);
    expect(holds(finding)).toBe(false);
  }
});

it('notices a NaN', () => {
  const { findings } = found(spoilt('js', (y) => (y[99] = NaN)));
  expect(findings.map(({ ulp }) => ulp)).toEqual([Infinity, Infinity]);
  expect(findings.map(holds)).toEqual([false, false]);
});

it('notices a smaller probability for a larger logit', () => {
  const { findings } = found(spoilt('avx2', (y) => y.length > 100 && ([y[50], y[51]] = [y[51]!, y[50]!])));
  expect(findings.map(({ monotone }) => monotone)).toEqual([false, false]);
});

it('notices a sum that is off', () => {
  const { findings } = found(spoilt('avx2', (y) => y.forEach((value, i) => (y[i] = value * (1 + 3e-6)))));
  for (const { sumError } of findings) expect(sumError).toBeCloseTo(3e-6, 7);
});

it('notices native backends that differ in one bit', () => {
  const flip = (y: Float32Array | Float64Array) => (new Uint8Array(y.buffer)[0]! ^= 1);
  const { disagreements } = found(
    spoilt('avx512', () => {}),
    spoilt('avx2', () => {}),
    spoilt('scalar', flip),
  );
  expect(disagreements).toHaveLength(4);
  expect(disagreements[0]).toMatchObject({ backends: ['avx512', 'scalar'], type: 'f32', row: { elements: 100 } });
});

describe('a setting that must not change a bit', () => {
  /** An addon that records its settings, and backends that see them. */
  function fake() {
    let plan = { twoPassBytes: 1, streamBytes: 2, parallelBytes: 3 };
    let threads = 4;
    const addon = {
      plan(...to: number[]) {
        if (to.length > 0) plan = { twoPassBytes: to[0]!, streamBytes: to[1]!, parallelBytes: to[2]! };
        return plan;
      },
      threads: (n?: number) => (threads = n ?? threads),
    };
    return { addon, now: () => ({ ...plan, threads }) };
  }
  const flip = (y: Float32Array | Float64Array) => (new Uint8Array(y.buffer)[y.byteOffset]! ^= 1);

  it('does not change one, and settings are restored', () => {
    const { addon, now } = fake();
    const { compared, threads, differences } = examineVariants([spoilt('avx2', () => {})], addon);
    expect(differences).toEqual([]);
    expect(threads).toEqual([1, 2, 3, 4]);
    expect(compared).toBe(2 * 3 * (2 * 16 + 2 * 4));
    expect(now()).toEqual({ twoPassBytes: 1, streamBytes: 2, parallelBytes: 3, threads: 4 });
  });

  it.each([
    ['the plan', (now: ReturnType<ReturnType<typeof fake>['now']>) => now.streamBytes === 0, { plan: 'streamed' }],
    [
      'the threads',
      (now: ReturnType<ReturnType<typeof fake>['now']>) => now.threads === 3,
      { threads: 3, cols: 600_011 },
    ],
    ['the alignment', (_: object, y: Float32Array | Float64Array) => y.byteOffset === 4, { offset: 13 }],
  ] as const)('is noticed: %s', (_, wrong, where) => {
    const { addon, now } = fake();
    const { differences } = examineVariants([spoilt('avx2', (y) => wrong(now(), y) && flip(y))], addon);
    expect(differences[0]).toMatchObject({ backend: 'avx2', type: 'f32', ...where });
  });

  it('counts threads up to many', () => {
    expect([1, 2, 4, 8, 96].map(threadCounts)).toEqual([
      [1],
      [1, 2],
      [1, 2, 3, 4],
      [1, 2, 3, 4, 8],
      [1, 2, 3, 4, 8, 16, 32, 64, 96],
    ]);
  });
});

it('a sum of ten million that is off is noticed', () => {
  const spoil = (y: Float32Array | Float64Array) => (y[5_000_000]! += 3e-6);
  for (const { sumError } of examineSums([spoilt('avx2', spoil)])) expect(sumError).toBeCloseTo(3e-6, 7);
});
