// POST /v1/chat/completions, streamed over server-sent events or whole, with log-probabilities.
import { chatLogprobs, CompletionStream, errorBody, fromRequest, StopText } from 'flash-softmax/adapters/openai';
import { decode, encode, END } from './model.mjs';

const MOST_TOKENS = 256;

/** The steps of one choice: the text that each token adds, log-probabilities, and the reason of the end. */
async function* choiceSteps(engine, prompt, options, { maxTokens = MOST_TOKENS, logProbs, stop }) {
  const text = new StopText(stop);
  const settings = { maxTokens: Math.min(maxTokens, MOST_TOKENS), wanted: logProbs };
  let reason = 'length';
  for await (const { token, drawn } of engine.generate(prompt, options, settings)) {
    if (token === END) {
      reason = 'stop';
      break;
    }
    const step = text.push(decode(token));
    yield { text: step.text, logprobs: logProbs === undefined ? null : chatLogprobs(drawn, decode) };
    if (step.stopped !== undefined) {
      reason = 'stop';
      break;
    }
  }
  yield { text: text.end(), reason };
}

async function stream(reply, engine, prompt, request, body) {
  reply.hijack();
  const { raw } = reply;
  const events = new CompletionStream({ model: body.model, includeUsage: request.includeUsage });
  const write = async (event) => {
    if (!raw.destroyed && !raw.write(event))
      await new Promise((resolve) => raw.once('drain', resolve).once('close', resolve));
  };
  raw.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
  let count = 0;
  const choose = async (options, index) => {
    await write(events.start(index));
    for await (const { text, logprobs, reason } of choiceSteps(engine, prompt, options, request)) {
      if (raw.destroyed) return; // the client is gone: leaving the loop ends the sequence
      if (text !== '' || logprobs) await write(events.token({ text, index, logprobs }));
      if (reason) await write(events.finish(reason, index));
      else count++;
    }
  };
  try {
    await Promise.all(request.samplers.map(choose));
    if (request.includeUsage) await write(events.usage(prompt.length, count));
  } catch (error) {
    await write(events.error(error));
  }
  raw.end(events.end());
}

async function whole(engine, prompt, request, body) {
  let count = 0;
  const choices = await Promise.all(
    request.samplers.map(async (options, index) => {
      const choice = { index, message: { role: 'assistant', content: '' }, logprobs: null, finish_reason: null };
      for await (const { text, logprobs, reason } of choiceSteps(engine, prompt, options, request)) {
        choice.message.content += text;
        if (reason === undefined) count++;
        if (logprobs) (choice.logprobs ??= { content: [], refusal: null }).content.push(...logprobs);
        choice.finish_reason = reason ?? null;
      }
      return choice;
    }),
  );
  const [id, created] = [`chatcmpl-${Date.now().toString(36)}`, Math.floor(Date.now() / 1000)];
  const usage = { prompt_tokens: prompt.length, completion_tokens: count, total_tokens: prompt.length + count };
  return { id, object: 'chat.completion', created, model: body.model, choices, usage };
}

/** The text of the last message, which is a string or a list of parts; a model needs one token at least. */
function promptOf({ messages }) {
  const content = messages?.at(-1)?.content ?? '';
  const text = Array.isArray(content) ? content.map((part) => part.text ?? '').join('') : String(content);
  return encode(text === '' ? ' ' : text);
}

/** A fastify server; `fastify` is the package's function. */
export function createServer(fastify, engine) {
  const app = fastify();
  app.setErrorHandler((error, _, reply) => {
    const body = errorBody(error);
    return reply.code(body.error.type === 'server_error' ? (error.statusCode ?? 500) : 400).send(body);
  });
  app.post('/v1/chat/completions', async ({ body }, reply) => {
    const request = fromRequest(body, { vocabulary: 32_000, endTokens: END });
    const prompt = promptOf(body);
    if (!request.stream) return whole(engine, prompt, request, body);
    await stream(reply, engine, prompt, request, body);
    return reply;
  });
  return app;
}
