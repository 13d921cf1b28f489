/** examples/adapters: a server that streams tokens with log-probabilities, alone and under load. */
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { beforeAll, describe, expect } from 'vitest';
import { readStream } from '../../lib/adapters/openai.js';
import { root } from '../support/emulated.js';
import { run } from '../support/run.js';
import { itWith } from '../support/tools.js';
import { examplesFolder, importPeer, peers } from './peers.js';

interface Reply {
  readonly statusCode: number;
  readonly body: string;
  readonly headers: Record<string, string>;
  json(): unknown;
}
interface App {
  inject(request: object): Promise<Reply>;
}
interface Runtime {
  readonly InferenceSession: { create(model: Uint8Array): Promise<unknown> };
}
interface Chunk {
  readonly choices: {
    index: number;
    delta: { content?: string };
    logprobs: object | null;
    finish_reason: string | null;
  }[];
  readonly usage?: { total_tokens: number } | null;
}

const load = async <T>(name: string) =>
  (await import(pathToFileURL(path.join(root, 'examples', 'adapters', name)).href)) as T;
let app: App;
let engine: { size: number };

beforeAll(async () => {
  if (!peers.available) return;
  const ort = await importPeer<Runtime>('onnxruntime-node');
  const { default: fastify } = await importPeer<{ default: unknown }>('fastify');
  const { Engine } = await load<{ Engine: new (...rest: unknown[]) => { size: number } }>('engine.mjs');
  const { modelBytes } = await load<{ modelBytes(): Uint8Array }>('model.mjs');
  engine = new Engine(ort, await ort.InferenceSession.create(modelBytes()));
  const { createServer } = await load<{ createServer(...rest: unknown[]): App }>('server.mjs');
  app = createServer(fastify, engine);
}, 300_000);

const ask = (body: object) =>
  app.inject({
    method: 'POST',
    url: '/v1/chat/completions',
    payload: { model: 'tiny', messages: [{ role: 'user', content: 'hello' }], logit_bias: { 0: -100 }, ...body },
  });
const chunksOf = async (text: string) => {
  const chunks: Chunk[] = [];
  for await (const chunk of readStream<Chunk>([text])) chunks.push(chunk);
  return chunks;
};

describe('a server of chat completions', () => {
  itWith(peers, 'streams what it gives whole, for each choice', async () => {
    const body = { max_tokens: 12, seed: 5, temperature: 0.9, n: 2, logprobs: true, top_logprobs: 2 };
    const whole = (await ask(body)).json() as {
      choices: {
        message: { content: string };
        logprobs: { content: { top_logprobs: object[] }[] };
        finish_reason: string;
      }[];
    };
    const streamed = await ask({ ...body, stream: true, stream_options: { include_usage: true } });
    expect(streamed.headers['content-type']).toBe('text/event-stream');
    const chunks = await chunksOf(streamed.body);
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { total_tokens: 5 + 24 } });
    for (const index of [0, 1]) {
      const choices = chunks.flatMap((chunk) => chunk.choices.filter((choice) => choice.index === index));
      const { message, logprobs, finish_reason } = whole.choices[index]!;
      expect(choices.map(({ delta }) => delta.content ?? '').join('')).toBe(message.content);
      expect(choices.at(-1)!.finish_reason).toBe(finish_reason);
      expect(logprobs.content).toHaveLength(12);
      expect(logprobs.content.every(({ top_logprobs }) => top_logprobs.length === 2)).toBe(true);
    }
    expect(whole.choices[0]!.message.content).not.toBe(whole.choices[1]!.message.content);
    const { message } = whole.choices[0]!;
    const stop = message.content.slice(20, 24);
    const stopped = (await ask({ ...body, n: 1, stop })).json() as typeof whole;
    expect(stopped.choices[0]).toMatchObject({
      message: { content: message.content.slice(0, message.content.indexOf(stop)) },
      finish_reason: 'stop',
    });
    expect(engine.size).toBe(0);
  });

  itWith(peers, 'answers a wrong request with 400 and its parameter', async () => {
    const reply = await ask({ temperature: 3 });
    expect(reply.statusCode).toBe(400);
    expect(reply.json()).toMatchObject({ error: { type: 'invalid_request_error', param: 'temperature' } });
  });

  itWith(
    peers,
    'serves 50 clients, of which ten cancel',
    async () => {
      const output = await run(process.execPath, ['load.mjs', '50', '32'], { cwd: await examplesFolder() });
      console.info(output.trim());
      expect(output).toContain('50 clients: 40 whole answers, 10 cancelled');
      expect(output).toContain('; 0 sequences left');
      expect(output).toMatch(/event loop delay: .*p99 \d+\.\d ms/);
    },
    300_000,
  );
});
