/** OutputHead: values of every format, bits that do not depend on how a call is cut, and agreement with the package. */
import { describe, expect, it } from 'vitest';
import { backends, isNative, sameBitBackends } from '../support/backends.js';
import { row } from '../support/cases.js';
import { HEAD_FORMATS } from '../../lib/head/formats.js';
import { forceHead, type HeadModules } from './force-head.js';
import { biasedCase, boundOf, columnsFor, matrix, product } from './head-oracle.js';

const bits = (x: Float32Array) => new Uint32Array(x.buffer, x.byteOffset, x.length);

describe.each(backends)('%s', (name) => {
  let lib: HeadModules['lib'];
  let root: HeadModules['root'];
  let sampling: HeadModules['sampling'];
  let later: HeadModules['later'];
  forceHead(name, (modules) => ({ lib, root, sampling, later } = modules));

  describe.each(HEAD_FORMATS)('%s', (format) => {
    it('has the weights of the published layout, rounded once', () => {
      for (const [rows, width] of [
        [3, 40],
        [5, 257],
        [2, 700],
      ] as const) {
        const m = matrix(format, rows, columnsFor(format, width), rows + width);
        const { cols } = m.options;
        const head = new lib.OutputHead(m.weights, m.options);
        const expected = Float32Array.from({ length: rows * cols }, (_, i) => m.at(Math.floor(i / cols), i % cols));
        const plusZero = (x: Float32Array) => x.map((each) => each + 0); // a weight of 0 has either sign
        expect(plusZero(head.weightRows(0, rows))).toEqual(plusZero(expected));
        expect(plusZero(head.weightRows(1, 2))).toEqual(plusZero(expected.slice(cols, 2 * cols)));
      }
    });

    it('has the logits of a product in double-double within its bound', () => {
      for (const [rows, width, count] of [
        [1, 1, 1],
        [17, 33, 3],
        [35, 530, 8],
        [16, 1100, 5],
      ] as const) {
        const { m, cols, hidden, bias } = biasedCase(format, rows, width, count);
        const logits = new lib.OutputHead(m.weights, { ...m.options, bias }).logits(hidden);
        for (let i = 0; i < count; i++) {
          for (let r = 0; r < rows; r++) {
            const { sum, size } = product(m, r, hidden, i);
            const bound = boundOf(cols, size, sum + bias[r]!);
            expect(Math.abs(logits[i * rows + r]! - (sum + bias[r]!))).toBeLessThanOrEqual(bound);
          }
        }
      }
    });

    it('has the same bits in blocks of any number of states, in shards and on threads', () => {
      const m = matrix(format, 83, columnsFor(format, 1700), 5);
      const { rows, cols } = m.options;
      const head = new lib.OutputHead(m.weights, { ...m.options, softcap: 30 });
      const hidden = row('f32', 'N(0,1)', 19 * cols, 4);
      const all = head.logits(hidden);
      for (const n of [1, 2, 3, 5, 8, 9, 16]) {
        expect(bits(head.logits(hidden.subarray(0, n * cols)))).toEqual(bits(all.subarray(0, n * rows)));
        expect(bits(head.logits(hidden.subarray(n * cols, (n + 1) * cols)))).toEqual(
          bits(all.slice(n * rows, (n + 1) * rows)),
        );
      }
      const shard = head.slice(21, 60);
      const part = shard.logits(hidden);
      for (let i = 0; i < 19; i++) {
        expect(bits(part.subarray(i * 39, (i + 1) * 39))).toEqual(bits(all.slice(i * rows + 21, i * rows + 60)));
      }
      const threads = root.setThreads(3);
      expect(bits(head.logits(hidden))).toEqual(bits(all));
      root.setThreads(threads);
    });
  });

  it('caps logits, and gives cosines', () => {
    const m = matrix('float32', 40, 100, 3);
    const hidden = row('f32', 'N(0,1)', 300, 5);
    const logits = new lib.OutputHead(m.weights, m.options).logits(hidden);
    const capped = new lib.OutputHead(m.weights, { ...m.options, softcap: 0.5 }).logits(hidden);
    capped.forEach((z, i) => expect(z).toBeCloseTo(0.5 * Math.tanh(logits[i]! / 0.5), 6));
    const weights = Float32Array.from(m.weights as Float32Array);
    weights.fill(0, 0, 100);
    const states = Float32Array.from(hidden);
    states.fill(0, 200);
    const cosines = new lib.OutputHead(weights, { rows: 40, cols: 100, normalize: true }).logits(states);
    const length = (x: Float32Array) => Math.hypot(...x);
    for (let i = 0; i < 3; i++) {
      for (let r = 0; r < 40; r++) {
        const [h, w] = [states.subarray(100 * i, 100 * i + 100), weights.subarray(100 * r, 100 * r + 100)];
        const dot = h.reduce((sum, each, c) => sum + each * w[c]!, 0);
        expect(cosines[40 * i + r]).toBeCloseTo(dot === 0 ? 0 : dot / (length(h) * length(w)), 6);
      }
    }
  });

  it('follows IEEE 754 where numbers are not finite', () => {
    const weights = Float32Array.of(1, NaN, Infinity, 1, 2, 3, -Infinity, 0, 1, 2, 3, 4);
    const logits = new lib.OutputHead(weights, { rows: 6, cols: 2 }).logits(Float32Array.of(1, 1));
    expect(Array.from(logits)).toEqual([NaN, Infinity, 5, -Infinity, 3, 7]);
    const zero = new lib.OutputHead(weights, { rows: 6, cols: 2, softcap: 2 }).logits(Float32Array.of(0, 0));
    expect(Array.from(zero)).toEqual([NaN, NaN, 0, NaN, 0, 0]);
    expect(
      Array.from(new lib.OutputHead(weights, { rows: 6, cols: 2, softcap: 2 }).logits(Float32Array.of(1, 1)))[1],
    ).toBe(2);
  });

  it('takes halves as hidden states', () => {
    const m = matrix('bfloat16', 20, 64, 3);
    const head = new lib.OutputHead(m.weights, m.options);
    const brains = matrix('bfloat16', 2, 64, 8);
    const floats = Float32Array.from({ length: 128 }, (_, i) => brains.at(Math.floor(i / 64), i % 64));
    expect(head.logits(brains.weights as Uint16Array, { dtype: 'bfloat16' })).toEqual(head.logits(floats));
    const halves = matrix('float16', 2, 64, 8);
    const wide = Float32Array.from({ length: 128 }, (_, i) => halves.at(Math.floor(i / 64), i % 64));
    expect(head.logits(halves.weights as Uint16Array, { dtype: 'float16' })).toEqual(head.logits(wide));
  });

  it('sums, selects, samples and scores as the package does with written logits', async () => {
    const rows = 70_000;
    const m = matrix('int8', rows, 24, 6);
    const hidden = row('f32', 'N(0,1)', 10 * 24, 7);
    const head = new lib.OutputHead(m.weights, m.options);
    const logits = head.logits(hidden);
    const cols = rows;
    expect(head.expSum(hidden, { temperature: 0.7 })).toEqual(root.expSum(logits, { cols, temperature: 0.7 }));
    expect(head.topK(hidden, 5)).toEqual(sampling.topK(logits, 5, { cols }));
    expect(head.topK(hidden, 0).k).toBe(0);
    for (const options of [
      { seed: 1 },
      { temperature: 0 },
      { seed: 3, topK: 40, topP: 0.9 },
      { seed: 2, minP: 0.1, logProbs: 2 },
    ]) {
      expect(head.sample(hidden, options)).toEqual(sampling.sample(logits, { ...options, cols }));
    }
    const tokens = Array.from({ length: 10 }, (_, i) => 6_999 * i);
    expect(head.logProbs(hidden, tokens, { top: 3 })).toEqual(sampling.logProbs(logits, tokens, { cols, top: 3 }));
    const same = new later.OutputHead(m.weights, m.options);
    expect(await same.expSum(hidden, { temperature: 0.7 })).toEqual(head.expSum(hidden, { temperature: 0.7 }));
    expect(await same.topK(hidden, 5)).toEqual(head.topK(hidden, 5));
    expect(await same.sample(hidden, { seed: 1 })).toEqual(head.sample(hidden, { seed: 1 }));
    expect(await same.logProbs(hidden, tokens)).toEqual(head.logProbs(hidden, tokens));
    const out = new Float32Array(logits.length);
    expect(await same.logits(hidden, { out })).toBe(out);
    expect(out).toEqual(logits);
  }, 60_000);

  it('orders equal logits of several blocks by class', () => {
    const weights = new Float32Array(140_000).fill(1);
    weights[70_001] = 2;
    const head = new lib.OutputHead(weights, { rows: 140_000, cols: 1 });
    expect(Array.from(head.topK(Float32Array.of(1), 4).indices)).toEqual([70_001, 0, 1, 2]);
    expect(Array.from(head.topK(Float32Array.of(-1), 2).indices)).toEqual([0, 1]);
    weights[100_000] = NaN;
    const other = new lib.OutputHead(weights, { rows: 140_000, cols: 1 }); // WebAssembly has a copy for the first one
    expect(() => other.topK(Float32Array.of(1, 2), 2)).toThrow(/row 0 of logits/);
  });

  it.runIf(isNative(name))('has the bits of the other instruction sets', async () => {
    const { backendNamed } = await import('../../lib/backend/named.js');
    for (const format of HEAD_FORMATS) {
      const m = matrix(format, 37, columnsFor(format, 1700), 11);
      const hidden = row('f32', 'N(0,1)', 5 * m.options.cols, 4);
      const head = new lib.OutputHead(m.weights, { ...m.options, softcap: 20 });
      const expected = head.logits(hidden);
      const { matrixOfHead } = await import('../../lib/head/output-head.js');
      const { scales, zeroPoints, factors, rows, cols, block, format: code } = matrixOfHead(head);
      const weights = new Uint8Array(m.weights.buffer, m.weights.byteOffset, m.weights.byteLength);
      for (const other of sameBitBackends) {
        const out = new Float32Array(expected.length);
        backendNamed(other).head_logits_f32(
          hidden,
          factors,
          null,
          out,
          5,
          20,
          weights,
          scales,
          zeroPoints,
          rows,
          cols,
          block,
          code,
        );
        expect(bits(out), `${format} on ${other}`).toEqual(bits(expected));
      }
    }
  });
});
