/** flash-softmax/adapters/transformers with the real package and generated models: its tokens, and the distribution. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  filtering,
  fromGenerationConfig,
  sampling,
  topLabels,
  type DrawnRows,
} from '../../lib/adapters/transformers.js';
import { softmax } from '../../lib/index.js';
import { filterLogits, logProbs, penalize, sample } from '../../lib/sampling.js';
import { itWith } from '../support/tools.js';
import { importPeer, peers } from './peers.js';
import { VOCABULARY, wordOf, writeClassifier, writeLanguageModel } from './tiny-model.js';

interface Tensor {
  readonly data: Float32Array;
  readonly dims: number[];
  readonly type: string;
}
interface Model {
  (inputs: object): Promise<{ logits: Tensor }>;
  generate(parameters: object): Promise<{ tolist(): bigint[][] }>;
  readonly generation_config: object;
  readonly config: { id2label: Record<number, string> };
}
interface Generator {
  (text: string | string[], parameters: object): Promise<unknown>;
  readonly model: Model;
  tokenizer(text: string | string[], options?: object): { input_ids: Tensor };
}
interface Transformers {
  readonly env: { allowRemoteModels: boolean; localModelPath: string };
  pipeline(task: string, model: string, options: object): Promise<Generator>;
  readonly LogitsProcessorList: new () => { push(item: unknown): void };
}

const folder = mkdtempSync(path.join(tmpdir(), 'flash-softmax-transformers-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let generator: Generator;
let transformers: Transformers;
let logitsOf: (token: number) => Float32Array;

beforeAll(async () => {
  if (!peers.available) return;
  transformers = await importPeer<Transformers>('@huggingface/transformers');
  Object.assign(transformers.env, { allowRemoteModels: false, localModelPath: `${folder}${path.sep}` });
  writeLanguageModel(path.join(folder, 'tiny'), {
    do_sample: true,
    temperature: 3,
    top_p: 0.9,
    repetition_penalty: 1.5,
  });
  writeLanguageModel(path.join(folder, 'plain'));
  writeClassifier(path.join(folder, 'classes'), {});
  writeClassifier(path.join(folder, 'labels'), { problem_type: 'multi_label_classification' });
  generator = await transformers.pipeline('text-generation', 'plain', { dtype: 'fp32' });
  const all = Array.from({ length: VOCABULARY }, (_, token) => wordOf(token)).join(' ');
  const { logits } = await generator.model(generator.tokenizer(all));
  logitsOf = (token) => logits.data.slice(token * VOCABULARY, (token + 1) * VOCABULARY);
}, 300_000);

const text = (...tokens: number[]) => tokens.map(wordOf).join(' ');
/** The tokens that a call appends to one prompt. */
const tokensAfter = async (prompt: number[], parameters: object, model = generator): Promise<number[]> => {
  const inputs = model.tokenizer(text(...prompt));
  const output = await model.model.generate({ ...inputs, max_new_tokens: 12, eos_token_id: null, ...parameters });
  return output.tolist()[0]!.slice(prompt.length).map(Number);
};

