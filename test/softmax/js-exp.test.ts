/**
 * The parts of the JavaScript backend: its tables and its exponential against exact integers, rows that are too long
 * for one piece, and the same bits on every machine.
 */
import { describe, expect, it } from 'vitest';
import { MASK_BYTES } from '../../lib/backend/backend.js';
import { DEPTH, HEADROOM, octaves, rootsOfTwo, STEPS } from '../../lib/math/powers.js';
import { HELD_LENGTH } from '../../lib/js/rows/row.js';
import { bits, floats, kinds, row, typeNames, type Floats, type FloatsName, type KindName } from '../support/cases.js';
import { exactUlpError, exponential, fixed } from '../support/exact.js';
import { oracle, worstError } from '../support/oracle.js';
import { BOUND, expectSameBits, softmax } from './js-kernel.js';

const FRACTION_BITS = 1400n; // as in exact.ts

/** softmax((x + bias) / temperature) of one row in fixed point. */
function exact(x: Floats, bias: Floats | null, temperature: number): bigint[] {
  const logits = Array.from(x, (v, i) => fixed(v) + (bias === null ? 0n : fixed(bias[i]!)));
  const largest = logits.reduce((a, b) => (a > b ? a : b));
  const terms = logits.map((v) => exponential(((v - largest) << FRACTION_BITS) / fixed(temperature)));
  const sum = terms.reduce((a, b) => a + b);
  return terms.map((term) => (term << FRACTION_BITS) / sum);
}

function expectExact(type: FloatsName, y: Floats, wanted: bigint[], what: string): void {
  y.forEach((v, i) => {
    const error = exactUlpError(type, v, wanted[i]!);
    if (!(error <= BOUND)) expect.fail(`${type}, ${what}: [${i}] of ${y.length} is ${v}: ${error} ULP`);
  });
}

/** The square root of a number in fixed point. */
function root(v: bigint): bigint {
  const square = v << FRACTION_BITS;
  let guess = 1n << (FRACTION_BITS + 1n);
  for (;;) {
    const next = (guess + square / guess) >> 1n;
    if (next >= guess) return guess;
    guess = next;
  }
}

describe('tables', () => {
  it('2^(j/512) to 75 bits, in two parts of which the first has 26', () => {
    const { high, low } = rootsOfTwo();
    let unit = 2n << FRACTION_BITS;
    for (let k = STEPS; k > 1; k /= 2) unit = root(unit);
    let power = 1n << FRACTION_BITS;
    for (let j = 0; j < STEPS; j++) {
      const error = fixed(high[j]!) + fixed(low[j]!) - power;
      expect(error < 0n ? -error : error).toBeLessThan(1n << (FRACTION_BITS - 75n));
      expect(high[j]! % 2 ** -25).toBe(0);
      power = (power * unit) >> FRACTION_BITS;
    }
  });

  it('octaves are exact powers of two, and 0 below', () => {
    const powers = octaves();
    const exponent = (v: number) => Number(new BigUint64Array(new Float64Array([v]).buffer)[0]! >> 52n) - 1023;
    for (let i = 1; i < powers.length; i++) {
      expect(exponent(powers[i]!)).toBe(i - DEPTH + HEADROOM);
      expect(fixed(powers[i]!) & (fixed(powers[i]!) - 1n)).toBe(0n);
    }
    expect(powers[0]).toBe(0);
  });
});

