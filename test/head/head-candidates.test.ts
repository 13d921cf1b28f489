/** Candidates of an OutputHead: what the functions of the package give of the candidates' logits; sampled softmax. */
import { describe, expect, it } from 'vitest';
import { backends } from '../support/backends.js';
import { row } from '../support/cases.js';
import { HEAD_FORMATS } from '../../lib/head/formats.js';
import { forceHead, type HeadModules } from './force-head.js';
import { columnsFor, matrix } from './head-oracle.js';

const COUNT = 11;

interface SampledCase {
  readonly hasCounts?: boolean;
  readonly removes?: boolean;
  readonly isNested?: boolean;
  readonly isCosine?: boolean;
  readonly softcap?: number;
  readonly temperature?: number;
}

/** The loss of sampled softmax in double, from logits as numbers: the definition, term by term. */
function sampledLoss(
  z: (k: number) => number,
  target: number,
  list: readonly number[],
  { counts, own, removes, penalty = 0 }: { counts: readonly number[]; own: number; removes: boolean; penalty?: number },
): number {
  const chosen = z(target) - own;
  const terms = [chosen];
  list.forEach((k, i) => {
    if (k !== target || !removes) terms.push(z(k) - counts[i]!);
  });
  const top = Math.max(...terms);
  const lse = top + Math.log(terms.reduce((sum, term) => sum + Math.exp(term - top), 0));
  return lse - chosen + penalty * lse * lse;
}

