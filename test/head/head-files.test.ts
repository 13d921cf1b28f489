/** OutputHead.fromGGUF and fromOnnx: files of this test, whole, in two files, and with bytes that lie. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { OutputHead, type HeadFormat, type HeadSource } from '../../lib/head.js';
import { generator } from '../support/cases.js';
import { ggufFile, type GGUFTensor } from '../support/gguf-file.js';
import * as onnx from '../support/onnx-file.js';
import { columnsFor, matrix, type Matrix, type Weights } from './head-oracle.js';
import { packedModel, type PackedChange } from './packed-model.js';

const folder = mkdtempSync(path.join(tmpdir(), 'flash-softmax-head-'));
afterAll(() => rmSync(folder, { recursive: true }));
const saved = (name: string, bytes: Uint8Array): string => {
  writeFileSync(path.join(folder, name), bytes);
  return path.join(folder, name);
};
const bytesOf = (x: Weights | Float32Array) => new Uint8Array(x.buffer, x.byteOffset, x.byteLength).slice();
const expectSame = (head: OutputHead, { weights, options }: Matrix, more: object = {}) => {
  const whole = new OutputHead(weights, { ...options, ...more });
  expect([head.rows, head.cols, head.format]).toEqual([whole.rows, whole.cols, whole.format]);
  const hidden = Float32Array.from({ length: 2 * whole.cols }, (_, i) => Math.sin(i * i));
  expect(head.logits(hidden)).toEqual(whole.logits(hidden));
};
const wrong = (message: RegExp) =>
  expect.objectContaining({
    name: 'RangeError',
    code: 'ERR_INVALID_ARG_VALUE',
    message: expect.stringMatching(message) as unknown,
  });

const TYPES = { float32: 0, float16: 1, bfloat16: 30, q8_0: 8, q4_0: 2, q4_K: 12, q6_K: 14 } as const;
const tensorOf = (m: Matrix, type: number, name = 'output.weight'): GGUFTensor => ({
  name,
  dims: [m.options.cols, m.options.rows],
  type,
  bytes: bytesOf(m.weights),
});
const other: GGUFTensor = { name: 'blk.0.attn_norm.weight', dims: [3], type: 0, bytes: new Uint8Array(12) };
const metadata = { 'general.architecture': 'llama', 'tokenizer.ggml.tokens': ['<s>', '▁the', ''], 'a.b': 7 };

describe('fromGGUF', () => {
  it.each(Object.entries(TYPES))('%s, of bytes, a path and a URL', (format, type) => {
    const m = matrix(format as HeadFormat, 5, columnsFor(format as HeadFormat, 300), 7);
    const bytes = ggufFile(metadata, [other, tensorOf(m, type), other]);
    const file = saved(`${format}.gguf`, bytes);
    const odd = new Uint8Array(bytes.length + 1); // floats at an odd address are copied
    odd.set(bytes, 1);
    const sources: HeadSource[] = [bytes, odd.subarray(1), file, pathToFileURL(file)];
    const bias = Float32Array.of(1, 2, 3, 4, 5);
    for (const source of sources) {
      expectSame(OutputHead.fromGGUF(source, 'output.weight'), m);
      expectSame(OutputHead.fromGGUF(source, 'output.weight', { bias, softcap: 9 }), m, { bias, softcap: 9 });
    }
  });

  it('reads weights where they are, whatever the alignment', () => {
    const m = matrix('q8_0', 4, 64, 3);
    for (const alignment of [32, 64, 8]) {
      const bytes = ggufFile({ ...metadata, 'general.alignment': alignment }, [other, tensorOf(m, 8)]);
      const head = OutputHead.fromGGUF(bytes, 'output.weight');
      expectSame(head, m);
      const hidden = new Float32Array(64).fill(1);
      const before = head.logits(hidden);
      bytes.fill(0, bytes.length - 200); // the head has a view of these bytes
      expect(head.logits(hidden)).not.toEqual(before);
    }
  });

  it('names the field that is wrong', () => {
    const m = matrix('q8_0', 4, 64, 3);
    const good = ggufFile(metadata, [tensorOf(m, 8)]);
    const read =
      (bytes: Uint8Array, tensor = 'output.weight') =>
      () =>
        OutputHead.fromGGUF(bytes, tensor);
    const at = (tensor: Partial<GGUFTensor>) => read(ggufFile(metadata, [{ ...tensorOf(m, 8), ...tensor }]));
    const changed = (offset: number, value: bigint) => {
      const bytes = good.slice();
      new DataView(bytes.buffer).setBigUint64(offset, value, true);
      return read(bytes);
    };
    expect(read(good, 'lm_head')).toThrow(wrong(/a tensor of the bytes for tensor but received 'lm_head'/));
    expect(read(Uint8Array.of(...Buffer.from('GGML'), 0, 0))).toThrow(wrong(/'GGUF' for magic of the bytes/));
    expect(read(new Uint8Array(0))).toThrow(wrong(/at most 0 bytes for magic/));
    expect(changed(4, 9n)).toThrow(wrong(/2 or 3 for version of the bytes but received 9/));
    expect(changed(8, 2n ** 60n)).toThrow(wrong(/below 2\^53 for tensor_count/));
    expect(changed(8, 2n ** 40n)).toThrow(wrong(/for the name of a tensor of the bytes/));
    expect(changed(16, 2n ** 40n)).toThrow(wrong(/for/));
    expect(changed(24, 2n ** 40n)).toThrow(wrong(/at most \d+ bytes for a metadata key of the bytes/));
    expect(at({ dims: [64] })).toThrow(wrong(/two dimensions for dims of 'output.weight' of the bytes/));
    expect(at({ dims: [64, 0] })).toThrow(wrong(/two dimensions for dims/));
    expect(at({ dims: [1, 2, 3, 4, 5, 6, 7, 8, 9] })).toThrow(wrong(/at most 8 for n_dims/));
    expect(at({ dims: [33, 4] })).toThrow(wrong(/a multiple of 32 columns for dims/));
    expect(at({ dims: [64, 2 ** 45] })).toThrow(wrong(/at most \d+ bytes for the bytes of 'output.weight'/));
    expect(at({ type: 3 })).toThrow(wrong(/0 \(float32\).*30 \(bfloat16\) for the type of 'output.weight'/));
    expect(read(good.subarray(0, good.length - 32))).toThrow(wrong(/for the bytes of 'output.weight' of the bytes/));
    expect(() => OutputHead.fromGGUF(saved('cut.gguf', good.subarray(0, 50)), 'x')).toThrow(wrong(/of cut\.gguf/));
    expect(() => OutputHead.fromGGUF(path.join(folder, 'none'), 'x')).toThrow(/ENOENT/);
    expect(() => OutputHead.fromGGUF(3 as never, 'x')).toThrow(/a path, a URL or a Uint8Array for source/);
    expect(() => OutputHead.fromGGUF(good, 3 as never)).toThrow(/a string for tensor/);
    expect(() => OutputHead.fromGGUF(good, 'output.weight', { rows: 3 } as never)).toThrow(/only bias/);
  });
});

const ONNX_TYPES = { float32: 1, float16: 10, bfloat16: 16 } as const;

/** The matrix of a model, [cols, rows]. */
function turned({ weights, options: { rows, cols } }: Matrix): Uint8Array {
  const x = weights as Uint16Array;
  const Elements = x.constructor as Uint16ArrayConstructor;
  return bytesOf(Elements.from({ length: rows * cols }, (_, i) => x[(i % rows) * cols + Math.floor(i / rows)]!));
}

