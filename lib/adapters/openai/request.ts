/** fromRequest: the parameters of a request as options of samplers, checked against OpenAI's ranges. */
import { count, oneOf } from '../../call/checks.js';
import { describe, outOfRange, wrongType, wrongValue } from '../../call/errors.js';
import { checkOptions } from '../../call/options.js';
import { keyOf, randomSeed } from '../../call/seed.js';
import { listOf } from '../../sampling/options.js';
import type { SamplerOptions } from '../../sampling/sampler-options.js';
import { Fields, ofParam } from './errors.js';

export interface FromRequestOptions {
  /** Whose parameters: POST /v1/chat/completions or /v1/completions. Default: 'chat'. */
  readonly endpoint?: 'chat' | 'completions' | null | undefined;
  /** The size of the vocabulary: tokens of logit_bias and stop_token_ids are below it. Default: not checked. */
  readonly vocabulary?: number | null | undefined;
  /** Tokens that end every choice, as the model's end of text; `stop_token_ids` of the request are added. */
  readonly endTokens?: ArrayLike<number> | number | null | undefined;
}

/** What a request asks for. */
export interface Generation {
  /** Options of a `Sampler` for each choice, `bestOf` of them. Choice i has the seed `seed + i`. */
  readonly samplers: readonly SamplerOptions[];
  /** The most tokens of a choice; undefined: no limit but the model's. Completions have 16 by default. */
  readonly maxTokens: number | undefined;
  /** How many of the most probable tokens are wanted beside each drawn one; undefined: no log-probabilities. */
  readonly logProbs: number | undefined;
  /** Strings that end a choice, and are not part of it: `StopText` finds them. At most 4. */
  readonly stop: readonly string[];
  readonly stream: boolean;
  /** Whether the stream ends with a chunk of the usage (stream_options.include_usage). */
  readonly includeUsage: boolean;
  /** Whether the prompt comes before a completion. */
  readonly echo: boolean;
  /** How many choices are wanted. */
  readonly n: number;
  /** How many choices are made, the best `n` of which are wanted; n unless `best_of` says more. */
  readonly bestOf: number;
}

const LONG = 2 ** 63;

/** Parameters of both endpoints that are numbers: name, option, and OpenAI's range; below these, vLLM's. */
const NUMBERS = [
  ['temperature', 'temperature', 0, 2],
  ['top_p', 'topP', 0, 1],
  ['frequency_penalty', 'frequencyPenalty', -2, 2],
  ['presence_penalty', 'presencePenalty', -2, 2],
  ['min_p', 'minP', 0, 1],
] as const;

/**
 * The parameters of a request to /v1/chat/completions or /v1/completions as options of this package:
 *
 *     const { samplers, maxTokens, logProbs, stop } = fromRequest(body, { endTokens: 2 });
 *     const sampler = new Sampler(samplers[0]);
 *
 * It reads `temperature` (0 to 2), `top_p` (0 to 1), `frequency_penalty` and `presence_penalty` (−2 to 2),
 * `logit_bias` (−100 to 100, added to the logits), `seed` (an integer of 64 bits), `n` (1 to 128), `stop` (at most 4
 * strings), `max_completion_tokens` or `max_tokens`, `stream`, `stream_options.include_usage`; of chats `logprobs`
 * (a boolean) and `top_logprobs` (0 to 20), of completions `logprobs` (0 to 5), `echo` and `best_of` (1 to 20). Beyond
 * OpenAI it reads what vLLM has: `top_k` (−1 or 0: all), `min_p`, `repetition_penalty`, `min_tokens` and
 * `stop_token_ids`. Other fields, as `model` and `messages`, are the server's. null is no value.
 *
 * @throws TypeError (ERR_INVALID_ARG_TYPE) or RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) with the parameter's
 *   name as `param`: `errorBody` makes an answer of it.
 * @example
 * import { fromRequest } from 'flash-softmax/adapters/openai';
 * const { samplers, maxTokens } = fromRequest({ temperature: 0.7, top_p: 0.9, n: 2, max_tokens: 16 });
 * console.log(samplers.length, samplers[0].topP, maxTokens); // → 2 0.9 16
 */
export function fromRequest(request: object, options?: FromRequestOptions): Generation {
  checkOptions(options, ['endpoint', 'vocabulary', 'endTokens']);
  const { endpoint, vocabulary, endTokens } = { ...options };
  const size = vocabulary === undefined || vocabulary === null ? Infinity : count(vocabulary, 'vocabulary');
  const ends = endsOf(endTokens ?? [], size);
  const isChat = oneOf(endpoint ?? 'chat', ['chat', 'completions'], 'endpoint') === 'chat';
  const fields = new Fields(request);
  const n = fields.integer('n', [1, 128]) ?? 1;
  const bestOf = (isChat ? undefined : fields.integer('best_of', [1, 20])) ?? n;
  if (bestOf < n) throw ofParam(wrongValue(`a number from n, ${n}`, 'best_of', String(bestOf)), 'best_of');
  const shared = samplerOf(fields, size, ends);
  const seed = seedOf(fields);
  const samplers = Array.from({ length: bestOf }, (_, i) => ({
    ...shared,
    seed: BigInt.asUintN(64, seed + BigInt(i)),
  }));
  const stream = fields.boolean('stream') ?? false;
  return {
    samplers,
    maxTokens: maxTokensOf(fields, isChat),
    logProbs: isChat ? chatLogProbs(fields) : fields.integer('logprobs', [0, 5]),
    stop: fields.strings('stop', 4),
    stream,
    includeUsage: includesUsage(fields, stream),
    echo: isChat ? false : (fields.boolean('echo') ?? false),
    n,
    bestOf,
  };
}

