/** stableMaxCrossEntropy on every backend against its definition in double-double arithmetic, and its reductions. */
import { describe, expect, it } from 'vitest';
import { add, divide, type DD } from '../../lib/cli/oracle.js';
import type * as Losses from '../../lib/losses.js';
import { log1pDD } from '../softmax/log-oracle.js';
import { backends } from '../support/backends.js';
import { floats, generator, normal, row, typeNames, type Floats } from '../support/cases.js';
import { forceBackend } from '../support/force-backend.js';
import { dd, negative, ONE, slopeOf, sumsOf, total } from './oracle.js';

let losses: typeof Losses;
const load = async () => void (losses = await import('../../lib/losses.js'));

const isBelow = (z: DD): boolean => z.hi < 0 || (z.hi === 0 && z.lo < 0);
const sizeOf = (z: DD): DD => add(ONE, isBelow(z) ? negative(z) : z);
const termOf = (z: DD): DD => (isBelow(z) ? divide(ONE, sizeOf(z)) : sizeOf(z));

/** −ln p = log1p(the other terms / the term). */
function lossOf(z: readonly DD[], target: number): DD {
  const terms = z.map(termOf);
  return log1pDD(divide(total(terms.filter((_, i) => i !== target)), terms[target]!));
}

function gradientOf(z: readonly DD[], target: number): DD[] {
  const terms = z.map(termOf);
  const [sum, others] = [total(terms), total(terms.filter((_, i) => i !== target))];
  return terms.map((term, i) => divide(divide(i === target ? negative(others) : term, sum), sizeOf(z[i]!)));
}

/** The relative distance of a number from a pair. */
const errorOf = (got: number, wanted: DD): number =>
  wanted.hi === 0 ? Math.abs(got) : Math.abs((got - wanted.hi - wanted.lo) / wanted.hi);

const kinds: Readonly<Record<string, (random: () => number, i: number) => number>> = {
  'N(0,1)': (random) => normal(random),
  'N(0,100)': (random) => 100 * normal(random),
  'all below 0': (random) => -Math.abs(3 * normal(random)),
  'one peak': (random, i) => (i === 1 ? 1e6 : normal(random)),
  'a deep target': (random, i) => (i === 1 ? -1e6 : normal(random)),
};

