/**
 * Rows over several axes: softmax, logSoftmax, logSumExp and stableMax, on every backend, against rows that are
 * collected index by index, each a call of its own of one row. (family.test.ts judges rows by the oracle.)
 */
import { beforeEach, describe, expect, it, vi } from 'vitest';
import * as promises from '../../lib/promises.js';
import { allocate } from '../../lib/call/allocate.js';
import { softmaxOracle } from '../../lib/cli/oracle.js';
import { backends } from '../support/backends.js';
import { forceBackend } from '../support/force-backend.js';
import { generator, normal } from '../support/cases.js';
import { dtypes, floatsOf, halvesOf } from '../support/halves.js';
import { bound, worstError } from '../support/oracle.js';

type Library = typeof import('../../lib/index.js');

/** The indices of the elements of each row, in the order of the remaining axes; by the definition. */
function rowsOf(shape: readonly number[], axes: readonly number[]): number[][] {
  const along = new Set(axes.map((axis) => (axis < 0 ? axis + shape.length : axis)));
  const rows = new Map<string, number[]>();
  const count = shape.reduce((product, size) => product * size, 1);
  for (let i = 0; i < count; i++) {
    const index: number[] = [];
    shape.reduceRight((rest, size, axis) => ((index[axis] = rest % size), Math.floor(rest / size)), i);
    const key = index.filter((_, axis) => !along.has(axis)).join();
    if (!rows.has(key)) rows.set(key, []);
    rows.get(key)!.push(i);
  }
  return [...rows.values()];
}

const SHAPES = [
  ...['3 4 5 over 0 2', '3 4 5 over 2 0', '3 4 5 over 1 2', '3 4 5 over 0 1', '3 4 5 over 0 1 2', '3 4 5 over 1'],
  ...['3 1 5 over 0 2', '3 1 1 4 5 over 0 3', '2 3 4 5 over 1 3', '2 3 4 5 over -4 -2', '2 3 4 5 over 3 0'],
  ...['2 1 4 5 over 1 3', '2 3 2 3 2 3 over 0 2 4', '2 3 2 3 2 3 over 1 3 5', '2 3 2 3 2 3 over 0 1 4'],
  ...['1 1 1 over 0 2', '3 20 130 over 0 2', '2 2 300 over 0 2', '2 7 2 80 over 1 3'],
];

const parsed = (text: string) => {
  const [shape, axis] = text.split(' over ').map((list) => list.split(' ').map(Number));
  return { shape: shape!, axis: axis! };
};

const logits = (n: number): Float32Array => {
  const random = generator(n);
  return Float32Array.from({ length: n }, () => 3 * normal(random));
};

const detach = ({ buffer }: Float32Array): void => void structuredClone(buffer, { transfer: [buffer as ArrayBuffer] });

/** How far two results are apart, relative to 1 or to the larger one. Equal ones, NaN included, are not. */
const distance = (a: number, b: number): number => (Object.is(a, b) ? 0 : Math.abs(a - b) / Math.max(1, Math.abs(b)));

const sizeOf = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);

