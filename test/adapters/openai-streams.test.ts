/** flash-softmax/adapters/openai: strings that end a text, and the events of streams. */
import { describe, expect, it } from 'vitest';
import { CompletionStream, errorBody, readStream, StopText } from '../../lib/adapters/openai.js';

const utf8 = new TextEncoder();

describe('StopText', () => {
  /** Text and end, of pieces. */
  const read = (stop: string[], pieces: readonly (string | Uint8Array)[]) => {
    const text = new StopText(stop);
    let all = '';
    for (const piece of pieces) all += text.push(piece).text;
    all += text.end();
    return [all, text.stopped];
  };

  it('finds strings across tokens, however text is cut', () => {
    const whole = 'one, two, aab aaab three';
    for (let size = 1; size < 9; size++) {
      const pieces = Array.from({ length: Math.ceil(whole.length / size) }, (_, i) =>
        whole.slice(i * size, (i + 1) * size),
      );
      expect(read(['aaab'], pieces)).toEqual(['one, two, aab ', 'aaab']);
      expect(read(['two', 'wo'], pieces)).toEqual(['one, ', 'two']);
      expect(read(['wo', 'two, a'], pieces)).toEqual(['one, t', 'wo']);
      expect(read(['three!'], pieces)).toEqual([whole, undefined]);
    }
  });

  it('finds what a search of the whole text finds, in 500 random texts', () => {
    let state = 7;
    const random = (n: number) => (state = Math.imul(state, 48271) >>> 1) % n;
    const word = (n: number) => Array.from({ length: n }, () => 'ab'[random(2)]).join('');
    for (let turn = 0; turn < 500; turn++) {
      const text = word(30);
      const stop = [word(1 + random(5)), word(2 + random(5))];
      const ends = stop.map((each) => (text.includes(each) ? text.indexOf(each) + each.length : Infinity));
      const end = Math.min(...ends);
      const longest = stop.filter((_, i) => ends[i] === end).sort((a, b) => b.length - a.length)[0]!;
      const expected = end === Infinity ? [text, undefined] : [text.slice(0, end - longest.length), longest];
      expect(read(stop, text.match(/.{1,3}/g)!)).toEqual(expected);
    }
  });

  it('holds back what may begin a string, and parts of characters', () => {
    const text = new StopText(['STOP']);
    expect(text.push('a ST')).toEqual({ text: 'a ', stopped: undefined });
    expect(text.push('A')).toEqual({ text: 'STA', stopped: undefined });
    const euro = utf8.encode('€');
    expect(text.push(euro.subarray(0, 1)).text).toBe('');
    expect(text.push(euro.subarray(1)).text).toBe('€');
    expect(text.push('xSTOPy')).toEqual({ text: 'x', stopped: 'STOP' });
    expect(text.push('more')).toEqual({ text: '', stopped: 'STOP' });
    expect(text.end()).toBe('');
    expect(read([], [euro.subarray(0, 1)])).toEqual(['\ufffd', undefined]);
    expect(() => new StopText([''])).toThrow(RangeError);
    expect(() => new StopText().push(3 as never)).toThrow(TypeError);
  });
});

describe('streams', () => {
  const options = { model: 'm', id: 'x', created: 5 };
  const chunksOf = async (source: unknown) => {
    const chunks: unknown[] = [];
    for await (const chunk of readStream(source)) chunks.push(chunk);
    return chunks;
  };

  it('writes the events of a chat, and reads them however they are cut', async () => {
    const stream = new CompletionStream({ ...options, includeUsage: true });
    const events =
      stream.start() +
      stream.token({ text: 'a\n€', logprobs: [] }) +
      stream.finish('stop') +
      stream.usage(3, 2) +
      stream.error(new Error('x')) +
      stream.end();
    expect(events.endsWith('data: [DONE]\n\n')).toBe(true);
    const common = { id: 'x', object: 'chat.completion.chunk', created: 5, model: 'm' };
    const choice = { index: 0, finish_reason: null };
    const expected = [
      { ...common, choices: [{ ...choice, delta: { role: 'assistant', content: '' }, logprobs: null }], usage: null },
      {
        ...common,
        choices: [{ ...choice, delta: { content: 'a\n€' }, logprobs: { content: [], refusal: null } }],
        usage: null,
      },
      { ...common, choices: [{ index: 0, delta: {}, logprobs: null, finish_reason: 'stop' }], usage: null },
      { ...common, choices: [], usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 } },
      errorBody(new Error('x')),
    ];
    const bytes = utf8.encode(events);
    for (const size of [1, 3, 7, 1000]) {
      const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
        bytes.subarray(i * size, (i + 1) * size),
      );
      expect(await chunksOf(pieces)).toEqual(expected);
      expect(await chunksOf(new Blob(pieces).stream())).toEqual(expected);
    }
    for (const end of ['\r\n', '\r']) {
      const text = `\ufeff: comment${end}event: x${end}${events.replaceAll('\n', end)}`;
      expect(await chunksOf(Array.from(text, (each) => utf8.encode(each)))).toEqual(expected);
    }
  });

  it('writes the events of a completion', () => {
    const stream = new CompletionStream({ ...options, endpoint: 'completions' });
    expect(stream.start()).toBe('');
    const common = '"id":"x","object":"text_completion","created":5,"model":"m"';
    const choice = '"choices":[{"index":1,"text":"a","logprobs":null,"finish_reason":null}]';
    expect(stream.token({ text: 'a', index: 1 })).toBe(`data: {${common},${choice}}\n\n`);
    expect(stream.finish('length', 1)).toContain('"text":"","logprobs":null,"finish_reason":"length"');
    expect(new CompletionStream({ model: 'm' }).start()).toMatch(/"id":"chatcmpl-\w+"/);
    expect(() => new CompletionStream({} as never)).toThrow('Expected a string for model');
  });

  it('reads readers, ends early, and tells of an answer that was cut off', async () => {
    let cancelled = false;
    const source = {
      getReader: () => ({
        read: () => Promise.resolve({ done: false, value: 'data: {"a":1}\n\n' }),
        cancel: () => Promise.resolve(void (cancelled = true)),
      }),
    };
    for await (const chunk of readStream<{ a: number }>(source)) {
      expect(chunk.a).toBe(1);
      break;
    }
    expect(cancelled).toBe(true);
    expect(await chunksOf(['data: {"a":\n', 'data:1}\n\ndata: [DONE]'])).toEqual([{ a: 1 }]);
    await expect(chunksOf(['data: {}\n\n'])).rejects.toThrow("Expected '[DONE]' at the end for source");
    await expect(chunksOf(['data: {\n\n'])).rejects.toThrow("Expected events of JSON for source but received '{'");
    await expect(chunksOf(null)).rejects.toThrow(TypeError);
    await expect(chunksOf({})).rejects.toThrow(TypeError);
    await expect(chunksOf([3])).rejects.toThrow(/strings or Uint8Arrays/);
  });
});
