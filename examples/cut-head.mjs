// Runs an ONNX language model without its last matrix in onnxruntime-node, and the matrix here: logits never reach
// JavaScript, and what is drawn needs no copy of them.
//
//   node examples/cut-head.mjs model.onnx 'token ids, with commas' [tokens to generate]
//
// The model has inputs 'input_ids' and 'attention_mask' (or the first alone), no cache of keys, and an output 'logits'
// that a MatMul, Gemm or MatMulNBits makes, perhaps with a Cast behind it.
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { OutputHead } from 'flash-softmax/head';

// The fields of a protobuf message: { number, content, bytes }, with `bytes` as the field stands in the file.
function varint(bytes, start) {
  for (let at = start, value = 0, scale = 1; ; scale *= 128) {
    const byte = bytes[at++];
    value += (byte & 127) * scale;
    if (!(byte >= 128)) return [value, at];
  }
}

function fieldsOf(message) {
  const fields = [];
  for (let at = 0; at < message.length;) {
    const from = at;
    const [tag, behind] = varint(message, at);
    const wire = tag % 8;
    let start = behind;
    if (wire === 0) at = varint(message, behind)[1];
    else if (wire === 2) {
      const [length, content] = varint(message, behind);
      start = content;
      at = content + length;
    } else at = behind + (wire === 1 ? 8 : 4);
    fields.push({
      number: Math.floor(tag / 8),
      content: message.subarray(start, at),
      bytes: message.subarray(from, at),
    });
  }
  return fields;
}

const encoded = (n) => (n < 128 ? [n] : [(n % 128) | 128, ...encoded(Math.floor(n / 128))]);
const field = (number, content) =>
  Buffer.concat([Buffer.from([...encoded(number * 8 + 2), ...encoded(content.length)]), content]);
const textsOf = (message, number) =>
  fieldsOf(message)
    .filter((each) => each.number === number)
    .map(({ content }) => Buffer.from(content).toString());

const [NODE, INITIALIZER, OUTPUT, GRAPH] = [1, 5, 12, 7];
const HEADS = ['MatMul', 'Gemm', 'MatMulNBits'];

/**
 * Cuts the node that makes the logits off a model.
 *
 * @returns The bytes of the rest, whose only output is `hidden`, the input of that node; the initializer of its
 *   weights.
 */
export function cut(model, output = 'logits') {
  const parts = fieldsOf(model);
  const graph = fieldsOf(parts.find(({ number }) => number === GRAPH).content);
  const nodes = graph
    .filter(({ number }) => number === NODE)
    .map(({ content, bytes }) => {
      const [inputs, outputs, [type]] = [1, 2, 4].map((number) => textsOf(content, number));
      return { inputs, outputs, type, bytes };
    });
  const makerOf = (name) => nodes.find(({ outputs }) => outputs.includes(name));
  const off = [makerOf(output)];
  if (off[0]?.type === 'Cast') off.unshift(makerOf(off[0].inputs[0]));
  const [head] = off;
  if (!HEADS.includes(head?.type)) {
    throw new Error(`Expected ${HEADS.join(' or ')} for ${output} but received ${head?.type}`);
  }
  const [hidden, weights] = head.inputs;
  const transpose = makerOf(weights);
  if (transpose?.type === 'Transpose') off.push(transpose);
  const rest = nodes.filter((node) => !off.includes(node));
  const isNeeded = (name) => rest.some(({ inputs }) => inputs.includes(name));
  const kept = graph.filter(({ number, bytes, content }) => {
    if (number === NODE) return rest.some((node) => node.bytes === bytes);
    if (number === INITIALIZER) return isNeeded(textsOf(content, 8)[0]);
    return number !== OUTPUT;
  });
  const floats = field(2, field(1, Buffer.from([8, 1]))); // type { tensor_type { elem_type: FLOAT } }
  const value = field(OUTPUT, Buffer.concat([field(1, Buffer.from(hidden)), floats]));
  const body = field(GRAPH, Buffer.concat([...kept.map(({ bytes }) => bytes), value]));
  const others = parts.filter(({ number }) => number !== GRAPH).map(({ bytes }) => bytes);
  return { body: Buffer.concat([...others, body]), hidden, initializer: transpose ? transpose.inputs[0] : weights };
}

/** The rest of a model in onnxruntime-node, and its head here. */
export async function load(ort, file, output) {
  const { body, hidden, initializer } = cut(readFileSync(file), output);
  const bodyFile = path.join(path.dirname(file), `.${path.basename(file)}.body`); // where its external data is
  writeFileSync(bodyFile, body);
  try {
    const session = await ort.InferenceSession.create(bodyFile);
    return { ort, session, hidden, head: OutputHead.fromOnnx(file, initializer) };
  } finally {
    rmSync(bodyFile);
  }
}

/** What a model takes: the tokens so far. */
export function feedsOf(ort, session, ids) {
  const tensor = (values) => new ort.Tensor('int64', BigInt64Array.from(values, BigInt), [1, ids.length]);
  const all = { input_ids: () => tensor(ids), attention_mask: () => tensor(ids.map(() => 1)) };
  return Object.fromEntries(session.inputNames.map((name) => [name, all[name]()]));
}

/** Draws tokens, one after the other. */
export async function generate({ ort, session, hidden, head }, prompt, count, options = { temperature: 0 }) {
  const ids = [...prompt];
  for (let step = 0; step < count; step++) {
    const { [hidden]: states } = await session.run(feedsOf(ort, session, ids));
    ids.push(head.sample(states.data.subarray(-head.cols), { ...options, step })[0]);
  }
  return ids.slice(prompt.length);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [file, ids, count = '16'] = process.argv.slice(2);
  if (ids === undefined) console.log("node examples/cut-head.mjs model.onnx 'ids, with commas' [tokens to generate]");
  else {
    const ort = await import('onnxruntime-node');
    const model = await load(ort.default ?? ort, file);
    console.log((await generate(model, ids.split(',').map(Number), Number(count))).join(' '));
  }
}
