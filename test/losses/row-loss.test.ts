/**
 * crossEntropy with class weights, smoothing, soft targets, an lse penalty, a scale and reductions; compSum and
 * focalLoss: every backend against double-double arithmetic, and its gradients against finite differences of that.
 */
import { describe, expect, it } from 'vitest';
import { add, addNumber, divide, expDD, multiply, multiplyNumber, type DD } from '../../lib/cli/oracle.js';
import type { RowLossKernel } from '../../lib/backend/backend.js';
import { backendNamed } from '../../lib/backend/named.js';
import { crossEntropy, compSum, focalLoss } from '../../lib/losses.js';
import * as promises from '../../lib/promises.js';
import { backends, isNative } from '../support/backends.js';
import { firstDifference, floats, generator, row, typeNames, type Floats } from '../support/cases.js';
import { log1pDD, logRow } from '../softmax/log-oracle.js';

interface Terms {
  soft?: Floats;
  weight?: Float64Array;
  kind?: 0 | 1 | 2;
  parameter?: number;
  smoothing?: number;
  penalty?: number;
  scale?: number;
}

const dd = (hi: number): DD => ({ hi, lo: 0 });
const minus = (a: DD): DD => ({ hi: -a.hi, lo: -a.lo });

/** The loss of one row, from double-double logarithms. */
function lossOf(x: Floats, target: number, temperature: number, terms: Terms): DD {
  const { soft, weight, kind = 0, parameter = 0, smoothing = 0, penalty = 0, scale = 1 } = terms;
  const exact = logRow(x, temperature);
  const minusLog = (k: number) => add(exact.log, minus(exact.distances[k]!));
  const w = (k: number) => weight?.[k] ?? 1;
  let sum = multiplyNumber(multiply(exact.logSumExp, exact.logSumExp), penalty);
  if (!soft) sum = add(sum, multiplyNumber(functionOf(minusLog(target), kind, parameter), w(target) * (1 - smoothing)));
  for (let k = 0; k < x.length; k++) {
    const share = add(multiplyNumber(dd(1 - smoothing), soft?.[k] ?? 0), divide(dd(smoothing), dd(x.length)));
    if (share.hi !== 0) sum = add(sum, multiply(multiplyNumber(share, w(k)), minusLog(k)));
  }
  return multiplyNumber(sum, scale);
}

function functionOf(D: DD, kind: number, parameter: number): DD {
  if (kind === 1) {
    if (parameter === 1) return D;
    const power = addNumber(dd(-parameter), 1);
    return divide(addNumber(expDD(multiply(power, D)), -1), power);
  }
  if (kind === 2 && parameter === 0) return D;
  if (kind === 2) {
    if (D.hi === 0) return D;
    const p = expDD(minus(D));
    const odds = divide(p, addNumber(minus(p), 1)); // ln(1 − p) = −ln(1 + p / (1 − p))
    return multiply(expDD(multiplyNumber(minus(log1pDD(odds)), parameter)), D);
  }
  return D;
}

function run(name: (typeof backends)[number], x: Floats, target: number, temperature: number, terms: Terms) {
  const { soft = null, weight = null, kind = 0, parameter = 0, smoothing = 0, penalty = 0, scale = 1 } = terms;
  const kernel = backendNamed(name)[
    x instanceof Float32Array ? 'row_loss_f32' : 'row_loss_f64'
  ] as RowLossKernel<Floats>;
  const [loss, gradient] = [new Float64Array(1), x.slice()];
  const numbers = [kind, parameter, smoothing, penalty, scale] as const;
  const rest = [1, x.length, 1, temperature, null, 0, null] as const;
  kernel(gradient, Int32Array.of(target), soft, weight, null, loss, gradient, ...numbers, ...rest);
  return { loss: loss[0]!, gradient };
}

