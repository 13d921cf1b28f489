/**
 * Rare ways of the JavaScript backend's memory and tables: rows that are held without remainders, halves that are more
 * than the memory that calls share, arguments of e^x halfway between two steps.
 */
import { expect, it } from 'vitest';
import { softmaxKernels } from '../../lib/js/softmax/softmax.js';
import { exponentialOf } from '../../lib/js/rows/exponential.js';
import { floatsAt } from '../../lib/js/rows/half.js';
import { LN2, LN2_LOW, rootsOfTwo, split, STEPS } from '../../lib/math/powers.js';
import { generator } from '../support/cases.js';

/** Between HELD_LENGTH and LONGEST_HELD, and more than half of the memory that halves share. */
const LONG = 2 ** 20 + 3;

/** Random halves of either sign, from 1/8 on. */
const halvesOf = (isBfloat16: boolean): Uint16Array => {
  const random = generator(5);
  return Uint16Array.from({ length: LONG }, () => (isBfloat16 ? 0x3e00 : 0x3000) + (random() & 0x81ff));
};

it('a row of floats that is held without remainders has the softmax of one that goes part by part', () => {
  const random = generator(4);
  const x = Float32Array.from({ length: LONG }, () => (random() % 20_000) / 1000);
  const [held, inParts] = [new Float32Array(LONG), new Float32Array(LONG)];
  softmaxKernels.softmax_f32(x, held, 1, LONG, 1, 0.7, null, 0, null);
  softmaxKernels.softmax_f32(x, inParts, 1, LONG, 1, 0.7, new Uint8Array(LONG).fill(1), 0, null);
  let most = 0;
  for (let i = 0; i < LONG; i++) most = Math.max(most, Math.abs(held[i]! / inParts[i]! - 1));
  expect(most).toBeLessThan(2 ** -23);
});

it.each(['f16', 'bf16'] as const)('%s: more halves than the memory that calls share', (type) => {
  const x = halvesOf(type === 'bf16');
  const [plain, masked] = [new Uint16Array(LONG), new Uint16Array(LONG)];
  softmaxKernels[`softmax_${type}`](x, plain, 1, LONG, 1, 1, null, 0, null);
  softmaxKernels[`softmax_${type}`](x, masked, 1, LONG, 1, 1, new Uint8Array(LONG).fill(1), 0, null);
  let most = 0;
  for (let i = 0; i < LONG; i++) most = Math.max(most, Math.abs(plain[i]! - masked[i]!));
  expect(most).toBeLessThanOrEqual(1);
});

it.each([
  ['f16', 0x7e01, 0x7e00],
  ['bf16', 0x7fc1, 0x7fc0],
] as const)('%s: a row with a NaN is NaN, and its neighbour is not', (type, given, written) => {
  const out = new Uint16Array(6);
  softmaxKernels[`softmax_${type}`](Uint16Array.of(0, given, 0, 0, 0, 0), out, 2, 3, 1, 1, null, 0, null);
  expect([...out.subarray(0, 3)]).toEqual([written, written, written]);
  expect(new Set(out.subarray(3)).size).toBe(1);
});

it('memory that calls share does not overlap between places, and grows', () => {
  const [first, second] = [floatsAt(0, 3).fill(1), floatsAt(3, 5000).fill(2)];
  expect([...first]).toEqual([1, 1, 1]);
  expect(second.every((value) => value === 2)).toBe(true);
  expect(floatsAt(2 ** 21 - 1, 2).byteOffset).toBe(0);
});

it('e^x takes the step that a quotient and Math.round find, halfway between two steps too', () => {
  const { high, low } = rootsOfTwo();
  const [stepHigh, rest] = split(LN2 / STEPS);
  const stepLow = rest + LN2_LOW / STEPS;
  for (let k = 0; k < 300_000; k += 7) {
    const middle = (-(k + 0.5) * LN2) / STEPS;
    for (const x of [middle, middle * (1 - 2 ** -53), middle * (1 + 2 ** -52), middle * (1 + 2 ** -30)]) {
      const steps = Math.round((x * STEPS) / LN2);
      const t = x - steps * stepHigh - steps * stepLow;
      const expMinus1 = t + t * t * (1 / 2 + t * (1 / 6 + t * (1 / 24)));
      const j = steps & (STEPS - 1);
      const root = high[j]! + (low[j]! + (high[j]! + low[j]!) * expMinus1);
      const wanted = root * 2 ** Math.floor(steps / STEPS);
      if (exponentialOf(x) !== wanted) expect.fail(`${x}: ${exponentialOf(x)}, not ${wanted}`);
    }
  }
});
