/** flash-softmax verify: it holds here, and it notices when something does not. */
import { expect, it } from 'vitest';
import type { Backend } from '../../lib/backend/backend.js';
import { availableBackends, backendNamed } from '../../lib/backend/select.js';
import { examine, holds, rows, type Row } from '../../lib/cli/examine.js';
import { capture } from './capture.js';

it('finds every promise kept on this machine', { timeout: 300_000 }, async () => {
  const { status, stdout, stderr } = await capture(['verify', '--json']);
  const report = JSON.parse(stdout);
  expect(report.findings.filter(({ ok }: { ok: boolean }) => !ok)).toEqual([]);
  expect(report.disagreements).toEqual([]);
  expect([report.ok, status, stderr]).toEqual([true, 0, '']);
  const examined = report.findings.map(({ backend, type }: { backend: string; type: string }) => `${backend} ${type}`);
  expect(examined.sort()).toEqual(
    availableBackends()
      .flatMap((name) => [`${name} f32`, `${name} f64`])
      .sort(),
  );
});

it('examines few enough logits for half a minute on a slow machine', () => {
  expect(rows().reduce((sum, { elements }) => sum + elements, 0)).toBeLessThan(7e6);
});

/** The fallback under another name, its results changed a little. */
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