describe.each(typeNames)('losses of rows of %s', (type) => {
  const A = floats[type];
  const near = type === 'f32' ? 2 ** -22 : 2 ** -45;
  const weights = (n: number) => Float64Array.from({ length: n }, (_, k) => (k % 4) / 2 + 0.25);
  const shares = (n: number) => new A(n).map((_: number, k: number) => (k % 3) / n) as Floats;

  const cases = (n: number): Record<string, Terms> => ({
    'class weights': { weight: weights(n) },
    smoothing: { smoothing: 0.1 },
    'smoothing and class weights': { smoothing: 0.3, weight: weights(n), scale: 3 },
    'soft targets': { soft: shares(n) },
    'soft targets, smoothed': { soft: shares(n), smoothing: 0.2, weight: weights(n) },
    'an lse penalty': { penalty: 0.01, scale: -0.5 },
    'comp-sum 0': { kind: 1, parameter: 0 },
    'comp-sum 1': { kind: 1, parameter: 1 },
    'comp-sum 1.7': { kind: 1, parameter: 1.7 },
    'comp-sum 2': { kind: 1, parameter: 2 },
    'comp-sum -0.5': { kind: 1, parameter: -0.5 },
    'focal 2': { kind: 2, parameter: 2 },
    'focal 0.5': { kind: 2, parameter: 0.5 },
    'focal 0': { kind: 2, parameter: 0 },
  });

  it.each(Object.keys(cases(1)))('%s', (what) => {
    const random = generator(7);
    for (const n of [1, 2, 3, 10, 17, 100, 600]) {
      const terms = cases(n)[what]!;
      for (const temperature of [1, 0.7]) {
        const x = row(type, 'N(0,8)', n, n + 3).map((v) => v / 4) as Floats;
        const target = random() % n;
        const exact = lossOf(x, target, temperature, terms);
        let first: ReturnType<typeof run> | undefined;
        for (const name of backends) {
          const got = run(name, x, target, temperature, terms);
          const where = `${name}, ${n} elements, temperature ${temperature}`;
          // Class weights alone multiply what crossEntropy gives; its long float rows are summed in floats.
          const bound = what === 'class weights' && type === 'f32' && n > 128 ? 2 ** -24 : 2e-14;
          expect(Math.abs(got.loss - exact.hi) / Math.max(Math.abs(exact.hi), 1e-300), where).toBeLessThan(bound);
          if (isNative(name)) {
            first ??= got;
            expect([got.loss, firstDifference(got.gradient, first.gradient)], where).toEqual([first.loss, -1]);
          }
          // Finite differences of the oracle, at some elements: its arithmetic has 100 bits.
          for (const k of [target, 0, n - 1, random() % n]) {
            const step = 2 ** -20;
            const moved = (d: number) => Float64Array.from(x, (v, i) => v + (i === k ? d : 0));
            const at = (d: number) => lossOf(moved(d), target, temperature, terms);
            const wide = add(at(2 * step), minus(at(-2 * step))).hi / (4 * step);
            const narrow = add(at(step), minus(at(-step))).hi / (2 * step);
            const slope = (4 * narrow - wide) / 3;
            const size = Math.max(Math.abs(slope), ...(terms.soft || terms.smoothing || terms.penalty ? [1] : []));
            expect(Math.abs(got.gradient[k]! - slope), `${where}: [${k}]`).toBeLessThan(near * size + 1e-16);
          }
        }
      }
    }
  });

  it('adds the shares of thousands of classes without their rounding errors', () => {
    for (const name of backends) {
      for (const n of type === 'f64' ? [1025, 5001, 20_001] : []) {
        const { loss } = run(name, new A(n).fill(0.3) as Floats, 0, 1, { smoothing: 0.5 });
        expect(Math.abs(loss / Math.log(n) - 1), `${name}, ${n}`).toBeLessThan(2 ** -50);
      }
    }
  });

  it('edges: NaN, infinities, one class, ignored rows', () => {
    for (const name of backends) {
      for (const terms of Object.values(cases(4))) {
        for (const bad of [NaN, Infinity]) {
          const { loss, gradient } = run(name, A.of(1, bad, 0, 2), 0, 1, terms);
          expect([loss, ...gradient]).toEqual([NaN, NaN, NaN, NaN, NaN]);
        }
        const ignored = run(name, A.of(1, NaN, 0, 2), -1, 1, terms);
        expect([ignored.loss, ...ignored.gradient]).toEqual([0, 0, 0, 0, 0]);
      }
      const soft = run(name, A.of(1, -Infinity, 0), 0, 1, { soft: A.of(0.5, 0, 0.5) });
      expect(soft.loss).toBeCloseTo(0.8132616875182228, 14);
      expect(run(name, A.of(1, -Infinity), 0, 1, { soft: A.of(0.5, 0.5) }).loss).toBe(Infinity);
      expect(run(name, A.of(0, -Infinity), 1, 1, { kind: 1, parameter: 2 }).loss).toBe(1);
      expect(run(name, A.of(0, -2000), 1, 1, { kind: 1, parameter: 0 }).loss).toBe(Infinity);
      for (const parameter of [0.5, 1, 2]) {
        const sure = run(name, A.of(5), 0, 1, { kind: 2, parameter });
        expect([sure.loss, sure.gradient[0]]).toEqual([0, 0]);
      }
    }
  });
});

