/** marginCrossEntropy: the published values, finite differences, edges, every element type. */
import { describe, expect, it } from 'vitest';
import { addNumber, divide, expDD, multiply, multiplyNumber, type DD } from '../../lib/cli/oracle.js';
import type * as Losses from '../../lib/losses.js';
import { crossEntropy, marginCrossEntropy, type MarginOptions } from '../../lib/losses.js';
import * as promises from '../../lib/promises.js';
import { log1pDD } from '../softmax/log-oracle.js';
import { backends } from '../support/backends.js';
import { row } from '../support/cases.js';
import { forceBackend } from '../support/force-backend.js';
import { sinCosOracle } from './fixed-point.js';
import { dd, negative, rootDD, subtract, total } from './oracle.js';

const x = Float64Array.of(0.8, 0.3, -0.2);
const near = (got: number, want: number, share = 1e-12) =>
  expect(Math.abs(got - want)).toBeLessThan(share * Math.max(1e-9, Math.abs(want)));

const errorOf = (got: number, exact: DD): number => Math.abs(got - exact.hi - exact.lo);

/** The loss and its gradient by the cosines, from double-double numbers. */
function marginOracle(cosines: Float64Array, target: number, kind: 'arc' | 'cos', scale: number, margin: number) {
  const c = dd(cosines[target]!);
  const { sin, cos } = sinCosOracle(margin);
  const sine = rootDD(multiply(subtract(dd(1), c), addNumber(c, 1)));
  const moved = kind === 'cos' ? addNumber(c, -margin) : subtract(multiply(c, cos), multiply(sine, sin));
  const slope = kind === 'cos' ? dd(1) : addDD(cos, divide(multiply(c, sin), sine));
  const others = Array.from(cosines, (v, k) => (k === target ? null : multiplyNumber(dd(v), scale)));
  const logit = multiplyNumber(moved, scale);
  const top = [logit, ...others].reduce<DD>((a, b) => (b !== null && b.hi > a.hi ? b : a), logit);
  const terms = others.map((z) => (z === null ? dd(0) : expDD(subtract(z, top))));
  const own = expDD(subtract(logit, top));
  const rest = total(terms);
  const whole = addDD(rest, own);
  // −ln p is the distance of the target from the largest, and ln of the sum.
  const loss = top === logit ? log1pDD(rest) : addDD(subtract(top, logit), log1pDD(addNumber(whole, -1)));
  const missed = divide(rest, whole);
  const slopes = terms.map((term, k) =>
    k === target
      ? negative(multiplyNumber(multiply(missed, slope), scale))
      : multiplyNumber(divide(term, whole), scale),
  );
  // The two terms of the slope at the target may cancel.
  const sizes = kind === 'cos' ? 1 : Math.abs(cos.hi) + Math.abs((c.hi * sin.hi) / sine.hi);
  return { loss, slopes, sizeAtTarget: missed.hi * scale * sizes };
}
const addDD = (a: DD, b: DD): DD => subtract(a, negative(b));

