/** flash-softmax/adapters/onnxruntime: arrays of tensors without a copy, and tensors of arrays. */
import { describe, expect, it } from 'vitest';
import { fromTensor, lastLogits, toTensor, type TensorType } from '../../lib/adapters/onnxruntime.js';
import { logSoftmax, softmax } from '../../lib/index.js';
import { sample } from '../../lib/sampling.js';
import { itWith } from '../support/tools.js';
import { importPeer, peers } from './peers.js';
import { languageModel, VOCABULARY } from './tiny-model.js';

interface Tensor {
  readonly type: string;
  readonly data: Float32Array;
  readonly dims: readonly number[];
  readonly location: string;
}
interface Runtime {
  readonly Tensor: new (type: never, data: never, dims: readonly number[]) => Tensor;
  readonly InferenceSession: {
    create(model: Uint8Array): Promise<{ run(feeds: object): Promise<Record<string, Tensor>> }>;
  };
}

/** A stand-in for onnxruntime, which keeps what it is given. */
const ort = {
  Tensor: class {
    constructor(
      readonly type: string,
      readonly data: ArrayBufferView & ArrayLike<number | bigint>,
      readonly dims: readonly number[],
    ) {}
  },
};

const { Float16Array } = globalThis as { Float16Array?: new (buffer: ArrayBuffer) => ArrayBufferView };
const halves = Uint16Array.of(0x3c00, 0x4000, 0, 0xbc00); // 1 2 0 -1

describe('fromTensor', () => {
  it('gives the memory of the tensor, and options for every function', () => {
    const data = Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8);
    const { data: own, ...options } = fromTensor({ type: 'float32', data, dims: [2, 2, 2], location: 'cpu' });
    expect(own).toBe(data);
    expect(options).toEqual({ shape: [2, 2, 2] });
    expect(softmax(own, { ...options, axis: 1 })).toEqual(softmax(data, { shape: [2, 2, 2], axis: 1 }));
    expect(sample(own, { ...options, temperature: 0 })).toEqual(Uint32Array.of(1, 1, 1, 1));
    const doubles = fromTensor({ type: 'float64', data: Float64Array.of(1, 2), dims: [2] } as const);
    expect(logSoftmax(doubles.data)[1]).toBeCloseTo(-0.3132616875, 9);
  });

  it('gives halves of any version of the runtime', () => {
    const { data, ...options } = fromTensor({ type: 'float16', data: halves, dims: [2, 2] });
    expect(options).toEqual({ shape: [2, 2], dtype: 'float16' });
    expect(softmax(data, options)).toHaveLength(4);
    if (Float16Array === undefined) return;
    const real = fromTensor({ type: 'float16', data: new Float16Array(halves.buffer), dims: [2, 2] });
    expect(real).not.toHaveProperty('dtype');
    expect(softmax(real.data, { shape: real.shape })).toHaveLength(4);
  });

  const sound = { type: 'float32', data: new Float32Array(4), dims: [4] };
  it.each<[string, unknown, RegExp]>([
    ['no tensor', [1, 2], /Expected a tensor with type, dims and data for tensor but received an Array/],
    ['null', null, /a tensor/],
    ['integers', { ...sound, type: 'int64', data: new BigInt64Array(4) }, /'float32', 'float64' or 'float16'/],
    ['another array', { ...sound, data: new Float64Array(4) }, /a Float32Array for tensor.data/],
    ['other dimensions', { ...sound, dims: [5] }, /Expected 5 elements for tensor.data but received 4/],
    ['a negative dimension', { ...sound, dims: [-4] }, /tensor.dims/],
    ['a tensor on another device', { ...sound, location: 'gpu-buffer' }, /await tensor.getData\(\)/],
  ])('refuses %s', (_, tensor, message) => {
    expect(() => fromTensor(tensor as never)).toThrow(message);
  });
});

describe('lastLogits', () => {
  const data = Float32Array.from({ length: 12 }, (_, i) => i);

  it('is a view of one sequence, and of a model that gives one position', () => {
    const one = lastLogits({ type: 'float32', data, dims: [1, 4, 3] });
    expect(one).toEqual({ data: Float32Array.of(9, 10, 11), cols: 3 });
    expect(one.data.buffer).toBe(data.buffer);
    expect(lastLogits({ type: 'float32', data, dims: [4, 1, 3] }).data.buffer).toBe(data.buffer);
    expect(lastLogits({ type: 'float32', data, dims: [4, 3] })).toEqual({ data, cols: 3 });
  });

  it('copies the rows of a batch, at the end of each sequence', () => {
    const tensor = { type: 'float32', data, dims: [2, 2, 3] };
    expect(lastLogits(tensor).data).toEqual(Float32Array.of(3, 4, 5, 9, 10, 11));
    expect(lastLogits(tensor, { lengths: [1, 2] }).data).toEqual(Float32Array.of(0, 1, 2, 9, 10, 11));
    expect(lastLogits({ type: 'float16', data: halves, dims: [2, 2, 1] })).toEqual({
      data: Uint16Array.of(halves[1]!, halves[3]!),
      cols: 1,
      dtype: 'float16',
    });
    expect(() => lastLogits(tensor, { lengths: [1] })).toThrow('Expected 2 lengths, one a sequence, for lengths');
    expect(() => lastLogits(tensor, { lengths: [1, 3] })).toThrow('Expected lengths from 1 to 2 for lengths');
    expect(() => lastLogits(tensor, { lengths: [0, 1] })).toThrow(RangeError);
    expect(() => lastLogits({ ...tensor, dims: [12] })).toThrow('Expected 2 or 3 dimensions');
    expect(() => lastLogits(tensor, { length: 1 } as never)).toThrow(TypeError);
  });
});

