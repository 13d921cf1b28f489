/**
 * A fixed corpus of rows, and the hash of every operator's results on each. All native backends give the committed
 * hashes, on any machine, at any alignment, with any number of threads. The JavaScript backend has hashes of its own.
 */
import { createHash } from 'node:crypto';
import type { Backend, BackendName, Kernels } from '../../lib/backend/backend.js';
import { backendNamed } from '../../lib/backend/named.js';
import * as operatorTable from '../../lib/backend/operators.js';
import type { AnyOperator } from '../../lib/backend/operators.js';
import { inOrder } from '../../lib/call/call.js';
import { kinds, longest, row, typeNames, type Floats, type FloatsName, type KindName } from './cases.js';
import { halvesOf, type HalfName } from './halves.js';
import { addHead } from './head-corpus.js';

/** The name of a case → a hash for each length. */
export type Corpus = Record<string, string[]>;

export const corpusLengths = [1, 2, 7, 10, 16, 33, 100, 257, 1000, 4096, 10_007, 70_001].filter((n) => n <= longest);
const corpusTemperatures = [1, 0.7];
/**
 * Softmax is hashed on every kind of row. Other operators are made of the same parts, and half types add their
 * conversions.
 */
const kindsOfHalves: readonly KindName[] = ['N(0,8)', 'one peak', 'down into the subnormals', 'every third -∞'];
const kindsOfOthers: readonly KindName[] = [...kindsOfHalves, 'about 1e7', 'up to ±3.4e38'];

type Results = readonly NodeJS.TypedArray[];

/** Rows and their halves, which operators and backends share: they take longer to make than most results. */
const made = new Map<string, Floats | Uint16Array>();
function once<A extends Floats | Uint16Array>(key: string, make: () => A): A {
  if (!made.has(key)) made.set(key, make());
  return made.get(key)!.slice() as A;
}
const rowOnce = (type: FloatsName, kind: KindName, n: number, seed?: number) =>
  once(`${type} ${kind} ${n} ${seed}`, () => row(type, kind, n, seed));
const halvesOnce = (type: HalfName, kind: KindName, n: number, seed?: number) =>
  once(`${type} ${kind} ${n} ${seed}`, () => halvesOf(type, row('f32', kind, n, seed)));

