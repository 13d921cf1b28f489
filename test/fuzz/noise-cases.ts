/** Cases of operators with noise: gumbelMax, gumbelTopK, softToken, dirichletResample. */
import { placed } from './axis.js';
import type { Maker } from './case.js';
import { isHalf, logitsOf } from './data.js';
import type { Draw } from './draw.js';
import { errorOf } from './judge.js';
import type { AnyArray } from './memory.js';
import { complain } from './row-cases.js';
import { exactRow, softmaxOf } from './row-oracle.js';
import { DISTANCE, distancesOf, faultOfError, flat, rowsOfLogits } from './logits.js';

const noiseOf = (draw: Draw, n: number): Float64Array =>
  Float64Array.from({ length: n }, () => -Math.log(-Math.log(draw.uniform() * 0.999 + 5e-4)));

/** A seed, or given noise for which the right result is known. */
function chanceOf(draw: Draw, n: number) {
  const noise = draw.chance(0.7) ? noiseOf(draw, n) : undefined;
  return { noise, seed: noise ? {} : { seed: draw.word(), step: draw.int(4), firstRow: draw.int(9) } };
}

const gumbelSoftmax: Maker = (draw, limit) => {
  const axis = flat(draw, Math.min(limit, 1500));
  const tau = draw.pick([1, 0.1, 0.5, 3, draw.logUniform(1e-3, 1e3), draw.logUniform(1e-300, 1e308)]);
  const hard = draw.chance(0.2);
  const { noise, seed } = chanceOf(draw, axis.length);
  return {
    text: `gumbelSoftmax(${axis.text}, tau ${tau}${hard ? ', hard' : ''})`,
    elements: axis.length,
    hasPromise: false,
    isSameEverywhere: false,
    expects: 'judged',
    invoke: (api, arena) =>
      api.gumbelSoftmax!(
        arena.input('logits', axis.x),
        arena.options({
          ...placed(arena, axis),
          tau,
          ...(hard && { hard }),
          ...seed,
          ...(noise && { noise: arena.input('noise', noise) }),
        }),
      ),
    outputs: (y: AnyArray) => ({ y }),
    check(outcome, isNative) {
      const fault = faultOfError(axis, outcome);
      if (fault !== undefined || outcome.error) return fault;
      const { y } = outcome.arrays as { y: Float32Array };
      let r = 0;
      for (const distances of distancesOf(axis)) {
        const [from, to] = [r * axis.cols, ++r * axis.cols];
        const row = y.subarray(from, to);
        const sum = row.reduce((a, b) => a + b, 0);
        if (!(Math.abs(sum - 1) < 1e-5)) return `row ${r - 1} sums to ${sum}`;
        const fault = noise && !hard && faultOfSoft(axis.type === 'f64', row, distances, noise.subarray(from, to), tau);
        if (fault) return `${isNative ? 'native' : 'js'} row ${r - 1}, ${fault}`;
      }
      return undefined;
    },
  };
};

function faultOfSoft(
  isDouble: boolean,
  y: Float32Array | Float64Array,
  distances: Float64Array,
  noise: Float64Array,
  tau: number,
): string | undefined {
  const bias = noise.map((g, i) => (distances[i] === -Infinity ? 0 : g / DISTANCE));
  const exact = exactRow({ x: distances, bias, temperature: tau / DISTANCE, precise: true });
  for (let i = 0; i < y.length; i++) {
    const wanted = softmaxOf(exact, i);
    // The sum of distance and noise may be rounded to a double, and so may the largest sum.
    const size = Math.abs(distances[i]! * DISTANCE) + Math.abs(distances[exact.at]! * DISTANCE) + 40;
    const slack = wanted.hi === 0 ? 0 : wanted.hi * ((2 ** -51 * size) / tau); // a part of a subnormal number may be 0
    const error = errorOf(isDouble ? 'f64' : 'f32', y[i]!, wanted, slack);
    if (!(error <= (isDouble ? 2 : 2.6))) return complain(`y[${i}]`, y[i], wanted.hi, error);
  }
  return undefined;
}

/** gumbelMax and gumbelTopK. */
function gumbelTop(isMax: boolean): Maker {
  return (draw, limit) => {
    const axis = flat(draw, Math.min(limit, 1500));
    const temperature = draw.pick([1, 0.7, draw.logUniform(1e-3, 1e3), draw.logUniform(1e-300, 1e308)]);
    const k = isMax ? 1 : draw.pick([1, 2, 5, 1 + draw.int(Math.max(1, axis.cols))]);
    const { noise, seed } = chanceOf(draw, axis.length);
    const enough =
      k <= axis.cols && Array.from(rowsOfLogits(axis)).every(({ z }) => z.filter((x) => x > -Infinity).length >= k);
    return {
      text: `${isMax ? 'gumbelMax' : `gumbelTopK ${k}`}(${axis.text}, T ${temperature})`,
      elements: axis.length,
      hasPromise: false,
      isSameEverywhere: true,
      expects: 'judged',
      invoke(api, arena) {
        const options = arena.options({
          ...placed(arena, axis),
          temperature,
          ...seed,
          ...(noise && { noise: arena.input('noise', noise) }),
        });
        const x = arena.input('logits', axis.x);
        return isMax ? { indices: api.gumbelMax!(x, options) } : api.gumbelTopK!(x, k, options);
      },
      outputs: ({ indices, values }: { indices: AnyArray; values?: AnyArray }) => ({
        indices,
        ...(values && { values }),
      }),
      check(outcome) {
        if (outcome.error) return enough ? faultOfError(axis, outcome) : undefined;
        if (!enough) return 'no error for too few finite logits';
        if (noise === undefined) return undefined;
        let r = 0;
        for (const distances of distancesOf(axis)) {
          const chosen = Array.from({ length: k }, (_, i) => outcome.arrays.indices![r * k + i]!);
          const fault = faultOfOrder(
            distances,
            noise.subarray(r * axis.cols, (r + 1) * axis.cols),
            temperature,
            chosen,
          );
          if (fault !== undefined) return `row ${r}, ${fault}`;
          r++;
        }
        return undefined;
      },
    };
  };
}

