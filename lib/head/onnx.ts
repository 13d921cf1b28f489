/**
 * An initializer of an ONNX model, plain or of MatMulNBits, with its scales and zero points. The model is walked: what
 * is not asked for is stepped over, so that a model of gigabytes is not read.
 */
import { describe, wrongValue } from '../call/errors.js';
import { float16 } from '../math/half.js';
import { FLOAT, FLOAT16, matrixBytes, tensorBytes, tensorOf, TYPE_NAMES, UINT8, type Tensor } from './onnx-tensor.js';
import { fieldsOf, floatAt, textOf, type Span } from './protobuf.js';
import type { OutputHeadOptions } from './matrix.js';
import { fieldName, type ByteSource } from './source.js';

/** The bytes of the weights, and all options that the file gives. */
export interface OnnxMatrix {
  readonly bytes: Uint8Array;
  readonly options: OutputHeadOptions;
}

/** A node that reads the initializer. */
interface Node {
  readonly type: string;
  readonly inputs: readonly string[];
  readonly attributes: ReadonlyMap<string, number>;
}

interface Graph {
  readonly source: ByteSource;
  readonly span: Span;
}

export function onnxMatrix(source: ByteSource, name: string): OnnxMatrix {
  const graph = { source, span: graphOf(source) };
  const weights = initializer(graph, name);
  const node = nodeOf(graph, name);
  if (node?.type === 'MatMulNBits') return packedMatrix(graph, weights, node);
  const { dims, type } = weights;
  const format = ({ 1: 'float32', 10: 'float16', 16: 'bfloat16' } as const)[type];
  if (format === undefined) {
    throw wrongValue('FLOAT, FLOAT16 or BFLOAT16', fieldName(`data_type of '${name}'`, source), typeName(type));
  }
  if (dims.length !== 2 || !(dims[0]! > 0 && dims[1]! > 0)) {
    throw wrongValue('two dimensions', fieldName(`dims of '${name}'`, source), `[${dims.join(', ')}]`);
  }
  // MatMul and Gemm multiply by [cols, rows]; with transB, and in a Gather, it is [rows, cols].
  const isTransposed = node?.type === 'MatMul' || (node?.type === 'Gemm' && node.attributes.get('transB') !== 1);
  const [rows, cols] = isTransposed ? [dims[1]!, dims[0]!] : [dims[0]!, dims[1]!];
  const bias = node?.type === 'Gemm' ? gemmBias(graph, node, rows) : undefined;
  return { bytes: matrixBytes(source, weights, isTransposed), options: { rows, cols, format, bias } };
}

/** The bias of a Gemm, whose other factors must be 1. */
function gemmBias({ source, ...graph }: Graph, { inputs, attributes }: Node, rows: number): Float32Array | undefined {
  for (const [name, usual] of [
    ['alpha', 1],
    ['beta', 1],
    ['transA', 0],
  ] as const) {
    const value = attributes.get(name) ?? usual;
    if (value !== usual) throw wrongValue(String(usual), fieldName(`${name} of Gemm`, source), String(value));
  }
  if (!inputs[2]) return undefined;
  const bias = initializer({ source, ...graph }, inputs[2]);
  const isVector =
    bias.dims.length > 0 &&
    bias.dims.at(-1) === rows &&
    bias.dims.every((n, i, all) => n === 1 || i === all.length - 1);
  if (isVector && (bias.type === FLOAT || bias.type === FLOAT16)) return floatsOf(source, bias);
  throw wrongValue(`${rows} floats`, fieldName(`dims of '${inputs[2]}'`, source), `[${bias.dims.join(', ')}]`);
}

function graphOf(source: ByteSource): Span {
  let graph: Span | undefined;
  for (const field of fieldsOf(source, { at: 0, end: source.size }, 'the model')) {
    if (field.number === 7 && !field.isVarint) graph = field;
  }
  if (graph === undefined) throw wrongValue('a graph', fieldName('the model', source), 'none');
  return graph;
}

function initializer({ source, span }: Graph, name: string): Tensor {
  for (const field of fieldsOf(source, span, 'graph')) {
    if (field.number !== 5 || field.isVarint) continue;
    for (const part of fieldsOf(source, field, 'initializer')) {
      if (part.number === 8 && textOf(source, part, 'initializer.name') === name) return tensorOf(source, field, name);
    }
  }
  throw wrongValue(`an initializer of ${source.name}`, 'initializer', describe(name));
}

