/** examples/transformers.mjs against the pipeline of @huggingface/transformers or its stand-in, on the same logits. */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { row } from '../support/cases.js';
import { root } from '../support/emulated.js';

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
type Class = new (options: object) => unknown;
interface Adapter {
  adapt(transformers: Transformers): { FlashFilter: Class; FlashSampler: Class };
}
interface Manifest {
  exports: { node: { import: { default: string } } };
}

const folder = path.join(root, 'bench', 'peers', 'node_modules', '@huggingface', 'transformers');
const example = pathToFileURL(path.join(root, 'examples', 'transformers.mjs')).href;

/** The module that stands in for the package, which has 1 GB with its dependencies. */
function packageEntry(): string {
  const manifest = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8')) as Manifest;
  return pathToFileURL(path.join(folder, manifest.exports.node.import.default)).href;
}

// Uses the package itself if bench/peers has it (npm ci in bench/peers); the nightly workflow asks for it.
const wanted = process.env.FLASH_SOFTMAX_PEERS === '1' || existsSync(folder);
const packages: [string, () => string][] = [
  ['a stand-in for @huggingface/transformers', () => new URL('./transformers-stand-in.ts', import.meta.url).href],
  ...(wanted ? [['@huggingface/transformers', packageEntry] as [string, () => string]] : []),
];

describe.each(packages)('the adapter for %s', (_, entry) => {
  const load = async (): Promise<{ transformers: Transformers; adapter: Adapter }> => ({
    transformers: (await import(/* @vite-ignore */ entry())) as Transformers,
    adapter: (await import(/* @vite-ignore */ example)) as Adapter,
  });
  const cols = 5000;
  const ids = [Array.from({ length: 30 }, (_, i) => BigInt((i * 37) % cols))];

  const cases = [
    [1, 1, 0.7],
    [2, 50, 0.7],
    [3, 300, 1.5],
    [4, 50, 1],
  ] as const;
  it('filters as its warpers and its sampler do', async () => {
    const { transformers, adapter } = await load();
    const { FlashFilter } = adapter.adapt(transformers);
    for (const [seed, k, temperature] of cases) {
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

  it('draws as often as its probabilities say', async () => {
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
    const chi2 = counts.reduce((sum, count, i) => sum + (count - n * p[i]!) ** 2 / (n * p[i]!), 0);
    expect(chi2).toBeLessThan(18.5); // 4 degrees of freedom, 0.1 %
  });
});
