// The server by itself, with the tiny model of this folder:
//
//     npm install flash-softmax && npm install && node start.mjs [port, 8080]
//     curl -N localhost:8080/v1/chat/completions -H 'content-type: application/json' \
//       -d '{"messages":[{"role":"user","content":"hello"}],"stream":true,"max_tokens":16}'
//
// With a model of your own: `session` is any object whose run({ input_ids }) resolves to { logits }, both tensors.
import fastify from 'fastify';
import ort from 'onnxruntime-node';
import { Engine } from './engine.mjs';
import { modelBytes } from './model.mjs';
import { createServer } from './server.mjs';

const session = await ort.InferenceSession.create(modelBytes(), { intraOpNumThreads: 1 });
const url = await createServer(fastify, new Engine(ort, session)).listen({ port: Number(process.argv[2] ?? 8080) });
console.log(`listening at ${url}`);