describe.each(backends)('rows over several axes on %s', (backend) => {
  let flash: Library;
  forceBackend(backend, async () => {
    flash = await import('../../lib/index.js');
  });

  it.each(SHAPES)('give the exact softmax of %s', (text) => {
    const { shape, axis } = parsed(text);
    const x = logits(sizeOf(shape));
    const y = flash.softmax(x, { shape, axis, temperature: 0.7 });
    const log = flash.logSoftmax(x, { shape, axis, temperature: 0.7 });
    const sums = flash.logSumExp(x, { shape, axis, temperature: 0.7 });
    const rows = rowsOf(shape, axis);
    expect(sums).toHaveLength(rows.length);
    rows.forEach((row, r) => {
      const exact = softmaxOracle(
        Float32Array.from(row, (i) => x[i]!),
        { temperature: 0.7 },
      );
      const { error } = worstError(
        'f32',
        Float32Array.from(row, (i) => y[i]!),
        exact,
      );
      expect(error).toBeLessThanOrEqual(Math.max(2, bound(backend, 'f32', row.length)));
      const [i] = [row[row.length >> 1]!];
      expect(Math.abs(x[i]! / 0.7 - sums[r]! - Math.log(exact.hi[row.length >> 1]!))).toBeLessThan(1e-6);
      expect(Math.abs(log[i]! - Math.log(exact.hi[row.length >> 1]!))).toBeLessThan(1e-5);
    });
  });

  it.each(SHAPES)('equal single rows with mask, bias and out: %s', (text) => {
    const { shape, axis } = parsed(text);
    const n = sizeOf(shape);
    const x = Float64Array.from(logits(n));
    const bias = Float64Array.from(logits(n)).reverse();
    const mask = Uint8Array.from(x, (value) => (value > -1 ? 1 : 0));
    const bits = new Uint8Array(Math.ceil(n / 8));
    mask.forEach((byte, i) => (bits[i >> 3]! |= byte << (i & 7)));
    const rows = rowsOf(shape, axis);
    const cols = rows[0]!.length;
    const rowMask = Uint8Array.from({ length: cols }, (_, i) => (i % 3 === 1 ? 0 : 1));
    const rowBias = Float64Array.from(logits(cols));
    const pick = <A extends Float64Array | Uint8Array>(all: A, row: number[]) => {
      const picked = all.slice(0, row.length) as A;
      row.forEach((at, i) => (picked[i] = all[at]!));
      return picked;
    };
    const cases = [
      { options: { mask, bias }, of: (row: number[]) => ({ mask: pick(mask, row), bias: pick(bias, row) }) },
      { options: { mask: bits, maskFormat: 'bits' as const }, of: (row: number[]) => ({ mask: pick(mask, row) }) },
      { options: { mask: rowMask, bias: rowBias }, of: () => ({ mask: rowMask, bias: rowBias }) },
    ];
    for (const { options, of } of cases) {
      if (options.maskFormat === 'bits' && rows.length > 1 && Math.ceil(n / 8) === Math.ceil(cols / 8)) continue;
      for (const name of ['softmax', 'logSoftmax', 'stableMax'] as const) {
        const inPlace = x.slice();
        const apart = new Float64Array(n);
        expect(flash[name](inPlace, { shape, axis, ...options, out: inPlace })).toBe(inPlace);
        expect(flash[name](x, { shape, axis, ...options, out: apart })).toBe(apart);
        expect(inPlace).toEqual(apart);
        for (const row of rows) {
          const single = flash[name](pick(x, row), of(row));
          const worst = row.reduce((most, at, i) => Math.max(most, distance(apart[at]!, single[i]!)), 0);
          expect(worst).toBeLessThanOrEqual(1e-14);
        }
      }
      const sums = flash.logSumExp(x, { shape, axis, ...options });
      const weights = Float64Array.from(bias, (value) => value - 0.3);
      const signed = flash.logSumExp(x, { shape, axis, ...options, weights, sign: true });
      rows.forEach((row, r) => {
        expect(sums[r]).toBeCloseTo(flash.logSumExp(pick(x, row), of(row))[0]!, 12);
        const one = flash.logSumExp(pick(x, row), { ...of(row), weights: pick(weights, row), sign: true });
        expect(signed.lse[r]).toBeCloseTo(one.lse[0]!, 9);
        expect(signed.sign[r]).toBe(one.sign[0]);
      });
    }
  });

  it.each(['f16', 'bf16'] as const)('take %s, with results of halves or floats', (type) => {
    const shape = [3, 4, 5, 6];
    const axis = [1, 3];
    const x = halvesOf(type, logits(360));
    const dtype = dtypes[type];
    const out = new Float32Array(360);
    expect(flash.softmax(x, { shape, axis, dtype, out })).toBe(out);
    const halves = flash.softmax(x, { shape, axis, dtype });
    const floats = flash.softmax(floatsOf(type, x), { shape, axis });
    expect(out).toEqual(floats);
    expect(halves).toEqual(halvesOf(type, floats));
    const same = x.slice();
    flash.softmax(same, { shape, axis, dtype, out: same });
    expect(same).toEqual(halves);
    expect(flash.logSumExp(x, { shape, axis, dtype })).toEqual(flash.logSumExp(floatsOf(type, x), { shape, axis }));
  });

  it('of nothing', () => {
    const none = new Float32Array(0);
    expect(flash.softmax(none, { shape: [2, 0, 3], axis: [0, 2] })).toHaveLength(0);
    expect([...flash.logSumExp(none, { shape: [2, 0, 3], axis: [0, 1] })]).toEqual([-Infinity, -Infinity, -Infinity]);
    expect([...flash.logSumExp(none, { shape: [2, 0, 3], axis: [0, 2] })]).toEqual([]);
    expect([...flash.logSumExp(none, { shape: [0, 2, 0], axis: [0, 2] })]).toEqual([-Infinity, -Infinity]);
  });
});