describe.each(backends)('%s', (name) => {
  let lib: HeadModules['lib'];
  let root: HeadModules['root'];
  let sampling: HeadModules['sampling'];
  let later: HeadModules['later'];
  forceHead(name, (modules) => ({ lib, root, sampling, later } = modules));

  it.each(HEAD_FORMATS)('has the bits of all logits: %s', async (format) => {
    const m = matrix(format, 61, columnsFor(format, 70), 8);
    const { rows, cols } = m.options;
    const options = { ...m.options, softcap: 20, bias: row('f32', 'N(0,1)', rows, 2) };
    const head = new lib.OutputHead(m.weights, options);
    const hidden = row('f32', 'N(0,1)', COUNT * cols, 4);
    const all = head.logits(hidden);
    const list = Int32Array.of(60, 3, 3, 0, 17);
    const each = Array.from({ length: COUNT }, (_, i) => Uint32Array.of(i, 60 - i, 7));
    const shared = Float32Array.from({ length: COUNT * 5 }, (_, i) => all[Math.floor(i / 5) * rows + list[i % 5]!]!);
    const own = Float32Array.from(
      { length: COUNT * 3 },
      (_, i) => all[Math.floor(i / 3) * rows + each[Math.floor(i / 3)]![i % 3]!]!,
    );
    const same = new later.OutputHead(m.weights, options);
    for (const [candidates, expected] of [
      [list, shared],
      [each, own],
    ] as const) {
      expect(head.logits(hidden, { candidates })).toEqual(expected);
      const out = new Float32Array(expected.length);
      expect(await same.logits(hidden, { candidates, out })).toBe(out);
      expect(out).toEqual(expected);
    }
  });

  it('sums, selects and scores as the package does with written logits', async () => {
    const m = matrix('int8', 300, 24, 6);
    const head = new lib.OutputHead(m.weights, m.options);
    const same = new later.OutputHead(m.weights, m.options);
    const hidden = row('f32', 'N(0,1)', COUNT * 24, 7);
    const shared = Uint32Array.from({ length: 40 }, (_, i) => (i * 37) % 300);
    const each = Array.from({ length: COUNT }, (_, i) => shared.map((k) => (k + 3 * i) % 300));
    for (const candidates of [shared, each]) {
      const listOf = (i: number) => (candidates === shared ? shared : each[i]!);
      const logits = head.logits(hidden, { candidates });
      const cols = 40;
      const sums = root.expSum(logits, { cols, temperature: 0.7 });
      expect(head.expSum(hidden, { candidates, temperature: 0.7 })).toEqual(sums);
      expect(await same.expSum(hidden, { candidates, temperature: 0.7 })).toEqual(sums);
      const top = sampling.topK(logits, 5, { cols });
      const indices = top.indices.map((place, i) => listOf(Math.floor(i / 5))[place]!);
      expect(head.topK(hidden, 5, { candidates })).toEqual({ ...top, indices });
      expect(await same.topK(hidden, 5, { candidates })).toEqual({ ...top, indices });
      expect(head.topK(hidden, 50, { candidates }).k).toBe(40);
      const places = Array.from({ length: COUNT }, (_, i) => (7 * i) % 40);
      const logs = sampling.logProbs(logits, places, { cols, top: 3, temperature: 2 });
      const classes = logs.top.indices.map((place, i) => listOf(Math.floor(i / 3))[place]!);
      const tokens = places.map((place, i) => listOf(i)[place]!);
      const given = { candidates, top: 3, temperature: 2 };
      const expected = { ...logs, top: { ...logs.top, indices: classes } };
      expect(head.logProbs(hidden, tokens, given)).toEqual(expected);
      expect(await same.logProbs(hidden, tokens, given)).toEqual(expected);
    }
  });

  const cases = [
    ['no correction', {}],
    ['expected counts', { hasCounts: true }],
    ['hits that count', { hasCounts: true, removes: false }],
    ['lists of states', { hasCounts: true, isNested: true }],
    ['lists of states, hits that count, cosines', { isNested: true, removes: false, isCosine: true }],
    ['a softcap and a temperature', { hasCounts: true, softcap: 3, temperature: 0.5 }],
  ] as const;
  it.each(cases)('has the losses and gradients of sampled softmax: %s', async (_, given) => {
    const {
      hasCounts = false,
      removes = true,
      isNested = false,
      isCosine = false,
      softcap = 0,
      temperature = 1,
    } = given as SampledCase;
    const [rows, cols] = [50, 9];
    const weights = row('f32', 'N(0,1)', rows * cols, 3);
    const hidden = row('f32', 'N(0,1)', COUNT * cols, 4);
    const bias = row('f32', 'N(0,1)', rows, 5);
    const options = { rows, cols, bias, normalize: isCosine, ...(softcap > 0 && { softcap }) };
    const head = new lib.OutputHead(weights, options);
    const shared = Uint32Array.of(4, 9, 9, 30, 2, 45, 31);
    const each = Array.from({ length: COUNT }, (_, i) => shared.map((k) => (k + i) % rows));
    const targets = [30, 1, -100, 49, 9, 4, 0, 2, 2, 45, 20];
    const counts = each.map((list) => Float64Array.from(list, (k) => (hasCounts ? Math.log(7 / (k + 2)) : 0)));
    const own = targets.map((k) => (hasCounts ? Math.log(7 / (k + 2)) : 0));
    const listOf = (i: number) => (isNested ? each[i]! : shared);
    const countsOf = (i: number) => (isNested ? counts[i]! : counts[0]!);
    const call = {
      candidates: isNested ? each : shared,
      removeAccidentalHits: removes,
      temperature,
      lsePenalty: 0.01,
      weight: Float64Array.from({ length: rows }, (_, k) => 1 + k / rows),
      ...(hasCounts && {
        logCounts: isNested ? counts : counts[0]!,
        targetLogCounts: own.map((x) => (Number.isFinite(x) ? x : 0)),
      }),
    };
    const lossOf = (w: ArrayLike<number>, h: ArrayLike<number>, b: ArrayLike<number>) =>
      targets.reduce((total, target, i) => {
        if (target < 0) return total;
        const z = (k: number) => {
          let [dot, ww, hh] = [0, 0, 0];
          for (let c = 0; c < cols; c++) {
            const [x, y] = [w[k * cols + c]!, h[i * cols + c]!];
            [dot, ww, hh] = [dot + x * y, ww + x * x, hh + y * y];
          }
          const value = (isCosine ? dot / Math.sqrt(ww * hh) : dot) + b[k]!;
          return (softcap > 0 ? softcap * Math.tanh(value / softcap) : value) / temperature;
        };
        const one = { counts: Array.from(countsOf(i)), own: own[i]!, removes };
        const plain = sampledLoss(z, target, Array.from(listOf(i)), one);
        const penalised = sampledLoss(z, target, Array.from(listOf(i)), { ...one, penalty: 0.01 });
        return total + (1 + target / rows) * plain + (penalised - plain);
      }, 0);
    const result = head.crossEntropy(hidden, targets, { ...call, reduction: 'sum', gradient: 'both' });
    expect(result.loss).toBeCloseTo(lossOf(weights, hidden, bias), 4);
    const slope = (x: Float32Array, at: number, loss: (x: Float64Array) => number) => {
      const copy = Float64Array.from(x);
      copy[at] = x[at]! + 1e-5;
      const above = loss(copy);
      copy[at] = x[at]! - 1e-5;
      return (above - loss(copy)) / 2e-5;
    };
    const near = (found: number, expected: number) => expect(Math.abs(found - expected)).toBeLessThan(2e-5);
    for (let i = 0; i < hidden.length; i += 5)
      near(
        result.hidden[i]!,
        slope(hidden, i, (x) => lossOf(weights, x, bias)),
      );
    expect(Array.from(result.classes!)).toEqual(
      [...new Set([...targets.filter((k) => k >= 0), ...(isNested ? each.flatMap((l) => [...l]) : shared)])].sort(
        (a, b) => a - b,
      ),
    );
    result.classes!.forEach((k, i) => {
      near(
        result.weights[i * cols + 2]!,
        slope(weights, k * cols + 2, (x) => lossOf(x, hidden, bias)),
      );
      near(
        result.bias![i]!,
        slope(bias, k, (x) => lossOf(weights, hidden, x)),
      );
    });
    const promised = new later.OutputHead(weights, options).crossEntropy(hidden, targets, {
      ...call,
      reduction: 'sum',
      gradient: 'both',
    });
    expect(await promised).toEqual(result);
    const none = head.crossEntropy(hidden, targets, call);
    expect([none.hidden, none.weights, none.classes]).toEqual([null, null, null]);
    expect(none.loss[2]).toBe(0);
  });

  it('is the whole loss where all classes are candidates', () => {
    const m = matrix('float32', 70, 16, 3);
    const head = new lib.OutputHead(m.weights, m.options);
    const hidden = row('f32', 'N(0,1)', 4 * 16, 4);
    const candidates = Uint32Array.from({ length: 70 }, (_, i) => 69 - i);
    const [some, all] = [{ candidates }, {}].map((each) =>
      head.crossEntropy(hidden, [1, 69, 0, 30], { ...each, gradient: 'both' }),
    );
    // Both log-sum-exps are within 8e-8 (docstring of logSumExp).
    some!.loss.forEach((each, i) => expect(Math.abs(each - all!.loss[i]!)).toBeLessThan(2e-7));
    some!.hidden.forEach((each, i) => expect(Math.abs(each - all!.hidden[i]!)).toBeLessThan(1e-6));
    some!.weights.forEach((each, i) => expect(Math.abs(each - all!.weights[i]!)).toBeLessThan(1e-6));
  });
});