describe('toTensor', () => {
  it('takes the memory of the array', () => {
    const x = Float32Array.of(1, 2, 3);
    const tensor = toTensor(x.subarray(1), [2, 1], ort);
    expect(tensor).toMatchObject({ type: 'float32', dims: [2, 1], data: Float32Array.of(2, 3) });
    expect(tensor.data.buffer).toBe(x.buffer);
    for (const [array, type] of [
      [new Float64Array(2), 'float64'],
      [new Int8Array(2), 'int8'],
      [new Uint8Array(2), 'uint8'],
      [new Uint16Array(2), 'uint16'],
      [new Uint32Array(2), 'uint32'],
      [new BigInt64Array(2), 'int64'],
    ] as const) {
      expect(toTensor(array, [2], ort)).toMatchObject({ type, data: array });
    }
    expect(toTensor(new Uint8Array(2), [2], ort, { type: 'bool' }).type).toBe('bool');
  });

  it('makes halves of the array that the runtime wants, in the same memory', () => {
    const tensor = toTensor(halves, [4], ort, { dtype: 'float16' });
    expect(tensor.type).toBe('float16');
    expect(tensor.data.buffer).toBe(halves.buffer);
    expect(tensor.data).toBeInstanceOf(Float16Array ?? Uint16Array);
    if (Float16Array) expect(toTensor(new Float16Array(halves.buffer), [4], ort).type).toBe('float16');
  });

  it('converts integers, and refuses what a type cannot hold', () => {
    expect(toTensor([1, 2, 3], [1, 3], ort)).toMatchObject({ type: 'int64', data: BigInt64Array.of(1n, 2n, 3n) });
    expect(toTensor(Uint32Array.of(7), [1], ort, { type: 'int64' }).data).toEqual(BigInt64Array.of(7n));
    expect(toTensor(BigInt64Array.of(-7n), [1], ort, { type: 'int32' }).data).toEqual(Int32Array.of(-7));
    const refused: [ArrayBufferView | number[], TensorType][] = [
      [[1.5], 'int64'],
      [[300], 'uint8'],
      [[-1], 'uint64'],
      [[2 ** 60], 'int64'],
      [BigInt64Array.of(2n ** 40n), 'int32'],
    ];
    for (const [array, type] of refused) expect(() => toTensor(array, [1], ort, { type }), type).toThrow(RangeError);
    expect(() => toTensor(Float32Array.of(1), [1], ort, { type: 'int64' })).toThrow(/an array of int64 for array/);
    expect(() => toTensor([1], [1], ort, { type: 'float32' })).toThrow(TypeError);
  });

  it('copies shared memory, and checks all arguments', () => {
    const shared = new Float32Array(new SharedArrayBuffer(8));
    expect(toTensor(shared, [2], ort).data.buffer).toBeInstanceOf(ArrayBuffer);
    expect(() => toTensor(new Float32Array(3), [2, 2], ort)).toThrow('Expected 4 elements, as dims say, for array');
    expect(() => toTensor(new Float32Array(3), [3], {} as never)).toThrow('a module with the class Tensor for ort');
    expect(() => toTensor('x' as never, [1], ort)).toThrow(TypeError);
    expect(() => toTensor(new Uint8ClampedArray(1), [1], ort)).toThrow(TypeError);
    expect(() => toTensor(new Float32Array(1), [1], ort, { dtype: 'float16' })).toThrow(TypeError);
    expect(() => toTensor(halves, [4], ort, { dtype: 'bfloat16' as never })).toThrow(RangeError);
  });
});

describe('with onnxruntime-node', () => {
  itWith(
    peers,
    'draws from what a session gives, and feeds it',
    async () => {
      const real = await importPeer<Runtime>('onnxruntime-node');
      const session = await real.InferenceSession.create(languageModel());
      const input_ids = toTensor(Uint32Array.of(5, 9), [1, 2], real, { type: 'int64' });
      expect(input_ids).toMatchObject({ type: 'int64', dims: [1, 2] });
      const { logits } = await session.run({ input_ids });
      const { data, ...options } = lastLogits(logits!);
      expect(options).toEqual({ cols: VOCABULARY });
      expect(data).toEqual(logits!.data.subarray(VOCABULARY));
      expect((data as Float32Array).buffer).toBe(logits!.data.buffer);
      const whole = fromTensor(logits!);
      expect(whole.shape).toEqual([1, 2, VOCABULARY]);
      const back = toTensor(softmax(whole.data as Float32Array, { shape: whole.shape }), whole.shape, real);
      expect(back.dims).toEqual([1, 2, VOCABULARY]);
      const half = toTensor(halves, [4], real, { dtype: 'float16' });
      expect(half.type).toBe('float16');
      expect(softmax(fromTensor(half).data as Uint16Array, { dtype: 'float16' })).toHaveLength(4);
    },
    300_000,
  );
});
