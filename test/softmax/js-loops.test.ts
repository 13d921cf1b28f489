/**
 * The loops of the JavaScript backend for plain rows, beside the general ones, which other tests hold against oracles:
 * a mask of ones or a bias of zeros changes the way and no bit. Halves beside the conversion of one number.
 */
import { describe, expect, it } from 'vitest';
import type { Kernels } from '../../lib/backend/backend.js';
import { js } from '../../lib/js/index.js';
import { narrow, widened } from '../../lib/js/rows/half.js';
import { bfloat16, float16 } from '../../lib/math/half.js';
import { firstDifference, generator, kinds, row, typeNames, type Floats, type KindName } from '../support/cases.js';

const lengths = [1, 2, 3, 7, 16, 65, 257, 1000];
const like = (x: Floats): Floats => new (x.constructor as new (n: number) => Floats)(x.length);

/** Runs a kernel of the backend. */
const run = (operator: string, type: string, ...args: unknown[]): void => {
  (js[`${operator}_${type}` as keyof Kernels] as (...args: unknown[]) => void)(...args);
};

type Way = readonly [mask: Uint8Array | null, layout: number, bias: Floats | null];
type Operator = (type: string, x: Floats, temperature: number, way: Way) => Floats[];

/** Operators whose general way is the way with a bias. */
const biased: Record<string, Operator> = {
  logSoftmax: (type, x, temperature, way) => {
    const y = like(x);
    run('log_softmax', type, x, y, 1, x.length, 1, temperature, ...way);
    return [y];
  },
  'logSumExp and crossEntropy': (type, x, temperature, way) => {
    const [sum, loss, gradient] = [new Float64Array(1), new Float64Array(1), like(x)];
    run('log_sum_exp', type, x, sum, 1, x.length, 1, temperature, ...way);
    const targets = Int32Array.of(x.length >> 1);
    run('cross_entropy', type, x, targets, loss, gradient, 1, x.length, 1, temperature, ...way);
    return [sum, loss, gradient];
  },
  focalLoss: (type, x, temperature, way) => {
    const [loss, gradient] = [new Float64Array(1), like(x)];
    const targets = Int32Array.of(x.length >> 1);
    const terms = [null, null, null, loss, gradient, 2, 2, 0.1, 0.01, 2];
    run('row_loss', type, x, targets, ...terms, 1, x.length, 1, temperature, ...way);
    return [loss, gradient];
  },
};

/** Operators whose general way is the way with a mask. */
const masked: Record<string, Operator> = {
  softmaxBackward: (type, x, temperature, [mask, layout]) => {
    const [y, logs, dx, ofLogs] = [like(x), like(x), like(x), like(x)];
    run('softmax', type, x, y, 1, x.length, 1, temperature, null, 0, null);
    run('log_softmax', type, x, logs, 1, x.length, 1, temperature, null, 0, null);
    const dy = x.map((v, i) => (Math.abs(v) < 1e3 ? v / 3 : i % 7)) as Floats;
    run('softmax_backward', type, y, dy, dx, 0, 1, x.length, 1, temperature, mask, layout);
    run('softmax_backward', type, logs, dy, ofLogs, 1, 1, x.length, 1, temperature, mask, layout);
    return [dx, ofLogs];
  },
  'stableMax and its loss': (type, x, _, way) => {
    const [y, loss, gradient] = [like(x), new Float64Array(1), like(x)];
    run('stable_max', type, x, y, 1, x.length, 1, ...way);
    run('stable_max_loss', type, x, Int32Array.of(x.length >> 1), loss, gradient, 0.7, 1, x.length, 1, ...way);
    return [y, loss, gradient];
  },
  taylorSoftmax: (type, x, temperature, way) =>
    [2, 4].map((order) => {
      const y = like(x);
      run('taylor_softmax', type, x, y, order, 1, x.length, 1, temperature, ...way);
      return y;
    }),
  'zLoss and safeStepRadius': (type, x, _, way) => {
    const [loss, gradient, radius] = [new Float64Array(1), like(x), new Float64Array(1)];
    run('z_loss', type, x, Int32Array.of(x.length >> 1), loss, gradient, 0.7, 2, 1, x.length, 1, ...way);
    run('safe_step_radius', type, x, radius, Math.PI, 1, x.length, 1, ...way);
    return [loss, gradient, radius];
  },
};

const hasNaN = (x: Floats): boolean => x.some((v) => v !== v);

