/** Arguments of linear attention that are refused, and bytes that no state has written. */
import { describe, expect, it } from 'vitest';
import { injectiveLinearAttention, LinearAttentionState, magnitudeAwareAttention } from '../../lib/attention.js';

const q = Float32Array.of(1, 0, 0, 1, 1, 1);
const k = Float32Array.of(1, 0, 1, 1, 0, 2);
const v = Float32Array.of(1, 2, 3, 4, 5, 6);
const one = { heads: 1, headDim: 2 };

const state = () => {
  const made = new LinearAttentionState({ headDim: 2, featureMap: 'exp', featureScale: 0.2 });
  made.append(k, v);
  return made;
};
const invalid = (run: () => unknown, code: string, message: RegExp | string) =>
  expect(run).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }));

describe('arguments', () => {
  it('of the functions', () => {
    for (const fn of [magnitudeAwareAttention, injectiveLinearAttention]) {
      invalid(() => fn(q, k, v, { ...one, mask: 1 } as never), 'ERR_INVALID_ARG_TYPE', 'mask');
      invalid(() => fn([] as never, k, v, one), 'ERR_INVALID_ARG_TYPE', /Float32Array for q/);
      invalid(() => fn(q, k, v.subarray(1), one), 'ERR_INVALID_ARG_VALUE', 'v');
      invalid(() => fn(q, k, v, { ...one, heads: 4 }), 'ERR_INVALID_ARG_VALUE', 'q');
      invalid(() => fn(q, k, v, { ...one, out: q as never }), 'ERR_INVALID_ARG_VALUE', /memory apart from q for out/);
      invalid(() => fn(q, k, v, { ...one, out: new Float32Array(5) }), 'ERR_INVALID_ARG_VALUE', /6 elements for out/);
    }
    invalid(() => magnitudeAwareAttention(q, k, v, { ...one, epsilon: -1 }), 'ERR_OUT_OF_RANGE', 'epsilon');
    invalid(
      () => magnitudeAwareAttention(q, k, v, { ...one, scale: 'both' as never }),
      'ERR_INVALID_ARG_VALUE',
      "'code' or 'paper' for scale",
    );
    invalid(
      () => injectiveLinearAttention(q, k, v, { ...one, featureMap: 'cos' as never }),
      'ERR_INVALID_ARG_VALUE',
      'featureMap',
    );
    invalid(
      () => injectiveLinearAttention(q, k, v, { ...one, featureScale: Infinity }),
      'ERR_OUT_OF_RANGE',
      'featureScale',
    );
  });

  it('of a state', () => {
    invalid(() => new LinearAttentionState({} as never), 'ERR_INVALID_ARG_TYPE', 'headDim');
    invalid(() => new LinearAttentionState({ headDim: 2, dim: 3 } as never), 'ERR_INVALID_ARG_TYPE', 'dim');
    invalid(() => new LinearAttentionState({ headDim: 2 ** 32 }), 'ERR_OUT_OF_RANGE', 'headDim');
    invalid(() => new LinearAttentionState({ headDim: 2 ** 31 }), 'ERR_MEMORY_ALLOCATION_FAILED', 'the state');
    const it = state();
    const bytes = it.toBytes();
    invalid(() => it.append(k, v.subarray(1)), 'ERR_INVALID_ARG_VALUE', 'v');
    invalid(() => it.append(k, new Float64Array(6) as never), 'ERR_INVALID_ARG_TYPE', 'Float32Array for v');
    invalid(() => it.query(q.subarray(1)), 'ERR_INVALID_ARG_VALUE', 'q');
    invalid(() => it.query(q, { heads: 0 }), 'ERR_OUT_OF_RANGE', 'heads');
    invalid(() => it.query(q, { form: 'mala' as never }), 'ERR_INVALID_ARG_VALUE', 'form');
    invalid(() => it.query(q, { scale: 'paper' }), 'ERR_INVALID_ARG_VALUE', "scale beside form 'normalized'");
    invalid(() => it.query(q, { out: [] as never }), 'ERR_INVALID_ARG_TYPE', 'out');
    invalid(() => it.query(q, { out: q as never }), 'ERR_INVALID_ARG_VALUE', 'apart from q');
    expect(it.toBytes()).toEqual(bytes);
    const two = new LinearAttentionState({ kvHeads: 2, headDim: 1 });
    invalid(() => two.query(q, { heads: 3 }), 'ERR_INVALID_ARG_VALUE', 'a multiple of kvHeads = 2 for heads');
  });
});

