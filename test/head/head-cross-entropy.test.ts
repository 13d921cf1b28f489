/** OutputHead.crossEntropy: losses of written logits, and gradients against finite differences in double. */
import { describe, expect, it } from 'vitest';
import { backends, isNative } from '../support/backends.js';
import { row } from '../support/cases.js';
import { forceHead, type HeadModules } from './force-head.js';
import { columnsFor, matrix } from './head-oracle.js';

interface Model {
  readonly rows: number;
  readonly cols: number;
  readonly bias: ArrayLike<number> | null;
  readonly softcap: number;
  readonly isCosine: boolean;
  readonly lsePenalty: number;
}

/** The mean loss of all states that count, in double. */
function lossOf(m: Model, weights: ArrayLike<number>, hidden: ArrayLike<number>, targets: readonly number[]): number {
  const length = (x: ArrayLike<number>, at: number) => {
    let sum = 0;
    for (let c = 0; c < m.cols; c++) sum += x[at + c]! ** 2;
    return m.isCosine ? Math.sqrt(sum) : 1;
  };
  let [total, n] = [0, 0];
  targets.forEach((target, i) => {
    if (target < 0) return;
    const logits = Array.from({ length: m.rows }, (_, r) => {
      let dot = 0;
      for (let c = 0; c < m.cols; c++) dot += weights[r * m.cols + c]! * hidden[i * m.cols + c]!;
      const z = dot / (length(weights, r * m.cols) * length(hidden, i * m.cols)) + (m.bias?.[r] ?? 0);
      return m.softcap > 0 ? m.softcap * Math.tanh(z / m.softcap) : z;
    });
    const lse = Math.log(logits.reduce((sum, z) => sum + Math.exp(z), 0));
    total += lse - logits[target]! + m.lsePenalty * lse * lse;
    n++;
  });
  return total / n;
}

/** The derivative by x[i], by central differences. */
function derivative(x: Float32Array, i: number, loss: (x: Float64Array) => number): number {
  const [h, copy] = [1e-5, Float64Array.from(x)];
  copy[i] = x[i]! + h;
  const above = loss(copy);
  copy[i] = x[i]! - h;
  return (above - loss(copy)) / (2 * h);
}