describe('sampling', () => {
  itWith(peers, 'has the tokens of the greedy search of transformers.js', async () => {
    for (const prompt of [[3], [5, 60, 33], [63, 1, 1, 12]]) {
      const theirs = await tokensAfter(prompt, { do_sample: false });
      expect(await tokensAfter(prompt, sampling({ temperature: 0 }))).toEqual(theirs);
    }
    const parameters = { max_new_tokens: 8, ...sampling({ temperature: 0 }) };
    expect(await generator([text(3), text(9)], parameters)).toEqual(
      await generator([text(3), text(9)], { max_new_tokens: 8, do_sample: false }),
    );
  });

  itWith(peers, 'draws the tokens of sample, from logits to which penalize was applied', async () => {
    const filters = { temperature: 0.8, topP: 0.9, seed: 11 };
    const penalties = { frequencyPenalty: 0.7, repetitionPenalty: 1.2 };
    for (const given of [{}, penalties]) {
      const prompt = [4, 9, 2];
      const drawn = await tokensAfter(prompt, sampling({ ...filters, ...given }));
      const ids = [...prompt];
      for (const _ of drawn) {
        const logits = penalize(logitsOf(ids.at(-1)!), [ids], { ...given, promptLength: prompt.length });
        ids.push(sample(logits, { ...filters, step: ids.length })[0]!);
      }
      expect(drawn).toEqual(ids.slice(prompt.length));
    }
  });

  itWith(peers, 'draws from the distribution that filterLogits shows', async () => {
    const filters = { temperature: 3, topP: 0.9, topK: 30 };
    const rows = 4000;
    const inputs = generator.tokenizer(Array<string>(rows).fill(text(7)));
    const tokens: number[] = [];
    const onTokens = (drawn: DrawnRows) => void tokens.push(...Array.from(drawn.tokens));
    await generator.model.generate({ ...inputs, max_new_tokens: 1, ...sampling({ ...filters, seed: 5, onTokens }) });
    const { probabilities } = filterLogits(logitsOf(7), filters);
    const counts = new Float64Array(VOCABULARY);
    for (const token of tokens) counts[token]!++;
    let [chiSquare, classes] = [0, 0];
    probabilities.forEach((p, token) => {
      if (p === 0) expect(counts[token]).toBe(0);
      if (p * rows < 5) return;
      chiSquare += (counts[token]! - p * rows) ** 2 / (p * rows);
      classes++;
    });
    expect(tokens).toHaveLength(rows);
    expect(classes).toBeGreaterThan(5);
    expect(chiSquare).toBeLessThan(classes - 1 + 5 * Math.sqrt(2 * (classes - 1))); // five standard deviations
  });

  itWith(peers, 'begins anew with each call, at the same time too', async () => {
    const parameters = sampling({ temperature: 0.9, seed: 3 });
    const prompts = [[5], [6, 2], [5]];
    const together = await Promise.all(prompts.map((prompt) => tokensAfter(prompt, parameters)));
    for (const [i, prompt] of prompts.entries()) expect(await tokensAfter(prompt, parameters)).toEqual(together[i]);
    expect(together[0]).toEqual(together[2]);
    const random = sampling({ temperature: 1.5 });
    expect(await tokensAfter([5], random)).not.toEqual(await tokensAfter([5], random));
  });

  itWith(peers, 'tells log-probabilities', async () => {
    const steps: DrawnRows[] = [];
    const given = { temperature: 0.7, seed: 1, logProbs: 3, onTokens: (drawn: DrawnRows) => void steps.push(drawn) };
    const drawn = await tokensAfter([8], sampling(given));
    expect(steps.map(({ tokens }) => tokens[0])).toEqual(drawn);
    [8, ...drawn.slice(0, -1)].forEach((before, i) => {
      const expected = logProbs(logitsOf(before), drawn[i]!, { top: 3 });
      expect(steps[i]).toMatchObject({ logProbs: expected.logProbs, ranks: expected.ranks, top: expected.top });
    });
  });

  itWith(peers, 'ends with `stop`, and replaces what the generation config has', async () => {
    const greedy = await tokensAfter([3], { do_sample: false });
    const stop = greedy[4]!;
    const output = await generator.model.generate({
      ...generator.tokenizer(text(3)),
      max_new_tokens: 12,
      ...sampling({ temperature: 0, stop }),
    });
    const ended = output.tolist()[0]!.map(Number);
    expect(ended).toEqual([3, ...greedy.slice(0, greedy.indexOf(stop) + 1)]);

    // Of this model's config transformers.js applies the repetition penalty, and no top-p.
    const tiny = await transformers.pipeline('text-generation', 'tiny', { dtype: 'fp32' });
    const options = { ...fromGenerationConfig(tiny.model.generation_config), seed: 9 };
    expect(options).toMatchObject({ temperature: 3, topP: 0.9, repetitionPenalty: 1.5, stop: [0] });
    const drawn = await tokensAfter([4, 7], sampling(options), tiny);
    const ids = [4, 7];
    for (const _ of drawn) {
      const logits = penalize(logitsOf(ids.at(-1)!), [ids], { repetitionPenalty: 1.5 });
      ids.push(sample(logits, { temperature: 3, topP: 0.9, topK: options.topK, seed: 9, step: ids.length })[0]!);
    }
    expect(drawn).toEqual(ids.slice(2));
  });

  itWith(peers, 'stands in a LogitsProcessorList, and takes processors itself', async () => {
    const { logits_processor } = sampling({ temperature: 0 });
    const list = new transformers.LogitsProcessorList();
    list.push(logits_processor);
    const theirs = await tokensAfter([3], { do_sample: false });
    expect(await tokensAfter([3], { logits_processor: list })).toEqual(theirs);
    const first = theirs[0]!;
    logits_processor.push((_: unknown, logits: Tensor) => {
      logits.data[first] = -Infinity;
      return logits;
    });
    expect(await tokensAfter([3], { logits_processor })).not.toContain(first);
  });
});