describe('fromOnnx', () => {
  it.each(Object.entries(ONNX_TYPES))('%s, as MatMul, Gemm and Gather have it', (format, type) => {
    const m = matrix(format as HeadFormat, 70, 130, 5);
    const { rows, cols } = m.options;
    const model = (node: object, isTurned: boolean) => {
      const tensor = { name: 'w', type, dims: isTurned ? [cols, rows] : [rows, cols] };
      return onnx.onnxModel({
        nodes: [
          { type: 'Relu', inputs: ['x'], outputs: ['h'] },
          { type: 'MatMul', inputs: ['h', 'w'], outputs: ['y'], ...node },
        ],
        initializers: [
          { name: 'v', dims: [2], type: 1, raw: new Uint8Array(8) },
          { ...tensor, raw: isTurned ? turned(m) : bytesOf(m.weights) },
        ],
      });
    };
    expectSame(OutputHead.fromOnnx(model({}, true), 'w'), m);
    expectSame(OutputHead.fromOnnx(model({ type: 'Gemm' }, true), 'w'), m);
    expectSame(OutputHead.fromOnnx(model({ type: 'Gemm', attributes: { transB: 1 } }, false), 'w'), m);
    expectSame(OutputHead.fromOnnx(model({ type: 'Gather', inputs: ['w', 'h'] }, false), 'w'), m);
    expectSame(OutputHead.fromOnnx(saved(`${format}.onnx`, model({}, true)), 'w'), m);
  });

  it('takes the bias of a Gemm, and none with other factors', () => {
    const m = matrix('float32', 3, 5, 5);
    const bias = Float32Array.of(1, -2, 3);
    const model = (attributes: Record<string, number>, dims: number[], alpha = 1) => {
      const factor = Buffer.alloc(4);
      factor.writeFloatLE(alpha);
      const gemm = { type: 'Gemm', inputs: ['h', 'w', 'c'], outputs: ['y'], attributes: { transB: 1, ...attributes } };
      return onnx.onnxModel({
        nodes: [{ ...gemm, more: [onnx.message(5, onnx.text(1, 'alpha'), onnx.fixed32(2, factor))] }],
        initializers: [
          { name: 'w', dims: [3, 5], type: 1, raw: bytesOf(m.weights) },
          { name: 'c', dims, type: 1, raw: bytesOf(bias) },
        ],
      });
    };
    expectSame(OutputHead.fromOnnx(model({}, [3]), 'w'), m, { bias });
    expectSame(OutputHead.fromOnnx(model({}, [1, 3]), 'w'), m, { bias });
    const refused = (bytes: Uint8Array, message: RegExp) =>
      expect(() => OutputHead.fromOnnx(bytes, 'w')).toThrow(wrong(message));
    refused(model({}, [3, 1]), /3 floats for dims of 'c' of the bytes but received \[3, 1\]/);
    refused(model({}, [3], 2), /1 for alpha of Gemm of the bytes but received 2/);
    refused(model({ transA: 1 }, [3]), /0 for transA of Gemm/);
  });

  it.each(['nbits4', 'nbits8'] as const)('MatMulNBits, %s', (format) => {
    for (const seed of [3, 4, 5]) {
      const m = matrix(format, 6, columnsFor(format, 150), seed);
      expectSame(OutputHead.fromOnnx(packedModel(m), 'w_Q4'), m);
    }
  });

  it('reads external data beside the model, and nothing elsewhere', () => {
    const m = matrix('float16', 3, 40, 5);
    const data = Uint8Array.of(9, 9, ...bytesOf(m.weights), 7);
    const model = (pairs: Record<string, string>) =>
      onnx.onnxModel({
        nodes: [],
        initializers: [{ name: 'w', dims: [3, 40], type: 10, raw: onnx.externalData(pairs) }],
      });
    saved('weights.bin', data);
    const pairs = { location: 'weights.bin', offset: '2', length: '240' };
    expectSame(OutputHead.fromOnnx(saved('external.onnx', model(pairs)), 'w'), m);
    expectSame(OutputHead.fromOnnx(model(pairs), 'w', { externalData: { 'weights.bin': data } }), m);
    expect(() => OutputHead.fromOnnx(model(pairs), 'w')).toThrow(/a Uint8Array for externalData\['weights.bin'\]/);
    for (const location of ['../weights.bin', '/etc/passwd', 'a/../../b', 'C:\\x', '', '..']) {
      const read = () => OutputHead.fromOnnx(saved('x.onnx', model({ ...pairs, location })), 'w');
      expect(read, location).toThrow(wrong(/a path in the folder of the model for location of 'w' of x\.onnx/));
    }
    for (const [change, message] of [
      [{ length: '99' }, /240 for length of 'w'/],
      [{ offset: '3' }, /./],
      [{ offset: '4' }, /for the bytes of 'w' of weights\.bin/],
      [{ offset: '-1' }, /an integer from 0 for offset of 'w'/],
      [{ offset: '9'.repeat(15) }, /for the offset of 'w'/],
    ] as const) {
      const read = () => OutputHead.fromOnnx(saved('x.onnx', model({ ...pairs, ...change })), 'w');
      if (message.source === '.') expect(read().rows).toBe(3);
      else expect(read).toThrow(wrong(message));
    }
  });

  it('reads int32_data and float_data', () => {
    const m = matrix('float16', 2, 3, 5);
    const values = Buffer.from([...(m.weights as Uint16Array)].flatMap(onnx.varint));
    const model = (raw: Buffer) =>
      onnx.onnxModel({ nodes: [], initializers: [{ name: 'w', dims: [2, 3], type: 10, raw: [raw] }] });
    expectSame(OutputHead.fromOnnx(model(onnx.bytes(5, values)), 'w'), m);
    expect(() => OutputHead.fromOnnx(model(onnx.bytes(5, values.subarray(3))), 'w')).toThrow(wrong(/data of 'w'/));
    const f = matrix('float32', 2, 3, 5);
    const tensor = { name: 'w', dims: [2, 3], type: 1, raw: [onnx.bytes(4, bytesOf(f.weights))] };
    expectSame(OutputHead.fromOnnx(onnx.onnxModel({ nodes: [], initializers: [tensor] }), 'w'), f);
  });

  it('names the field that is wrong', () => {
    const tensor = { name: 'w', dims: [2, 3], type: 1, raw: new Uint8Array(24) };
    const read =
      (change: object, name = 'w') =>
      () =>
        OutputHead.fromOnnx(onnx.onnxModel({ nodes: [], initializers: [{ ...tensor, ...change }] }), name);
    expect(read({}, 'v')).toThrow(wrong(/an initializer of the bytes for initializer but received 'v'/));
    expect(read({ type: 7 })).toThrow(wrong(/FLOAT, FLOAT16 or BFLOAT16 for data_type of 'w' .* received INT64/));
    expect(read({ dims: [6] })).toThrow(wrong(/two dimensions for dims of 'w'/));
    expect(read({ dims: [2, 4] })).toThrow(wrong(/32 bytes for raw_data of 'w' of the bytes but received 24/));
    expect(read({ dims: [2 ** 50, 3] })).toThrow(wrong(/bytes for raw_data of 'w'/));
    expect(read({ dims: Array.from({ length: 99 }, () => 1) })).toThrow(wrong(/at most 8 for dims of 'w'/));
    expect(() => OutputHead.fromOnnx(new Uint8Array(9).fill(255), 'w')).toThrow(wrong(/the model of the bytes/));
    expect(() => OutputHead.fromOnnx(new Uint8Array(0), 'w')).toThrow(wrong(/a graph for the model/));
    const m = matrix('nbits4', 6, 64, 3);
    const packed = (change: PackedChange, message: RegExp) =>
      expect(() => OutputHead.fromOnnx(packedModel(m, change), 'w_Q4')).toThrow(wrong(message));
    packed({ attributes: { K: 10 ** 6 } }, /elements for dims of 'w_Q4'/);
    packed({ attributes: { block_size: 24 } }, /for block_size of MatMulNBits .* received 24/);
    packed({ attributes: { bits: 5 } }, /for bits of MatMulNBits/);
    packed({ scales: { dims: [7] } }, /elements for dims of 'scales'/);
    packed({ scales: { type: 7 } }, /FLOAT or FLOAT16 for data_type of 'scales'/);
    packed({ inputs: ['h', 'w_Q4', 'scales', '', 'order'] }, /no g_idx for MatMulNBits/);
    packed({ inputs: ['h', 'w_Q4', 'nowhere'] }, /for initializer but received 'nowhere'/);
  });
});