describe.each(backends)('%s', (name) => {
  let lib: HeadModules['lib'];
  let root: HeadModules['root'];
  let later: HeadModules['later'];
  forceHead(name, (modules) => ({ lib, root, later } = modules));

  it('has the losses of written logits', async () => {
    const m = matrix('int8', 66_000, 16, 6);
    const hidden = row('f32', 'N(0,1)', 10 * 16, 7);
    const head = new lib.OutputHead(m.weights, m.options);
    const targets = [1, 65_999, -100, 65_535, 65_536, 5, 6, 7, 8, 9];
    const expected = root.crossEntropy(head.logits(hidden), targets, { cols: 66_000 });
    const { loss, hidden: gradient } = head.crossEntropy(hidden, targets);
    expect(gradient).toBeNull();
    // Both log-sum-exps are of float32 logits, each within 8e-8 (docstring of logSumExp); in JavaScript within 2^-52.
    //
    // The roundings of merging two blocks and of subtracting are below 2^-53 of a number below 100.
    const bound = (isNative(name) ? 2 * 8e-8 : 0) + 100 * 2 ** -50;
    loss.forEach((each, i) => expect(Math.abs(each - expected[i]!)).toBeLessThan(bound));
    const mean = head.crossEntropy(hidden, targets, { reduction: 'mean', scale: 2 }).loss;
    expect(mean).toBeCloseTo((2 / 9) * loss.reduce((sum, each) => sum + each, 0), 10);
    const same = new later.OutputHead(m.weights, m.options);
    expect((await same.crossEntropy(hidden, targets)).loss).toEqual(loss);
  });

  const cases: [string, Partial<Model>][] = [
    ['plain', {}],
    ['a bias', { bias: row('f32', 'N(0,1)', 300, 2) }],
    ['a softcap and a penalty', { softcap: 3, lsePenalty: 0.01 }],
    ['cosines', { isCosine: true }],
  ];
  it.each(cases)('has the gradients of finite differences: %s', async (_, options) => {
    const m: Model = { rows: 300, cols: 21, bias: null, softcap: 0, isCosine: false, lsePenalty: 0, ...options };
    const weights = row('f32', 'N(0,1)', m.rows * m.cols, 3);
    const hidden = row('f32', 'N(0,1)', 11 * m.cols, 4);
    const targets = [3, 299, 256, -100, 5, 6, 7, 255, 9, 10, 11];
    const head = new lib.OutputHead(weights, {
      rows: m.rows,
      cols: m.cols,
      normalize: m.isCosine,
      ...(m.bias && { bias: m.bias as Float32Array }),
      ...(m.softcap > 0 && { softcap: m.softcap }),
    });
    const given = { gradient: 'both', reduction: 'mean', lsePenalty: m.lsePenalty } as const;
    const result = head.crossEntropy(hidden, targets, given);
    expect(result.loss).toBeCloseTo(lossOf(m, weights, hidden, targets), 5);
    const near = (found: number, expected: number) => expect(Math.abs(found - expected)).toBeLessThan(2e-6);
    for (let i = 0; i < hidden.length; i += 7)
      near(
        result.hidden[i]!,
        derivative(hidden, i, (x) => lossOf(m, weights, x, targets)),
      );
    for (const r of [0, 3, 254, 255, 256, 299])
      near(
        result.weights[r * m.cols + 4]!,
        derivative(weights, r * m.cols + 4, (x) => lossOf(m, x, hidden, targets)),
      );
    expect(result.bias === null).toBe(m.bias === null);
    if (m.bias !== null) {
      const by = (x: Float64Array) => lossOf({ ...m, bias: x }, weights, hidden, targets);
      for (const r of [0, 3, 299]) near(result.bias![r]!, derivative(m.bias as Float32Array, r, by));
    }
    const one = head.crossEntropy(hidden, targets, { ...given, gradient: 'hidden' });
    expect(one.weights).toBeNull();
    expect(one.hidden).toEqual(result.hidden);
    const options2 = { rows: m.rows, cols: m.cols, normalize: m.isCosine };
    if (m.bias === null && m.softcap === 0) {
      const promised = await new later.OutputHead(weights, options2).crossEntropy(hidden, targets, given);
      expect(promised).toEqual(result);
    }
  });

  it.each(['q4_K', 'bfloat16', 'nbits4', 'int8'] as const)('has gradients of %s as of the same floats', (format) => {
    const m = matrix(format, 270, columnsFor(format, 64), 4);
    const { cols } = m.options;
    const head = new lib.OutputHead(m.weights, m.options);
    const same = new lib.OutputHead(head.weightRows(0, 270), { rows: 270, cols });
    const hidden = row('f32', 'N(0,1)', 3 * cols, 4);
    const [a, b] = [head, same].map((each) => each.crossEntropy(hidden, [1, 2, 269], { gradient: 'both' }));
    a!.hidden.forEach((each, i) => expect(Math.abs(each - b!.hidden[i]!)).toBeLessThan(1e-4));
    a!.weights.forEach((each, i) => expect(Math.abs(each - b!.weights[i]!)).toBeLessThan(1e-4));
  });

  it('has losses and gradients where logits are not finite', () => {
    const weights = Float32Array.of(1, NaN, 2);
    const { loss, hidden } = new lib.OutputHead(weights, { rows: 3, cols: 1 }).crossEntropy(
      Float32Array.of(1, 2),
      [0, -100],
      {
        gradient: 'hidden',
      },
    );
    expect(Array.from(loss)).toEqual([NaN, 0]);
    expect(hidden[0]).toBeNaN();
  });
});
