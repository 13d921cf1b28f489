/** Bytes that each target accepts: what fuzzers begin with. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { KVCache, LinearAttentionState } from '../../lib/attention.js';
import { FORMATS, formatArray } from '../../lib/cli/array-file.js';
import { Sampler } from '../../lib/sampling.js';
import { root } from '../support/emulated.js';
import { ggufFile } from '../support/gguf-file.js';
import { onnxModel } from '../support/onnx-file.js';
import type { targets } from './targets.js';

const chosen = (choice: number, bytes: Uint8Array): Uint8Array => Uint8Array.of(choice, ...bytes);

function arrays(): Uint8Array[] {
  const data = Float32Array.of(1, -2, 0.5, 3, 0, -0);
  return FORMATS.map((format, i) => chosen(i, Buffer.concat(formatArray(format, data, [2, 3], 'a'))));
}

/** Two rows of 32 weights, as GGUF's float32 and q8_0, and as the weights of an ONNX MatMul. */
function heads(): Uint8Array[] {
  const weights = new Uint8Array(Float32Array.from({ length: 64 }, (_, i) => Math.sin(i)).buffer);
  const gguf = (type: number, bytes: Uint8Array) => ggufFile({}, [{ name: 'w', dims: [32, 2], type, bytes }]);
  const onnx = onnxModel({
    nodes: [{ type: 'MatMul', inputs: ['x', 'w'], outputs: ['y'] }],
    initializers: [{ name: 'w', dims: [32, 2], type: 1, raw: weights }],
  });
  return [chosen(0, gguf(0, weights)), chosen(0, gguf(8, new Uint8Array(68))), chosen(1, onnx)];
}

/** Those of the fixtures, whose names say which class wrote them, a state of linear attention, and a cache. */
function states(): Uint8Array[] {
  const folder = path.join(root, 'test', 'fixtures', 'wire');
  const kinds = ['exp-sum', 'attention-partial'];
  const ofFiles = readdirSync(folder).flatMap((name) => {
    const kind = kinds.findIndex((each) => name.startsWith(each));
    return kind < 0 ? [] : [chosen(kind, readFileSync(path.join(folder, name)))];
  });
  const cache = new KVCache({ kvHeads: 1, headDim: 2, dtype: 'int8' });
  const sequence = cache.create();
  cache.append(sequence, Float32Array.of(1, 2, 3, 4), Float32Array.of(5, 6, 7, 8));
  const linear = new LinearAttentionState({ kvHeads: 1, headDim: 2 });
  linear.append(Float32Array.of(1, 0, 0, 1), Float32Array.of(1, 2, 3, 4));
  return [...ofFiles, chosen(2, linear.toBytes()), chosen(3, cache.toBytes(sequence))];
}

function samplers(): Uint8Array[] {
  const sampler = new Sampler({ temperature: 1, seed: 1 });
  for (let i = 0; i < 3; i++) sampler.next(Float32Array.of(1, 2, 3));
  return [Buffer.from(JSON.stringify(sampler.save()))];
}

export const seeds: Record<keyof typeof targets, () => Uint8Array[]> = { arrays, heads, states, samplers };
