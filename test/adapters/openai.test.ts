/** flash-softmax/adapters/openai: requests with OpenAI's ranges, and log-probabilities. */
import { describe, expect, it } from 'vitest';
import * as openai from '../../lib/adapters/openai.js';
import { logProbs, sample, Sampler } from '../../lib/sampling.js';

const { chatLogprobs, completionLogprobs, errorBody, fromRequest } = openai;
const utf8 = new TextEncoder();

describe('fromRequest', () => {
  it('has the defaults of the API', () => {
    const chat = fromRequest({ model: 'm', messages: [] });
    expect(chat).toEqual({
      samplers: [{ seed: expect.any(BigInt) }],
      maxTokens: undefined,
      logProbs: undefined,
      stop: [],
      stream: false,
      includeUsage: false,
      echo: false,
      n: 1,
      bestOf: 1,
    });
    expect(fromRequest({}, { endpoint: 'completions' }).maxTokens).toBe(16);
    expect(new Sampler(chat.samplers[0]).next(Float32Array.of(0, 99))).toBe(1);
  });

  it('makes options of samplers, one a choice', () => {
    const body = {
      temperature: 0.5,
      top_p: 0.9,
      frequency_penalty: -2,
      presence_penalty: 2,
      logit_bias: { 3: -100, 5: 1.5 },
      seed: -1,
      n: 2,
      stop: 'END',
      max_completion_tokens: 7,
      logprobs: true,
      top_logprobs: 20,
      stream: true,
      stream_options: { include_usage: true },
      top_k: -1,
      min_p: 0.1,
      repetition_penalty: 1.1,
      stop_token_ids: [4],
      min_tokens: 2,
    };
    const { samplers, ...rest } = fromRequest(body, { vocabulary: 6, endTokens: [0] });
    expect(rest).toMatchObject({ maxTokens: 7, logProbs: 20, stop: ['END'], stream: true, includeUsage: true, n: 2 });
    const shared = {
      temperature: 0.5,
      topP: 0.9,
      minP: 0.1,
      topK: 0,
      frequencyPenalty: -2,
      presencePenalty: 2,
      repetitionPenalty: 1.1,
      logitBias: [
        [3, -100],
        [5, 1.5],
      ],
      stop: [0, 4],
      minTokens: 2,
    };
    expect(samplers).toEqual([
      { ...shared, seed: 2n ** 64n - 1n },
      { ...shared, seed: 0n },
    ]);
    for (const options of samplers) expect(new Sampler(options).next(new Float32Array(6))).toBeLessThan(6);
    const completion = { logprobs: 5, echo: true, best_of: 3, n: 2, max_tokens: 0, temperature: null };
    expect(fromRequest(completion, { endpoint: 'completions' })).toMatchObject({
      logProbs: 5,
      echo: true,
      bestOf: 3,
      n: 2,
      maxTokens: 0,
      samplers: { length: 3 },
    });
  });

  it.each<[string, unknown]>([
    ['temperature', 2.1],
    ['temperature', '1'],
    ['temperature', NaN],
    ['top_p', -0.1],
    ['frequency_penalty', 2.5],
    ['presence_penalty', -2.5],
    ['n', 0],
    ['n', 129],
    ['n', 1.5],
    ['seed', 1.5],
    ['seed', 2 ** 64],
    ['seed', 'x'],
    ['stop', ['a', 'b', 'c', 'd', 'e']],
    ['stop', ['']],
    ['stop', [3]],
    ['stop', 3],
    ['max_tokens', 0],
    ['max_completion_tokens', -1],
    ['logprobs', 3],
    ['top_logprobs', 5],
    ['stream', 'yes'],
    ['stream_options', { include_usage: true }],
    ['logit_bias', { 3: 101 }],
    ['logit_bias', { x: 1 }],
    ['logit_bias', { 100: 1 }],
    ['logit_bias', { 3: '1' }],
    ['logit_bias', [1]],
    ['top_k', -2],
    ['repetition_penalty', 0],
    ['stop_token_ids', [100]],
    ['stop_token_ids', 3],
  ])('refuses %s: %j, with an answer that names it', (name, value) => {
    let body: unknown;
    try {
      fromRequest({ [name]: value }, { vocabulary: 100 });
    } catch (error) {
      expect(error).toMatchObject({ code: expect.stringMatching(/^ERR_/) });
      body = errorBody(error);
    }
    expect(body).toEqual({
      error: {
        message: expect.stringMatching(`for ${name}`),
        type: 'invalid_request_error',
        param: name,
        code: expect.any(String),
      },
    });
  });

  it('refuses what does not go together, and hides other errors', () => {
    expect(() => fromRequest({ max_tokens: 3, max_completion_tokens: 3 })).toThrow(/one of max_tokens/);
    expect(() => fromRequest({ logprobs: true, top_logprobs: 21 })).toThrow(RangeError);
    expect(() => fromRequest({ n: 3, best_of: 2 }, { endpoint: 'completions' })).toThrow(/best_of/);
    expect(() => fromRequest({ logprobs: 6 }, { endpoint: 'completions' })).toThrow(/from 0 to 5/);
    expect(() => fromRequest([] as never)).toThrow('Expected an object for request but received an Array');
    expect(() => fromRequest({}, { endTokens: [9], vocabulary: 9 })).toThrow(/endTokens/);
    expect(errorBody(new Error('the password is 123'))).toEqual({
      error: { message: 'The server had an error', type: 'server_error', param: null, code: null },
    });
    const ofBody = { type: 'invalid_request_error', param: null };
    expect(errorBody(new SyntaxError('Unexpected token')).error).toMatchObject({
      ...ofBody,
      message: 'Unexpected token',
    });
    const ofFramework = Object.assign(new Error('Body is too large'), { statusCode: 413, code: 'FST_ERR' });
    expect(errorBody(ofFramework).error).toMatchObject({ ...ofBody, code: 'FST_ERR' });
    expect(errorBody(Object.assign(new Error('x'), { statusCode: 503 })).error.type).toBe('server_error');
  });
});