for (const type of typeNames) {
  const make = (values: Iterable<number>): Floats => floats[type].from(values);

  describe(`${type}: within ${BOUND} ULP of exact`, () => {
    it('everywhere between the largest logit and results of 0', () => {
      const depth = type === 'f32' ? 104 : 746;
      for (let first = 0; first < 40; first++) {
        const x = make(Array.from({ length: 25 }, (_, i) => (i === 0 ? 0 : (-depth * (first + (40 * i) / 25)) / 40)));
        expectExact(type, softmax(x), exact(x, null, 1), `from ${x[1]}`);
      }
    });

    it('at any temperature, extreme ones too', () => {
      const unit = type === 'f32' ? 1e-30 : 1e-290;
      for (const temperature of [
        0.05,
        0.7,
        1.3,
        40,
        1e5,
        1e-3,
        2 ** -880,
        2 ** -901,
        Number.MIN_VALUE,
        1e200,
        2 ** 901,
        1e308,
      ]) {
        for (const scale of [temperature, unit, 1]) {
          const x = make(Array.from(row('f64', 'N(0,8)', 9), (v) => (Math.abs(v * scale) < 1e38 ? v * scale : v)));
          expectExact(
            type,
            softmax(x, { temperature }),
            exact(x, null, temperature),
            `T ${temperature}, logits of ${scale}`,
          );
        }
      }
    });

    it('with a bias, added before anything is rounded', () => {
      const big = type === 'f32' ? 3e38 : 1.7e308;
      for (const [x, bias] of [
        [
          [1, 2, 3, 4],
          [0.1, -0.2, 0.3, 1e-9],
        ],
        [
          [2 ** 30, 2 ** 30, 2 ** 30 + 256, 2 ** 30],
          [0.3, 0.7, -255.5, 1.1],
        ],
        [
          [big, big, -big, big],
          [big, big, -big, big / 2],
        ],
        [
          [big, -big, 1, 0],
          [-big, big, 0.5, 1],
        ],
        [
          [1e-30, 0, 1e30, 1e30],
          [1e30, 1e30, 1, 1.5],
        ],
      ] as const) {
        for (const temperature of [1, 0.7, 40]) {
          const [logits, added] = [make(x), make(bias)];
          expectExact(
            type,
            softmax(logits, { bias: added, temperature }),
            exact(logits, added, temperature),
            `${x} + ${bias}`,
          );
        }
      }
    });

    it('rows that are computed in parts', () => {
      const n = 2 * HELD_LENGTH + 5;
      const x = row(type, 'N(0,8)', n);
      const y = softmax(x);
      expect(worstError(type, y, oracle(x)).error).toBeLessThanOrEqual(BOUND);
      expectSameBits(softmax(x, { out: x }), y, 'in place');
    });
  });

  it(`${type}: a larger logit never gets a smaller probability, for neighbours and at steps of the table`, () => {
    const n = 4096;
    for (const around of [-0.000677, -0.00203, -1, -7.3, -60.0006, 0, 1e-3]) {
      for (const spacing of type === 'f32' ? [2 ** -24, 2 ** -30, 2 ** -40] : [2 ** -40, 2 ** -52, 2 ** -60]) {
        const x = make(Array.from({ length: n }, (_, i) => around + (i - n / 2) * spacing));
        x[0] = 0.01; // the largest but for the last row, so that rescaling falls between the others
        const y = softmax(x);
        for (let i = 2; i < n; i++)
          if (!(y[i]! >= y[i - 1]!)) expect.fail(`${x[i - 1]} → ${y[i - 1]}, ${x[i]} → ${y[i]}`);
      }
    }
  });
}

describe('the same bits on every machine', () => {
  it('does not use functions that may differ', () => {
    const names = ['exp', 'expm1', 'log', 'log1p', 'log2', 'log10', 'pow', 'cosh', 'sinh', 'tanh'];
    const functions = Math as unknown as Record<string, unknown>;
    const originals = names.map((name) => functions[name]);
    try {
      for (const name of names) {
        functions[name] = () => {
          throw new Error(`Math.${name} was called`);
        };
      }
      for (const type of typeNames) {
        const x = row(type, 'N(0,8)', 1000);
        softmax(x, { temperature: 0.7 });
        softmax(x, { cols: 100, bias: x.slice(0, 100), mask: new Uint8Array(1000).fill(1), maskLayout: MASK_BYTES });
      }
    } finally {
      names.forEach((name, i) => (functions[name] = originals[i]));
    }
  });

  it('has the bits of the first version', () => {
    // FNV-1a over the words of all results.
    const hashes = typeNames.map((type) => {
      let hash = 0x811c9dc5;
      for (const kind of Object.keys(kinds) as KindName[]) {
        for (const n of [1, 2, 10, 33, 1000]) {
          for (const temperature of [1, 0.7, 40]) {
            for (const word of bits(softmax(row(type, kind, n), { temperature })))
              hash = Math.imul(hash ^ word, 0x01000193) >>> 0;
          }
        }
      }
      return hash.toString(16);
    });
    expect(hashes).toEqual(['7fd9be01', '9e75fe8c']);
  });
});
