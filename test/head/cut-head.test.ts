/** examples/cut-head.mjs: a model without its head, and the head here, have the tokens of the whole model. */
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { OutputHead } from '../../lib/head.js';
import { row } from '../support/cases.js';
import { root } from '../support/emulated.js';
import * as onnx from '../support/onnx-file.js';
import { matrix } from './head-oracle.js';

interface Session {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  run(feeds: object): Promise<Record<string, { data: Float32Array }>>;
}
interface Runtime {
  readonly InferenceSession: { create(file: string): Promise<Session> };
}
interface Example {
  cut(model: Uint8Array): { body: Uint8Array; hidden: string; initializer: string };
  load(ort: Runtime, file: string): Promise<{ head: OutputHead; session: Session }>;
  generate(model: object, prompt: number[], count: number, options?: object): Promise<number[]>;
  feedsOf(ort: Runtime, session: Session, ids: number[]): object;
}

const { cut, load, generate, feedsOf } = (await import(
  pathToFileURL(path.join(root, 'examples', 'cut-head.mjs')).href
)) as Example;

const peers = path.join(root, 'bench', 'peers', 'package.json');
const wanted =
  process.env.FLASH_SOFTMAX_PEERS === '1' ||
  existsSync(path.join(path.dirname(peers), 'node_modules', 'onnxruntime-node'));
const folder = mkdtempSync(path.join(tmpdir(), 'flash-softmax-cut-'));
afterAll(() => rmSync(folder, { recursive: true }));

const [vocabulary, width] = [97, 64];
const floats = (n: number, seed: number) => row('f32', 'N(0,1)', n, seed) as Float32Array;
const rawOf = (x: Float32Array | Uint8Array) => new Uint8Array(x.buffer, x.byteOffset, x.byteLength);
const embedding = floats(vocabulary * width, 1);

/** Embeddings, summed over the tokens so far, through a tanh, times the head. */
function model(head: onnx.OnnxNode | readonly onnx.OnnxNode[], initializers: readonly onnx.OnnxTensor[]): Uint8Array {
  const INT64 = 7;
  return onnx.onnxModel({
    nodes: [
      { type: 'Gather', inputs: ['embed', 'input_ids'], outputs: ['e'] },
      { type: 'CumSum', inputs: ['e', 'axis'], outputs: ['sum'] },
      { type: 'Tanh', inputs: ['sum'], outputs: ['hidden'] },
      ...[head].flat(),
    ],
    initializers: [
      { name: 'embed', dims: [vocabulary, width], type: 1, raw: rawOf(embedding) },
      { name: 'axis', dims: [], type: INT64, raw: new Uint8Array(new BigInt64Array([1n]).buffer) },
      ...initializers,
    ],
    values: [
      onnx.valueInfo(11, 'input_ids', INT64, ['batch', 'tokens']),
      onnx.valueInfo(12, 'logits', 1, ['batch', 'tokens', vocabulary]),
    ],
  });
}

const weights = floats(vocabulary * width, 2);
const packed = matrix('nbits4', vocabulary, width, 4); // blocks of 32
const blocks = width / packed.options.blockSize!;
const packedScales = packed.options.scales as Float32Array;
const models: [string, Uint8Array, string][] = [
  [
    'MatMul',
    model({ type: 'MatMul', inputs: ['hidden', 'w'], outputs: ['logits'] }, [
      { name: 'w', dims: [width, vocabulary], type: 1, raw: rawOf(weights) },
    ]),
    'w',
  ],
  [
    'a tied embedding',
    model(
      [
        { type: 'Transpose', inputs: ['embed'], outputs: ['turned'] },
        { type: 'MatMul', inputs: ['hidden', 'turned'], outputs: ['logits'] },
      ],
      [],
    ),
    'embed',
  ],
  [
    'MatMulNBits',
    model(
      {
        type: 'MatMulNBits',
        domain: 'com.microsoft',
        inputs: ['hidden', 'w_Q4', 'scales', ...(packed.options.zeroPoints ? ['zeros'] : [])],
        outputs: ['logits'],
        attributes: { K: width, N: vocabulary, bits: 4, block_size: packed.options.blockSize! },
      },
      [
        {
          name: 'w_Q4',
          dims: [vocabulary, blocks, packed.options.blockSize! / 2],
          type: 2,
          raw: rawOf(packed.weights as Uint8Array),
        },
        {
          name: 'scales',
          dims: [vocabulary * blocks],
          type: 1,
          raw: rawOf(Float32Array.from({ length: vocabulary * blocks }, (_, i) => packedScales[i]!)),
        },
        ...(packed.options.zeroPoints
          ? [{ name: 'zeros', dims: [packed.options.zeroPoints.length], type: 2, raw: packed.options.zeroPoints }]
          : []),
      ],
    ),
    'w_Q4',
  ],
];

describe.each(models)('%s', (name, bytes, initializer) => {
  it('is cut at the input of its head', () => {
    const { body, ...where } = cut(bytes);
    expect(where).toEqual({ hidden: 'hidden', initializer });
    expect(body.length).toBeLessThan(bytes.length);
    const head = OutputHead.fromOnnx(bytes, where.initializer);
    expect([head.rows, head.cols]).toEqual([vocabulary, width]);
    if (name !== 'a tied embedding')
      expect(() => OutputHead.fromOnnx(new Uint8Array(body), initializer)).toThrow(RangeError);
  });

  const test = wanted ? it : it.skip;
  test(`has the tokens of the whole model${wanted ? '' : ' (needs npm ci in bench/peers)'}`, async () => {
    const ort = createRequire(peers)('onnxruntime-node') as Runtime;
    const file = path.join(folder, `${initializer}.onnx`);
    writeFileSync(file, bytes);
    const whole = await ort.InferenceSession.create(file);
    const parts = await load(ort, file);
    expect(parts.session.outputNames).toEqual(['hidden']);
    expect(readdirSync(folder).filter((each) => each.endsWith('.body'))).toEqual([]);
    for (const prompt of [[1], [5, 80, 33], [96, 0, 0, 12]]) {
      const ids = [...prompt];
      for (let step = 0; step < 20; step++) {
        const { logits } = await whole.run(feedsOf(ort, whole, ids));
        const last = logits!.data.subarray(-vocabulary);
        ids.push(last.indexOf(last.reduce((most, x) => Math.max(most, x))));
      }
      expect(await generate(parts, prompt, 20)).toEqual(ids.slice(prompt.length));
    }
  });
});

it('refuses a model whose logits come from elsewhere', () => {
  const other = model({ type: 'Relu', inputs: ['hidden'], outputs: ['logits'] }, []);
  expect(() => cut(other)).toThrow('Expected MatMul or Gemm or MatMulNBits for logits but received Relu');
});
