/** marginCrossEntropy: the published values, finite differences, edges, every element type. */
import { describe, expect, it } from 'vitest';
import { crossEntropy, marginCrossEntropy, type MarginOptions } from '../../lib/losses.js';
import * as promises from '../../lib/promises.js';

const x = Float64Array.of(0.8, 0.3, -0.2);
const near = (got: number, want: number, share = 1e-12) =>
  expect(Math.abs(got - want)).toBeLessThan(share * Math.max(1e-9, Math.abs(want)));

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

  it('has the derivative of its loss', () => {
    for (const options of [
      { kind: 'arc' },
      { kind: 'cos', scale: 10 },
      { kind: 'arc', guard: 'easy', margin: 0.2 },
      { kind: 'arc', guard: 'linear', scale: 8 },
    ] as MarginOptions<Float64Array>[]) {
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
