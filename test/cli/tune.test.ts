/** flash-softmax tune: the thresholds that it finds in given times; the library reads its profile. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { native } from '../../lib/backend/native.js';
import { choice } from '../../lib/backend/choice.js';
import { crossover } from '../../lib/cli/tune.js';
import { isNative } from '../support/backends.js';
import { capture, temporaryDirectory } from './capture.js';

describe('crossover', () => {
  const points = (...gains: number[]) => gains.map((gain, i) => ({ size: 2 ** i, times: [1, 1 / gain] }));

  it('is where the last way starts to win', () => {
    expect(crossover(points(0.5, 0.8, 1.2, 2))).toBeCloseTo(Math.sqrt(2 * 4));
    expect(crossover(points(1.1, 1.2, 1.2, 2))).toBe(1);
    expect(crossover(points(0.5, 0.6, 0.7, 0.8))).toBe(Infinity);
    expect(crossover(points(0.5, 0.6, 0.7, 1.5))).toBeCloseTo(Math.sqrt(4 * 8));
  });

  it('is not decided by one disturbed measurement', () => {
    expect(crossover(points(0.5, 0.8, 1.5, 1.5, 0.9, 1.5))).toBeCloseTo(Math.sqrt(2 * 4));
    expect(crossover(points(0.5, 1.1, 0.5, 0.6, 1.5, 1.5))).toBeCloseTo(Math.sqrt(8 * 16));
  });

  it('is the best of several ways against the last, by a margin', () => {
    expect(
      crossover([
        { size: 1, times: [1, 3, 2] },
        { size: 4, times: [3, 1, 2] },
        { size: 16, times: [3, 3, 2] },
      ]),
    ).toBe(8);
    expect(crossover(points(1.05, 1.05, 1.05), 0.1)).toBe(Infinity);
    expect(crossover(points(1.05, 1.05, 1.5), 0.1)).toBeCloseTo(Math.sqrt(2 * 4));
  });
});

describe.runIf(isNative(choice().name))('tune', () => {
  it(
    'shows the measured thresholds beside the built-in ones, and writes a profile that the library reads',
    { timeout: 120_000 },
    async () => {
      const file = join(temporaryDirectory(), 'profile.json');
      const plan = native().addon!.plan();
      const { status, stdout, stderr } = await capture(['tune', '--time', '0.01', '--out', file], { isTTY: true });
      expect(status).toBe(0);
      expect(native().addon!.plan(), 'the plan in force stays').toEqual(plan);
      for (const name of ['twoPassBytes', 'streamBytes', 'parallelBytes', 'built in', 'measured'])
        expect(stdout).toContain(name);
      expect(stdout).toContain(`FLASH_SOFTMAX_PROFILE=${file}`);
      expect(stderr).toMatch(/\r\x1b\[Kone row: 1 MiB/);
      expect(stderr).not.toContain('\n');

      const { version, processor, ...thresholds } = JSON.parse(readFileSync(file, 'utf8'));
      expect([version, typeof processor]).toEqual([1, 'string']);
      vi.resetModules();
      vi.stubEnv('FLASH_SOFTMAX_PROFILE', file);
      const { capabilities } = await import('../../lib/index.js');
      expect(JSON.parse(JSON.stringify(capabilities().plan))).toEqual({ ...thresholds, source: file });
      native().addon!.plan(plan.twoPassBytes, plan.streamBytes, plan.parallelBytes);
      vi.unstubAllEnvs();
    },
  );

  it('prints the same as JSON', { timeout: 120_000 }, async () => {
    const { status, stdout } = await capture(['tune', '--time', '0.01', '--json']);
    expect(status).toBe(0);
    const { questions, profile } = JSON.parse(stdout);
    expect(questions.map(({ name }: { name: string }) => name)).toEqual([
      'twoPassBytes',
      'streamBytes',
      'parallelBytes',
      'jsMaxElements',
    ]);
    expect(Object.keys(profile)).toEqual(['version', 'processor', 'twoPassBytes', 'streamBytes', 'parallelBytes']);
    for (const { points } of questions) expect(points.length).toBeGreaterThan(5);
  });
});

it('has nothing to tune where JavaScript runs', async () => {
  vi.resetModules();
  vi.stubEnv('FLASH_SOFTMAX_BACKEND', 'js');
  const { run } = await import('../../lib/cli/run.js');
  let stderr = '';
  const status = await run(['tune'], { stdout: { write: () => {} }, stderr: { write: (text) => (stderr += text) } });
  vi.unstubAllEnvs();
  expect(status).toBe(1);
  expect(stderr).toMatch(/^flash-softmax: Nothing to tune[^\n]+\n$/);
});
