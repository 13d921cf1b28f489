// A llama model of one layer with random weights, as a GGUF file of version 3: the smallest that node-llama-cpp loads.
// Its forward pass is little beside its vocabulary.
import { closeSync, openSync, writeSync } from 'node:fs';
import { uniform } from '../numbers.mjs';

const [WIDTH, HEADS, INNER, ALIGNMENT] = [32, 1, 32, 32];
const [UINT32, INT32, FLOAT32, STRING, ARRAY] = [4, 5, 6, 8, 9]; // types of values in GGUF

const u32 = (value) => Buffer.from(Uint32Array.of(value).buffer);
const u64 = (value) => Buffer.from(BigUint64Array.of(BigInt(value)).buffer);
const text = (value) => Buffer.concat([u64(Buffer.byteLength(value)), Buffer.from(value)]);
const entry = (key, type, ...value) => Buffer.concat([text(key), u32(type), ...value]);
const list = (key, type, values) => entry(key, ARRAY, u32(type), u64(values.length), Buffer.concat(values));
const number = (key, value) => entry(key, UINT32, u32(value));

/** The tokens of a SentencePiece vocabulary: <unk>, <s>, </s>, 256 bytes, and words of no language. */
function vocabulary(tokens) {
  const special = ['<unk>', '<s>', '</s>'];
  const bytes = Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, '0')}>`);
  const words = Array.from({ length: tokens - 259 }, (_, i) => `▁w${i}`);
  const [NORMAL, UNKNOWN, CONTROL, BYTE] = [1, 2, 3, 6];
  const types = [UNKNOWN, CONTROL, CONTROL, ...bytes.map(() => BYTE), ...words.map(() => NORMAL)];
  return { names: [...special, ...bytes, ...words], types };
}

function header(tokens) {
  const { names, types } = vocabulary(tokens);
  const int32 = (value) => Buffer.from(Int32Array.of(value).buffer);
  const float32 = (value) => Buffer.from(Float32Array.of(value).buffer);
  return [
    entry('general.architecture', STRING, text('llama')),
    number('llama.context_length', 4096),
    number('llama.embedding_length', WIDTH),
    number('llama.block_count', 1),
    number('llama.feed_forward_length', INNER),
    number('llama.attention.head_count', HEADS),
    number('llama.rope.dimension_count', WIDTH / HEADS),
    number('llama.vocab_size', tokens),
    entry('llama.attention.layer_norm_rms_epsilon', FLOAT32, float32(1e-5)),
    entry('tokenizer.ggml.model', STRING, text('llama')),
    list('tokenizer.ggml.tokens', STRING, names.map(text)),
    list(
      'tokenizer.ggml.scores',
      FLOAT32,
      names.map((_, i) => float32(-i)),
    ),
    list('tokenizer.ggml.token_type', INT32, types.map(int32)),
    number('tokenizer.ggml.bos_token_id', 1),
    number('tokenizer.ggml.eos_token_id', 2),
  ];
}

const tensors = (tokens) => ({
  'token_embd.weight': [WIDTH, tokens],
  'output_norm.weight': [WIDTH],
  'output.weight': [WIDTH, tokens],
  'blk.0.attn_norm.weight': [WIDTH],
  'blk.0.attn_q.weight': [WIDTH, WIDTH],
  'blk.0.attn_k.weight': [WIDTH, WIDTH],
  'blk.0.attn_v.weight': [WIDTH, WIDTH],
  'blk.0.attn_output.weight': [WIDTH, WIDTH],
  'blk.0.ffn_norm.weight': [WIDTH],
  'blk.0.ffn_gate.weight': [WIDTH, INNER],
  'blk.0.ffn_up.weight': [WIDTH, INNER],
  'blk.0.ffn_down.weight': [INNER, WIDTH],
});

const aligned = (n) => Math.ceil(n / ALIGNMENT) * ALIGNMENT;

/** Writes a model with so many tokens. */
export function writeModel(path, tokens) {
  const next = uniform(1);
  const values = header(tokens);
  const all = Object.entries(tensors(tokens)).map(([name, dims]) => ({
    name,
    dims,
    size: dims.reduce((product, size) => product * size, 1),
  }));
  let offset = 0;
  const infos = all.map(({ name, dims, size }) => {
    const FLOAT = 0;
    const info = Buffer.concat([text(name), u32(dims.length), ...dims.map(u64), u32(FLOAT), u64(offset)]);
    offset += aligned(4 * size);
    return info;
  });
  const head = Buffer.concat([Buffer.from('GGUF'), u32(3), u64(all.length), u64(values.length), ...values, ...infos]);
  const file = openSync(path, 'w');
  writeSync(file, Buffer.concat([head, Buffer.alloc(aligned(head.length) - head.length)]));
  for (const { dims, size } of all) {
    const isNorm = dims.length === 1;
    const weights = Float32Array.from({ length: aligned(4 * size) / 4 }, () => (isNorm ? 1 : 2 * next() - 1));
    writeSync(file, Buffer.from(weights.buffer));
  }
  closeSync(file);
}
