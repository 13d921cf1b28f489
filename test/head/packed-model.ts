/** ONNX models with MatMulNBits. */
import * as onnx from '../support/onnx-file.js';
import type { Matrix, Weights } from './head-oracle.js';

const bytesOf = (x: Weights | Float32Array) => new Uint8Array(x.buffer, x.byteOffset, x.byteLength).slice();

/** What differs from a sound model. */
export interface PackedChange {
  readonly attributes?: Readonly<Record<string, number>>;
  readonly scales?: object;
  readonly inputs?: readonly string[];
}

/** A model of one MatMulNBits, whose weights are 'w_Q4'. */
export function packedModel(m: Matrix, { attributes, scales: change, inputs }: PackedChange = {}): Uint8Array {
  const { rows, cols, format, blockSize, scales, zeroPoints } = m.options;
  const blocks = Math.ceil(cols / blockSize!);
  const parts: onnx.OnnxTensor[] = [
    {
      name: 'w_Q4',
      dims: [rows, blocks, m.weights.length / rows / blocks],
      type: 2,
      raw: bytesOf(m.weights as Uint8Array),
    },
    {
      name: 'scales',
      dims: [rows * blocks],
      type: scales instanceof Uint16Array ? 10 : 1,
      raw: bytesOf(scales as Float32Array),
      ...change,
    },
  ];
  if (zeroPoints) parts.push({ name: 'zeros', dims: [zeroPoints.length], type: 2, raw: zeroPoints });
  const node = {
    type: 'MatMulNBits',
    domain: 'com.microsoft',
    inputs: inputs ?? ['h', 'w_Q4', 'scales', ...(zeroPoints ? ['zeros'] : [])],
    outputs: ['y'],
    attributes: { K: cols, N: rows, bits: format === 'nbits4' ? 4 : 8, block_size: blockSize!, ...attributes },
  };
  return onnx.onnxModel({ nodes: [node], initializers: parts });
}
