/** Memory that jobs keep: it is used again, bounded, given back, and no caller gets any of it. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { backends } from '../support/backends.js';
import { firstDifference, row } from '../support/cases.js';
import { forceBackend } from '../support/force-backend.js';

const MB = 2 ** 20;
const bufferOf = (view: ArrayBufferView): ArrayBufferLike => view.buffer;

describe('kept memory', () => {
  type Module = typeof import('../../lib/call/private-memory.js');
  let PrivateMemory: Module['PrivateMemory'];
  beforeEach(async () => {
    vi.useFakeTimers({ toFake: ['setTimeout'] });
    vi.resetModules();
    ({ PrivateMemory } = await import('../../lib/call/private-memory.js'));
  });
  afterEach(() => vi.useRealTimers());

  const like = new Float32Array(0);
  const takeAll = (count: number, bytes: number) => {
    const memory = new PrivateMemory();
    const buffers = Array.from({ length: count }, () => bufferOf(memory.like(like, bytes / 4)));
    return { memory, buffers };
  };

  it('is used again after its release, and not before', () => {
    const [one, other] = [takeAll(1, MB), takeAll(1, MB)];
    expect(other.buffers[0]).not.toBe(one.buffers[0]);
    one.memory.release();
    one.memory.release(); // once is enough
    const [again, more] = [takeAll(1, MB), takeAll(1, MB)];
    expect(again.buffers[0]).toBe(one.buffers[0]);
    expect(more.buffers[0]).not.toBe(one.buffers[0]);
  });

  it('serves lengths that are nearly alike, as arrays of their own length', () => {
    const memory = new PrivateMemory();
    const first = memory.like(like, 100_000);
    memory.release();
    const second = new PrivateMemory().like(new Float64Array(0), 50_100) as Float64Array;
    expect(second.buffer).toBe(first.buffer);
    expect([(first as Float32Array).length, second.length]).toEqual([100_000, 50_100]);
  });

  it('is zeroed where it is asked for', () => {
    const memory = new PrivateMemory();
    (memory.like(like, MB) as Float32Array).fill(7);
    memory.release();
    const zeros = new PrivateMemory().zerosLike(like, MB) as Float32Array;
    expect(zeros.every((x) => Object.is(x, 0))).toBe(true);
  });

  it('is at most 64 MB', () => {
    const { memory, buffers } = takeAll(6, 16 * MB);
    memory.release();
    const again = takeAll(6, 16 * MB).buffers;
    expect(again.filter((each) => buffers.includes(each))).toHaveLength(4);
    const large = takeAll(1, 65 * MB);
    large.memory.release();
    expect(takeAll(1, 65 * MB).buffers[0]).not.toBe(large.buffers[0]);
  });

  it('goes back after a few seconds without use', () => {
    const { memory, buffers } = takeAll(1, MB);
    memory.release();
    vi.advanceTimersByTime(1900);
    const second = takeAll(1, MB);
    expect(second.buffers).toEqual(buffers);
    second.memory.release();
    vi.advanceTimersByTime(4100);
    expect(takeAll(1, MB).buffers[0]).not.toBe(buffers[0]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('is apart for worker threads: shared or not', () => {
    const memory = new PrivateMemory(true);
    expect(memory.like(like, MB).buffer).toBeInstanceOf(SharedArrayBuffer);
    memory.release();
    expect(takeAll(1, MB).buffers[0]).toBeInstanceOf(ArrayBuffer);
  });
});

for (const name of backends) {
  describe(`jobs on ${name}`, () => {
    let sync: typeof import('../../lib/index.js');
    let later: typeof import('../../lib/promises.js');
    forceBackend(name, async () => {
      sync = await import('../../lib/index.js');
      later = await import('../../lib/promises.js');
    });

    it('give results of their own, which later jobs leave alone', async () => {
      const inputs = Array.from({ length: 6 }, (_, i) => row('f32', 'N(0,8)', 40_000 + 7 * i));
      const results: Float32Array[] = [];
      for (const x of inputs) {
        const out = new Float32Array(x.length);
        results.push(await later.softmax(x), await later.softmax(x, { out }));
        await expect(later.softmax(x, { out, signal: AbortSignal.abort() })).rejects.toThrow();
      }
      expect(new Set(results.map(bufferOf)).size).toBe(results.length);
      for (const [i, y] of results.entries()) {
        expect(firstDifference(y, sync.softmax(inputs[i >> 1]!))).toBe(-1);
        expect(y.buffer.byteLength).toBe(4 * y.length);
      }
    });

    it('leave no number of another job in an array for results', async () => {
      const x = row('f32', 'N(0,8)', 40_000);
      await later.softmax(x, { out: new Float32Array(x.length) });
      const targets = new Int32Array(4); // a gradient of ignored rows has zeros alone
      const options = { cols: 10_000, ignoreIndex: 0, gradient: new Float32Array(x.length).fill(3) };
      const wanted = { ...options, gradient: options.gradient.slice() };
      sync.crossEntropy(x, targets, wanted);
      await later.crossEntropy(x, targets, options);
      expect(firstDifference(options.gradient, wanted.gradient)).toBe(-1);
    });
  });
}