describe('the public functions', () => {
  const x = Float64Array.of(1, 2, 0);
  const close = (got: ArrayLike<number>, want: readonly number[], tolerance = 4e-15) =>
    want.forEach((v, i) => {
      if (got[i] !== v) expect(Math.abs(got[i]! - v)).toBeLessThan(tolerance * Math.max(1, Math.abs(v)));
    });

  it('have the published values', () => {
    const gradient = new Float64Array(3);
    const values: readonly (readonly [tau: number, loss: number, slopes: readonly number[]])[] = [
      [0, 3.0861612696304876, [-3.0861612696304874, 2.718281828459045, 0.3678794411714423]],
      [1, 1.4076059644443806, []],
      [1.7, 0.8952597330657953, [-0.28195659776822857, 0.24834654743084084, 0.03361005033738772]],
      [2, 0.7552715289452024, [-0.1848364465099787, 0.1628034019898044, 0.022033044520174298]],
      [1 + 1e-9, 1.4076059634537033, []],
      [1 - 1e-9, 1.407605965435058, []],
    ];
    for (const [tau, loss, slopes] of values) {
      close(compSum(x, [0], { tau, gradient }), [loss]);
      close(gradient, slopes);
    }
    close(focalLoss(x, [0], { gradient }), [0.80294782436414254]);
    close(gradient, [-0.8238417636616595, 0.7256374181493349, 0.0982043455123246]);
  });

  it('reduce, over the weights of what is not ignored', async () => {
    const many = Float32Array.from({ length: 12 }, (_, i) => Math.sin(i));
    const weight = [1, 2, 3];
    const targets = [0, -100, 2, 1];
    const each = crossEntropy(many, targets, { cols: 3, weight });
    const sum = each.reduce((a, b) => a + b);
    const gradient = new Float32Array(12);
    expect(crossEntropy(many, targets, { cols: 3, weight, reduction: 'sum' })).toBeCloseTo(sum, 13);
    expect(crossEntropy(many, targets, { cols: 3, weight, reduction: 'mean', gradient })).toBeCloseTo(sum / 6, 13);
    const alone = new Float32Array(12);
    crossEntropy(many, targets, { cols: 3, weight, gradient: alone });
    close(
      gradient,
      [...alone].map((v) => v / 6),
      1e-7,
    );
    expect(crossEntropy(many, BigInt64Array.of(0n, -100n, 2n, 1n), { cols: 3, weight })).toEqual(each);
    expect(crossEntropy(many, [-100, -100, -100, -100], { cols: 3, reduction: 'mean' })).toBeNaN();
    expect(await promises.crossEntropy(many, targets, { cols: 3, weight, reduction: 'sum' })).toBeCloseTo(sum, 13);
    expect(await promises.compSum(many, targets, { cols: 3, tau: 1 })).toEqual(
      crossEntropy(many, targets, { cols: 3 }),
    );
    const oneHot = Float32Array.from({ length: 12 }, (_, i) => Number(i % 3 === 0));
    close(crossEntropy(many, oneHot, { cols: 3 }), [...crossEntropy(many, [0, 0, 0, 0], { cols: 3 })]);
  });

  it('take masks, biases and any axis, and halves', () => {
    const many = Float32Array.from({ length: 24 }, (_, i) => Math.sin(i));
    const mask = Uint8Array.from({ length: 24 }, (_, i) => Number(i % 5 !== 3));
    const options = { mask, bias: many.map((v) => v * 2), labelSmoothing: 0.1, weight: [1, 2, 3, 4] };
    const targets = [0, 1, 2, 1, 0, 3];
    const across = crossEntropy(many, targets, { ...options, shape: [2, 4, 3], axis: 1 });
    const order = Array.from({ length: 24 }, (_, i) => {
      const [r, c] = [Math.floor(i / 4), i % 4];
      return (Math.floor(r / 3) * 4 + c) * 3 + (r % 3);
    });
    const pick = <A extends Float32Array | Uint8Array>(a: A) => a.map((_, i) => a[order[i]!]!) as A;
    const along = crossEntropy(pick(many), targets, {
      ...options,
      cols: 4,
      mask: pick(mask),
      bias: pick(options.bias),
    });
    close(across, [...along]);
    const halves = Uint16Array.from({ length: 24 }, (_, i) => 0x3c00 + 64 * i);
    const soft = new Uint16Array(24).fill(0x3400);
    const dtype = { cols: 4, dtype: 'float16' } as const;
    close(crossEntropy(halves, soft, dtype), [...crossEntropy(halves, soft, { ...dtype, scale: 2 }).map((v) => v / 2)]);
  });

  it('refuse what makes no sense', () => {
    const any = x as never;
    for (const [options, code] of [
      [{ weight: [1, 2] }, 'ERR_INVALID_ARG_VALUE'],
      [{ weight: [1, 2, -1] }, 'ERR_OUT_OF_RANGE'],
      [{ weight: 'abc' }, 'ERR_INVALID_ARG_TYPE'],
      [{ labelSmoothing: 1.5 }, 'ERR_OUT_OF_RANGE'],
      [{ lsePenalty: -1 }, 'ERR_OUT_OF_RANGE'],
      [{ scale: NaN }, 'ERR_OUT_OF_RANGE'],
      [{ reduction: 'none ' }, 'ERR_INVALID_ARG_VALUE'],
      [{ tau: 1 }, 'ERR_INVALID_ARG_TYPE'],
    ] as const)
      expect(() => crossEntropy(any, [0], options as object)).toThrow(expect.objectContaining({ code }));
    expect(() => compSum(x, [0], {} as never)).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }));
    expect(() => focalLoss(x, [0], { gamma: -1 })).toThrow(expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }));
    expect(() => crossEntropy(x, x.subarray(1))).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_VALUE' }));
    expect(() => crossEntropy(x, BigInt64Array.of(2n ** 60n))).toThrow(
      expect.objectContaining({ code: 'ERR_OUT_OF_RANGE' }),
    );
  });
});
