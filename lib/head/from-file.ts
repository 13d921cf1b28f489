/** The weights of a head from a GGUF file or an ONNX model. */
import { wrongType } from '../call/errors.js';
import { optionsOf } from '../call/options.js';
import type { HeadFormat } from './formats.js';
import { ggufMatrix } from './gguf.js';
import type { HeadArray, OutputHeadOptions } from './matrix.js';
import { aligned } from './onnx-tensor.js';
import { onnxMatrix } from './onnx.js';
import { withSource, type HeadSource } from './source.js';

/** What a file does not say. */
export type HeadFileOptions = Pick<OutputHeadOptions, 'bias' | 'softcap' | 'normalize' | 'activations'>;

export interface OnnxHeadOptions extends HeadFileOptions {
  /** The bytes of files that the model names as external data, where the model itself is given as bytes. */
  externalData?: Readonly<Record<string, Uint8Array>> | undefined;
}

/** The arguments of the constructor. */
export type HeadArguments = readonly [weights: HeadArray, options: OutputHeadOptions];

const NAMES = ['bias', 'softcap', 'normalize', 'activations'];

export function ggufArguments(source: HeadSource, tensor: string, options?: HeadFileOptions): HeadArguments {
  const own = optionsOf<HeadFileOptions>(options, NAMES);
  if (typeof tensor !== 'string') throw wrongType('a string', 'tensor', tensor);
  const { bytes, ...matrix } = withSource(source, undefined, (file) => ggufMatrix(file, tensor));
  return [arrayOf(bytes, matrix.format), { ...matrix, ...own }];
}

export function onnxArguments(source: HeadSource, initializer: string, options?: OnnxHeadOptions): HeadArguments {
  const { externalData, ...own } = optionsOf<OnnxHeadOptions>(options, [...NAMES, 'externalData']);
  if (typeof initializer !== 'string') throw wrongType('a string', 'initializer', initializer);
  if (externalData !== undefined && (typeof externalData !== 'object' || externalData === null)) {
    throw wrongType('an object', 'externalData', externalData);
  }
  const { bytes, options: matrix } = withSource(source, externalData, (file) => onnxMatrix(file, initializer));
  return [arrayOf(bytes, matrix.format!), { ...matrix, ...own }];
}

/** Bytes as the array of a format: a view, or a copy where the file has put them at an odd address. */
function arrayOf(bytes: Uint8Array, format: HeadFormat): HeadArray {
  if (format === 'float32') {
    const { buffer, byteOffset, byteLength } = aligned(bytes, 4);
    return new Float32Array(buffer, byteOffset, byteLength / 4);
  }
  if (format !== 'float16' && format !== 'bfloat16') return bytes;
  const { buffer, byteOffset, byteLength } = aligned(bytes, 2);
  return new Uint16Array(buffer, byteOffset, byteLength / 2);
}
