/**
 * A language model as transformers.js and onnxruntime read it: config, tokenizer, and an ONNX graph in which the last
 * token alone decides about the next, logits = tanh(embedding) · head.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { row } from '../support/cases.js';
import * as onnx from '../support/onnx-file.js';

export const VOCABULARY = 64;
const WIDTH = 16;
const [FLOAT, INT64] = [1, 7];

const floats = (n: number, seed: number) => row('f32', 'N(0,1)', n, seed) as Float32Array;
const rawOf = (x: Float32Array) => new Uint8Array(x.buffer, x.byteOffset, x.byteLength);

/** The words: 'w0' ends a text and fills batches up, 'w1' stands for what is unknown. */
export const wordOf = (token: number): string => `w${token}`;

export function languageModel(): Uint8Array {
  return onnx.onnxModel({
    nodes: [
      { type: 'Gather', inputs: ['embed', 'input_ids'], outputs: ['e'] },
      { type: 'Tanh', inputs: ['e'], outputs: ['hidden'] },
      { type: 'MatMul', inputs: ['hidden', 'w'], outputs: ['logits'] },
    ],
    initializers: [
      { name: 'embed', dims: [VOCABULARY, WIDTH], type: FLOAT, raw: rawOf(floats(VOCABULARY * WIDTH, 1)) },
      { name: 'w', dims: [WIDTH, VOCABULARY], type: FLOAT, raw: rawOf(floats(VOCABULARY * WIDTH, 2)) },
    ],
    values: [
      onnx.valueInfo(11, 'input_ids', INT64, ['batch', 'tokens']),
      onnx.valueInfo(12, 'logits', FLOAT, ['batch', 'tokens', VOCABULARY]),
    ],
  });
}

/** A classifier: the logits of a sequence are a row of a table, chosen by its first token. */
function classifier(classes: number): Uint8Array {
  return onnx.onnxModel({
    nodes: [
      { type: 'Gather', inputs: ['table', 'input_ids'], outputs: ['all'] },
      { type: 'Gather', inputs: ['all', 'first'], outputs: ['logits'], attributes: { axis: 1 } },
    ],
    initializers: [
      { name: 'table', dims: [VOCABULARY, classes], type: FLOAT, raw: rawOf(floats(VOCABULARY * classes, 3)) },
      { name: 'first', dims: [], type: INT64, raw: new Uint8Array(8) },
    ],
    values: [
      onnx.valueInfo(11, 'input_ids', INT64, ['batch', 'tokens']),
      onnx.valueInfo(12, 'logits', FLOAT, ['batch', classes]),
    ],
  });
}

const tokenizer = {
  version: '1.0',
  truncation: null,
  padding: null,
  added_tokens: [
    { id: 0, content: 'w0', single_word: false, lstrip: false, rstrip: false, normalized: false, special: true },
  ],
  normalizer: null,
  pre_tokenizer: { type: 'WhitespaceSplit' },
  post_processor: null,
  decoder: null,
  model: {
    type: 'WordLevel',
    vocab: Object.fromEntries(Array.from({ length: VOCABULARY }, (_, i) => [wordOf(i), i])),
    unk_token: 'w1',
  },
};

function write(folder: string, config: object, model: Uint8Array): void {
  mkdirSync(path.join(folder, 'onnx'), { recursive: true });
  const json = {
    'config.json': config,
    'tokenizer.json': tokenizer,
    'tokenizer_config.json': {
      tokenizer_class: 'PreTrainedTokenizerFast',
      model_max_length: 512,
      pad_token: 'w0',
      unk_token: 'w1',
    },
  };
  for (const [name, content] of Object.entries(json)) writeFileSync(path.join(folder, name), JSON.stringify(content));
  writeFileSync(path.join(folder, 'onnx', 'model.onnx'), model);
}

/** Writes a model for text generation into a folder. */
export function writeLanguageModel(folder: string, generation: object = {}): void {
  const sizes = { vocab_size: VOCABULARY, n_layer: 1, n_head: 1, n_embd: WIDTH };
  write(folder, { model_type: 'gpt2', architectures: ['GPT2LMHeadModel'], ...sizes }, languageModel());
  writeFileSync(path.join(folder, 'generation_config.json'), JSON.stringify({ eos_token_id: 0, ...generation }));
}

/** Writes a model for text classification into a folder. */
export function writeClassifier(folder: string, config: object): void {
  const id2label = { 0: 'bad', 1: 'fair', 2: 'good' };
  const model = { model_type: 'bert', architectures: ['BertForSequenceClassification'], vocab_size: VOCABULARY };
  write(folder, { ...model, id2label, ...config }, classifier(3));
}