describe('the wire form', () => {
  it('is read on any machine, and shows the options', () => {
    const bytes = state().toBytes();
    expect(bytes.length).toBe(40 + 8 * 8);
    expect([...bytes.subarray(0, 8)]).toEqual([70, 83, 76, 65, 1, 2, 0, 0]);
    const read = LinearAttentionState.fromBytes(bytes);
    expect([read.batch, read.kvHeads, read.headDim, read.valueDim, read.tokens]).toEqual([1, 1, 2, 2, 3]);
    expect([read.featureMap, read.featureScale]).toEqual(['exp', 0.2]);
    expect(read.query(q)).toEqual(state().query(q));
    expect(read.merge(state()).tokens).toBe(6);
    const wide = LinearAttentionState.fromBytes(new Uint8Array(Uint8Array.of(9, ...bytes, 9).buffer, 1, bytes.length));
    expect(wide.toBytes()).toEqual(bytes);
  });

  it('is checked', () => {
    const good = state().toBytes();
    const changed = (change: (view: DataView) => void) => {
      const bytes = good.slice();
      change(new DataView(bytes.buffer));
      return () => LinearAttentionState.fromBytes(bytes);
    };
    for (let n = 0; n < good.length; n++) {
      expect(() => LinearAttentionState.fromBytes(good.subarray(0, n))).toThrow(RangeError);
    }
    expect(() => LinearAttentionState.fromBytes(Uint8Array.of(...good, 0))).toThrow(RangeError);
    expect(() => LinearAttentionState.fromBytes([...good] as never)).toThrow(TypeError);
    const detached = good.slice();
    structuredClone(detached, { transfer: [detached.buffer] });
    expect(() => LinearAttentionState.fromBytes(detached)).toThrow(TypeError);
    const wrong = 'ERR_INVALID_ARG_VALUE';
    invalid(
      changed((view) => view.setUint8(0, 71)),
      wrong,
      'FSLA',
    );
    invalid(
      changed((view) => view.setUint8(4, 3)),
      wrong,
      'version 1 or 2',
    );
    for (const [at, value] of [
      [5, 4],
      [6, 1],
      [7, 1],
    ] as const)
      invalid(
        changed((view) => view.setUint8(at, value)),
        wrong,
        'feature map',
      );
    for (let i = 0; i < 4; i++) {
      invalid(
        changed((view) => view.setUint32(8 + 4 * i, 0, true)),
        wrong,
        'sizes from 1',
      );
      for (const n of [3, 2 ** 32 - 1])
        invalid(
          changed((view) => view.setUint32(8 + 4 * i, n, true)),
          wrong,
          'bytes for sizes',
        );
    }
    for (const value of [NaN, Infinity])
      invalid(
        changed((view) => view.setFloat64(24, value, true)),
        wrong,
        'featureScale',
      );
    for (const value of [NaN, -1, -0, 0.5, 2 ** 53, Infinity])
      invalid(
        changed((view) => view.setFloat64(32, value, true)),
        wrong,
        'whole number of tokens',
      );
    invalid(
      changed((view) => view.setFloat64(32, 0, true)),
      wrong,
      'sums of 0 without tokens',
    );
    invalid(
      changed((view) => view.setFloat64(40 + 8 * 4, -1, true)),
      wrong,
      'Σ φ',
    );
    // NaN is a sum that a state can have.
    expect(changed((view) => view.setFloat64(40, NaN, true))).not.toThrow();
  });

  it('is how a state of another copy of the package is merged', () => {
    const own = state();
    const foreign = { toBytes: () => own.toBytes(), [Symbol.for('flash-softmax.LinearAttentionState.1')]: true };
    expect(
      state()
        .merge(foreign as never)
        .toBytes(),
    ).toEqual(state().merge(own).toBytes());
    const lying = { ...foreign, toBytes: () => own.toBytes().subarray(1) };
    expect(() => state().merge(lying as never)).toThrow(RangeError);
  });
});