/** The options of all choices. */
function samplerOf(fields: Fields, vocabulary: number, ends: readonly number[]): SamplerOptions {
  const given: Record<string, unknown> = {};
  const put = (name: string, value: unknown): void => void (value === undefined || (given[name] = value));
  for (const [name, option, least, most] of NUMBERS) put(option, fields.number(name, [least, most]));
  const topK = fields.integer('top_k', [-1, Infinity]);
  put('topK', topK === -1 ? 0 : topK);
  const repetition = fields.number('repetition_penalty', [0, Number.MAX_VALUE]);
  if (repetition === 0) {
    throw ofParam(outOfRange('a number above 0', 'repetition_penalty', repetition), 'repetition_penalty');
  }
  put('repetitionPenalty', repetition);
  put('logitBias', biasOf(fields, vocabulary));
  const stop = [...ends, ...tokensOf(fields.value('stop_token_ids') ?? [], vocabulary)];
  const minTokens = fields.integer('min_tokens', [0, Infinity]);
  if (stop.length > 0) put('stop', stop);
  if (stop.length > 0) put('minTokens', minTokens); // without an end, the output has as many tokens in any case
  return given;
}

/** The server's own tokens: an error names no parameter. */
const endsOf = (tokens: unknown, vocabulary: number): number[] =>
  listOf(typeof tokens === 'number' ? [tokens] : tokens, 'endTokens', (token) => {
    if (count(token, 'endTokens', 0) < vocabulary) return token as number;
    throw badToken('endTokens', token, vocabulary);
  });

/** Pairs of tokens and biases. */
function biasOf(fields: Fields, vocabulary: number): [number, number][] | undefined {
  const name = 'logit_bias';
  const value = fields.object(name);
  if (value === undefined) return undefined;
  return Object.entries(value).map(([key, bias]: [string, unknown]) => {
    const token = /^\d+$/.test(key) ? Number(key) : NaN;
    if (!(token < vocabulary && Number.isSafeInteger(token))) throw ofParam(badToken(name, key, vocabulary), name);
    if (typeof bias !== 'number') throw ofParam(wrongType('numbers', name, bias), name);
    if (!(bias >= -100 && bias <= 100)) throw ofParam(outOfRange('numbers from -100 to 100', name, bias), name);
    return [token, bias];
  });
}

function badToken(name: string, token: unknown, vocabulary: number): Error {
  const range = vocabulary === Infinity ? 'integers from 0' : `integers from 0 to ${vocabulary - 1}`;
  return wrongValue(`tokens, ${range},`, name, describe(token));
}

function tokensOf(value: unknown, vocabulary: number): number[] {
  const name = 'stop_token_ids';
  if (!Array.isArray(value)) throw ofParam(wrongType('an array of tokens', name, value), name);
  return Array.from(value as unknown[], (token) => {
    if (Number.isSafeInteger(token) && (token as number) >= 0 && (token as number) < vocabulary) return token as number;
    throw ofParam(badToken(name, token, vocabulary), name);
  });
}

/** The key of the first choice. Negative seeds are those of 64 bits with the same bits. */
function seedOf(fields: Fields): bigint {
  const name = 'seed';
  const value = fields.value(name);
  if (value === undefined) return keyOf(randomSeed());
  if (typeof value !== 'number' && typeof value !== 'bigint') throw ofParam(wrongType('an integer', name, value), name);
  if ((typeof value === 'number' && !Number.isInteger(value)) || value < -LONG || value > LONG) {
    throw ofParam(outOfRange('an integer of 64 bits', name, value), name);
  }
  return BigInt.asUintN(64, BigInt(value));
}

function maxTokensOf(fields: Fields, isChat: boolean): number | undefined {
  const old = fields.integer('max_tokens', [isChat ? 1 : 0, Infinity]);
  if (!isChat) return old ?? 16;
  const name = 'max_completion_tokens';
  const most = fields.integer(name, [1, Infinity]);
  if (most !== undefined && old !== undefined) {
    throw ofParam(wrongValue('one of max_tokens and max_completion_tokens', name, 'both'), name);
  }
  return most ?? old;
}

function chatLogProbs(fields: Fields): number | undefined {
  const isWanted = fields.boolean('logprobs') ?? false;
  const top = fields.integer('top_logprobs', [0, 20]);
  if (top !== undefined && !isWanted) {
    throw ofParam(wrongValue('logprobs: true', 'top_logprobs', 'none'), 'top_logprobs');
  }
  return isWanted ? (top ?? 0) : undefined;
}

function includesUsage(fields: Fields, stream: boolean): boolean {
  const options = fields.object('stream_options');
  if (options === undefined) return false;
  if (!stream) throw ofParam(wrongValue('stream: true', 'stream_options', 'none'), 'stream_options');
  return new Fields(options).boolean('include_usage') ?? false;
}
