/** Cases of what draws with noise, and of penalties: gumbel*, softToken, dirichletResample, penalize, Sampler. */
import { placed, type Axis } from './axis.js';
import type { Maker } from './case.js';
import { isHalf, logitsOf, numbersOf } from './data.js';
import type { Draw } from './draw.js';
import { errorOf } from './judge.js';
import type { AnyArray } from './memory.js';
import { complain } from './row-cases.js';
import { exactRow, softmaxOf } from './row-oracle.js';
import { faultOfError, filtersOf, flat, rowsOfLogits } from './sampling-cases.js';

const noiseOf = (draw: Draw, n: number): Float64Array => Float64Array.from({ length: n }, () => -Math.log(-Math.log(draw.uniform() * 0.999 + 5e-4)));

/** A seed, or noise of one's own, of which the right result is known. */
function chanceOf(draw: Draw, n: number) {
  const noise = draw.chance(0.7) ? noiseOf(draw, n) : undefined;
  return { noise, seed: noise ? {} : { seed: draw.word(), step: draw.int(4), firstRow: draw.int(9) } };
}

const gumbelSoftmax: Maker = (draw, limit) => {
  const axis = flat(draw, Math.min(limit, 1500));
  const tau = draw.pick([1, 0.1, 0.5, 3, draw.logUniform(1e-3, 1e3)]);
  const hard = draw.chance(0.2);
  const { noise, seed } = chanceOf(draw, axis.length);
  return {
    text: `gumbelSoftmax(${axis.text}, tau ${tau}${hard ? ', hard' : ''})`, elements: axis.length, hasPromise: false, isSameEverywhere: false, expects: 'judged',
    invoke: (api, arena) => api.gumbelSoftmax!(arena.input('logits', axis.x), arena.options({ ...placed(arena, axis), tau, ...(hard && { hard }), ...seed, ...(noise && { noise: arena.input('noise', noise) }) })),
    outputs: (y: AnyArray) => ({ y }),
    check(outcome, isNative) {
      const fault = faultOfError(axis, outcome);
      if (fault !== undefined || outcome.error) return fault;
      const { y } = outcome.arrays as { y: Float32Array };
      const rows = Array.from(rowsOfLogits(axis));
      for (const [r, z] of rows.entries()) {
        const row = y.subarray(r * axis.cols, (r + 1) * axis.cols);
        const sum = row.reduce((a, b) => a + b, 0);
        if (!(Math.abs(sum - 1) < 1e-5)) return `row ${r} sums to ${sum}`;
        if (noise && !hard) return faultOfSoft(axis, row, z, noise.subarray(r * axis.cols, (r + 1) * axis.cols), tau, isNative);
      }
      return undefined;
    },
  };
};

function faultOfSoft(axis: Axis, y: Float32Array | Float64Array, z: Float64Array, noise: Float64Array, tau: number, isNative: boolean): string | undefined {
  const isDouble = axis.type === 'f64';
  const exact = exactRow({ x: z, bias: noise.map((g, i) => (z[i] === -Infinity ? 0 : g)), temperature: tau, precise: true });
  for (let i = 0; i < z.length; i++) {
    const wanted = softmaxOf(exact, i);
    // The sum of logit and noise may be a double.
    const slack = (wanted.hi * 2 ** -52 * 2 * (Math.abs(z[i]!) + Math.abs(exact.top.hi * tau) + 40)) / tau;
    const error = errorOf(isDouble ? 'f64' : 'f32', y[i]!, wanted, z[i] === -Infinity ? 0 : slack);
    if (!(error <= (isDouble ? 2 : 2.6))) return complain(`${isNative ? 'native' : 'js'} y[${i}]`, y[i], wanted.hi, error);
  }
  return undefined;
}

