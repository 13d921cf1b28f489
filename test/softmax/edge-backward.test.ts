/** softmaxBackward at the edges of every type, on every backend, against exact arithmetic (edge-oracle.ts). */
import { describe, expect, it } from 'vitest';
import { backends } from '../support/backends.js';
import { isLong } from '../support/long.js';
import { backward, near, type Interval } from './edge-oracle.js';
import { decode, encode, runBackward } from './edge-kernels.js';
import { lengths, limits, masks, temperatures, type TypeName } from './edge-values.js';
import { bounds, callsOf, fits, type EdgeCase } from './edge-calls.js';

describe('softmaxBackward at the edges', () => {
  const dys: Record<string, (max: number) => readonly number[]> = {
    ordinary: () => [1, -2, 0.5],
    'the largest, either way': (max) => [max, -max, max / 2],
    'a NaN': () => [1, NaN, 2],
    'a +∞': () => [1, 2, Infinity, 1],
    'a −∞': () => [-Infinity, 2],
    'the smallest': () => [2 ** -140, 2 ** -141],
  };
  for (const [number, type] of (Object.keys(limits) as TypeName[]).entries()) {
    for (const [turn, [name, of]] of Object.entries(dys).entries()) {
      it(`${name}, ${type}`, () => {
        let made = number + turn; // types and rows begin at different cases, so that together they have all
        for (const n of lengths)
          for (const temperature of temperatures[type])
            for (const mask of ['none', 'two of three', 'nothing']) {
              if (made++ % 7 > 1 && !isLong) continue;
              const keep = Array.from({ length: n }, (_, i) => masks[mask]?.(i, n, 0) ?? true);
              const wanted = Array.from({ length: n }, (_, i) => 2 ** -(1 + (i % 3)) / Math.max(n / 2, 1));
              const y = decode(type, encode(type, wanted));
              const dy = decode(
                type,
                encode(
                  type,
                  Array.from({ length: n }, (_, i) => of(limits[type].max)[i % of(1).length]!),
                ),
              );
              const isFinite = dy.every((v, i) => !keep[i] || Number.isFinite(v));
              const exact = isFinite ? backward(y, dy, (i) => keep[i]!, temperature) : null;
              const what = `${name}, ${n}, temperature ${temperature}, mask ${mask}`;
              const c: EdgeCase = { what, type, x: y, bias: null, keep, isMasked: mask !== 'none', temperature };
              const known = new Map<bigint, Interval>();
              const near4 = (v: bigint) =>
                known.get(v) ?? (known.set(v, near(v, type, bounds[type].gradient)), known.get(v)!);
              for (const { call, inner, lanes } of callsOf(c, false, n % 2 === 1)) {
                const grown = encode(type, inner === 1 ? dy : dy.flatMap((v) => [v, 0, v]));
                const results = backends.map((backend) =>
                  runBackward(backend, call, grown, () => expect.fail(`${backend} in place, ${what}`)),
                );
                const first = decode(type, results[0]!);
                results.forEach((result, b) => {
                  const values = decode(type, result);
                  for (let i = 0; i < n; i++)
                    for (const lane of lanes) {
                      const v = values[i * inner + lane]!;
                      const isRight = !keep[i] ? v === 0 : exact ? fits(v, near4(exact[i]!)) : !Number.isFinite(v);
                      if (!isRight)
                        expect.fail(
                          `${backends[b]}: ${what}: [${i}] is ${v}, not ${exact && Object.values(near4(exact[i]!))}`,
                        );
                    }
                  if (
                    exact === null &&
                    !values.every((v, i) => v === first[i] || (Number.isNaN(v) && Number.isNaN(first[i])))
                  ) {
                    expect.fail(`${backends[b]} differs from ${backends[0]}: ${what}`);
                  }
                });
              }
            }
      }, 300_000);
    }
  }
});