describe('refused candidates', async () => {
  const { OutputHead } = await import('../../lib/head.js');
  const head = new OutputHead(new Float32Array(12).fill(1), { rows: 4, cols: 3 });
  const hidden = new Float32Array(6);
  const [type, value, range] = ['ERR_INVALID_ARG_TYPE', 'ERR_INVALID_ARG_VALUE', 'ERR_OUT_OF_RANGE'];
  const one = Uint32Array.of(1);
  it.each<[string, object, RegExp]>([
    [range, { candidates: Int32Array.of(1, -1) }, /candidates.*-1 at 1/],
    [range, { candidates: Uint32Array.of(0, 1, 4) }, /candidates.*4 at 2/],
    [range, { candidates: [one, Uint32Array.of(9)] }, /candidates\[1\].*9 at 0/],
    [value, { candidates: new Uint32Array(0) }, /candidates/],
    [value, { candidates: [one] }, /2 lists/],
    [value, { candidates: [one, Uint32Array.of(1, 2)] }, /candidates\[1\]/],
    [type, { candidates: [1, 2] }, /candidates\[0\]/],
    [type, { candidates: new Float32Array(2) }, /candidates/],
  ])('%s: %o', (code, options, message) => {
    for (const call of [
      () => head.logits(hidden, options),
      () => head.topK(hidden, 1, options),
      () => head.expSum(hidden, options),
      () => head.logProbs(hidden, [1, 1], options),
      () => head.crossEntropy(hidden, [1, 1], options),
    ]) {
      expect(call).toThrow(expect.objectContaining({ code }) as Error);
      expect(call).toThrow(message);
    }
  });
  it.each<[string, object, RegExp]>([
    [value, { logCounts: [0] }, /logCounts/],
    [value, { removeAccidentalHits: true }, /removeAccidentalHits/],
    [type, { candidates: one, removeAccidentalHits: 1 }, /removeAccidentalHits/],
    [value, { candidates: one, labelSmoothing: 0.1 }, /labelSmoothing/],
    [value, { candidates: one, logCounts: [0, 0] }, /logCounts/],
    [value, { candidates: one, logCounts: [0], targetLogCounts: [0] }, /targetLogCounts/],
    [value, { candidates: one, targetLogCounts: [0, 0] }, /targetLogCounts/],
    [value, { candidates: one, logCounts: [0] }, /targets.*3 at 1/],
    [range, { candidates: one, logCounts: [Infinity] }, /logCounts\[0\]/],
    [type, { candidates: one, logCounts: 3 }, /logCounts/],
    [value, { weight: [1] }, /weight/],
    [range, { labelSmoothing: 2 }, /labelSmoothing/],
    [range, { temperature: 0 }, /temperature/],
  ])('a loss, %s: %o', (code, options, message) => {
    const call = () => head.crossEntropy(hidden, [1, 3], options);
    expect(call).toThrow(expect.objectContaining({ code }) as Error);
    expect(call).toThrow(message);
  });
  it('names the token that is no candidate', () => {
    expect(() => head.logProbs(hidden, [1, 2], { candidates: one })).toThrow(/tokens.*2 at 1/);
    expect(() => head.crossEntropy(hidden, new Float32Array(8), { candidates: one })).toThrow(/targets/);
  });
});
