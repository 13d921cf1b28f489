/** stableMax and logStableMax on every backend, against their definition in double-double arithmetic. */
import { describe, expect, it } from 'vitest';
import { backendNamed } from '../../lib/backend/named.js';
import { add, addNumber, countedError, divide, multiply, twoSum, type DD } from '../../lib/cli/oracle.js';
import { logStableMax, stableMax } from '../../lib/index.js';
import * as promises from '../../lib/promises.js';
import { log1pDD, ZERO } from '../softmax/log-oracle.js';
import { backends } from '../support/backends.js';
import {
  floats,
  generator,
  longest,
  row,
  shortLengths,
  typeNames,
  type Floats,
  type KindName,
} from '../support/cases.js';

const negative = (a: DD): DD => ({ hi: -a.hi, lo: -a.lo });
const ONE: DD = { hi: 1, lo: 0 };

/** s(z) / Σ s(z) of a row of finite numbers below 1e300 and −∞, and its logarithm. */
function exact(x: Floats, bias?: Floats): { p: DD[]; log: DD[] } {
  const z = Array.from(x, (v, i) => (v === -Infinity ? null : twoSum(v, bias?.[i] ?? 0)));
  const s = z.map((v) => (v === null ? ZERO : v.hi < 0 ? divide(ONE, addNumber(negative(v), 1)) : addNumber(v, 1)));
  const sum = s.reduce(add, ZERO);
  const others = (i: number) => s.reduce((all, each, j) => (j === i ? all : add(all, each)), ZERO);
  /** ln(Σ / s) = log1p((Σ − s) / s). */
  const log = s.map((each, i) => {
    if (each.hi === 0) return { hi: -Infinity, lo: 0 };
    const rest = each.hi > sum.hi / 2 ? others(i) : add(sum, negative(each));
    return negative(log1pDD(divide(rest, each)));
  });
  return { p: s.map((each) => divide(each, sum)), log };
}

type Kernel = (x: Floats, out: Floats, outer: number, cols: number, inner: number, ...rest: unknown[]) => void;
function on(
  backend: (typeof backends)[number],
  name: 'stable_max' | 'log_stable_max',
  x: Floats,
  options: {
    cols?: number;
    inner?: number;
    mask?: Uint8Array;
    layout?: number;
    bias?: Floats;
    out?: Floats;
  } = {},
): Floats {
  const { inner = 1, cols = x.length / inner, mask = null, layout = 0, bias = null, out = x.slice() } = options;
  const kernels = backendNamed(backend) as unknown as Record<string, Kernel>;
  const type = x instanceof Float32Array ? 'f32' : 'f64';
  kernels[`${name}_${type}`]!(x, out, cols ? x.length / cols / inner : 0, cols, inner, mask, layout, bias);
  return out;
}

/** Units of the last place: float rows are rounded once from double. */
const BOUND = { stable_max: { f32: 0.51, f64: 2.5 }, log_stable_max: { f32: 0.51, f64: 4 } } as const;
const kinds: readonly KindName[] = [
  'N(0,1)',
  'N(0,8)',
  'equal',
  'one peak',
  'about 1e7',
  'about -1e6',
  'every third -∞',
];

function check(backend: (typeof backends)[number], type: 'f32' | 'f64', x: Floats, bias?: Floats): void {
  const { p, log } = exact(x, bias);
  for (const [name, wanted] of [
    ['stable_max', p],
    ['log_stable_max', log],
  ] as const) {
    const y = on(backend, name, x, bias ? { bias } : {});
    for (let i = 0; i < x.length; i++) {
      const error = countedError(y[i]!, wanted[i]!.hi, wanted[i]!.lo, type);
      if (!(error <= BOUND[name][type])) {
        expect.fail(`${name} ${type}, ${x.length} logits: y[${i}] = ${y[i]}, exactly ${wanted[i]!.hi}: ${error} ULP`);
      }
    }
  }
}

