/**
 * Every backend, JavaScript included, gives the same filtered logits, probabilities and tokens, with any number of
 * threads and any cut of a batch.
 */
import { afterAll, describe, expect, it } from 'vitest';
import { backends } from '../support/backends.js';
import { bits, typeNames, type Floats } from '../support/cases.js';
import { isLong } from '../support/long.js';
import { expectSame } from '../support/same.js';
import type { SampleKernel } from '../../lib/backend/backend.js';
import { backendNamed } from '../../lib/backend/named.js';
import { setThreads } from '../../lib/threads.js';
import { generator, lengths, makers, someFilters } from './cases.js';

interface Call {
  x: Floats;
  cols: number;
  filters: readonly number[];
  mask: Uint8Array | null;
  bias: Floats | null;
  /** Without probabilities, approximate sums may decide. */
  writes: boolean;
}

const DRAWS = 8;

function run(name: (typeof backends)[number], { x, cols, filters, mask, bias, writes }: Call) {
  const rows = x.length / cols;
  const like = () => (writes ? (x.slice().fill(0) as Floats) : null);
  const [tokens, kept, probabilities, status] = [new Uint32Array(rows * DRAWS), like(), like(), new Int32Array(rows)];
  const uniforms = Float64Array.from({ length: rows * DRAWS }, (_, i) => ((i * 0.618033988749895) % 1) as number);
  const sample = backendNamed(name)[
    x instanceof Float32Array ? 'sample_f32' : 'sample_f64'
  ] as unknown as SampleKernel<Floats>;
  const [topK, temperature, topP, minDistance, typicalP, epsilon] = filters as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  sample(
    x,
    tokens,
    kept,
    probabilities,
    status,
    uniforms,
    null,
    rows,
    cols,
    DRAWS,
    topK,
    temperature,
    topP,
    minDistance,
    typicalP,
    epsilon,
    mask,
    mask === null ? 0 : 2,
    bias,
  );
  return { tokens, status, kept: kept && bits(kept), probabilities: probabilities && bits(probabilities) };
}

const kernelFilters = (random: () => number, n: number): readonly number[] => {
  const f = someFilters(random, n);
  const far = [1e-300, 1e-30, 1e30, 1e300][random() % 40];
  const temperature = random() % 20 === 0 ? 0 : (far ?? f.temperature);
  return [
    f.topK === 0 ? n : Math.min(f.topK, n),
    temperature,
    f.topP,
    f.minP === 0 ? -Infinity : temperature * Math.log(f.minP),
    f.typicalP,
    f.epsilonCutoff,
  ];
};

describe('every backend', () => {
  const names = backends.filter((name) => name !== 'scalar');

  const calls = isLong ? 3000 : 1000;
  it(`${names.join(', ')}: ${calls} calls`, () => {
    const random = generator(99);
    const kinds = Object.keys(makers);
    for (let i = 0; i < calls; i++) {
      const n = i % 60 === 0 ? 20_000 : lengths[random() % lengths.length]!;
      const type = typeNames[i & 1]!;
      const x = makers[kinds[random() % kinds.length]!]!(type, n, i);
      const mask = i % 5 ? null : Uint8Array.from({ length: n }, () => random() % 3);
      const bias = i % 7 ? null : makers['N(0,1)']!(type, n, i + 1);
      if (i % 97 === 0) x[random() % n] = [NaN, Infinity, -Infinity][random() % 3]!;
      const call = { x, cols: n, filters: kernelFilters(random, n), mask, bias, writes: i % 2 === 0 };
      const [first, ...others] = names.map((name) => run(name, call));
      for (const other of others) expectSame(other, first!, JSON.stringify({ i, n, type, filters: call.filters }));
    }
  });

  it('top-p of long rows of few values, whose sample brackets nothing', () => {
    const random = generator(5);
    for (let i = 0; i < 24; i++) {
      const type = typeNames[i & 1]!;
      const spread = [1e-4, 3e-4, 0, 1][(i >> 1) % 4]!;
      const x = makers['N(0,1)']!(type, 20_000, i).map((v) => 1000 + spread * v) as Floats;
      const filters = [x.length, [1, 1e-3, 1e-4][i % 3]!, [0.05, 0.5, 0.95, 0.999][random() % 4]!, -Infinity, 1, 0];
      const call = { x, cols: x.length, filters, mask: null, bias: null, writes: i % 3 === 0 };
      const [first, ...others] = names.map((name) => run(name, call));
      for (const other of others) expectSame(other, first!, JSON.stringify({ i, type, spread, filters }));
    }
  });

  it.runIf(backends.includes('scalar'))('plain C++ too', () => {
    const random = generator(7);
    for (let i = 0; i < 100; i++) {
      const call = {
        x: makers['N(0,8)']!('f32', 700, i),
        cols: 700,
        filters: kernelFilters(random, 700),
        mask: null,
        bias: null,
        writes: i % 2 === 0,
      };
      expect(run('scalar', call)).toEqual(run('js', call));
    }
  });

  // Long rows, where sums come from shortcuts unless probabilities are wanted. Shortcuts must not decide where many
  // logits are equal, a share falls on a token, or equal weights sum to whole numbers.
  it('the same tokens of long rows, with any shortcut', () => {
    const random = generator(5);
    const kinds = [
      'N(0,1)',
      'nearly flat',
      'N(0,8)',
      'all equal',
      'five values',
      'steps of an ULP',
      'rising',
      'every third −∞',
      'two hundred powers',
      'one-hot',
    ];
    for (let i = 0; i < 60; i++) {
      const n = [30_000, 128_256, 16_384, 20_001][random() % 4]!;
      const x = makers[kinds[i % kinds.length]!]!(typeNames[+(random() % 3 === 0)]!, n, i);
      const p = [0.5, 0.95, 0.25, 0.999, 1, 1e-3, 1 - 1 / n, 0.75][random() % 8]!;
      const call = {
        x,
        cols: n,
        filters: [n, [1, 1, 0.7, 3, 1e-3, 1e6][random() % 6]!, p, random() % 4 ? -Infinity : -2, 1, 0],
        mask: null,
        bias: null,
        writes: false,
      };
      const [first, ...others] = names.map((name) => run(name, call));
      for (const other of others) expectSame(other, first!, String(i));
      for (const name of names)
        if (name !== 'js') expect(run(name, { ...call, writes: true }).tokens, String(i)).toEqual(first!.tokens);
    }
  });
});

describe('threads and batches', () => {
  const before = setThreads(1);
  afterAll(() => void setThreads(before));
  const cols = 9000;
  const x = makers['N(0,1)']!('f32', 64 * cols, 3);
  const filters = [cols, 0.9, 0.95, -Infinity, 1, 0];

  for (const name of backends.filter((each) => each !== 'js' && each !== 'scalar')) {
    it(name, () => {
      const call = (part: Floats, writes: boolean) => ({ x: part, cols, filters, mask: null, bias: null, writes });
      const alone = run(name, call(x, false));
      const written = run(name, call(x, true));
      expect(written.tokens).toEqual(alone.tokens);
      for (const threads of [2, 3, 8]) {
        setThreads(threads);
        expectSame(run(name, call(x, false)), alone);
        expectSame(run(name, call(x, true)), written);
      }
      setThreads(1);
      const part = run(name, call(x.slice(0, cols), false));
      expect(part.tokens).toEqual(alone.tokens.slice(0, DRAWS));
    });
  }
});
