/** Cases of penalize and Sampler. */
import type { Maker } from './case.js';
import { logitsOf, numbersOf } from './data.js';
import type { Draw } from './draw.js';
import type { AnyArray } from './memory.js';
import { filtersOf } from './sampling-cases.js';

/** Penalties in doubles, rounded at the end. */
function penalized(z: readonly number[], history: readonly number[], o: Record<string, unknown>): number[] {
  const [
    row,
    { logitBias, repetitionPenalty: r, frequencyPenalty: f, presencePenalty: q, penaltyWindow, banned, forced },
  ] = [z.slice(), o as Record<string, number> & { logitBias: [number, number][]; banned: number[]; forced?: number[] }];
  for (const [token, bias] of logitBias) row[token]! += bias;
  const window = history.slice(Math.max(0, history.length - penaltyWindow!));
  for (const token of new Set(window)) {
    const x = row[token]!;
    row[token] = (x > 0 ? x / r! : x * r!) - window.filter((each) => each === token).length * f! - q!;
  }
  for (const token of banned) row[token] = -Infinity;
  return forced === undefined ? row : row.map((x, token) => (forced.includes(token) ? x : -Infinity));
}

function penaltyOptions(draw: Draw, cols: number) {
  const tokens = (n: number) => Array.from({ length: n }, () => draw.int(cols));
  return {
    logitBias: draw.chance(0.3)
      ? tokens(3).map((token) => [token, draw.pick([-Infinity, 5, -5, draw.normal()])] as [number, number])
      : [],
    repetitionPenalty: draw.pick([1, 1.1, 0.5]),
    frequencyPenalty: draw.pick([0, 0.5]),
    presencePenalty: draw.pick([0, -0.25]),
    penaltyWindow: draw.pick([1000, 5, 0]),
    banned: draw.chance(0.3) ? tokens(3) : [],
    ...(draw.chance(0.15) && { forced: tokens(4) }),
  };
}

const penalize: Maker = (draw, limit) => {
  const [rows, cols] = [draw.pick([1, 1, 3]), draw.pick([1, 7, 64, 300].filter((n) => n <= limit || n === 1))];
  const type = draw.pick(['f32', 'f64'] as const);
  const values = numbersOf(
    draw,
    type,
    rows * cols,
    draw.pick(['N(0,8)', 'integers', '−∞ between', 'zeros', 'subnormal']),
  );
  const options = penaltyOptions(draw, cols);
  const histories = Array.from({ length: rows }, () => Array.from({ length: draw.int(40) }, () => draw.int(cols)));
  const way = draw.pick(['new', 'apart', 'in place'] as const);
  return {
    text: `penalize(${type} [${rows}, ${cols}], ${JSON.stringify(options)}) ${way}`,
    elements: rows * cols,
    hasPromise: false,
    isSameEverywhere: true,
    expects: 'value',
    invoke(api, arena) {
      const x =
        way === 'in place'
          ? arena.inOut('logits', logitsOf(type, values))
          : arena.input('logits', logitsOf(type, values));
      const out =
        way === 'in place'
          ? { out: x }
          : way === 'apart'
            ? { out: arena.output('out', logitsOf(type, values), values.length) }
            : {};
      return api.penalize!(x, rows === 1 ? histories[0]! : histories, arena.options({ ...options, cols, ...out }));
    },
    outputs: (y: AnyArray) => ({ y }),
    check({ arrays }) {
      for (let r = 0; r < rows; r++) {
        const wanted = penalized(Array.from(values.subarray(r * cols, (r + 1) * cols)), histories[r]!, options);
        for (const [i, x] of wanted.entries()) {
          const got = arrays.y![r * cols + i]!;
          const slack = (type === 'f64' ? 2 ** -50 : 2 ** -21) * (Math.abs(values[r * cols + i]!) + 40);
          if (got !== x && !(Math.abs(got - x) <= slack)) return `row ${r}, ${i}: ${got}, not ${x}`;
        }
      }
      return undefined;
    },
  };
};

interface SamplerLike {
  accept(tokens: readonly number[]): SamplerLike;
  next(logits: AnyArray): number;
  save(): object;
  restore(state: object): SamplerLike;
  readonly history: readonly number[];
}

/** A sampler that is saved and restored half way draws as one that is not, and as sample and penalize do. */
const sampler: Maker = (draw, limit) => {
  const cols = draw.pick([2, 7, 64, 65, 300].filter((n) => n <= limit || n === 2));
  const type = draw.pick(['f32', 'f64'] as const);
  const rows = Array.from({ length: 6 }, () =>
    logitsOf(type, numbersOf(draw, type, cols, draw.pick(['N(0,8)', 'N(0,1)', 'integers', 'zeros']))),
  );
  const { forced: _, ...penalties } = penaltyOptions(draw, cols);
  const { temperature, ...filters } = filtersOf(draw, cols);
  const options = {
    ...penalties,
    banned: [],
    logitBias: [],
    ...filters,
    temperature: temperature > 0.01 && temperature < 100 ? temperature : 1,
    seed: draw.word(),
  };
  const prompt = Array.from({ length: draw.int(20) }, () => draw.int(cols));
  return {
    text: `Sampler(${cols} tokens, ${JSON.stringify(options)})`,
    elements: rows.length * cols,
    hasPromise: false,
    isSameEverywhere: true,
    expects: 'value',
    invoke(api, arena) {
      const Kind = api.Sampler as unknown as new (options: object) => SamplerLike;
      const [one, other] = [new Kind(arena.options(options)).accept(prompt), new Kind({ ...options, seed: 1 })];
      const drawn: number[] = [];
      const again: number[] = [];
      const { repetitionPenalty, frequencyPenalty, presencePenalty, penaltyWindow, seed, ...filtering } = options;
      rows.forEach((row, step) => {
        const x = arena.input('logits', row);
        const history = one.history.slice();
        const z = api.penalize!(x, history, { repetitionPenalty, frequencyPenalty, presencePenalty, penaltyWindow });
        const { banned: __, logitBias: ___, ...only } = filtering;
        again.push((api.sample!(z, { ...only, seed, step }) as Uint32Array)[0]!);
        if (step === 3) other.restore(JSON.parse(JSON.stringify(one.save())) as object);
        drawn.push(one.next(x));
        if (step >= 3) again.push(other.next(x));
      });
      return { drawn: Int32Array.from(drawn), again: Int32Array.from(again) };
    },
    outputs: (all: Record<string, AnyArray>) => all,
    check({ arrays: { drawn, again } }) {
      const wanted = Array.from(drawn!).flatMap((token, step) => (step >= 3 ? [token, token] : [token]));
      return String(wanted) === String(Array.from(again!)) ? undefined : `drawn ${drawn}, otherwise ${again}`;
    },
  };
};

export const penaltyMakers: Record<string, Maker> = { penalize, Sampler: sampler };
