/** OutputHead with activations 'int8': values against exact sums of integers, bits, edges, and all methods. */
import { describe, expect, it } from 'vitest';
import { backends, isNative, sameBitBackends } from '../support/backends.js';
import { row } from '../support/cases.js';
import { HEAD_FORMATS, INT8 } from '../../lib/head/formats.js';
import { forceHead, type HeadModules } from './force-head.js';
import { biasedCase, boundOf, columnsFor, matrix, product } from './head-oracle.js';

const bits = (x: Float32Array) => new Uint32Array(x.buffer, x.byteOffset, x.length);
const INTEGERS = HEAD_FORMATS.slice(INT8);
const activations = 'int8';

/** The nearest integer, the even one of two. */
function nearest(x: number): number {
  const below = Math.floor(x);
  const rest = x - below;
  if (rest === 0.5) return below % 2 === 0 ? below : below + 1;
  return rest < 0.5 ? below : below + 1;
}

/** States as scale · q, and half the scale of each number: what rounding moves it by. */
function inBytes(hidden: Float32Array, cols: number): { states: Float64Array; half: Float64Array } {
  const [states, half] = [new Float64Array(hidden.length), new Float64Array(hidden.length)];
  for (let i = 0; i < hidden.length; i++) {
    const [column, first] = [i % cols, i - (i % cols)];
    const from = first + 32 * Math.floor(column / 32);
    const block = Array.from(hidden.subarray(from, Math.min(first + cols, from + 32)), Math.abs);
    const scale = Math.max(Math.fround(Math.max(...block) / 127), 2 ** -126);
    states[i] = scale * nearest(Math.fround(hidden[i]! / scale));
    half[i] = scale / 2;
  }
  return { states, half };
}