/** The first node that multiplies by the initializer; else any that reads it. */
function nodeOf({ source, span }: Graph, name: string): Node | undefined {
  let found: Node | undefined;
  for (const field of fieldsOf(source, span, 'graph')) {
    if (field.number !== 1 || field.isVarint) continue;
    const node = readNode(source, field);
    if (!node.inputs.includes(name)) continue;
    if (node.inputs[1] === name && ['MatMul', 'Gemm', 'MatMulNBits'].includes(node.type)) return node;
    found ??= node;
  }
  return found;
}

function readNode(source: ByteSource, span: Span): Node {
  const inputs: string[] = [];
  const attributes = new Map<string, number>();
  let type = '';
  for (const field of fieldsOf(source, span, 'node')) {
    if (field.number === 1) inputs.push(textOf(source, field, 'node.input'));
    else if (field.number === 4) type = textOf(source, field, 'node.op_type');
    else if (field.number === 5) {
      const all = [...fieldsOf(source, field, 'node.attribute')];
      const [name, float, value] = [1, 2, 3].map((number) => all.find((each) => each.number === number));
      const number = float && !float.isVarint ? floatAt(source, float) : value?.value;
      if (name && number !== undefined) attributes.set(textOf(source, name, 'attribute.name'), number);
    }
  }
  return { type, inputs, attributes };
}

/** The weights of MatMulNBits: B [N, blocks, bytes of a block], scales [N, blocks], zero points, a bias. */
function packedMatrix(graph: Graph, weights: Tensor, { inputs, attributes }: Node): OnnxMatrix {
  const { source } = graph;
  const attribute = (name: string, fits: (n: number) => boolean, usual?: number): number => {
    const value = attributes.get(name) ?? usual ?? NaN;
    if (fits(value)) return value;
    throw wrongValue('a size that fits', fieldName(`${name} of MatMulNBits`, source), String(value));
  };
  const [cols, rows] = ['K', 'N'].map((name) => attribute(name, (n) => n > 0 && n < 2 ** 31)) as [number, number];
  const bits = attribute('bits', (n) => n === 4 || n === 8, 4);
  const blockSize = attribute('block_size', (n) => n >= 16 && n < 2 ** 31 && Number.isInteger(Math.log2(n)));
  const blocks = Math.ceil(cols / blockSize);
  if (inputs[4]) throw wrongValue('no g_idx', fieldName('MatMulNBits', source), describe(inputs[4]));
  const part = (i: number, types: readonly number[], length: number): Tensor | undefined => {
    if (!inputs[i]) return undefined;
    const tensor = initializer(graph, inputs[i]);
    if (!types.includes(tensor.type)) {
      const expected = types.map(typeName).join(' or ');
      throw wrongValue(expected, fieldName(`data_type of '${inputs[i]}'`, source), typeName(tensor.type));
    }
    const has = tensor.dims.reduce((product, size) => product * size, 1);
    if (has === length) return tensor;
    throw wrongValue(`${length} elements`, fieldName(`dims of '${inputs[i]}'`, source), String(has));
  };
  if (weights.type !== UINT8) {
    throw wrongValue('UINT8', fieldName(`data_type of '${weights.name}'`, source), typeName(weights.type));
  }
  part(1, [UINT8], (rows * blocks * blockSize * bits) / 8);
  const scales = part(2, [FLOAT, FLOAT16], rows * blocks);
  if (scales === undefined) throw wrongValue('scales', fieldName('MatMulNBits', source), 'none');
  const zeroPoints = part(3, [UINT8], rows * (bits === 4 ? Math.ceil(blocks / 2) : blocks));
  const bias = part(5, [FLOAT, FLOAT16], rows);
  return {
    bytes: tensorBytes(source, weights),
    options: {
      rows,
      cols,
      format: bits === 4 ? 'nbits4' : 'nbits8',
      blockSize,
      scales: floatsOf(source, scales),
      zeroPoints: zeroPoints && tensorBytes(source, zeroPoints),
      bias: bias && floatsOf(source, bias),
    },
  };
}

function floatsOf(source: ByteSource, tensor: Tensor): Float32Array {
  const bytes = tensorBytes(source, tensor).slice();
  if (tensor.type === FLOAT) return new Float32Array(bytes.buffer);
  return Float32Array.from(new Uint16Array(bytes.buffer), (bits) => float16.toFloat(bits));
}

const typeName = (type: number): string => TYPE_NAMES[type] ?? String(type);