describe('marginCrossEntropy', () => {
  it('has the published values', () => {
    near(marginCrossEntropy(x, [0], { kind: 'arc', margin: 0.5 })[0]!, 0.00066043178282348);
    near(marginCrossEntropy(x, [0], { kind: 'cos', margin: 0.35 })[0]!, 6.77264430035374e-5);
    const gradient = new Float64Array(3);
    near(marginCrossEntropy(x, [0], { kind: 'arc', scale: 4, gradient })[0]!, 0.5413994229065173);
    [-2.5365219945785777, 1.4729276706025196, 0.19933908348803617].forEach((v, i) => near(gradient[i]!, v));
    near(marginCrossEntropy(x, [0], { kind: 'cos', scale: 4 })[0]!, 0.4843287913490803);
    near(marginCrossEntropy(x, [0], { kind: 'arc', margin: [0.56] })[0]!, 0.0225235333833313);
  });

  describe.each(backends)('on %s', (backend) => {
    let losses: typeof Losses;
    forceBackend(backend, async () => {
      losses = await import('../../lib/losses.js');
    });

    it('is within (12 + 2 scale) · 2⁻⁵³ of the definition in double-double arithmetic, float32 gradients 1 ULP', () => {
      for (const type of ['f32', 'f64'] as const) {
        for (const n of [2, 3, 10, 17, 200]) {
          for (const { kind, scale, margin } of [
            { kind: 'arc', scale: 64, margin: 0.5 },
            { kind: 'arc', scale: 4, margin: 0.05 },
            { kind: 'cos', scale: 30, margin: 0.35 },
            { kind: 'arc', scale: 2000, margin: 3 },
          ] as const) {
            const cosines = row(type, 'N(0,1)', n, n).map((v) => Math.tanh(v)) as Float64Array;
            for (const target of [0, n - 1]) {
              const exact = marginOracle(cosines, target, kind, scale, margin);
              const gradient = cosines.slice().fill(9);
              const [loss] = losses.marginCrossEntropy(cosines, [target], { kind, scale, margin, gradient });
              const size = (12 + 2 * scale) * 2 ** -53;
              const where = `${type} ${kind} ${n} ${scale} [${target}]`;
              expect(errorOf(loss!, exact.loss), where).toBeLessThanOrEqual(size * exact.loss.hi + 1e-300);
              exact.slopes.forEach((slope, k) => {
                const bound = size + (type === 'f32' ? 2 ** -24 : 4 * 2 ** -53);
                const least = type === 'f32' ? 2 ** -149 : scale * 2 ** -1074; // of the oracle's subnormal numbers
                const most = k === target ? exact.sizeAtTarget : Math.abs(slope.hi);
                expect(errorOf(gradient[k]!, slope), where).toBeLessThanOrEqual(bound * most + least);
              });
            }
          }
        }
      }
    });

    it('reduces', () => {
      const many = Float32Array.from({ length: 12 }, (_, i) => Math.sin(i));
      const [gradient, mean] = [new Float32Array(12), new Float32Array(12)];
      const options = { kind: 'arc', cols: 3, scale: 3 } as const;
      const each = losses.marginCrossEntropy(many, [0, -100, 2, 0], { ...options, gradient });
      const sum = each[0]! + each[2]! + each[3]!;
      expect(losses.marginCrossEntropy(many, [0, -100, 2, 0], { ...options, reduction: 'sum' })).toBeCloseTo(sum, 13);
      const got = losses.marginCrossEntropy(many, [0, -100, 2, 0], { ...options, reduction: 'mean', gradient: mean });
      expect(got).toBeCloseTo(sum / 3, 13);
      gradient.forEach((v, i) => expect(mean[i]).toBeCloseTo(v / 3, 6));
      expect(losses.marginCrossEntropy(many, [-100, -100, -100, -100], { ...options, reduction: 'mean' })).toBeNaN();
    });
  });

  it('has the derivative of its loss', () => {
    for (const options of [
      { kind: 'arc' },
      { kind: 'cos', scale: 10 },
      { kind: 'arc', guard: 'easy', margin: 0.2 },
      { kind: 'arc', guard: 'linear', scale: 8 },
    ] as MarginOptions<Float64Array, Float64Array, 'none'>[]) {
      for (const c of [0.7, 0.1, -0.4, -0.97]) {
        const cosines = Float64Array.of(0.2, c, -0.3);
        const gradient = new Float64Array(3);
        marginCrossEntropy(cosines, [1], { ...options, gradient });
        for (let k = 0; k < 3; k++) {
          const at = (d: number) =>
            marginCrossEntropy(
              cosines.map((v, i) => v + (i === k ? d : 0)),
              [1],
              options,
            )[0]!;
          const slope = (at(1e-6) - at(-1e-6)) / 2e-6;
          expect(Math.abs(gradient[k]! - slope)).toBeLessThan(1e-6 * Math.max(1, Math.abs(slope)));
        }
      }
    }
  });

  it('clamps cosines, ignores rows, takes rows along an axis, every type, and promises', async () => {
    const gradient = new Float64Array(3);
    marginCrossEntropy(Float64Array.of(1.5, 0, 0.2), [1], { kind: 'cos', gradient });
    expect(gradient[0]).toBe(0);
    expect([...marginCrossEntropy(x, [-100], { kind: 'arc', gradient }), ...gradient]).toEqual([0, 0, 0, 0]);
    expect(marginCrossEntropy(Float64Array.of(NaN, 0), [1], { kind: 'arc' })[0]).toBeNaN();
    const many = Float32Array.from({ length: 12 }, (_, i) => Math.sin(i));
    const rows = marginCrossEntropy(many, [0, 1, 2, 0], { kind: 'arc', cols: 3, margin: 0, scale: 2 });
    const plain = crossEntropy(many, [0, 1, 2, 0], { cols: 3, temperature: 0.5 });
    rows.forEach((v, i) => near(v, plain[i]!, 1e-9));
    const across = marginCrossEntropy(many, [0, 1, 2, 0], { kind: 'arc', shape: [3, 4], axis: 0 });
    const turned = many.map((_, i) => many[(i % 3) * 4 + Math.floor(i / 3)]!);
    const along = marginCrossEntropy(turned, [0, 1, 2, 0], { kind: 'arc', cols: 3 });
    across.forEach((v, i) => near(v, along[i]!));
    const later = await promises.marginCrossEntropy(turned, [0, 1, 2, 0], { kind: 'arc', cols: 3 });
    expect(later).toEqual(along);
    const slopes = new Uint16Array(2);
    const half = marginCrossEntropy(Uint16Array.of(0x3800, 0xb800), [0], {
      kind: 'cos',
      dtype: 'float16',
      scale: 2,
      gradient: slopes,
    });
    near(half[0]!, marginCrossEntropy(Float64Array.of(0.5, -0.5), [0], { kind: 'cos', scale: 2 })[0]!);
    expect(slopes[1]).toBeGreaterThan(0x3000);
  });

  it('rejects a promise whose gradient loses its buffer, and writes nothing', async () => {
    const [gradient, out] = [new Float64Array(3), Float64Array.of(7)];
    const promise = promises.marginCrossEntropy(Float64Array.of(0.8, 0.3, -0.2), [0], { kind: 'arc', gradient, out });
    structuredClone(gradient, { transfer: [gradient.buffer] });
    await expect(promise).rejects.toThrow(RangeError);
    expect(out[0]).toBe(7);
  });

  it('refuses what makes no sense', () => {
    const refused = (options: object, code: string) =>
      expect(() => marginCrossEntropy(x, [0], options as never)).toThrow(expect.objectContaining({ code }));
    refused({}, 'ERR_INVALID_ARG_TYPE');
    refused({ kind: 'arc', margin: -1 }, 'ERR_OUT_OF_RANGE');
    refused({ kind: 'arc', margin: [1, 2] }, 'ERR_INVALID_ARG_VALUE');
    refused({ kind: 'arc', scale: 0 }, 'ERR_OUT_OF_RANGE');
    refused({ kind: 'arc', guard: 'hard' }, 'ERR_INVALID_ARG_VALUE');
    refused({ kind: 'arc', temperature: 1 }, 'ERR_INVALID_ARG_TYPE');
  });
});