describe('log-probabilities', () => {
  const words = ['a', ' b', utf8.encode('€').subarray(0, 2), utf8.encode('€').subarray(2)];
  const decode = (token: number) => words[token]!;
  const logits = Float32Array.of(1, 0, 3, -Infinity);

  it('chats have bytes, and text where bytes are characters', () => {
    const drawn = sample(logits, { temperature: 0, logProbs: 2 });
    const [entry] = chatLogprobs(drawn, decode);
    const total = Math.log(Math.exp(1) + 1 + Math.exp(3));
    const first = { token: 'bytes:\\xe2\\x82', logprob: expect.closeTo(3 - total, 12), bytes: [0xe2, 0x82] };
    expect(entry).toEqual({
      ...first,
      top_logprobs: [first, { token: 'a', logprob: expect.closeTo(1 - total, 12), bytes: [97] }],
    });
    const banned = chatLogprobs({ tokens: [3], ...logProbs(logits, 3) }, decode);
    expect(banned[0]).toMatchObject({ logprob: -9999, top_logprobs: [] });
  });

  it('completions have lists, with the drawn token among the top ones', () => {
    const rows = new Float32Array([...logits, ...logits, ...logits]);
    const tokens = [2, 3, 1];
    const drawn = { tokens, ...logProbs(rows, tokens, { cols: 4, top: 1 }) };
    const { top_logprobs, ...rest } = completionLogprobs(drawn, decode, 10);
    expect(rest).toEqual({
      tokens: ['bytes:\\xe2\\x82', 'bytes:\\xac', ' b'],
      token_logprobs: [...drawn.logProbs].map((log) => Math.max(log, -9999)),
      text_offset: [10, 10, 11],
    });
    expect(top_logprobs!.map((each) => Object.keys(each).length)).toEqual([1, 2, 2]);
    expect(completionLogprobs({ tokens: [0], ...logProbs(logits, 0) }, decode).top_logprobs).toBeNull();
  });

  it('refuses other results', () => {
    const drawn = { tokens: [1], ...logProbs(logits, 1) };
    expect(() => chatLogprobs(drawn, 'x' as never)).toThrow('Expected a function for decode');
    expect(() => chatLogprobs(drawn, () => 3 as never)).toThrow(/a string or a Uint8Array/);
    expect(() => chatLogprobs({ ...drawn, tokens: [1, 2] }, decode)).toThrow(RangeError);
    expect(() => chatLogprobs(sample(logits, { seed: 1 }) as never, decode)).toThrow(/with logProbs/);
  });
});