/** gumbelMax and gumbelTopK. */
function gumbelTop(isMax: boolean): Maker {
  return (draw, limit) => {
    const axis = flat(draw, Math.min(limit, 1500));
    const temperature = draw.pick([1, 0.7, draw.logUniform(1e-3, 1e3)]);
    const k = isMax ? 1 : draw.pick([1, 2, 5, 1 + draw.int(Math.max(1, axis.cols))]);
    const { noise, seed } = chanceOf(draw, axis.length);
    const enough = Array.from(rowsOfLogits(axis)).every((z) => z.filter((x) => x > -Infinity).length >= k);
    return {
      text: `${isMax ? 'gumbelMax' : `gumbelTopK ${k}`}(${axis.text}, T ${temperature})`, elements: axis.length, hasPromise: false, isSameEverywhere: true, expects: 'judged',
      invoke(api, arena) {
        const options = arena.options({ ...placed(arena, axis), temperature, ...seed, ...(noise && { noise: arena.input('noise', noise) }) });
        const x = arena.input('logits', axis.x);
        return isMax ? { indices: api.gumbelMax!(x, options) } : api.gumbelTopK!(x, k, options);
      },
      outputs: ({ indices, values }: { indices: AnyArray; values?: AnyArray }) => ({ indices, ...(values && { values }) }),
      check(outcome) {
        if (outcome.error) return enough ? faultOfError(axis, outcome) : undefined;
        if (!enough) return 'no error for too few finite logits';
        if (noise === undefined) return undefined;
        for (const [r, z] of Array.from(rowsOfLogits(axis)).entries()) {
          const perturbed = z.map((x, i) => (x === -Infinity ? x : x / temperature + noise[r * axis.cols + i]!));
          const order = Array.from(z.keys()).sort((a, b) => (perturbed[a] === perturbed[b] ? a - b : perturbed[b]! - perturbed[a]!));
          for (let i = 0; i < k; i++) if (outcome.arrays.indices![r * k + i] !== order[i]) return `row ${r}, ${i}: ${outcome.arrays.indices![r * k + i]}, not ${order[i]}`;
        }
        return undefined;
      },
    };
  };
}

const softToken: Maker = (draw, limit) => {
  const axis = flat(draw, Math.min(limit, 1500));
  const topK = draw.pick([1, 5, 30, 200]);
  const k = Math.min(topK, axis.cols);
  const [temperature, topP, tau] = [draw.pick([1, 0.6, 3]), draw.pick([0.95, 1, 0.5, 0]), draw.pick([0.1, 0.5, 1, 10])];
  const isSilent = draw.chance(0.3);
  const noise = noiseOf(draw, axis.outer * k);
  return {
    text: `softToken(${axis.text}, topK ${topK}, T ${temperature}, topP ${topP}, tau ${tau})`, elements: axis.length, hasPromise: false, isSameEverywhere: true, expects: 'judged',
    invoke: (api, arena) => api.softToken!(arena.input('logits', axis.x), arena.options({ ...placed(arena, axis), topK, temperature, topP, tau, noise: isSilent ? false : arena.input('noise', noise) })),
    outputs: ({ indices, weights, noised, logProbability, counts }: Record<string, AnyArray>) => ({ indices: indices!, weights: weights!, noised: noised!, logProbability: logProbability!, counts: counts! }),
    check(outcome) {
      const fault = faultOfError(axis, outcome);
      if (fault !== undefined || outcome.error) return fault;
      const { indices, weights, counts } = outcome.arrays as Record<string, AnyArray>;
      for (const [r, z] of Array.from(rowsOfLogits(axis)).entries()) {
        const order = Array.from(z.keys()).sort((a, b) => (z[a] === z[b] ? a - b : z[b]! - z[a]!)).slice(0, k);
        const kept = order.slice(0, counts![r]);
        if (kept.some((token, i) => indices![r * k + i] !== token)) return `row ${r}: other tokens`;
        const w = kept.map((token) => Math.exp((z[token]! - z[order[0]!]!) / temperature));
        const sum = w.reduce((a, b) => a + b, 0);
        const noised = w.map((each, i) => (isSilent ? each : Math.exp((Math.log(each / sum) + Math.min(3, Math.max(-1.5, noise[r * k + i]!))) / tau)));
        const all = noised.reduce((a, b) => a + b, 0);
        const got = Array.from(kept, (_, i) => weights![r * k + i]!);
        if (!(Math.abs(got.reduce((a, b) => a + b, 0) - 1) < 1e-9)) return `row ${r}: weights sum to ${got.reduce((a, b) => a + b, 0)}`;
        const wrong = got.findIndex((weight, i) => all > 1e-250 && Math.abs(weight - noised[i]! / all) > 1e-9);
        if (wrong >= 0) return `row ${r}: weight ${wrong} is ${got[wrong]}, not ${noised[wrong]! / all}`;
      }
      return undefined;
    },
  };
};