describe('bytes that lie', () => {
  const m = matrix('q8_0', 4, 64, 3);
  const files: [string, Uint8Array, (bytes: Uint8Array) => OutputHead][] = [
    ['GGUF', ggufFile(metadata, [other, tensorOf(m, 8)]), (bytes) => OutputHead.fromGGUF(bytes, 'output.weight')],
    ['ONNX', packedModel(matrix('nbits4', 6, 64, 3)), (bytes) => OutputHead.fromOnnx(bytes, 'w_Q4')],
  ];
  it.each(files)('%s: a head, or an error that says so', (_, good, read) => {
    const next = generator(11);
    const attempt = (bytes: Uint8Array, what: string) => {
      try {
        expect(read(bytes)).toBeInstanceOf(OutputHead);
      } catch (error) {
        expect(error, what).toMatchObject({
          code: expect.stringMatching(/^ERR_(OUT_OF_RANGE|INVALID_ARG)/) as unknown,
        });
        expect(error, what).toBeInstanceOf(RangeError);
      }
    };
    const header = Math.min(good.length, 400);
    for (let at = 0; at < header; at++) {
      for (const value of [0, 1, 127, 128, 255, next() % 256]) {
        const bytes = good.slice();
        bytes[at] = value;
        attempt(bytes, `${value} at ${at}`);
      }
    }
    for (let length = 0; length < good.length; length += 1 + (next() % 7)) attempt(good.slice(0, length), `${length}`);
  });
});