for (const backend of backends) {
  describe(backend, () => {
    it.each(typeNames)('%s is exact at every length', (type) => {
      for (const kind of kinds) {
        for (const n of shortLengths.filter((each) => each > 0 && (each < 40 || each % 37 === 0))) {
          check(backend, type, row(type, kind, n), n % 2 ? row(type, 'N(0,1)', n, 5) : undefined);
        }
      }
    });

    it.each(typeNames)('%s gives the values of the paper’s definition', (type) => {
      const x = floats[type].of(-3, -0.5, 0, 2);
      const wanted = [3 / 59, 8 / 59, 12 / 59, 36 / 59];
      const y = on(backend, 'stable_max', x);
      wanted.forEach((each, i) => expect(y[i]).toBeCloseTo(each, type === 'f32' ? 7 : 15));
      expect(on(backend, 'log_stable_max', x)[1]).toBeCloseTo(-1.9980959022258835, type === 'f32' ? 6 : 15);
      expect(on(backend, 'log_stable_max', floats[type].of(1e4, -1e4, 0))[1]).toBeCloseTo(-18.420980728952365, 5);
    });

    it.each(typeNames)('%s has softmax’s edge values', (type) => {
      const of = (...x: number[]) => floats[type].from(x);
      const both = (x: Floats, options = {}) => [
        on(backend, 'stable_max', x, options),
        on(backend, 'log_stable_max', x, options),
      ];
      expect(both(of(-Infinity, 3))).toEqual([of(0, 1), of(-Infinity, 0)]);
      for (const bad of [of(-Infinity, -Infinity), of(1, NaN), of(1, Infinity)]) {
        for (const y of both(bad)) expect(Array.from(y)).toEqual([NaN, NaN]);
      }
      const mask = Uint8Array.of(1, 0);
      expect(both(of(5, NaN), { mask, layout: 1 })).toEqual([of(1, 0), of(0, -Infinity)]);
      expect(both(of(NaN, 5), { mask, layout: 1 })).toEqual([of(NaN, 0), of(NaN, -Infinity)]);
      expect(both(of(1, NaN), { mask: Uint8Array.of(0, 0), layout: 1 })).toEqual([of(0, 0), of(-Infinity, -Infinity)]);
      expect(both(of())).toEqual([of(), of()]);
    });

    it('adds logits whose sum no double holds', () => {
      const most = Number.MAX_VALUE;
      const of = (...x: number[]) => Float64Array.from(x);
      expect(on(backend, 'stable_max', of(most, most, 3))).toEqual(of(0.5, 0.5, 4 / most / 2));
      const both = on(backend, 'stable_max', of(most, 0), { bias: of(most, most) });
      expect(both[0]).toBeCloseTo(2 / 3, 15);
      expect(both[1]).toBeCloseTo(1 / 3, 15);
      const logs = on(backend, 'log_stable_max', of(most, most, -most, 0));
      expect(Array.from(logs, (y) => Math.round(y * 1e9) / 1e9)).toEqual([
        -0.693147181, -0.693147181, -1420.258572967, -710.475860074,
      ]);
    });

    it('keeps the digits of logits near the end of the range', () => {
      const most = Number.MAX_VALUE;
      const of = (...x: number[]) => Float64Array.from(x);
      const mask = Uint8Array.of(1);
      for (const options of [{}, { bias: of(-most) }, { bias: of(-most), mask, layout: 1 }]) {
        expect(on(backend, 'stable_max', of(-most), options)).toEqual(of(1));
        expect(on(backend, 'log_stable_max', of(-most), options)).toEqual(of(0));
      }
      const pair = on(backend, 'stable_max', of(-most, -most), { bias: of(-most, 0) });
      expect(pair[0]).toBeCloseTo(1 / 3, 15);
      expect(pair[1]).toBeCloseTo(2 / 3, 15);
      const [far] = on(backend, 'stable_max', of(-most, -1), { bias: of(-most, 0) });
      expect(far).toBe(2 / most / 2);
    });

    it.each(typeNames)('%s takes any axis, in place', (type) => {
      const [outer, cols, inner] = [3, 29, 21];
      const x = row(type, 'N(0,8)', outer * cols * inner);
      for (const name of ['stable_max', 'log_stable_max'] as const) {
        const y = on(backend, name, x, { cols, inner });
        const same = x.slice();
        expect(on(backend, name, same, { cols, inner, out: same })).toEqual(y);
        for (let o = 0; o < outer; o++) {
          for (let i = 0; i < inner; i++) {
            const at = (c: number) => (o * cols + c) * inner + i;
            const { p, log } = exact(floats[type].from(Array.from({ length: cols }, (_, c) => x[at(c)]!)));
            (name === 'stable_max' ? p : log).forEach((each, c) =>
              expect(countedError(y[at(c)]!, each.hi, each.lo, type)).toBeLessThanOrEqual(BOUND[name][type]),
            );
          }
        }
      }
    });

    it('sums a row of several parts', () => {
      if (longest < 2 ** 20) return;
      const n = 2 ** 18 + 2 ** 17 + 77;
      const random = generator(3);
      const x = Float32Array.from({ length: n }, () => random() / 2 ** 30 - 2);
      let sum: DD = ZERO;
      for (const v of x)
        sum = add(sum, v < 0 ? divide(ONE, addNumber({ hi: -v, lo: 0 }, 1)) : addNumber({ hi: v, lo: 0 }, 1));
      const y = on(backend, 'stable_max', x);
      for (const i of [0, 1, 2 ** 18 - 1, 2 ** 18, n - 1]) {
        const s = x[i]! < 0 ? divide(ONE, { hi: 1 - x[i]!, lo: 0 }) : addNumber({ hi: x[i]!, lo: 0 }, 1);
        const wanted = divide(s, sum);
        expect(countedError(y[i]!, wanted.hi, wanted.lo, 'f32')).toBeLessThanOrEqual(0.51);
      }
    });
  });
}