describe('a list of axes', () => {
  let flash: Library;
  beforeEach(async () => {
    vi.resetModules();
    flash = await import('../../lib/index.js');
  });
  const x = () => logits(24);
  const refused = (body: () => unknown, code: string, message: string) =>
    expect(body).toThrow(expect.objectContaining({ code, message: expect.stringContaining(message) }));

  it('is checked, and nothing is written', () => {
    const out = new Float32Array(24).fill(7);
    const call =
      (axis: unknown, shape: unknown = [2, 3, 4]) =>
      () =>
        flash.softmax(x(), { shape: shape as number[], axis: axis as number[], out });
    refused(call([]), 'ERR_INVALID_ARG_VALUE', 'Expected one axis at least, or no value for the last axis, for axis');
    refused(call([0, 3]), 'ERR_OUT_OF_RANGE', 'Expected an integer from -3 to 2 for axis[1] but received 3');
    refused(call([0, -4]), 'ERR_OUT_OF_RANGE', 'for axis[1] but received -4');
    refused(call([0.5]), 'ERR_OUT_OF_RANGE', 'for axis[0] but received 0.5');
    refused(
      call([0, 2, -3]),
      'ERR_INVALID_ARG_VALUE',
      'Expected another axis than axis[0] for axis[2] but received -3',
    );
    refused(call([0, '1']), 'ERR_INVALID_ARG_TYPE', "Expected an integer for axis[1] but received '1'");
    refused(call('1'), 'ERR_INVALID_ARG_TYPE', 'Expected an integer or an array of integers for axis');
    refused(call(Int32Array.of(1, 2)), 'ERR_INVALID_ARG_TYPE', 'an integer or an array of integers');
    refused(call([0, 2], [2, 3, 5]), 'ERR_INVALID_ARG_VALUE', 'a product of 24');
    refused(() => flash.softmax(x(), { axis: [0] }), 'ERR_INVALID_ARG_VALUE', 'axis without shape');
    refused(
      () => flash.expSum(x(), { shape: [2, 3, 4], axis: [0, 2] as unknown as number }),
      'ERR_INVALID_ARG_TYPE',
      'Expected an integer for axis but received an Array',
    );
    const words = new Int32Array(3).fill(-1);
    refused(
      () => flash.softmax(x(), { shape: [2, 3, 4], axis: [0, 2], mask: words, maskFormat: 'bits', out }),
      'ERR_INVALID_ARG_VALUE',
      'for mask',
    );
    refused(
      () => flash.softmax(x(), { shape: [2, 3, 4], axis: [0, 2], mask: new Uint8Array(7), out }),
      'ERR_INVALID_ARG_VALUE',
      'Expected 24 bytes, or 8 for one row, for mask but received 7',
    );
    const sums = new Float64Array(2);
    refused(
      () => flash.logSumExp(x(), { shape: [2, 3, 4], axis: [0, 2], out: sums }),
      'ERR_INVALID_ARG_VALUE',
      'Expected 3 elements, one a row, for out but received 2',
    );
    expect([...out]).toEqual(new Array(24).fill(7));
  });

  it('is read once, before lengths are taken', () => {
    const data = x();
    let reads = 0;
    const axis = [0, 2];
    Object.defineProperty(axis, 0, {
      get() {
        reads++;
        detach(data);
        return 0;
      },
    });
    refused(() => flash.softmax(data, { shape: [2, 3, 4], axis }), 'ERR_INVALID_ARG_TYPE', 'has its memory');
    expect(reads).toBe(1);
  });

  it('has a coded error for memory that is missing', () => {
    refused(() => allocate('Float32Array', 2 ** 50, 'x'), 'ERR_MEMORY_ALLOCATION_FAILED', '4503599627370496 bytes');
  });

  it('takes the words of one row', () => {
    const mask = Int32Array.of(0b10110101);
    const bytes = Uint8Array.of(1, 0, 1, 0, 1, 1, 0, 1);
    const options = { shape: [2, 3, 4], axis: [0, 2] };
    expect(flash.softmax(x(), { ...options, mask, maskFormat: 'bits' })).toEqual(
      flash.softmax(x(), { ...options, mask: bytes }),
    );
  });
});

