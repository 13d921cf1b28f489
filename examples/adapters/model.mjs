// A small language model, made up: 32,000 tokens, of which the last alone decides about the next. Its tokens are bytes
// and invented words. A real server loads a model file and a tokenizer in place of this.
const [VOCABULARY, WIDTH] = [32_000, 64];
export const END = 0;

// A protobuf message is a list of (field number · 8 + wire type, value); the numbers are those of onnx.proto.
const varint = (n) => (n < 128 ? [n] : [(n % 128) | 128, ...varint(Math.floor(n / 128))]);
const integer = (field, value) => Buffer.from([...varint(field * 8), ...varint(value)]);
const bytes = (field, content) =>
  Buffer.concat([Buffer.from([...varint(field * 8 + 2), ...varint(content.length)]), content]);
const text = (field, string) => bytes(field, Buffer.from(string));
const message = (field, ...fields) => bytes(field, Buffer.concat(fields));

const [FLOAT, INT64] = [1, 7];
const node = (type, inputs, output) =>
  message(1, ...inputs.map((name) => text(1, name)), text(2, output), text(4, type));
const dimension = (size) => message(1, typeof size === 'number' ? integer(1, size) : text(2, size));
const value = (field, name, type, dims) =>
  message(field, text(1, name), message(2, message(1, integer(1, type), message(2, ...dims.map(dimension)))));
const weights = (name, dims, seed) => {
  const data = Float32Array.from({ length: dims[0] * dims[1] }, (_, i) => 0.7 * Math.sin(seed * i * i));
  return message(
    5,
    ...dims.map((size) => integer(1, size)),
    integer(2, FLOAT),
    text(8, name),
    bytes(9, Buffer.from(data.buffer)),
  );
};

/** The bytes of an ONNX model: logits = tanh(embedding of the token) · head. */
export function modelBytes() {
  const graph = [
    node('Gather', ['embed', 'input_ids'], 'e'),
    node('Tanh', ['e'], 'hidden'),
    node('MatMul', ['hidden', 'w'], 'logits'),
    text(2, 'tiny'),
    weights('embed', [VOCABULARY, WIDTH], 1),
    weights('w', [WIDTH, VOCABULARY], 2),
    value(11, 'input_ids', INT64, ['batch', 'tokens']),
    value(12, 'logits', FLOAT, ['batch', 'tokens', VOCABULARY]),
  ];
  return Buffer.concat([integer(1, 8), message(8, text(1, ''), integer(2, 17)), message(7, ...graph)]);
}

/** The tokenizer. */
export const encode = (string) => [...Buffer.from(string)];
export const decode = (token) => (token < 256 ? Uint8Array.of(token) : Buffer.from(` word${token}`));
