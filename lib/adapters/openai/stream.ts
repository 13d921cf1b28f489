/** CompletionStream writes the events of a streamed answer; readStream reads them. */
import { count, oneOf } from '../../call/checks.js';
import { describe, wrongType, wrongValue } from '../../call/errors.js';
import { checkOptions } from '../../call/options.js';
import { errorBody } from './errors.js';
import type { ChatLogprob, CompletionLogprobs } from './logprobs.js';

/**
 * The last event of a stream.
 *
 * @example
 * import { STREAM_END } from 'flash-softmax/adapters/openai';
 * console.log(STREAM_END.trim()); // → data: [DONE]
 */
export const STREAM_END = 'data: [DONE]\n\n';

export type FinishReason = 'stop' | 'length' | 'content_filter' | 'tool_calls';

export interface CompletionStreamOptions {
  /** The model's name, as the request has it. */
  readonly model: string;
  /** Whose events. Default: 'chat'. */
  readonly endpoint?: 'chat' | 'completions' | null | undefined;
  /** The answer's name. Default: a random one. */
  readonly id?: string | null | undefined;
  /** Seconds since 1970. Default: now. */
  readonly created?: number | null | undefined;
  /** Whether each event has a field `usage`, null until the last (stream_options.include_usage). Default: false. */
  readonly includeUsage?: boolean | null | undefined;
}

/** What an event tells of a choice. */
export interface StreamedToken {
  readonly text: string;
  /** The choice, from 0. Default: 0. */
  readonly index?: number | undefined;
  /** Of a chat the result of `chatLogprobs`, of a completion that of `completionLogprobs`. Default: null. */
  readonly logprobs?: readonly ChatLogprob[] | CompletionLogprobs | null | undefined;
}

const event = (content: object): string => `data: ${JSON.stringify(content)}\n\n`;

/**
 * The events of a streamed answer as `text/event-stream` has them, each a string for `response.write`:
 *
 *     const stream = new CompletionStream({ model: body.model });
 *     response.write(stream.start());
 *     response.write(stream.token({ text, logprobs }));
 *     response.write(stream.finish('stop'));
 *     response.end(stream.end());
 *
 * @example
 * import { CompletionStream } from 'flash-softmax/adapters/openai';
 * const stream = new CompletionStream({ model: 'tiny' });
 * const sent = stream.start() + stream.token({ text: 'Hello' }) + stream.finish('stop') + stream.end();
 * console.log(sent.split('\n\n').length - 1, sent.endsWith('data: [DONE]\n\n')); // → 4 true
 */
export class CompletionStream {
  readonly #isChat: boolean;
  readonly #common: { readonly id: string; readonly object: string; readonly created: number; readonly model: string };
  readonly #usage: { readonly usage?: null };