describe('promises over several axes', () => {
  const shape = [3, 200, 130];
  const axis = [0, 2];

  const expectSame = (a: NodeJS.TypedArray, b: NodeJS.TypedArray) =>
    expect(Buffer.compare(Buffer.from(a.buffer), Buffer.from(b.buffer))).toBe(0);

  it('give the same bits', async () => {
    const { softmax, logSoftmax, logSumExp } = await import('../../lib/index.js');
    const x = logits(sizeOf(shape));
    const mask = Uint8Array.from(x, (value) => (value > -1 ? 1 : 0));
    const rowMask = Uint8Array.from({ length: 390 }, (_, i) => i & 1);
    const weights = Float64Array.from(x, (value) => value + 0.1);
    for (const options of [{}, { mask }, { mask: rowMask, temperature: 2 }]) {
      const all = { shape, axis, ...options };
      expectSame(await promises.softmax(x, all), softmax(x, all));
      const same = x.slice();
      expect(await promises.logSoftmax(same, { ...all, out: same })).toBe(same);
      expectSame(same, logSoftmax(x, all));
      expectSame(await promises.logSumExp(x, all), logSumExp(x, all));
      const signed = { ...all, weights, sign: true } as const;
      expect(await promises.logSumExp(x, signed)).toEqual(logSumExp(x, signed));
    }
  });

  it('may lose arrays after the call, and reject or are as if they had not', async () => {
    const big = [3, 50, 4, 500];
    const x = logits(sizeOf(big));
    const out = new Float32Array(x.length);
    const job = promises.softmax(x, { shape: big, axis: [1, 3], out });
    detach(x);
    await expect(job).rejects.toMatchObject({
      code: 'ERR_INVALID_ARG_VALUE',
      message: expect.stringContaining('for x'),
    });
    const again = promises.softmax(logits(sizeOf(big)), { shape: big, axis: [1, 3], out });
    detach(out);
    await expect(again).rejects.toMatchObject({ message: expect.stringContaining('for out') });
  });

  it('end with their signal, and write nothing', async () => {
    const x = logits(sizeOf(shape));
    const out = new Float32Array(x.length).fill(7);
    const controller = new AbortController();
    const job = promises.softmax(x, { shape, axis, out, signal: controller.signal });
    controller.abort();
    await expect(job).rejects.toMatchObject({ name: 'AbortError' });
    expect(out.every((value) => value === 7)).toBe(true);
  });
});