describe('the public functions', () => {
  const x = row('f32', 'N(0,8)', 60);

  it('take every option but a temperature', async () => {
    const options = { shape: [4, 5, 3], axis: 1, mask: new Uint8Array(5).fill(1), bias: new Float32Array(60) };
    const y = stableMax(x, options);
    const sums = Array.from({ length: 12 }, (_, r) =>
      [0, 1, 2, 3, 4].reduce((sum, c) => sum + y[(Math.floor(r / 3) * 5 + c) * 3 + (r % 3)]!, 0),
    );
    for (const sum of sums) expect(sum).toBeCloseTo(1, 6);
    expect(await promises.stableMax(x, options)).toEqual(y);
    expect(await promises.logStableMax(x, { cols: 5 })).toEqual(logStableMax(x, { cols: 5 }));
    // @ts-expect-error: there is no temperature
    expect(() => stableMax(x, { temperature: 2 })).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }));
  });

  it('round half types once', () => {
    const halves = Uint16Array.of(0x3c00, 0xbc00, 0x4200, 0); // 1, −1, 3, 0
    const wide = new Float32Array(4);
    stableMax(halves, { dtype: 'float16', out: wide });
    expect(wide).toEqual(stableMax(Float32Array.of(1, -1, 3, 0)));
    expect(multiply({ hi: wide[2]!, lo: 0 }, { hi: 7.5, lo: 0 }).hi).toBeCloseTo(4, 6);
    expect(stableMax(halves, { dtype: 'float16' })).toBeInstanceOf(Uint16Array);
  });
});

describe.each(backends)('logStableMax on %s: logarithms beside the middle of two floats', (backend) => {
  // Math.log, within 2^-48, does not say how the smaller one of each rounds.
  it.each([
    [7.541497707366943, -3.652656078338623],
    [-3.276780605316162, 2.391873598098755],
    [4.3179192543029785, 2.1797845363616943],
    [5.5902605056762695, -1.9138015508651733],
  ])('%d, %d', (...logits) => {
    const x = Float32Array.from(logits);
    const out = on(backend, 'log_stable_max', x);
    const { log } = exact(x);
    log.forEach(({ hi, lo }, i) => expect(countedError(out[i]!, hi, lo, 'f32')).toBeLessThanOrEqual(0.51));
  });
});
