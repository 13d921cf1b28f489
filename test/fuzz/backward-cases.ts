/** Cases of attentionBackward, on the exact results of attention. */
import { attentionOracle, elementAt } from '../attention/attention-oracle.js';
import { backwardOracle, boundOf, type Given, type Sums } from '../attention/backward-oracle.js';
import { dense } from './attention-cases.js';
import { numbers, optionsOf, workOf, type Setup } from './attention-setup.js';
import type { Options } from './axis.js';
import type { Maker } from './case.js';
import type { AnyArray, Arena } from './memory.js';

type Name = 'dq' | 'dk' | 'dv' | 'dBias' | 'dSinks';
type Gradients = Record<Name, AnyArray | null>;

/** Where each gradient goes: undefined, null, true or 'given', an array of the caller. */
type Targets = Partial<Record<Name, null | boolean | 'given'>>;

/** Places of an array in the layout of the call, for a gradient in the order [sequence, head, position, number]. */
const placesOf = (s: Setup, heads: number, positions: number, dim: number) => (i: number) => {
  const row = Math.floor(i / dim);
  const place = [Math.floor(row / (heads * positions)), Math.floor(row / positions) % heads, row % positions] as const;
  return elementAt(s.isPositionsFirst, [...place, i % dim], [heads, positions, dim]);
};

/** The fault of one gradient. */
function faultOfSums(name: string, got: AnyArray, exact: Sums, bound: number, placeOf: (i: number) => number) {
  for (let i = 0; i < exact.sum.length; i++) {
    const [x, sum] = [got[placeOf(i)]!, exact.sum[i]!];
    if (x === sum || !(Math.abs(sum) < Infinity)) continue; // nothing is promised beside NaN and infinity
    const allowed = bound * exact.scale[i]! + 2 ** -24 * Math.abs(sum) + 1e-35;
    if (Math.abs(x - sum) <= allowed || !(exact.scale[i]! < Infinity)) continue;
    const times = (Math.abs(x - sum) / allowed).toPrecision(3);
    return `${name}[${placeOf(i)}] is ${x}, not ${sum}: off by ${times} of the bound`;
  }
  return undefined;
}

const attentionBackward: Maker = (draw, limit) => {
  const { s, k, v, sizes, exact } = dense(draw, limit, false);
  const keys = s.keys[0]!;
  const rows = s.batch * s.heads * s.queries;
  const place = (b: number, head: number, m: number, d: number) =>
    elementAt(s.isPositionsFirst, [b, head, m, d], [s.heads, s.queries, s.valueDim]);
  const dOut = numbers(draw, rows * s.valueDim);
  const out = new Float32Array(rows * s.valueDim);
  const lse = new Float64Array(rows);
  attentionOracle(exact).forEach((row, i) => {
    lse[i] = row.lse;
    out.set(
      row.out,
      place(Math.floor(i / (s.heads * s.queries)), Math.floor(i / s.queries) % s.heads, i % s.queries, 0),
    );
  });
  const given: Given = {
    dOut: (b, head, m, d) => dOut[place(b, head, m, d)]!,
    out: (b, head, m, d) => out[place(b, head, m, d)]!,
    lse: (b, head, m) => lse[(b * s.heads + head) * s.queries + m]!,
  };
  const target = () => draw.pick([undefined, undefined, undefined, null, false, true, 'given', 'given'] as const);
  const all: Targets = { dq: target(), dk: target(), dv: target(), dBias: target(), dSinks: target() };
  const targets = Object.fromEntries(
    Object.entries(all).filter(
      ([name, value]) => value !== undefined && (s.bias || name !== 'dBias') && (s.sinks || name !== 'dSinks'),
    ),
  ) as Targets;
  const lengths = {
    ...{ dq: s.q.length, dk: k.length, dv: v.length },
    ...{ dBias: s.bias?.length ?? 0, dSinks: s.heads },
  };
  const targetsIn = (arena: Arena): Options =>
    Object.fromEntries(
      Object.entries(targets).map(([name, value]) => [
        name,
        value === 'given' ? arena.output(name, new Float32Array(0), lengths[name as Name]) : value,
      ]),
    );
  return {
    text: `attentionBackward(${s.text}, ${JSON.stringify(targets)})`,
    elements: workOf(s),
    hasPromise: true,
    isSameEverywhere: false,
    expects: 'value',
    invoke: (api, arena) =>
      api.attentionBackward!(
        arena.input('q', s.q),
        arena.input('k', k),
        arena.input('v', v),
        arena.input('dOut', dOut),
        arena.options({
          ...optionsOf(arena, s, sizes),
          ...(s.sinks && { sinks: arena.input('sinks', s.sinks) }),
          ...{ out: arena.input('out', out), lse: arena.input('lse', lse) },
          ...targetsIn(arena),
        }),
      ),
    outputs: (result: Gradients) =>
      Object.fromEntries(Object.entries(result).filter(([, array]) => array !== null)) as Record<string, AnyArray>,
    check({ arrays }, isNative) {
      const gradients = backwardOracle(exact, given);
      const bound = boundOf(exact, gradients, isNative);
      const places = {
        dq: placesOf(s, s.heads, s.queries, s.headDim),
        dk: placesOf(s, s.kvHeads, keys, s.headDim),
        dv: placesOf(s, s.kvHeads, keys, s.valueDim),
        dBias: (i: number) => i,
        dSinks: (i: number) => i,
      };
      for (const [name, placeOf] of Object.entries(places)) {
        const sums = gradients[name === 'dBias' ? 'dScores' : (name as Exclude<Name, 'dBias'>)];
        const fault = arrays[name] && faultOfSums(name, arrays[name], sums, bound, placeOf);
        if (fault) return fault;
      }
      return undefined;
    },
  };
};

export const backwardMakers: Record<string, Maker> = { attentionBackward };
