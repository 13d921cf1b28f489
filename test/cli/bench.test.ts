/** flash-softmax bench: the cases that it measures and its output, apart from the times. */
import { describe, expect, it } from 'vitest';
import { availableBackends } from '../../lib/backend/choice.js';
import { inTurns } from '../../lib/cli/measure.js';
import { capture } from './capture.js';

const quick = ['--sizes', '10,1k', '--time', '0.1'];

describe('bench', () => {
  it('has every backend of this machine beside memcpy, Math.exp and softmax()', { timeout: 60_000 }, async () => {
    const { status, stdout, stderr } = await capture(['bench', '--json', ...quick]);
    expect([status, stderr]).toEqual([0, '']);
    const { results, processor, type } = JSON.parse(stdout);
    expect([typeof processor, type]).toEqual(['string', 'float32']);
    const field = ['memcpy', 'Math.exp', ...[...availableBackends()].reverse(), 'softmax()'];
    expect(results.map(({ contender }: { contender: string }) => contender)).toEqual([...field, ...field]);
    for (const { elements, nanosecondsPerElement: time, timesMemcpy, rounds } of results) {
      expect([10, 1024]).toContain(elements);
      const ascending = [0, time.min, time.lowerQuartile, time.median, time.upperQuartile];
      expect(ascending).toEqual([...ascending].sort((a, b) => a - b));
      expect(timesMemcpy).toBeGreaterThan(0);
      expect(rounds).toBeGreaterThanOrEqual(3);
    }
  });

  it('prints tables, of the backends asked for', { timeout: 60_000 }, async () => {
    const { status, stdout } = await capture(['bench', '--backends', 'js', ...quick]);
    expect(status).toBe(0);
    const tables = stdout
      .split('\n\n')
      .slice(1)
      .map((text) =>
        text
          .trimEnd()
          .split('\n')
          .map((line) => line.trim().split(/ {2,}/)),
      );
    expect(tables.map(([, head]) => head)).toEqual([
      ['elements', 'memcpy', 'Math.exp', 'js'],
      ['elements', 'Math.exp', 'js'],
      ['elements', 'js'],
    ]);
    for (const [, , ...lines] of tables) expect(lines.map(([size]) => size)).toEqual(['10', '1,024']);
  });

  it('shows how far it is on a terminal, and clears that away', { timeout: 60_000 }, async () => {
    const { stdout, stderr } = await capture(['bench', '--backends', 'js', ...quick], { isTTY: true });
    expect(stderr).toMatch(/\r\x1b\[K10 elements \(1 of 2\)/);
    expect(stderr).toMatch(/\r\x1b\[K$/);
    expect(stderr).not.toContain('\n');
    expect(stdout).not.toContain('\x1b');
  });
});

it.runIf(availableBackends().includes('scalar'))(
  'the reference sits out long rows, unless it is asked for',
  { timeout: 60_000 },
  async () => {
    const long = ['--sizes', '129k', '--time', '0.1'];
    const all = await capture(['bench', ...long]);
    expect(all.stdout).toMatch(/^elements .*scalar/m);
    expect(all.stdout.match(/^ 132,096 .* – /gm)).toHaveLength(3);
    const { results } = JSON.parse((await capture(['bench', ...long, '--json', '--backends', 'scalar'])).stdout);
    expect(results.map(({ contender }: { contender: string }) => contender)).toEqual(['memcpy', 'Math.exp', 'scalar']);
  },
);

it('inTurns measures all functions alike', { timeout: 60_000 }, () => {
  const calls = [0, 0];
  const wait = (milliseconds: number) => {
    const end = performance.now() + milliseconds;
    while (performance.now() < end);
  };
  const [short, long] = inTurns([() => (calls[0]!++, wait(0.2)), () => (calls[1]!++, wait(2))], 200);
  expect(short!.rounds).toBe(long!.rounds);
  expect(short!.median).toBeGreaterThan(0.19);
  expect(long!.median).toBeGreaterThan(1.99);
  expect(short!.min).toBeLessThanOrEqual(short!.median);
  expect(calls[0]).toBeGreaterThanOrEqual(calls[1]!);
});
