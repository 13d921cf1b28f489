/** What OutputHead refuses, by which error, and what it does with arrays that change. */
import { describe, expect, it } from 'vitest';
import { OutputHead } from '../../lib/head.js';
import { OutputHead as Later } from '../../lib/promises.js';

const weights = new Float32Array(12).fill(1);
const sizes = { rows: 4, cols: 3 };
const type = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' };
const value = { name: 'RangeError', code: 'ERR_INVALID_ARG_VALUE' };
const range = { name: 'RangeError', code: 'ERR_OUT_OF_RANGE' };

function refusal(call: () => unknown) {
  try {
    call();
  } catch (error) {
    return error;
  }
  return undefined;
}

describe('the arguments of OutputHead', () => {
  it.each<[object, unknown, object, RegExp]>([
    [type, [1, 2], sizes, /Float32Array/],
    [type, new Uint16Array(12), sizes, /weights/],
    [type, weights, { ...sizes, color: 1 }, /options/],
    [type, weights, { ...sizes, format: 3 }, /format/],
    [value, weights, { ...sizes, format: 'q9' }, /format/],
    [range, weights, { ...sizes, rows: 0 }, /rows/],
    [type, weights, { cols: 3 }, /rows/],
    [value, weights, { rows: 4, cols: 4 }, /64 bytes/],
    [value, new Uint8Array(36), { rows: 1, cols: 33, format: 'q8_0' }, /multiple of 32/],
    [value, new Uint8Array(144), { rows: 1, cols: 128, format: 'q4_K' }, /multiple of 256/],
    [value, weights, { ...sizes, scales: new Float32Array(4) }, /scales/],
    [value, new Int8Array(12), { ...sizes, format: 'int8', scales: new Float32Array(3) }, /4 elements/],
    [type, new Int8Array(12), { ...sizes, format: 'int8', scales: [1] }, /scales/],
    [type, new Uint8Array(64), { ...sizes, format: 'nbits4' }, /scales/],
    [range, new Uint8Array(64), { ...sizes, format: 'nbits4', blockSize: 24 }, /blockSize/],
    [value, weights, { ...sizes, blockSize: 32 }, /blockSize/],
    [type, weights, { ...sizes, bias: new Float64Array(4) }, /bias/],
    [value, weights, { ...sizes, bias: new Float32Array(5) }, /bias/],
    [range, weights, { ...sizes, softcap: 0 }, /softcap/],
    [type, weights, { ...sizes, normalize: 1 }, /normalize/],
    [
      value,
      new Uint8Array(64),
      { ...sizes, format: 'nbits4', scales: new Float32Array(4), zeroPoints: new Uint8Array(3) },
      /zeroPoints/,
    ],
  ])('refuses %o', (error, array, options, message) => {
    const found = refusal(() => new OutputHead(array as never, options as never));
    expect(found).toMatchObject(error);
    expect((found as Error).message).toMatch(message);
  });

  const head = new OutputHead(weights, sizes);
  const hidden = new Float32Array(6);
  it.each<[object, () => unknown]>([
    [type, () => head.logits([1] as never)],
    [type, () => head.logits(new Uint16Array(3))],
    [type, () => head.logits(new Float64Array(3) as never)],
    [value, () => head.logits(new Float32Array(4))],
    [value, () => head.logits(hidden, { out: new Float32Array(7) })],
    [value, () => head.logits(hidden, { out: weights.subarray(0, 8) })],
    [value, () => head.logits(hidden, { dtype: 'float16' } as never)],
    [type, () => head.logits(hidden, { temperature: 1 } as never)],
    [range, () => head.expSum(hidden, { temperature: 0 })],
    [range, () => head.topK(hidden, -1)],
    [value, () => head.logProbs(hidden, [1])],
    [range, () => head.logProbs(hidden, [1, 4])],
    [range, () => head.crossEntropy(hidden, [1, 4])],
    [value, () => head.crossEntropy(hidden, [1])],
    [value, () => head.crossEntropy(hidden, [1, 2], { gradient: 'all' as never })],
    [range, () => head.crossEntropy(hidden, [1, 2], { lsePenalty: -1 })],
    [range, () => head.slice(2, 2)],
    [range, () => head.weightRows(0, 5)],
    [type, () => head.sample(hidden, { cols: 4 } as never)],
  ])('refuses a call: %o', (error, call) => {
    expect(refusal(call)).toMatchObject(error);
  });

  it('has results of no states', () => {
    const none = new Float32Array(0);
    expect(head.logits(none)).toHaveLength(0);
    expect(head.expSum(none).mantissa).toHaveLength(0);
    expect(head.topK(none, 2).indices).toHaveLength(0);
    expect(head.sample(none)).toHaveLength(0);
    expect(head.logProbs(none, []).logProbs).toHaveLength(0);
    expect(head.crossEntropy(none, [], { gradient: 'both' }).loss).toHaveLength(0);
  });

  it('copies options, and refuses weights whose memory is gone', () => {
    const own = new Float32Array(12).fill(2);
    const bias = new Float32Array(4);
    const other = new OutputHead(own, { ...sizes, bias });
    bias.fill(9);
    expect(Array.from(other.logits(Float32Array.of(1, 1, 1)))).toEqual([6, 6, 6, 6]);
    structuredClone(own, { transfer: [own.buffer] });
    expect(refusal(() => other.logits(hidden))).toMatchObject(value);
    expect(refusal(() => other.weightRows(0, 1))).toMatchObject(value);
  });

  it('keeps a copy of the weights of a promise', async () => {
    const own = new Float32Array(12).fill(2);
    const other = new Later(own, sizes);
    const states = Float32Array.of(1, 1, 1);
    expect(Array.from(await other.logits(states))).toEqual([6, 6, 6, 6]);
    structuredClone(own, { transfer: [own.buffer] });
    expect(Array.from(await other.logits(states))).toEqual([6, 6, 6, 6]);
    const shared = new Float32Array(new SharedArrayBuffer(48)).fill(3);
    expect(Array.from(await new Later(shared, sizes).logits(states))).toEqual([9, 9, 9, 9]);
  });

  it('says with a code that there is no memory for results', async () => {
    const [rows, count] = [2 ** 20, 2 ** 20];
    const wide = new Int8Array(rows);
    const [now, later] = [OutputHead, Later].map((Head) => new Head(wide, { rows, cols: 1, format: 'int8' }));
    const states = new Float32Array(count);
    const none = { code: 'ERR_MEMORY_ALLOCATION_FAILED' };
    expect(refusal(() => now!.logits(states))).toMatchObject(none);
    expect(refusal(() => now!.topK(states, rows))).toMatchObject(none);
    await expect(later!.logits(states)).rejects.toMatchObject(none);
  });

  it('asks no array about itself', () => {
    const lying = new Float32Array(3).fill(1);
    Object.defineProperty(lying, 'length', { value: 300 });
    Object.defineProperty(lying, 'constructor', { value: null });
    expect(Array.from(head.logits(lying))).toEqual([3, 3, 3, 3]);
    const getter = new Float32Array(3);
    const options = {
      get dtype() {
        structuredClone(getter, { transfer: [getter.buffer] });
        return undefined;
      },
    };
    expect(refusal(() => head.logits(getter, options))).toMatchObject(type);
  });
});