/** True if each drawn token is the largest of the remaining ones, as far as doubles can tell. */
function faultOfOrder(
  distances: Float64Array,
  noise: Float64Array,
  temperature: number,
  chosen: readonly number[],
): string | undefined {
  const DEEP = -1e30; // noise is nothing beside it
  const depth = (i: number) => (distances[i]! / temperature) * DISTANCE;
  const isBelow = (a: number, b: number) => {
    const [p, q] = [depth(a), depth(b)];
    if (p < DEEP && q < DEEP) return distances[a]! < distances[b]! * (1 + 2 ** -50);
    return p + noise[a]! < q + noise[b]! - 2 ** -50 * (40 - p - q);
  };
  const left = new Set(distances.keys());
  for (const [i, token] of chosen.entries()) {
    if (!left.delete(token)) return `${i}: ${token} again, or no token`;
    for (const other of left) if (isBelow(token, other)) return `${i}: ${token}, not ${other}`;
  }
  return undefined;
}

const softToken: Maker = (draw, limit) => {
  const axis = flat(draw, Math.min(limit, 1500));
  const topK = draw.pick([1, 5, 30, 200]);
  const k = Math.min(topK, axis.cols);
  const [temperature, topP, tau] = [draw.pick([1, 0.6, 3]), draw.pick([0.95, 1, 0.5, 0]), draw.pick([0.1, 0.5, 1, 10])];
  const isSilent = draw.chance(0.3);
  const noise = noiseOf(draw, axis.outer * k);
  return {
    text: `softToken(${axis.text}, topK ${topK}, T ${temperature}, topP ${topP}, tau ${tau})`,
    elements: axis.length,
    hasPromise: false,
    isSameEverywhere: true,
    expects: 'judged',
    invoke: (api, arena) =>
      api.softToken!(
        arena.input('logits', axis.x),
        arena.options({
          ...placed(arena, axis),
          topK,
          temperature,
          topP,
          tau,
          noise: isSilent ? false : arena.input('noise', noise),
        }),
      ),
    outputs: ({ indices, weights, noised, logProbability, counts }: Record<string, AnyArray>) => ({
      indices: indices!,
      weights: weights!,
      noised: noised!,
      logProbability: logProbability!,
      counts: counts!,
    }),
    check(outcome) {
      const fault = faultOfError(axis, outcome);
      if (fault !== undefined || outcome.error) return fault;
      const { indices, weights, counts } = outcome.arrays as Record<string, AnyArray>;
      for (const [r, { z, unit }] of Array.from(rowsOfLogits(axis)).entries()) {
        const order = Array.from(z.keys())
          .sort((a, b) => (z[a] === z[b] ? a - b : z[b]! - z[a]!))
          .slice(0, k);
        const kept = order.slice(0, counts![r]);
        if (kept.some((token, i) => indices![r * k + i] !== token)) return `row ${r}: other tokens`;
        const w = kept.map((token) => Math.exp((z[token]! - z[order[0]!]!) / (temperature / unit)));
        const sum = w.reduce((a, b) => a + b, 0);
        const noised = w.map((each, i) =>
          isSilent ? each : Math.exp((Math.log(each / sum) + Math.min(3, Math.max(-1.5, noise[r * k + i]!))) / tau),
        );
        const all = noised.reduce((a, b) => a + b, 0);
        const got = Array.from(kept, (_, i) => weights![r * k + i]!);
        if (!(Math.abs(got.reduce((a, b) => a + b, 0) - 1) < 1e-9))
          return `row ${r}: weights sum to ${got.reduce((a, b) => a + b, 0)}`;
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
  const p = logitsOf(
    type,
    Float64Array.from({ length: axis.length }, () => (draw.chance(0.2) ? 0 : size * draw.uniform() ** 4)),
  );
  const alpha = draw.pick([1, 0.01, 100, 1e10, 1e-10, draw.logUniform(1e-3, 1e3)]);
  const { cols } = axis.plain;
  const isSound = Array.from(
    { length: axis.outer },
    (_, r) => p.subarray(r * axis.cols, (r + 1) * axis.cols) as Float64Array,
  ).every((row) => row.some((x) => x > 0) && row.every((x) => x < Infinity));
  const seed = draw.word();
  return {
    text: `dirichletResample(${type} [${axis.outer}, ${axis.cols}] × ${size}, alpha ${alpha})`,
    elements: axis.length,
    hasPromise: false,
    isSameEverywhere: false,
    expects: 'judged',
    invoke: (api, arena) =>
      api.dirichletResample!(arena.input('p', p), arena.options({ ...(cols !== undefined && { cols }), alpha, seed })),
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

export const noiseMakers: Record<string, Maker> = {
  gumbelSoftmax,
  gumbelMax: gumbelTop(true),
  gumbelTopK: gumbelTop(false),
  softToken,
  dirichletResample,
};
