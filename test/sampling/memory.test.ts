/**
 * Arrays that lie and lists with getters: an overridden constructor, species or length changes nothing, and a getter
 * that takes the logits away ends in an error. On every backend, as each has its own memory accesses.
 */
import { describe, expect, it } from 'vitest';
import { backends } from '../support/backends.js';
import { row, type Floats } from '../support/cases.js';
import { forceBackend } from '../support/force-backend.js';

type Sampling = typeof import('../../lib/sampling.js');
type Logits = Float32Array;

const N = 3000;
const invalidType = expect.objectContaining({ name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' }) as Error;

/** A subclass whose constructor makes arrays of one element out of a length. */
class Named extends Float32Array {
  readonly name: string;
  constructor(name: unknown, ...rest: unknown[]) {
    if (typeof name !== 'string') super(1);
    else super(...(rest as [never]));
    this.name = String(name);
  }
}

/** The same elements in arrays that lie about themselves. */
const liars: Record<string, (x: Logits) => Logits> = {
  'a subclass': (x) => new Named('logits', x),
  'another constructor': (x) =>
    Object.defineProperty(x.slice(), 'constructor', {
      value: class extends Float32Array {
        constructor() {
          super(1);
        }
      },
    }),
  'a species'(x) {
    class Short extends Float32Array {
      static get [Symbol.species]() {
        return class extends Float32Array {
          constructor() {
            super(1);
          }
        } as never;
      }
    }
    return new Short(x);
  },
  'methods and an iterator'(x) {
    const nothing = () => new Float32Array(0);
    return Object.assign(x.slice(), {
      slice: nothing,
      subarray: nothing,
      set: nothing,
      fill: nothing,
      [Symbol.iterator]: () => [][Symbol.iterator](),
    });
  },
};

const lengths: Record<string, (x: Logits, length: number) => Logits> = {
  'its own length': (x, length) => Object.defineProperty(x.slice(), 'length', { value: length }),
  'the length of a subclass'(x, length) {
    class Long extends Float32Array {
      override get length() {
        return length;
      }
    }
    return new Long(x);
  },
};

for (const name of backends) {
  describe(name, () => {
    let sampling: Sampling;
    forceBackend(name, async () => {
      sampling = await import('../../lib/sampling.js');
    });

    const x = row('f32', 'N(0,1)', N) as Logits;
    const all: Record<string, (s: Sampling, x: Logits) => unknown> = {
      argmax: (s, x) => s.argmax(x),
      topK: (s, x) => s.topK(x, N / 2),
      'topK of rows': (s, x) => s.topK(x, 50, { cols: 1000 }),
      sample: (s, x) => s.sample(x, { seed: 1 }),
      sampleMany: (s, x) => s.sampleMany(x, 3, { topK: 9, seed: 1 }),
      filterLogits: (s, x) => s.filterLogits(x, { topP: 0.9 }),
      logProbs: (s, x) => s.logProbs(x, 3, { top: 3 }),
      gumbelSoftmax: (s, x) => s.gumbelSoftmax(x, { seed: 1 }),
      'gumbelSoftmax, hard': (s, x) => s.gumbelSoftmax(x, { seed: 1, hard: true }),
      gumbelMax: (s, x) => s.gumbelMax(x, { seed: 1 }),
      gumbelTopK: (s, x) => s.gumbelTopK(x, 3, { seed: 1 }),
      softToken: (s, x) => s.softToken(x, { seed: 1 }),
      'a bias': (s, x) => s.sample(row('f32', 'N(0,1)', N, 4) as Logits, { bias: x, seed: 1 }),
      dirichletResample: (s, x) => s.dirichletResample(positive(x), { seed: 1 }),
      penalize: (s, x) => s.penalize(x, [1, 2, 2], { presencePenalty: 1 }),
      'penalize, rows': (s, x) => s.penalize(x, [[1], [2]], { presencePenalty: 1, cols: N / 2 }),
      'penalize, out': (s, x) => [
        ...Float32Array.prototype.values.call(
          s.penalize(row('f32', 'N(0,8)', N) as Logits, [1], { presencePenalty: 1, out: x }),
        ),
      ],
      Sampler: (s, x) => [1, 2].map(() => new s.Sampler({ seed: 1, repetitionPenalty: 2 }).accept([5]).next(x)),
      noise: (s, x) => s.gumbelSoftmax(row('f64', 'N(0,1)', N) as Float64Array, { noise: x }),
    };
    /** The absolute values, in place. */
    const positive = (x: Logits) => {
      for (let i = 0; i < N; i++) x[i] = Math.abs(x[i]!);
      return x;
    };
    /** A plain array, for a result that is an array of the kind of x. */
    const plain = (result: unknown) => structuredClone(result);

    for (const [about, make] of Object.entries(liars)) {
      it(`${about} changes nothing`, () => {
        for (const [which, call] of Object.entries(all))
          expect(plain(call(sampling, make(x))), which).toEqual(plain(call(sampling, x.slice())));
      });
    }

    for (const [about, make] of Object.entries(lengths)) {
      it(`${about} changes nothing`, () => {
        for (const length of [1, 2 ** 30]) {
          for (const [which, call] of Object.entries(all)) {
            expect(plain(call(sampling, make(x, length))), `${which}, ${length}`).toEqual(
              plain(call(sampling, x.slice())),
            );
          }
        }
      });
    }

    it('topK of a subclass, many times', () => {
      const logits = new Named(
        'logits',
        Float32Array.from({ length: N }, (_, i) => (i * 7919) % 10_007),
      );
      for (let i = 0; i < 20; i++) {
        const { indices, values } = sampling.topK(logits, N / 2);
        expect([values.length, indices.length, values[0], values.constructor]).toEqual([
          N / 2,
          N / 2,
          logits[indices[0]!],
          Float32Array,
        ]);
      }
    });

    const takers: Record<string, (x: Logits) => void> = {
      detach: (x) => void structuredClone(x.buffer, { transfer: [x.buffer as ArrayBuffer] }),
      shrink: (x) => (x.buffer as ArrayBuffer & { resize(n: number): void }).resize(16),
    };
    const resizable = () => {
      const buffer = new (ArrayBuffer as unknown as new (n: number, options: object) => ArrayBuffer)(4 * N, {
        maxByteLength: 4 * N,
      });
      new Float32Array(buffer).set(x);
      return new Float32Array(buffer, 0, N);
    };
    /** Calls with a list or an option that takes x away when it is read. */
    const acting: Record<string, (s: Sampling, x: Logits, take: () => void) => unknown> = {
      'noise of sample': (s, x, take) => s.sample(x, { noise: [get(take, 0.5)] as never }),
      'noise of sampleMany': (s, x, take) => s.sampleMany(x, 2, { noise: list(take, [0.5, 0.5]) }),
      'noise of gumbelSoftmax': (s, x, take) => s.gumbelSoftmax(x, { noise: list(take, Array<number>(N).fill(1)) }),
      'noise of gumbelMax': (s, x, take) => s.gumbelMax(x, { noise: list(take, Array<number>(N).fill(1)) }),
      'noise of softToken': (s, x, take) => s.softToken(x, { noise: list(take, [1, 1, 1, 1, 1]) }),
      noiseRange: (s, x, take) => s.softToken(x, { noiseRange: list(take, [-1, 1]) as unknown as [number, number] }),
      'noise of dirichletResample': (s, x, take) =>
        s.dirichletResample(x, { noise: list(take, Array<number>(N).fill(1)) }),
      'tokens of logProbs': (s, x, take) => s.logProbs(x, list(take, [4])),
      'history of penalize': (s, x, take) => s.penalize(x, list(take, [4])),
      'histories of penalize': (s, x, take) => s.penalize(x, [list(take, [4])]),
      banned: (s, x, take) => s.penalize(x, [], { banned: list(take, [4]) }),
      forced: (s, x, take) => s.penalize(x, [], { forced: list(take, [4]) }),
      'a pair of logitBias': (s, x, take) =>
        s.penalize(x, [], { logitBias: [list(take, [4, 1]) as unknown as [number, number]] }),
      'the iterator of logitBias': (s, x, take) =>
        s.penalize(x, [], {
          logitBias: {
            *[Symbol.iterator]() {
              take();
              yield [4, 1] as const;
            },
          },
        }),
      'an option of topK': (s, x, take) =>
        s.topK(x, 5, {
          get cols() {
            take();
            return N;
          },
        }),
      'an option of argmax': (s, x, take) =>
        s.argmax(x, {
          get cols() {
            take();
            return N;
          },
        }),
      'an option of filterLogits': (s, x, take) =>
        s.filterLogits(x, {
          get topP() {
            take();
            return 0.5;
          },
        }),
      'an option of penalize': (s, x, take) =>
        s.penalize(x, [], {
          get out() {
            take();
            return new Float32Array(N);
          },
        }),
    };
    const list = (take: () => void, [first, ...rest]: number[]) =>
      Object.defineProperty([first, ...rest], 0, { get: () => (take(), first) }) as number[];
    const get = (take: () => void, value: number) => (take(), value);

    for (const [how, take] of Object.entries(takers)) {
      it(`a getter that has the logits ${how === 'detach' ? 'detached' : 'shrunk'} ends in an error`, () => {
        for (const [which, call] of Object.entries(acting)) {
          const logits = resizable();
          for (let i = 0; i < N; i++) logits[i] = Math.abs(logits[i]!);
          expect(() => call(sampling, logits, () => take(logits)), which).toThrow(invalidType);
          expect(logits.length, which).toBe(0);
        }
      });
    }

    it('a detached array is a TypeError', () => {
      const gone = () => {
        const logits = x.slice();
        takers['detach']!(logits);
        return logits;
      };
      for (const [which, call] of Object.entries(all)) expect(() => call(sampling, gone()), which).toThrow(invalidType);
      const tokens = Int32Array.of(1);
      structuredClone(tokens.buffer, { transfer: [tokens.buffer] });
      const { Sampler, penalize, logProbs } = sampling;
      expect(() => penalize(x, tokens)).toThrow(invalidType);
      expect(() => penalize(x, [], { banned: tokens })).toThrow(invalidType);
      expect(() => logProbs(x, tokens)).toThrow(invalidType);
      expect(() => new Sampler().accept(tokens)).toThrow(invalidType);
      expect(() => sampling.sample(x, { mask: new Uint8Array(gone().buffer) })).toThrow();
    });

    it('lists are as long as they are', () => {
      const long = (x: Floats) => Object.defineProperty(x, 'length', { value: 2 ** 31 });
      expect(sampling.sample(x, { noise: long(Float64Array.of(0.5)) as Float64Array })).toEqual(
        sampling.sample(x, { noise: [0.5] }),
      );
      expect(sampling.penalize(x, long(Float64Array.of(3)), { presencePenalty: 1 })).toEqual(
        sampling.penalize(x, [3], { presencePenalty: 1 }),
      );
      expect(() => sampling.sample(x, { noise: new Array(2 ** 32 - 1) as number[] })).toThrow(
        'Expected numbers from 0 to below 1 for noise but received undefined',
      );
      expect(() => sampling.penalize(x, { length: 2 ** 52 })).toThrow(invalidType);
      expect(() => sampling.logProbs(x, { length: 2 ** 52 })).toThrow(invalidType);
    });
  });
}