describe('filtering', () => {
  itWith(peers, 'leaves the draw to generate()', async () => {
    const kept = filterLogits(logitsOf(7), { temperature: 3, topP: 0.9 }).probabilities;
    const drawn = new Set<number>();
    for (let i = 0; i < 60; i++)
      drawn.add((await tokensAfter([7], { ...filtering({ temperature: 3, topP: 0.9 }), max_new_tokens: 1 }))[0]!);
    for (const token of drawn) expect(kept[token]).toBeGreaterThan(0);
    expect(drawn.size).toBeGreaterThan(1);
  });
});

describe('topLabels', () => {
  itWith(peers, 'has the labels of the pipelines of transformers.js', async () => {
    for (const name of ['classes', 'labels']) {
      const pipeline = await transformers.pipeline('text-classification', name, { dtype: 'fp32' });
      const texts = [text(3), text(4, 8), text(60)];
      const { logits } = await pipeline.model(pipeline.tokenizer(texts, { padding: true }));
      for (const k of [2, 3]) {
        const theirs = (await pipeline(texts, { top_k: k })) as { label: string; score: number }[][];
        const ours = topLabels(logits, { topK: k, config: pipeline.model.config });
        expect(ours.map((labels) => labels.map(({ label }) => label))).toEqual(
          theirs.map((labels) => labels.map(({ label }) => label)),
        );
        ours.flat().forEach(({ score }, i) => expect(score).toBeCloseTo(theirs.flat()[i]!.score, 6));
      }
    }
  });

  it('takes halves, and names classes by their numbers', () => {
    const bits = Uint16Array.of(0x3c00, 0x4000, 0, 0, 0xbc00, 0x3c00); // 1 2 0, 0 -1 1
    const labels = topLabels({ type: 'float16', data: bits, dims: [2, 3] }, { topK: 2 });
    expect(labels.map((row) => row.map(({ label }) => label))).toEqual([
      ['LABEL_1', 'LABEL_0'],
      ['LABEL_2', 'LABEL_0'],
    ]);
    expect(labels[0]![0]!.score).toBe(softmax(Float32Array.of(1, 2, 0))[1]);
    const apart = topLabels({ type: 'float16', data: bits, dims: [2, 3] }, { topK: 1, function: 'sigmoid' });
    expect(apart.map(([first]) => first!.score)).toEqual([2, 1].map((x) => expect.closeTo(1 / (1 + Math.exp(-x)), 14)));
    expect(topLabels({ type: 'float32', data: new Float32Array(0), dims: [0, 3] })).toEqual([]);
  });
});

describe('without the package', () => {
  it('fromGenerationConfig reads what generation_config.json has', () => {
    expect(fromGenerationConfig({})).toEqual({ temperature: 0 });
    const config = { do_sample: true, top_k: 0, min_p: 0.1, eos_token_id: [1, 2], min_new_tokens: 4, top_p: null };
    expect(fromGenerationConfig({ ...config, bad_words_ids: [[1], [5, 6]], suppress_tokens: [8] })).toEqual({
      topK: 0,
      minP: 0.1,
      stop: [1, 2],
      minTokens: 4,
      bannedSequences: [[5, 6]],
      banned: [8],
    });
    expect(() => fromGenerationConfig(null as never)).toThrow(TypeError);
  });

  it('refuses wrong options at once, and other logits when it is called', () => {
    expect(() => sampling({ temprature: 1 } as never)).toThrow(/only .* for options but received 'temprature'/);
    expect(() => sampling({ topP: 2 })).toThrow(RangeError);
    expect(() => sampling({ onTokens: 3 as never })).toThrow(TypeError);
    expect(() => filtering({ minP: -1 })).toThrow(RangeError);
    const { logits_processor: call } = sampling();
    const logits = { dims: [1, 4], data: new Float32Array(4) };
    expect(() => call([[1n], [2n]], logits)).toThrow('Expected 2 rows of 4 logits for logits but received 4 elements');
    expect(() => call([[1n]], { ...logits, data: new Float64Array(4) })).toThrow(TypeError);
    expect(() => call([[9n]], logits)).toThrow(/history/);
    expect(logits.data.every((x) => x === 0)).toBe(true);
  });

  it('goes on from a token that another processor has put in place of the drawn one', () => {
    const { logits_processor: call } = sampling({ temperature: 0, frequencyPenalty: 1 });
    const next = (ids: bigint[][], ...numbers: number[]) => {
      const { data } = call(ids, { dims: [1, 3], data: Float32Array.from(numbers) });
      return data.indexOf(0);
    };
    const ids = [[0n]];
    expect(next(ids, 1, 3, 2)).toBe(1);
    ids[0]!.push(2n);
    expect(next(ids, 1, 2, 2.5)).toBe(1); // the penalty of 2, and none of 1
  });
});