describe.each(backends)('%s', (backend) => {
  forceBackend(backend, load);

  it.each(typeNames)('%s losses and gradients are within their bounds', (type) => {
    const random = generator(11);
    for (const make of Object.values(kinds)) {
      for (const n of [1, 2, 3, 8, 17, 33, 200]) {
        const x = floats[type].from(Array.from({ length: n }, (_, i) => make(random, i))) as Float64Array;
        const bias = n % 2 ? undefined : (row(type, 'N(0,1)', n, 3) as Float64Array);
        const target = Math.min(1, n - 1);
        const gradient = new floats[type](n) as Float64Array;
        const z = sumsOf(x, bias).map(({ hi, lo }) => dd(hi + lo)); // a biased logit is one double
        const [loss] = losses.stableMaxCrossEntropy(x, [target], { gradient, bias });
        expect(errorOf(loss!, lossOf(z, target))).toBeLessThan(LOSS_BOUND);
        gradientOf(z, target).forEach((wanted, i) =>
          expect(errorOf(gradient[i]!, wanted)).toBeLessThan(type === 'f32' ? 0.501 * 2 ** -23 : SLOPE_BOUND),
        );
      }
    }
  });

  it('has the slopes of finite differences', () => {
    const x = Float64Array.from([0.3, -1.7, 2.5, -0.4, 0.9]);
    const gradient = new Float64Array(5);
    losses.stableMaxCrossEntropy(x, [3], { gradient });
    for (let i = 0; i < 5; i++) {
      const slope = slopeOf((z) => lossOf(z, 3), sumsOf(x), i, 2 ** -20);
      expect(gradient[i]).toBeCloseTo(slope, 9);
    }
  });

  it('takes rows of several parts, and doubles at the ends of the range', () => {
    const n = 140_000;
    const x = Float32Array.from({ length: n }, (_, i) => ((i * 7919) % 2003) / 100 - 10);
    const gradient = new Float32Array(n);
    const z = sumsOf(x);
    const [loss] = losses.stableMaxCrossEntropy(x, [n - 3], { gradient });
    expect(errorOf(loss!, lossOf(z, n - 3))).toBeLessThan(LOSS_BOUND);
    const sum = total(z.map(termOf));
    for (let i = 0; i < n - 3; i += 9973) {
      const wanted = divide(divide(termOf(z[i]!), sum), sizeOf(z[i]!));
      expect(errorOf(gradient[i]!, wanted)).toBeLessThan(0.501 * 2 ** -23);
    }
    const slopes = new Float64Array(3);
    const far = (a: number, b: number, c: number, target: number) =>
      losses.stableMaxCrossEntropy(Float64Array.of(a, b, c), [target], { gradient: slopes })[0]!;
    expect(far(1.7e308, 1.7e308, 0, 0)).toBeCloseTo(Math.LN2, 14);
    expect(slopes[0]! / (-0.5 / 1.7e308)).toBeCloseTo(1, 12);
    expect(slopes[2]! / (0.5 / 1.7e308)).toBeCloseTo(1, 12);
    expect(far(-1.7e308, -1.7e308, -1.7e308, 1)).toBeCloseTo(Math.log(3), 14);
    expect(slopes[1]! / (-2 / 3 / 1.7e308)).toBeCloseTo(1, 12);
    expect(far(1.7e308, -1.7e308, 0, 1)).toBeCloseTo(2 * Math.log(1.7e308), 10);
  });

  it.each(typeNames)('%s rows along any axis, masked and ignored, are those of contiguous rows', (type) => {
    const [rows, cols] = [21, 13];
    const x = row(type, 'N(0,8)', rows * cols) as Float64Array;
    const mask = Uint8Array.from(x, (_, i) => +(i % 7 !== 2));
    const targets = Array.from({ length: rows }, (_, r) => (r % 5 === 4 ? -100 : (r * 3) % cols));
    const [gradient, turned] = [new floats[type](x.length), new floats[type](x.length)] as Float64Array[];
    const from = (at: number): number => (at % rows) * cols + Math.floor(at / rows);
    const turn = (a: Floats): Float64Array => floats[type].from(Array.from(a, (_, at) => a[from(at)]!)) as Float64Array;
    const turnedMask = Uint8Array.from(mask, (_, at) => mask[from(at)]!);
    const along = { shape: [cols, rows], axis: 0, mask: turnedMask, gradient: turned! };
    const want = losses.stableMaxCrossEntropy(x, targets, { cols, mask, gradient: gradient! });
    const got = losses.stableMaxCrossEntropy(turn(x), targets, along);
    want.forEach((loss, r) => expect(loss === got[r] || Math.abs(loss / got[r]! - 1) < 1e-14).toBe(true));
    turn(gradient!).forEach((slope, i) =>
      expect(Math.abs(slope - turned![i]!)).toBeLessThan(1e-7 * Math.abs(slope) + 1e-300),
    );
    expect([...got.filter((_, r) => targets[r]! < 0)].every((loss) => loss === 0)).toBe(true);
    const wild = floats[type].of(NaN, Infinity, 1) as Float64Array;
    const slopes = new floats[type](3).fill(7) as Float64Array;
    expect([...losses.stableMaxCrossEntropy(wild, [-100], { gradient: slopes }), ...slopes]).toEqual([0, 0, 0, 0]);
    const hidden = { gradient: slopes, mask: Uint8Array.of(0, 1, 1) };
    expect([...losses.stableMaxCrossEntropy(wild, [0], hidden), ...slopes]).toEqual([NaN, 0, NaN, NaN]);
    const none = { gradient: slopes, mask: new Uint8Array(3) };
    expect([...losses.stableMaxCrossEntropy(wild, [0], none), ...slopes]).toEqual([Infinity, 0, 0, 0]);
    const lowest = new floats[type](3).fill(-Infinity) as Float64Array;
    expect(losses.stableMaxCrossEntropy(lowest, [0])[0]).toBeNaN();
  });

  it('reduces stableMaxCrossEntropy and zLoss', () => {
    const x = Float64Array.from({ length: 20 }, (_, i) => Math.sin(i * i));
    const targets = [3, -100, 0, 4];
    for (const loss of [losses.stableMaxCrossEntropy, losses.zLoss] as const) {
      const [alone, mean, out] = [new Float64Array(20), new Float64Array(20), new Float64Array(4)];
      const each = loss(x, targets, { cols: 5, gradient: alone });
      const sum = each.reduce((a, b) => a + b);
      expect(loss(x, targets, { cols: 5, reduction: 'sum' })).toBeCloseTo(sum, 14);
      expect(loss(x, targets, { cols: 5, reduction: 'mean', gradient: mean, out })).toBeCloseTo(sum / 3, 14);
      each.forEach((v, r) => expect(out[r]).toBeCloseTo(v / 3, 15));
      alone.forEach((v, i) => expect(mean[i]).toBeCloseTo(v / 3, 15));
      expect(loss(x, [-100, -100, -100, -100], { cols: 5, reduction: 'mean' })).toBeNaN();
      expect(loss(x, [-100, -100, -100, -100], { cols: 5, reduction: 'sum' })).toBe(0);
      expect(() => loss(x, targets, { cols: 5, reduction: 'none ' as never })).toThrow(RangeError);
    }
  });
});

/** Largest errors that are promised, relative. */
const LOSS_BOUND = 1e-15;
const SLOPE_BOUND = 1e-15;