const dirichletResample: Maker = (draw, limit) => {
  const axis = flat(draw, Math.min(limit, 800));
  const type = isHalf(axis.type) ? 'f32' : axis.type;
  const size = draw.pick([1, 1, 1, 1e-300, 1e-30, 5e-324, 1e30, 1e300]);
  const p = logitsOf(type, Float64Array.from({ length: axis.length }, () => (draw.chance(0.2) ? 0 : size * draw.uniform() ** 4)));
  const alpha = draw.pick([1, 0.01, 100, 1e10, 1e-10, draw.logUniform(1e-3, 1e3)]);
  const { cols } = axis.plain;
  const isSound = Array.from({ length: axis.outer }, (_, r) => p.subarray(r * axis.cols, (r + 1) * axis.cols) as Float64Array).every((row) => row.some((x) => x > 0) && row.every((x) => x < Infinity));
  const seed = draw.word();
  return {
    text: `dirichletResample(${type} [${axis.outer}, ${axis.cols}] × ${size}, alpha ${alpha})`, elements: axis.length, hasPromise: false, isSameEverywhere: false, expects: 'judged',
    invoke: (api, arena) => api.dirichletResample!(arena.input('p', p), arena.options({ ...(cols !== undefined && { cols }), alpha, seed })),
    outputs: (y: AnyArray) => ({ y }),
    check({ arrays, error }) {
      const isOrdinary = size === 1 && alpha >= 0.01 && alpha <= 1e10;
      if (error) return isSound && isOrdinary ? error.message : undefined;
      if (!isSound && axis.length > 0) return 'no error for a row without a positive probability';
      for (let r = 0; r < axis.outer; r++) {
        const row = (arrays.y as Float64Array).subarray(r * axis.cols, (r + 1) * axis.cols);
        const sum = row.reduce((a, b) => a + b, 0);
        if (axis.cols > 0 && !(Math.abs(sum - 1) < 1e-5)) return `row ${r} sums to ${sum}`;
        const wrong = row.findIndex((y, i) => p[r * axis.cols + i] === 0 && y !== 0);
        if (wrong >= 0) return `row ${r}: ${row[wrong]} for a probability of 0`;
      }
      return undefined;
    },
  };
};

/** Penalties in doubles, rounded at the end. */
function penalized(z: readonly number[], history: readonly number[], o: Record<string, unknown>): number[] {
  const [row, { logitBias, repetitionPenalty: r, frequencyPenalty: f, presencePenalty: q, penaltyWindow, banned, forced }] = [z.slice(), o as Record<string, number> & { logitBias: [number, number][]; banned: number[]; forced?: number[] }];
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
    logitBias: draw.chance(0.3) ? tokens(3).map((token) => [token, draw.pick([-Infinity, 5, -5, draw.normal()])] as [number, number]) : [],
    repetitionPenalty: draw.pick([1, 1.1, 0.5]), frequencyPenalty: draw.pick([0, 0.5]), presencePenalty: draw.pick([0, -0.25]),
    penaltyWindow: draw.pick([1000, 5, 0]), banned: draw.chance(0.3) ? tokens(3) : [], ...(draw.chance(0.15) && { forced: tokens(4) }),
  };
}

const penalize: Maker = (draw, limit) => {
  const [rows, cols] = [draw.pick([1, 1, 3]), draw.pick([1, 7, 64, 300].filter((n) => n <= limit || n === 1))];
  const type = draw.pick(['f32', 'f64'] as const);
  const values = numbersOf(draw, type, rows * cols, draw.pick(['N(0,8)', 'integers', '−∞ between', 'zeros', 'subnormal']));
  const options = penaltyOptions(draw, cols);
  const histories = Array.from({ length: rows }, () => Array.from({ length: draw.int(40) }, () => draw.int(cols)));
  const way = draw.pick(['new', 'apart', 'in place'] as const);
  return {
    text: `penalize(${type} [${rows}, ${cols}], ${JSON.stringify(options)}) ${way}`, elements: rows * cols, hasPromise: false, isSameEverywhere: true, expects: 'value',
    invoke(api, arena) {
      const x = way === 'in place' ? arena.inOut('logits', logitsOf(type, values)) : arena.input('logits', logitsOf(type, values));
      const out = way === 'in place' ? { out: x } : way === 'apart' ? { out: arena.output('out', x, x.length) } : {};
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

/** A sampler that is saved and restored half way draws what one does that is not, and what sample and penalize say. */
const sampler: Maker = (draw, limit) => {
  const cols = draw.pick([2, 7, 64, 65, 300].filter((n) => n <= limit || n === 2));
  const type = draw.pick(['f32', 'f64'] as const);
  const rows = Array.from({ length: 6 }, () => logitsOf(type, numbersOf(draw, type, cols, draw.pick(['N(0,8)', 'N(0,1)', 'integers', 'zeros']))));
  const { forced: _, ...penalties } = penaltyOptions(draw, cols);
  const { temperature, ...filters } = filtersOf(draw, cols);
  const options = { ...penalties, banned: [], logitBias: [], ...filters, temperature: temperature > 0.01 && temperature < 100 ? temperature : 1, seed: draw.word() };
  const prompt = Array.from({ length: draw.int(20) }, () => draw.int(cols));
  return {
    text: `Sampler(${cols} tokens, ${JSON.stringify(options)})`, elements: rows.length * cols, hasPromise: false, isSameEverywhere: true, expects: 'value',
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

export const noiseMakers: Record<string, Maker> = { gumbelSoftmax, gumbelMax: gumbelTop(true), gumbelTopK: gumbelTop(false), softToken, dirichletResample, penalize, Sampler: sampler };
