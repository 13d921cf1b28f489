/** examples/transformers.mjs against the pipeline of @huggingface/transformers itself, on the same logits. */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect } from 'vitest';
import { row } from '../cases.js';
import { root } from '../setup/emulated.js';
import { itWith } from '../tools.js';

interface Tensor {
  data: Float32Array;
  dims: number[];
}
type Processor = (ids: bigint[][], logits: Tensor) => Tensor;
interface Transformers {
  Tensor: new (type: string, data: Float32Array, dims: number[]) => Tensor;
  LogitsProcessorList: new () => Processor & { push(processor: unknown): void };
  TemperatureLogitsWarper: new (temperature: number) => unknown;
  RepetitionPenaltyLogitsProcessor: new (penalty: number) => unknown;
  topk(x: Tensor, k: number): Promise<[Tensor, { data: BigInt64Array }]>;
  softmax(x: Float32Array): Float32Array;
}
interface Adapter {
  adapt(transformers: Transformers): { FlashFilter: new (options: object) => unknown; FlashSampler: new (options: object) => unknown };
}

const folder = path.join(root, 'bench/peers/node_modules/@huggingface/transformers');
const installed = { name: '@huggingface/transformers (npm ci in bench/peers)', available: existsSync(path.join(folder, 'package.json')), path: folder };

async function load(): Promise<{ transformers: Transformers; adapter: Adapter }> {
  const manifest = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8')) as { exports: { node: { import: { default: string } } } };
  const entry = pathToFileURL(path.join(folder, manifest.exports.node.import.default)).href;
  const example = pathToFileURL(path.join(root, 'examples/transformers.mjs')).href;
  return { transformers: (await import(/* @vite-ignore */ entry)) as Transformers, adapter: (await import(/* @vite-ignore */ example)) as Adapter };
}

describe('the adapter for @huggingface/transformers', () => {
  const cols = 5000;
  const ids = [Array.from({ length: 30 }, (_, i) => BigInt((i * 37) % cols))];

  itWith(installed, 'filters as its warpers and its sampler do', async () => {
    const { transformers, adapter } = await load();
    const { FlashFilter } = adapter.adapt(transformers);
    for (const [seed, k, temperature] of [[1, 1, 0.7], [2, 50, 0.7], [3, 300, 1.5], [4, 50, 1]] as const) {
      const tensor = () => new transformers.Tensor('float32', row('f32', 'N(0,8)', cols, seed), [1, cols]);
      const theirs = new transformers.LogitsProcessorList();
      theirs.push(new transformers.RepetitionPenaltyLogitsProcessor(1.2));
      theirs.push(new transformers.TemperatureLogitsWarper(temperature));
      const [values, indices] = await transformers.topk(theirs(ids, tensor()), k);
      const probabilities = transformers.softmax(values.data);

      const ours = new transformers.LogitsProcessorList();
      ours.push(new FlashFilter({ temperature, topK: k, penalties: { repetitionPenalty: 1.2 } }));
      const { data } = ours(ids, tensor());
      const kept = [...data.keys()].filter((i) => data[i]! > -Infinity);
      expect(kept).toEqual([...indices.data].map(Number).sort((a, b) => a - b));
      const sum = kept.reduce((all, i) => all + Math.exp(data[i]! - values.data[0]!), 0);
      [...indices.data].forEach((index, i) => {
        expect(Math.abs(data[Number(index)]! / values.data[i]! - 1)).toBeLessThan(1e-6);
        expect(Math.exp(data[Number(index)]! - values.data[0]!) / sum).toBeCloseTo(probabilities[i]!, 5);
      });
    }
  });

  itWith(installed, 'draws as often as its probabilities say', async () => {
    const { transformers, adapter } = await load();
    const { FlashSampler } = adapter.adapt(transformers);
    const logits = Float32Array.of(1, 0, 2, -1, 0.5);
    const list = new transformers.LogitsProcessorList();
    list.push(new transformers.TemperatureLogitsWarper(0.8));
    const p = transformers.softmax(list([[]], new transformers.Tensor('float32', logits.slice(), [1, 5])).data);
    const sampler = new transformers.LogitsProcessorList();
    sampler.push(new FlashSampler({ temperature: 0.8, seed: 11 }));
    const counts = new Float64Array(5);
    const n = 5000;
    for (let step = 0; step < n; step++) {
      const { data } = sampler([[]], new transformers.Tensor('float32', logits.slice(), [1, 5]));
      expect([...data].filter((each) => each === 0)).toHaveLength(1);
      counts[data.indexOf(0)]!++;
    }
    expect(counts.reduce((sum, count, i) => sum + (count - n * p[i]!) ** 2 / (n * p[i]!), 0)).toBeLessThan(18.5); // χ², 4 degrees, 0.1 %
  });
});
