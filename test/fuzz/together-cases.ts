/** Cases of sampleAll and sampleNext: samplers that draw together, as calls and as promises. */
import { chain, type Api, type Maker } from './case.js';
import { logitsOf, numbersOf } from './data.js';
import type { Draw } from './draw.js';
import type { AnyArray } from './memory.js';
import { filtersOf } from './sampling-cases.js';

interface SamplerLike {
  accept(tokens: readonly number[], options?: object): SamplerLike;
  next(logits: AnyArray): number;
  save(): object;
}
interface SamplerKind {
  new (options: object): SamplerLike;
  sampleAll(samplers: readonly SamplerLike[], logits: AnyArray, options: object): unknown;
}

/** Tokens, or an empty list for an error; as a promise if the call returns one. */
function attempt(call: () => unknown): unknown {
  const tokensOf = (drawn: unknown) => (typeof drawn === 'number' ? [drawn] : Array.from(drawn as Uint32Array));
  try {
    const drawn = call();
    return drawn instanceof Promise ? drawn.then(tokensOf, () => []) : tokensOf(drawn);
  } catch {
    return [];
  }
}

const drawAll = (api: Api, all: readonly SamplerLike[], logits: AnyArray, options: object): unknown =>
  api.sampleAll
    ? api.sampleAll(all, logits, options)
    : (api.Sampler as unknown as SamplerKind).sampleAll(all, logits, options);

const drawNext = (api: Api, [one]: readonly SamplerLike[], logits: AnyArray, options: object): unknown =>
  api.sampleNext ? api.sampleNext(one, logits, options) : one!.next(logits);

/** Penalties and filters; sometimes filters that the kernel of samplers lacks. */
function samplerOptions(draw: Draw, cols: number): Record<string, unknown> {
  const { temperature, ...filters } = filtersOf(draw, cols);
  return {
    ...filters,
    temperature: temperature === 0 || (temperature > 0.01 && temperature < 100) ? temperature : 1,
    repetitionPenalty: draw.pick([1, 1.1, 0.5]),
    frequencyPenalty: draw.pick([0, 0.5]),
    presencePenalty: draw.pick([0, -0.25]),
    penaltyWindow: draw.pick([1000, 5, 0]),
    logitBias: draw.chance(0.3) ? [[draw.int(cols), draw.normal()]] : [],
    ...(draw.chance(0.2) && { topNSigma: 3 }),
    // Among a few tokens it would ban all.
    ...(cols >= 64 && draw.chance(0.1) && { noRepeatNgram: 3 }),
    seed: draw.word(),
  };
}

const STEPS = 3;

/** Samplers draw what each draws alone. If a row has a NaN, the call fails, and no sampler has changed. */
const together =
  (name: 'sampleAll' | 'sampleNext'): Maker =>
  (draw, limit) => {
    const n = name === 'sampleNext' ? 1 : draw.pick([1, 2, 5]);
    const cols = draw.pick([2, 7, 64, 65, 300].filter((size) => size <= limit || size === 2));
    const type = draw.pick(['f32', 'f64'] as const);
    const rows = Array.from({ length: STEPS }, () =>
      logitsOf(type, numbersOf(draw, type, n * cols, draw.pick(['N(0,8)', 'N(0,1)', 'integers', 'zeros']))),
    );
    const bad = rows.map(() => draw.chance(0.15));
    for (const [step, row] of rows.entries()) if (bad[step]) row[draw.int(row.length)] = NaN;
    const options = Array.from({ length: n }, () => samplerOptions(draw, cols));
    const prompt = Array.from({ length: draw.int(20) }, () => draw.int(cols));
    const call = name === 'sampleAll' ? drawAll : drawNext;
    return {
      text: `${name}(${n} × ${cols} tokens, ${JSON.stringify(options)}, NaN in ${JSON.stringify(bad)})`,
      elements: n * cols * STEPS,
      hasPromise: true,
      isSameEverywhere: true,
      expects: 'value',
      invoke(api, arena) {
        const Kind = api.Sampler as unknown as SamplerKind;
        const make = () => options.map((each) => new Kind({ ...each }).accept(prompt, { prompt: true }));
        const [all, alone] = [make(), make()];
        const state = () => JSON.stringify(all.map((each) => each.save()));
        const [drawn, wanted, changed]: [number[], number[], number[]] = [[], [], []];
        const from = (step: number): unknown => {
          if (step === STEPS) {
            const [own, others] = [drawn, wanted].map((tokens) => Int32Array.from(tokens));
            return { drawn: own, wanted: others, changed: Int32Array.from(changed) };
          }
          const [before, row] = [state(), rows[step]!];
          const given = arena.options(name === 'sampleAll' ? { cols } : {});
          return chain([attempt(() => call(api, all, arena.input('logits', row), given))], ([tokens]) => {
            drawn.push(...(tokens as number[]));
            if (bad[step]) changed.push(Number(state() !== before));
            else alone.forEach((each, r) => wanted.push(each.next(row.slice(r * cols, (r + 1) * cols))));
            return from(step + 1);
          });
        };
        return from(0);
      },
      outputs: (all: Record<string, AnyArray>) => all,
      check({ arrays: { drawn, wanted, changed } }) {
        if (changed!.some((each) => each !== 0)) return 'a sampler has changed by a call that failed';
        return String(drawn) === String(wanted) ? undefined : `drawn ${drawn}, alone ${wanted}`;
      },
    };
  };

export const togetherMakers: Record<string, Maker> = {
  sampleAll: together('sampleAll'),
  sampleNext: together('sampleNext'),
};