  /** @throws TypeError or RangeError for an option of the wrong type or of another name. */
  constructor(options: CompletionStreamOptions) {
    checkOptions(options, ['model', 'endpoint', 'id', 'created', 'includeUsage'], true);
    const { model, endpoint, id, created, includeUsage } = { ...options };
    if (typeof model !== 'string') throw wrongType('a string', 'model', model);
    this.#isChat = oneOf(endpoint ?? 'chat', ['chat', 'completions'], 'endpoint') === 'chat';
    if (typeof (id ?? '') !== 'string') throw wrongType('a string', 'id', id);
    const wantsUsage: unknown = includeUsage ?? false;
    if (typeof wantsUsage !== 'boolean') throw wrongType('a boolean', 'includeUsage', wantsUsage);
    const random = Math.floor(Math.random() * 2 ** 52).toString(36);
    this.#common = {
      id: id ?? `${this.#isChat ? 'chatcmpl' : 'cmpl'}-${random}`,
      object: this.#isChat ? 'chat.completion.chunk' : 'text_completion',
      created: count(created ?? Math.floor(Date.now() / 1000), 'created', 0),
      model,
    };
    this.#usage = wantsUsage ? { usage: null } : {};
  }

  #event(choice: object): string {
    return event({ ...this.#common, choices: [choice], ...this.#usage });
  }

  /** The first event of a choice of a chat, which names the role. Empty for completions. */
  start(index = 0): string {
    if (!this.#isChat) return '';
    const delta = { role: 'assistant', content: '' };
    return this.#event({ index, delta, logprobs: null, finish_reason: null });
  }

  /** The event of one token or several. */
  token({ text, index = 0, logprobs = null }: StreamedToken): string {
    if (!this.#isChat) return this.#event({ index, text, logprobs, finish_reason: null });
    const content = logprobs === null ? null : { content: logprobs, refusal: null };
    return this.#event({ index, delta: { content: text }, logprobs: content, finish_reason: null });
  }

  /** The last event of a choice, with the reason of its end. */
  finish(reason: FinishReason, index = 0): string {
    const text = this.#isChat ? { delta: {} } : { text: '' };
    return this.#event({ index, ...text, logprobs: null, finish_reason: reason });
  }

  /** The event of the usage, in tokens; it comes after all choices, where the request has asked for it. */
  usage(promptTokens: number, completionTokens: number): string {
    const usage = {
      prompt_tokens: promptTokens,
      completion_tokens: completionTokens,
      total_tokens: promptTokens + completionTokens,
    };
    return event({ ...this.#common, choices: [], usage });
  }

  /** The event of an error after the first bytes, when no status can be sent any more; {@link end} follows. */
  error(error: unknown): string {
    return event(errorBody(error));
  }

  /** The end of the stream, `data: [DONE]`. */
  end(): string {
    return STREAM_END;
  }
}

/** A reader of a ReadableStream, which not every browser can iterate over. */
interface Reader {
  read(): Promise<{ done: boolean; value?: unknown }>;
  cancel(): Promise<void>;
}

/** Text in pieces, from any source. */
async function* textOf(source: unknown): AsyncGenerator<string> {
  const decoder = new TextDecoder(); // a byte order mark at the start is left out
  const decoded = (piece: unknown): string => {
    if (typeof piece === 'string') return piece;
    if (piece instanceof Uint8Array) return decoder.decode(piece, { stream: true });
    throw wrongType('strings or Uint8Arrays', 'source', piece);
  };
  const { getReader } = source as { getReader?: () => Reader };
  if (Symbol.asyncIterator in (source as object) || Symbol.iterator in (source as object)) {
    for await (const piece of source as AsyncIterable<unknown>) yield decoded(piece);
    return;
  }
  if (typeof getReader !== 'function') throw wrongType('a stream or an iterable', 'source', source);
  const reader = getReader.call(source);
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) yield decoded(next.value);
  } finally {
    await reader.cancel(); // the caller may have left the loop
  }
}

/** The lines of text, without their ends: \n, \r or \r\n. */
async function* linesOf(source: unknown): AsyncGenerator<string> {
  let rest = '';
  for await (const piece of textOf(source)) {
    const lines = (rest + piece).split(/\r\n|\n|\r(?!$)/); // \r at the end of a piece may be half of \r\n
    rest = lines.pop()!;
    yield* lines;
  }
  if (rest !== '') yield rest.endsWith('\r') ? rest.slice(0, -1) : rest;
}

/**
 * The chunks of a streamed answer, from the body of a response of OpenAI's API or of any server that speaks it:
 *
 *     for await (const chunk of readStream(response.body)) print(chunk.choices[0].delta.content);
 *
 * @param source The bytes or the text, in any pieces: a ReadableStream, a stream of Node, an iterable of either kind.
 * @returns The JSON of each event until `[DONE]`. Comments, names of events and blank lines have no chunk.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for another source. RangeError (ERR_INVALID_ARG_VALUE) for an event that is
 *   no JSON, and for a source that ends before `[DONE]`: the answer is not whole then.
 * @example
 * import { readStream } from 'flash-softmax/adapters/openai';
 * const body = ['data: {"choices":[{"delta":{"content":"Hello"}}]}\n\n', 'data: [DONE]\n\n']; // response.body, say
 * for await (const chunk of readStream(body)) console.log(chunk.choices[0].delta.content); // → Hello
 */
export async function* readStream<Chunk = unknown>(source: unknown): AsyncGenerator<Chunk> {
  if (typeof source !== 'object' || source === null) throw wrongType('a stream or an iterable', 'source', source);
  let data: string[] = [];
  for await (const line of linesOf(source)) {
    if (line.startsWith('data:')) data.push(line.slice(line.startsWith('data: ') ? 6 : 5));
    if (data.length === 1 && data[0] === '[DONE]') return; // some servers end without the blank line
    if (line !== '' || data.length === 0) continue;
    const text = data.join('\n');
    data = [];
    yield parsed(text) as Chunk;
  }
  throw wrongValue("'[DONE]' at the end", 'source', 'an end without it');
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw wrongValue('events of JSON', 'source', describe(text));
  }
}