/** 48 bits of SHA-256 over the elements, little-endian as on every system of Node. */
export function hash(...arrays: Results): string {
  const sum = createHash('sha256');
  for (const array of arrays) sum.update(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
  return sum.digest('hex').slice(0, 12);
}

/** Hashes of a few inputs. If these differ from the committed ones, the rows do, and the results prove nothing. */
export const corpusInputs = (): string[] => corpusLengths.map((n) => hash(row('f32', 'N(0,8)', n)));

type Any = Float32Array | Float64Array | Uint16Array;
const like = (x: Any): Any => new (x.constructor as new (n: number) => Any)(x.length);

/** The results of operators on a row x; `other` is another row of its type. */
const operators: Record<
  string,
  (run: (operator: string, ...args: unknown[]) => void, x: Any, other: Any, rest: unknown[]) => Results
> = {
  logSoftmax(run, x, _, rest) {
    const y = like(x);
    run('log_softmax', x, y, ...rest, null);
    return [y];
  },
  'logSumExp and crossEntropy'(run, x, _, rest) {
    const [sum, loss, gradient] = [new Float64Array(1), new Float64Array(1), like(x)];
    run('log_sum_exp', x, sum, ...rest, null);
    run('cross_entropy', x, Int32Array.of(x.length >> 1), loss, gradient, ...rest, null);
    return [sum, loss, gradient];
  },
  'crossEntropy with terms, compSum, focalLoss'(run, x, other, rest) {
    const results: NodeJS.TypedArray[] = [];
    const weight = Float64Array.from({ length: x.length }, (_, i) => (i % 4) / 2);
    const target = Int32Array.of(x.length >> 1);
    for (const [soft, kind, parameter] of [
      [null, 0, 0],
      [other, 0, 0],
      [null, 1, 1.7],
      [null, 1, 0.2],
      [null, 2, 2],
    ]) {
      const [loss, gradient] = [new Float64Array(1), like(x)];
      run(
        'row_loss',
        x,
        target,
        soft,
        weight,
        null,
        loss,
        gradient,
        kind,
        parameter,
        kind ? 0 : 0.1,
        0.01,
        2,
        ...rest,
        null,
      );
      results.push(loss, gradient);
    }
    return results;
  },
  softmaxBackward(run, x, other, rest) {
    const [y, dx] = [like(x), like(x)];
    run('softmax', x, y, ...rest, null);
    run('softmax_backward', y, other, dx, 0, ...rest);
    return [dx];
  },
  'logSoftmaxBackward, and crossEntropy of a given logit'(run, x, other, rest) {
    const [y, dx, loss, gradient] = [like(x), like(x), new Float64Array(1), like(x)];
    run('log_softmax', x, y, ...rest, null);
    run('softmax_backward', y, other, dx, 1, ...rest);
    const target = x.length >> 1;
    const others = x.slice();
    others[target] = x instanceof Uint16Array ? 0xfc00 : -Infinity; // of bfloat16 a number
    const given = Float64Array.of(0.75, 1.5);
    const results = [loss, gradient];
    run('row_loss', others, Int32Array.of(target), null, null, given, ...results, 0, 0, 0, 0, 1, ...rest, null);
    return [dx, loss, gradient];
  },
  'expSum and normalize'(run, x, _, rest) {
    const [mantissa, exponent, y] = [new Float64Array(1), new Int32Array(1), like(x)];
    run('exp_sum', x, mantissa, exponent, ...rest, null);
    run('normalize', x, y, mantissa, exponent, ...rest, null);
    return [mantissa, exponent, y];
  },
  'with mask and bias'(run, x, other, rest) {
    const masked = [...rest.slice(0, 4), new Uint8Array(x.length).map((_, i) => Number(i % 5 !== 3)), 1, other];
    const [y, logs, mantissa, exponent] = [like(x), like(x), new Float64Array(1), new Int32Array(1)];
    run('softmax', x, y, ...masked);
    run('log_softmax', x, logs, ...masked);
    run('exp_sum', x, mantissa, exponent, ...masked);
    return [y, logs, mantissa, exponent];
  },
};

/** Operators of flash-softmax/losses with parameters of their own: plainly, and with a mask and a bias. */
for (const isChanged of [false, true]) {
  const list = 'taylorSoftmax, zLoss, softTopK, softTopKBackward and safeStepRadius';
  const name = `${list}${isChanged ? ', with mask and bias' : ''}`;
  operators[name] = (run, x, other, [outer, cols, inner, temperature]) => {
    const visible = new Uint8Array(x.length).map((_, i) => Number(i % 5 !== 3));
    const changes = isChanged ? [visible, 1, other] : [null, 0, null];
    const [taylor, p, slopes, gradient] = [like(x), like(x), like(x), like(x)];
    const [loss, radius, status] = [new Float64Array(1), new Float64Array(1), new Int32Array(1)];
    run('taylor_softmax', x, taylor, 4, outer, cols, inner, temperature, ...changes);
    run('z_loss', x, Int32Array.of(x.length >> 1), loss, gradient, 0.7, 2, outer, cols, inner, ...changes);
    run('soft_top_k', x, p, status, 0.5, 1.5, outer, cols, inner, ...changes);
    run('soft_top_k_backward', p, other, slopes, 1.5, outer, cols, inner);
    run('safe_step_radius', x, radius, Math.PI, outer, cols, inner, ...changes);
    return [taylor, loss, gradient, p, status, slopes, radius];
  };
}

/** stableMaxCrossEntropy, plainly, and with a mask and a bias. */
for (const isChanged of [false, true]) {
  operators[`stableMaxCrossEntropy${isChanged ? ', with mask and bias' : ''}`] = (run, x, other, shape) => {
    const visible = new Uint8Array(x.length).map((_, i) => Number(i % 5 !== 3));
    const [loss, gradient] = [new Float64Array(1), like(x)];
    const changes = isChanged ? [visible, 1, other] : [null, 0, null];
    run('stable_max_loss', x, Int32Array.of(x.length >> 1), loss, gradient, 0.7, ...shape.slice(0, 3), ...changes);
    return [loss, gradient];
  };
}

/** Every other operator of the table that gives a number for each logit: plainly, and with a mask and a bias. */
const inputsOfRows = ['x', 'mask', 'bias'];
const table = Object.values(operatorTable as unknown as Record<string, AnyOperator>);
for (const operator of table.sort((a, b) => (a.name < b.name ? -1 : 1))) {
  const { name, inputs, outputs, results } = operator;
  const isOfRows =
    inputs.every((each) => inputsOfRows.includes(each)) && outputs.length === 1 && results.includes('out');
  if (!isOfRows || ['softmax', 'log_softmax', 'taylor_softmax'].includes(name)) continue;
  const publicName = name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
  operators[publicName] = (run, x, other, [outer, cols, inner, temperature]) => {
    const rows = { x, outer, cols, inner, temperature };
    const visible = new Uint8Array(x.length).map((_, i) => Number(i % 5 !== 3));
    const [plain, changed] = [like(x), like(x)];
    run(name, ...inOrder(operator, { ...rows, out: plain, mask: null, maskLayout: 0, bias: null }));
    run(name, ...inOrder(operator, { ...rows, out: changed, mask: visible, maskLayout: 1, bias: other }));
    return [plain, changed];
  };
}

export function corpusOf(name: BackendName): Corpus {
  const backend: Backend = backendNamed(name);
  const corpus: Corpus = {};
  const add = (what: string, results: (n: number) => Results) =>
    (corpus[what] = corpusLengths.map((n) => hash(...results(n))));
  const runner =
    (type: string) =>
    (operator: string, ...args: unknown[]) =>
      (backend[`${operator}_${type}` as keyof Kernels] as (...args: unknown[]) => void)(...args);
  const rest = (n: number, temperature: number) => [1, n, 1, temperature, null, 0];

  for (const type of typeNames) {
    for (const kind of Object.keys(kinds) as KindName[]) {
      for (const temperature of corpusTemperatures) {
        add(`${type}, ${kind}, temperature ${temperature}`, (n) => {
          const [x, y] = [rowOnce(type, kind, n), rowOnce(type, kind, n)];
          runner(type)('softmax', x, y, ...rest(n, temperature), null);
          return [y];
        });
      }
    }
  }
  for (const [operator, results] of Object.entries(operators)) {
    for (const type of typeNames) {
      for (const kind of kindsOfOthers) {
        add(`${operator}, ${type}, ${kind}`, (n) =>
          results(runner(type), rowOnce(type, kind, n), rowOnce(type, 'N(0,1)', n, 7), rest(n, 0.7)),
        );
      }
    }
  }
  for (const type of ['f16', 'bf16'] as const) {
    for (const kind of kindsOfHalves) {
      const halves = (n: number) => [halvesOnce(type, kind, n), halvesOnce(type, 'N(0,1)', n, 7)] as const;
      add(`softmax, ${type}, ${kind}`, (n) => {
        const [narrow, wide] = [new Uint16Array(n), new Float32Array(n)];
        runner(type)('softmax', halves(n)[0], narrow, ...rest(n, 0.7), null);
        runner(`${type}_f32`)('softmax', halves(n)[0], wide, ...rest(n, 0.7), null);
        return [narrow, wide];
      });
      for (const [operator, results] of Object.entries(operators)) {
        add(`${operator}, ${type}, ${kind}`, (n) => results(runner(type), ...halves(n), rest(n, 0.7)));
      }
    }
  }
  addHead(add, backend);
  return corpus;
}
