/** Version 2 of the wire forms of states: version 1, and behind it the shard and the epoch of its origin. */
import { describe, expect, it } from 'vitest';
import { AttentionPartial, LinearAttentionState, mergeAttentionPartials } from '../../lib/attention.js';
import { ExpSumAccumulator, type StateOrigin } from '../../lib/index.js';

const numbers = (n: number) => Float32Array.from({ length: n }, (_, i) => Math.sin(i * i));
interface State {
  readonly origin?: StateOrigin | undefined;
  toBytes(origin?: StateOrigin): Uint8Array;
}
const forms: [string, () => State, (bytes: Uint8Array) => State][] = [
  ['ExpSumAccumulator', () => new ExpSumAccumulator().add(numbers(9)), (bytes) => ExpSumAccumulator.fromBytes(bytes)],
  [
    'AttentionPartial',
    () => new AttentionPartial(Float64Array.of(1, 2), Float64Array.of(1.5), Int32Array.of(3)),
    (bytes) => AttentionPartial.fromBytes(bytes),
  ],
  [
    'AttentionPartial with raised rows',
    () => new AttentionPartial(Float64Array.of(1, 2), Float64Array.of(1.5), Int32Array.of(3), Uint8Array.of(1)),
    (bytes) => AttentionPartial.fromBytes(bytes),
  ],
  [
    'LinearAttentionState',
    () => {
      const state = new LinearAttentionState({ headDim: 2 });
      state.append(numbers(6), numbers(6));
      return state;
    },
    (bytes) => LinearAttentionState.fromBytes(bytes),
  ],
];
const invalid = (code: string, message: string) =>
  expect.objectContaining({ name: 'RangeError', code, message: expect.stringContaining(message) });

describe.each(forms)('%s', (_, make, read) => {
  const state = make();
  const plain = state.toBytes();
  const origin = { shard: 7, epoch: 2 ** 53 - 1 };
  const bytes = state.toBytes(origin);

  it('adds 12 bytes to version 1, and the number of the version', () => {
    expect(plain[4]).toBe(1);
    expect(bytes[4]).toBe(2);
    expect(bytes.length).toBe(plain.length + 12);
    expect(Buffer.from(bytes.subarray(5, plain.length)).equals(plain.subarray(5))).toBe(true);
    expect(Buffer.from(bytes.subarray(plain.length)).toString('hex')).toBe('07000000' + 'ffffffffffff3f43');
  });

  it('reads both versions', () => {
    expect(read(bytes).origin).toEqual(origin);
    expect(read(plain).origin).toBeUndefined();
    expect(read(bytes).toBytes()).toEqual(plain);
    for (const each of [
      { shard: 0, epoch: 0 },
      { shard: 2 ** 32 - 1, epoch: 1 },
    ]) {
      const back = read(state.toBytes(each));
      expect(back.origin).toEqual(each);
      expect(back.toBytes(back.origin)).toEqual(state.toBytes(each));
    }
    expect(read(state.toBytes({ shard: -0, epoch: -0 })).origin).toEqual({ shard: 0, epoch: 0 });
  });

  it('refuses other bytes', () => {
    for (let length = 0; length < bytes.length; length++) {
      expect(() => read(bytes.subarray(0, length)), `${length} bytes`).toThrow(RangeError);
    }
    expect(() => read(Uint8Array.of(...bytes, 0))).toThrow(RangeError);
    for (const [epoch, name] of [
      [NaN, 'NaN'],
      [-1, '-1'],
      [-0, '0'],
      [0.5, '0.5'],
      [2 ** 53, '9007199254740992'],
      [Infinity, 'Infinity'],
    ] as const) {
      const wrong = bytes.slice();
      new DataView(wrong.buffer).setFloat64(wrong.length - 8, epoch, true);
      expect(() => read(wrong)).toThrow(
        invalid('ERR_INVALID_ARG_VALUE', `an epoch from 0 to 2^53 − 1 for bytes but received ${name}`),
      );
    }
    for (const version of [0, 3, 255]) {
      const wrong = plain.slice();
      wrong[4] = version;
      expect(() => read(wrong)).toThrow(
        invalid('ERR_INVALID_ARG_VALUE', `version 1 or 2 for bytes but received version ${version}`),
      );
    }
  });

  it('refuses what is no origin', () => {
    const wrongType = (text: string) =>
      expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE', message: expect.stringContaining(text) });
    for (const value of [null, 3, 'one', []]) expect(() => state.toBytes(value as never)).toThrow(TypeError);
    expect(() => state.toBytes({ shard: 1 } as never)).toThrow(wrongType('an integer for epoch'));
    expect(() => state.toBytes({ epoch: 1 } as never)).toThrow(wrongType('an integer for shard'));
    expect(() => state.toBytes({ shard: 1, epoch: 1, part: 2 } as never)).toThrow(wrongType('only shard, epoch'));
    for (const shard of [-1, 0.5, NaN, 2 ** 32]) {
      expect(() => state.toBytes({ shard, epoch: 0 })).toThrow(invalid('ERR_OUT_OF_RANGE', '4294967295 for shard'));
    }
    for (const epoch of [-1, 0.5, NaN, 2 ** 53]) {
      expect(() => state.toBytes({ shard: 0, epoch })).toThrow(invalid('ERR_OUT_OF_RANGE', 'for epoch'));
    }
    let reads = 0;
    const getter = Object.defineProperty({ shard: 1 }, 'epoch', { enumerable: true, get: () => 5 + reads++ });
    expect(read(state.toBytes(getter as StateOrigin)).origin).toEqual({ shard: 1, epoch: 5 });
  });
});

describe('an origin', () => {
  const origin = { shard: 1, epoch: 2 };

  it('is that of the bytes alone, and not of sums with more in them', () => {
    const sum = ExpSumAccumulator.fromBytes(new ExpSumAccumulator().add(numbers(3)).toBytes(origin));
    expect(new ExpSumAccumulator().merge(sum).origin).toBeUndefined();
    expect(sum.origin).toEqual(origin);
    expect(sum.add(numbers(3)).origin).toBeUndefined();

    const part = new AttentionPartial(Float64Array.of(1), Float64Array.of(1), Int32Array.of(0));
    expect(mergeAttentionPartials(AttentionPartial.fromBytes(part.toBytes(origin))).origin).toBeUndefined();

    const linear = new LinearAttentionState({ headDim: 1 });
    const arrived = () => LinearAttentionState.fromBytes(linear.toBytes(origin));
    expect(arrived().origin).toEqual(origin);
    const changes: ((state: LinearAttentionState) => unknown)[] = [
      (state) => state.append(numbers(1), numbers(1)),
      (state) => state.attend(numbers(1), numbers(1), numbers(1)),
      (state) => state.merge(linear),
      (state) => state.reset(),
    ];
    for (const change of changes) {
      const state = arrived();
      change(state);
      expect(state.origin).toBeUndefined();
    }
    expect(arrived().fork().origin).toBeUndefined();
  });

  it('cannot be changed from outside', () => {
    const sum = ExpSumAccumulator.fromBytes(new ExpSumAccumulator().toBytes(origin));
    (sum.origin as { shard: number }).shard = 9;
    expect(sum.origin).toEqual(origin);
  });
});
