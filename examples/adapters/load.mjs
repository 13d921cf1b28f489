// The server under load: clients at the same time, each with one streamed answer; every fifth cancels its request. They
// run in a thread of their own, so that the delay of the server's event loop is the server's.
//
//     npm install flash-softmax && npm install && node load.mjs [clients, 50] [tokens, 64]
import { once } from 'node:events';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { readStream } from 'flash-softmax/adapters/openai';

async function client(url, number, tokens) {
  const aborter = new AbortController();
  const isCancelled = number % 5 === 4;
  const body = {
    model: 'tiny',
    messages: [{ role: 'user', content: `question ${number}` }],
    stream: true,
    max_tokens: tokens,
    temperature: 0.8,
    top_p: 0.95,
    seed: number,
    logit_bias: { 0: -100 },
    ...(number % 2 === 0 ? { logprobs: true, top_logprobs: 5 } : {}),
  };
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal: aborter.signal,
  });
  let [count, reason] = [0, null];
  try {
    for await (const chunk of readStream(response.body)) {
      const [{ finish_reason, delta }] = chunk.choices;
      reason ??= finish_reason;
      if (delta.content && ++count === Math.ceil(tokens / 4) && isCancelled) aborter.abort();
    }
  } catch (error) {
    if (!isCancelled) throw error;
    reason = 'cancelled';
  }
  return { count, reason };
}

if (!isMainThread) {
  const { url, clients, tokens } = workerData;
  const all = await Promise.all(Array.from({ length: clients }, (_, number) => client(url, number, tokens)));
  parentPort.postMessage(all);
} else {
  const [clients = 50, tokens = 64] = process.argv.slice(2).map(Number);
  const { default: fastify } = await import('fastify');
  const { default: ort } = await import('onnxruntime-node');
  const { Engine } = await import('./engine.mjs');
  const { modelBytes } = await import('./model.mjs');
  const { createServer } = await import('./server.mjs');
  const session = await ort.InferenceSession.create(modelBytes(), { intraOpNumThreads: 1 });
  const engine = new Engine(ort, session);
  const app = createServer(fastify, engine);
  const url = await app.listen({ port: 0, host: '127.0.0.1' });
  const delays = monitorEventLoopDelay({ resolution: 1 });
  delays.enable();
  const begun = performance.now();
  const [answers] = await once(
    new Worker(new URL(import.meta.url), { workerData: { url, clients, tokens } }),
    'message',
  );
  const seconds = (performance.now() - begun) / 1000;
  delays.disable();
  const of = (wanted) => answers.filter(({ reason }) => reason === wanted).length;
  const total = answers.reduce((sum, { count }) => sum + count, 0);
  const ms = (nanoseconds) => `${(nanoseconds / 1e6).toFixed(1)} ms`;
  console.log(`${clients} clients: ${of('length')} whole answers, ${of('cancelled')} cancelled`);
  console.log(`${total} tokens in ${seconds.toFixed(1)} s; ${engine.size} sequences left`);
  console.log(
    `event loop delay: p50 ${ms(delays.percentile(50))}, p99 ${ms(delays.percentile(99))}, max ${ms(delays.max)}`,
  );
  await app.close();
}