function expectSame(operator: Operator, wayOf: (x: Floats) => Way, what: string): void {
  for (const type of typeNames) {
    for (const kind of Object.keys(kinds) as KindName[]) {
      for (const n of lengths) {
        const x = row(type, kind, n);
        for (const temperature of [1, 0.7, 40]) {
          const plain = operator(type, x, temperature, [null, 0, null]);
          const general = operator(type, x, temperature, wayOf(x));
          plain.forEach((results, i) => {
            if (hasNaN(results) && hasNaN(general[i]!)) return; // the sign of a computed NaN is the engine's
            const at = firstDifference(results, general[i]!);
            if (at >= 0) expect.fail(`${what}, ${type}, ${kind}, ${n}, T ${temperature}: result ${i} at ${at}`);
          });
        }
      }
    }
  }
}

describe('loops for plain rows have the bits of the general ones', () => {
  for (const [name, operator] of Object.entries(biased)) {
    it(name, () => expectSame(operator, (x) => [null, 0, like(x)], name), 60_000);
  }
  for (const [name, operator] of Object.entries(masked)) {
    it(name, () => expectSame(operator, (x) => [new Uint8Array(x.length).fill(1), 1, null], name), 60_000);
  }
});

/** softTopKBackward of a row, alone or as one of two rows that lie between each other: the general way. */
function softTopKSlopes(type: string, p: Floats, dp: Floats, alpha: number, isPlain: boolean): Floats {
  const n = p.length;
  const stride = isPlain ? 1 : 2;
  const spread = (x: Floats): Floats =>
    Object.assign(new (x.constructor as new (n: number) => Floats)(n * stride), [
      ...Array.from({ length: n * stride }, (_, i) => x[Math.floor(i / stride)]!),
    ]);
  const out = spread(p);
  run('soft_top_k_backward', type, spread(p), spread(dp), out, alpha, 1, n, stride);
  return out.filter((_, i) => i % stride === 0) as Floats;
}

describe('softTopKBackward rounds plain sums as exact ones', () => {
  for (const type of typeNames) {
    it(
      type,
      () => {
        for (const kind of Object.keys(kinds) as KindName[]) {
          for (const n of [...lengths, 4000]) {
            const x = row(type, kind, n);
            const dp = row(type, 'N(0,1)', n);
            const inside = x.map((v) => 1 / (1 + Math.exp(-v)));
            // Equal slopes have a mean beside which differences are roundings; 0 and 1 are edges of v.
            const slopes = [dp, x, dp.map(() => 1.1), dp.map((v) => v * 1e-30)] as Floats[];
            for (const p of [inside, inside.map((v, i) => (i % 5 === 0 ? i % 2 : v)), x] as Floats[]) {
              for (const d of slopes) {
                for (const alpha of [1, 1e-20, 30]) {
                  const [plain, general] = [true, false].map((isPlain) => softTopKSlopes(type, p, d, alpha, isPlain));
                  if (hasNaN(plain!) && hasNaN(general!)) continue;
                  const at = firstDifference(plain!, general!);
                  if (at >= 0)
                    expect.fail(`${kind}, ${n}, alpha ${alpha}: ${plain![at]}, not ${general![at]} at ${at}`);
                }
              }
            }
          }
        }
      },
      60_000,
    );
  }
});

describe('halves', () => {
  const all = Uint16Array.from({ length: 2 ** 16 }, (_, i) => i);
  for (const [name, half] of Object.entries({ float16, bfloat16 })) {
    it(`${name}: every half is widened to its value`, () => {
      const floats = widened(all, half === bfloat16);
      for (let i = 0; i < all.length; i++) {
        if (!Object.is(floats[i], half.toFloat(i))) expect.fail(`${i.toString(16)}: ${floats[i]}`);
      }
    });

    it(`${name}: floats are rounded as one alone`, () => {
      const random = generator(7);
      const words = Uint32Array.from({ length: 2 ** 18 }, (_, i) => {
        if (i < 2 ** 16) return ((i << 16) | (random() & 0xffff)) >>> 0;
        return (((random() & 0xffff) << 16) | [0, 1, 0x7fff, 0x8000, 0x8001, 0xefff, 0xf000, 0x1000][i & 7]!) >>> 0;
      });
      // Halfway between two halves, and its neighbours.
      all.forEach((bits, i) => {
        const value = new Float32Array([half.toFloat(bits)]);
        words[2 ** 17 + i] =
          new Uint32Array(value.buffer)[0]! + [0xfff, 0x1000, 0x1001, 0x7fff, 0x8000, 0x8001][i % 6]!;
      });
      const floats = new Float32Array(words.buffer);
      const halves = new Uint16Array(words.length);
      narrow(floats, halves, half === bfloat16);
      for (let i = 0; i < words.length; i++) {
        const wanted = half.toBits(floats[i]!);
        const isSame =
          halves[i] === wanted || (floats[i] !== floats[i] && half.toFloat(halves[i]!) !== half.toFloat(halves[i]!));
        if (!isSame) expect.fail(`${words[i]!.toString(16)}: ${halves[i]!.toString(16)}, not ${wanted.toString(16)}`);
      }
    });
  }
});