describe.each(backends)('%s', (name) => {
  let lib: HeadModules['lib'];
  let root: HeadModules['root'];
  let sampling: HeadModules['sampling'];
  let later: HeadModules['later'];
  forceHead(name, (modules) => ({ lib, root, sampling, later } = modules));

  describe.each(INTEGERS)('%s', (format) => {
    it('has the logits of quantised states within the bound of roundings, and of states within that of bytes', () => {
      for (const [rows, width, count] of [
        [1, 1, 1],
        [17, 33, 3],
        [35, 530, 8],
        [16, 1100, 1],
        [9, 75, 41],
      ] as const) {
        const { m, cols, hidden, bias } = biasedCase(format, rows, width, count);
        const logits = new lib.OutputHead(m.weights, { ...m.options, bias, activations }).logits(hidden);
        const { states, half } = inBytes(hidden, cols);
        for (let i = 0; i < count; i++) {
          for (let r = 0; r < rows; r++) {
            const { sum, size } = product(m, r, states, i);
            const rounding = boundOf(cols, size, sum + bias[r]!);
            const logit = logits[i * rows + r]!;
            expect(Math.abs(logit - (sum + bias[r]!))).toBeLessThanOrEqual(rounding);
            let moved = 0;
            for (let c = 0; c < cols; c++) moved += half[i * cols + c]! * Math.abs(m.at(r, c));
            const exact = product(m, r, hidden, i);
            expect(Math.abs(logit - (exact.sum + bias[r]!))).toBeLessThanOrEqual(
              moved + rounding + 2 ** -24 * exact.size,
            );
          }
        }
      }
    });

    it('has the same bits in blocks of any number of states, in shards, of candidates and on threads', () => {
      const m = matrix(format, 83, columnsFor(format, 600), 5);
      const { rows, cols } = m.options;
      const head = new lib.OutputHead(m.weights, { ...m.options, softcap: 30, activations });
      const hidden = row('f32', 'N(0,1)', 43 * cols, 4);
      const all = head.logits(hidden);
      for (const n of [1, 2, 3, 5, 8, 9, 33]) {
        expect(bits(head.logits(hidden.subarray(0, n * cols)))).toEqual(bits(all.subarray(0, n * rows)));
        expect(bits(head.logits(hidden.subarray(n * cols, (n + 1) * cols)))).toEqual(
          bits(all.slice(n * rows, (n + 1) * rows)),
        );
      }
      const part = head.slice(21, 60).logits(hidden);
      for (let i = 0; i < 43; i++) {
        expect(bits(part.subarray(i * 39, (i + 1) * 39))).toEqual(bits(all.slice(i * rows + 21, i * rows + 60)));
      }
      const candidates = Uint32Array.of(80, 3, 3);
      const listed = head.logits(hidden.subarray(0, cols), { candidates });
      expect(bits(listed)).toEqual(bits(Float32Array.from(candidates, (each) => all[each]!)));
      const threads = root.setThreads(3);
      expect(bits(head.logits(hidden))).toEqual(bits(all));
      root.setThreads(threads);
    });

    it('gives a state with a number that is not finite NaN alone, and counts tiny and huge ones', () => {
      const m = matrix(format, 18, columnsFor(format, 70), 3);
      const { rows, cols } = m.options;
      const head = new lib.OutputHead(m.weights, { ...m.options, activations });
      const hidden = row('f32', 'N(0,1)', 5 * cols, 4);
      const expected = head.logits(hidden);
      for (const bad of [NaN, Infinity, -Infinity]) {
        const states = Float32Array.from(hidden);
        states[2 * cols + (41 % cols)] = bad;
        const logits = head.logits(states);
        expect(logits.subarray(2 * rows, 3 * rows).every(Number.isNaN)).toBe(true);
        expect(bits(logits.subarray(0, 2 * rows))).toEqual(bits(expected.subarray(0, 2 * rows)));
        expect(bits(logits.slice(3 * rows))).toEqual(bits(expected.slice(3 * rows)));
        expect(head.logits(states.subarray(2 * cols, 3 * cols)).every(Number.isNaN)).toBe(true);
      }
      expect(head.logits(new Float32Array(cols)).every((each) => each === 0)).toBe(true);
      const sizes = [2 ** -149, 3e-39, 1e-36, 1e30];
      for (const size of sizes) {
        const states = hidden.slice(0, cols).map((each) => each * size);
        const { states: exact } = inBytes(states, cols);
        const logits = head.logits(states);
        for (let r = 0; r < rows; r++) {
          const { sum, size: most } = product(m, r, exact, 0);
          expect(Math.abs(logits[r]! - sum)).toBeLessThanOrEqual(64 * 2 ** -24 * most + 2 ** -130);
        }
      }
    });
  });

  it('sums, selects, samples and scores as the package does with written logits', async () => {
    const rows = 70_000;
    const m = matrix('int8', rows, 24, 6);
    const hidden = row('f32', 'N(0,1)', 3 * 24, 7);
    const head = new lib.OutputHead(m.weights, { ...m.options, activations });
    const logits = head.logits(hidden);
    const cols = rows;
    expect(logits).not.toEqual(new lib.OutputHead(m.weights, m.options).logits(hidden));
    expect(head.expSum(hidden)).toEqual(root.expSum(logits, { cols }));
    expect(head.topK(hidden, 5)).toEqual(sampling.topK(logits, 5, { cols }));
    for (const options of [{ seed: 1 }, { seed: 3, topK: 40, topP: 0.9 }]) {
      expect(head.sample(hidden, options)).toEqual(sampling.sample(logits, { ...options, cols }));
    }
    expect(head.logProbs(hidden, [1, 2, 3], { top: 3 })).toEqual(
      sampling.logProbs(logits, [1, 2, 3], { cols, top: 3 }),
    );
    const same = new later.OutputHead(m.weights, { ...m.options, activations });
    expect(await same.logits(hidden)).toEqual(logits);
    expect(await same.sample(hidden, { seed: 1 })).toEqual(head.sample(hidden, { seed: 1 }));
  }, 60_000);

  it('takes gradients as if states were not rounded', () => {
    const m = matrix('q8_0', 50, 64, 6);
    const hidden = row('f32', 'N(0,1)', 4 * 64, 7);
    const head = new lib.OutputHead(m.weights, { ...m.options, activations });
    const result = head.crossEntropy(hidden, [1, 2, 3, 4], { gradient: 'both' });
    const weights = head.weightRows(0, 50);
    const logits = head.logits(hidden);
    const byWeights = new Float64Array(50 * 64);
    for (let i = 0; i < 4; i++) {
      const own = logits.subarray(50 * i, 50 * i + 50);
      const most = Math.max(...own);
      const total = own.reduce((sum, each) => sum + Math.exp(each - most), 0);
      expect(result.lse[i]).toBeCloseTo(most + Math.log(total), 5);
      const byHidden = new Float64Array(64);
      for (let r = 0; r < 50; r++) {
        const slope = Math.exp(own[r]! - most) / total - (r === i + 1 ? 1 : 0);
        for (let c = 0; c < 64; c++) {
          byHidden[c]! += slope * weights[64 * r + c]!;
          byWeights[64 * r + c]! += slope * hidden[64 * i + c]!;
        }
      }
      byHidden.forEach((each, c) => expect(result.hidden[64 * i + c]).toBeCloseTo(each, 4));
    }
    byWeights.forEach((each, i) => expect(result.weights[i]).toBeCloseTo(each, 4));
  });

  it('gives cosines of states in bytes', () => {
    const m = matrix('int8', 20, 64, 6);
    const hidden = row('f32', 'N(0,1)', 2 * 64, 7);
    const options = { ...m.options, normalize: true };
    const near = new lib.OutputHead(m.weights, { ...options, activations }).logits(hidden);
    new lib.OutputHead(m.weights, options).logits(hidden).forEach((z, i) => {
      expect(Math.abs(near[i]! - z)).toBeLessThan(0.01);
    });
  });

  it.runIf(isNative(name))('has the bits of the other instruction sets', async () => {
    const { backendNamed } = await import('../../lib/backend/named.js');
    const { matrixOfHead } = await import('../../lib/head/output-head.js');
    for (const format of INTEGERS) {
      for (const [width, count, seed] of [
        [530, 5, 11],
        [33, 1, 12],
        [600, 2, 13],
        [1100, 1, 14],
      ] as const) {
        const m = matrix(format, 37, columnsFor(format, width), seed);
        const hidden = row('f32', 'N(0,1)', count * m.options.cols, 4);
        const head = new lib.OutputHead(m.weights, { ...m.options, softcap: 20, activations });
        const expected = head.logits(hidden);
        const { scales, zeroPoints, factors, rows, cols, block, format: code } = matrixOfHead(head);
        const weights = new Uint8Array(m.weights.buffer, m.weights.byteOffset, m.weights.byteLength);
        for (const other of sameBitBackends) {
          const out = new Float32Array(expected.length);
          const kernel = backendNamed(other).head_integer_logits_f32 as (...args: unknown[]) => void;
          kernel(hidden, factors, null, out, count, 20, weights, scales, zeroPoints, rows, cols, block, code);
          expect(bits(out), `${format} on ${other}`).toEqual(bits(expected));
        }
      }
    }
  });
});

describe('activations', () => {
  it('are refused beside weights of floats, and by another name', async () => {
    const { OutputHead } = await import('../../lib/head.js');
    const sizes = { rows: 4, cols: 3 };
    const refusal = { name: 'RangeError', code: 'ERR_INVALID_ARG_VALUE' };
    const make = (weights: object, options: object) => () =>
      new OutputHead(weights as Int8Array, { ...sizes, ...options } as never);
    expect(make(new Float32Array(12), { activations: 'int8' })).toThrow(expect.objectContaining(refusal));
    expect(make(new Float32Array(12), { activations: 'int8' })).toThrow(
      /'nbits8' beside activations.*format.*'float32'/,
    );
    expect(make(new Int8Array(12), { format: 'int8', activations: 'int4' })).toThrow(/activations/);
    expect(make(new Int8Array(12), { format: 'int8', activations: 8 })).toThrow(/activations/);
    expect(make(new Float32Array(12), { activations: 'float32' })).not.toThrow();
  });
});
