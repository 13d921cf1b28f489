/** Cases of LinearAttentionState, magnitudeAwareAttention and injectiveLinearAttention, judged in fixed point. */
import { linearOracle, numberOf, type Map, type OracleForm } from '../attention/linear-oracle.js';
import { fixed } from '../support/exact.js';
import type { Options } from './axis.js';
import type { Api, Case, Maker } from './case.js';
import { kindNames, mildKinds, numbersOf } from './data.js';
import type { Draw } from './draw.js';
import type { Outcome } from './judge.js';
import type { AnyArray, Arena } from './memory.js';

interface Sizes {
  readonly batch: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly queries: number;
  readonly keys: number;
  readonly headDim: number;
  readonly valueDim: number;
}

interface Arrays {
  readonly q: Float32Array;
  readonly k: Float32Array;
  readonly v: Float32Array;
}

interface Asked {
  readonly form: OracleForm;
  readonly map: Map;
  readonly epsilon: number;
  readonly featureScale: number;
}

/** The keys that query m of a head sees. */
type Seen = (m: number) => number;

const DIMENSIONS = [1, 2, 3, 7, 8, 9, 15, 16, 17, 33];
/** Exponentials of 1,400 bits take a tenth of a millisecond. */
const MOST_FEATURES = 400;

function sizesOf(draw: Draw, limit: number, isCausal: boolean): Sizes {
  const batch = draw.pick([1, 1, 2]);
  const kvHeads = draw.pick([1, 1, 2]);
  const heads = kvHeads * draw.pick([1, 1, 2, 3]);
  const headDim = Math.min(limit, draw.pick(DIMENSIONS));
  const valueDim = Math.min(limit, draw.pick(DIMENSIONS));
  const room = Math.max(1, Math.floor(MOST_FEATURES / (batch * kvHeads * headDim)));
  const keys = Math.min(limit, isCausal ? 12 : room, draw.pick([0, 1, 2, 3, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100]));
  const queries = isCausal ? keys : Math.min(limit, draw.pick([0, 1, 1, 2, 3, 5]));
  return { batch, heads, kvHeads, queries, keys, headDim, valueDim };
}

function arraysOf(draw: Draw, { batch, heads, kvHeads, queries, keys, headDim, valueDim }: Sizes): Arrays {
  const isWild = draw.chance(0.25);
  const numbers = (n: number): Float32Array =>
    Float32Array.from(
      numbersOf(draw, 'f32', n, draw.pick(isWild ? kindNames : mildKinds)).map(
        (x) => x * (isWild ? 1 : draw.pick([1, 1, 0.1, 3])),
      ),
    );
  const [q, k] = [numbers(batch * heads * queries * headDim), numbers(batch * kvHeads * keys * headDim)];
  return { q, k, v: numbers(batch * kvHeads * keys * valueDim) };
}

const textOf = (s: Sizes): string =>
  `${s.batch} × ${s.heads}/${s.kvHeads} heads, ${s.queries} queries, ${s.keys} keys, ${s.headDim} → ${s.valueDim}`;

/** Below the first, φ leaves the normal doubles; above the second, products of φ may overflow. */
const [LEAST_EXPONENT, MOST_EXPONENT] = [-600, 300];

/** Whether every φ is a normal double or 0, and no sum of their products overflows. */
function isInRange({ map, featureScale }: Asked, ...all: Float32Array[]): boolean {
  const isExponential = (x: number) => map === 'exp' || (map === 'elu' && x < 0);
  return all.every((part) =>
    part.every((x) => {
      const z = x * featureScale;
      return z === z && Math.abs(z) < 1e60 && !(isExponential(z) && (z < LEAST_EXPONENT || z > MOST_EXPONENT));
    }),
  );
}

const mean = (v: Float32Array, column: number, dim: number): number => {
  let sum = 0;
  for (let i = column; i < v.length; i += dim) sum += v[i]!;
  return (sum * dim) / v.length;
};

function checkLinear(s: Sizes, arrays: Arrays, asked: Asked, seen: Seen, { arrays: { out } }: Outcome) {
  const { batch, heads, kvHeads, queries, headDim, valueDim } = s;
  if (out!.length !== batch * heads * queries * valueDim) return `${out!.length} results`;
  for (let h = 0; h < batch * heads; h++) {
    const kv = Math.floor(h / (heads / kvHeads));
    const k = arrays.k.subarray(kv * s.keys * headDim, (kv + 1) * s.keys * headDim);
    const v = arrays.v.subarray(kv * s.keys * valueDim, (kv + 1) * s.keys * valueDim);
    for (let m = 0; m < queries; m++) {
      const row = h * queries + m;
      const n = seen(m);
      const head = {
        q: arrays.q.subarray(row * headDim, (row + 1) * headDim),
        k: k.subarray(0, n * headDim),
        v: v.subarray(0, n * valueDim),
      };
      const fault = faultOfQuery(head, out!.subarray(row * valueDim, (row + 1) * valueDim), s, asked);
      if (fault !== undefined) return `head ${h}, query ${m}: ${fault}`;
    }
  }
  return undefined;
}

function faultOfQuery(head: Arrays, out: AnyArray, { headDim, valueDim }: Sizes, asked: Asked): string | undefined {
  const keys = head.k.length / headDim;
  const isNaN = (x: ArrayLike<number>) => Array.from(x).some((each) => each !== each);
  if (keys === 0) return out.every((x) => x === 0) ? undefined : `${out[0]} without keys`;
  if (isNaN(head.q) || isNaN(head.k)) return out.every((x) => x !== x) ? undefined : `${out.join()} of a NaN`;
  const hasFiniteValues = head.v.every((x) => Number.isFinite(x));
  if (!isInRange(asked, head.q, head.k)) return undefined;
  // A z that cancels to 0 divides by 0 in the oracle.
  const isAlwaysDivided = asked.form !== 'sum' && asked.form !== 'injective' && asked.map === 'identity';
  if (isAlwaysDivided && sumOfProducts(head, headDim, asked) === 0 && !hasNoTerms(head, { headDim, valueDim }, asked))
    return undefined;
  const exact = oracleOf({ ...head, v: head.v.map((x) => (Number.isFinite(x) ? x : 0)) }, { headDim, valueDim }, asked);
  for (let j = 0; j < valueDim; j++) {
    const got = out[j]!;
    const column = Array.from({ length: keys }, (_, n) => head.v[n * valueDim + j]!);
    if (isNaN(column)) {
      if (got === got) return `${got} of a NaN in column ${j}`;
      continue;
    }
    if (!hasFiniteValues && !column.every(Number.isFinite)) continue;
    if (exact === undefined) {
      const wanted = mean(head.v, j, valueDim);
      if (!(Math.abs(got - wanted) <= 1e-6 * Math.max(...column.map(Math.abs)) + 2 ** -149))
        return `${got}, not the mean ${wanted}`;
      continue;
    }
    const { value, size } = exact[j]!;
    const wanted = numberOf(value);
    const bound = Math.abs(wanted) * 2 ** -24 + (keys + headDim + 20) * 2 ** -53 * size + 2 ** -150;
    const isBeyond = Math.abs(wanted) + bound > 3.4e38;
    if (isBeyond ? Math.abs(got) > 3e38 || bound > 1e38 : Math.abs(numberOf(fixed(got) - value)) <= bound) continue;
    return `out[${j}] is ${got}, exactly ${wanted}, within ${bound}`;
  }
  return undefined;
}

type Dimensions = Pick<Sizes, 'headDim' | 'valueDim'>;

/** Undefined where all of z's terms are 0, and the result the mean of v. */
function oracleOf(head: Arrays, sizes: Dimensions, asked: Asked) {
  const isMean =
    asked.form === 'magnitudeAware' || asked.form === 'paper' || (asked.form === 'normalized' && asked.epsilon === 0);
  return isMean && hasNoTerms(head, sizes, asked) ? undefined : linearOracle({ ...head, ...sizes, ...asked });
}

/** φ(q) · Σ φ(k) + ε of the identity, exactly but for a few bits. */
function sumOfProducts({ q, k }: Arrays, headDim: number, { featureScale, epsilon }: Asked): number {
  let sum = fixed(epsilon);
  k.forEach((x, i) => (sum += (fixed(x * featureScale) * fixed(q[i % headDim]! * featureScale)) >> 1400n));
  return Number(sum);
}

/** Whether φ(q) and each φ(k) have no product above 0. Exponentials in range are none of 0. */
function hasNoTerms({ q, k }: Arrays, { headDim }: Dimensions, { map, featureScale }: Asked): boolean {
  const isZero = (x: number) => x === 0 || (map === 'relu' && x * featureScale < 0);
  return (map === 'identity' || map === 'relu') && k.every((x, i) => isZero(x) || isZero(q[i % headDim]!));
}

const MAPS: readonly Map[] = ['elu', 'elu', 'identity', 'exp', 'relu'];

function askedOf(draw: Draw): { asked: Asked; options: Options } {
  const form = draw.pick<OracleForm>(['normalized', 'normalized', 'sum', 'magnitudeAware', 'paper', 'injective']);
  const isPaper = form === 'paper';
  const given = draw.pick([undefined, 0, 1e-6, 0.5]);
  const epsilon = given ?? (form === 'magnitudeAware' ? 1e-6 : 0);
  const options: Options = isPaper ? { form: 'magnitudeAware', scale: 'paper' } : { form };
  if (given !== undefined) options.epsilon = given;
  const featureScale = draw.pick([1, 1, 0.2, -1]);
  return { asked: { form, map: draw.pick(MAPS), epsilon, featureScale }, options };
}

interface State {
  append(k: Float32Array, v: Float32Array): number;
  query(q: Float32Array, options: object): Float32Array;
  attend(q: Float32Array, k: Float32Array, v: Float32Array, options: object): Float32Array;
  merge(other: State): State;
  fork(): State;
  toBytes(): Uint8Array;
}
type StateKind = (new (options: object) => State) & { fromBytes(bytes: Uint8Array): State };

/** The tokens [from, to) of all heads. */
function cut(x: Float32Array, dim: number, tokens: number, from: number, to: number): Float32Array {
  const heads = tokens === 0 ? 0 : x.length / (dim * tokens);
  const part = new Float32Array(heads * (to - from) * dim);
  for (let h = 0; h < heads; h++)
    part.set(x.subarray((h * tokens + from) * dim, (h * tokens + to) * dim), h * (to - from) * dim);
  return part;
}

const linearState: Maker = (draw, limit): Case => {
  const isCausal = draw.chance(0.3);
  const s = sizesOf(draw, limit, isCausal);
  const arrays = arraysOf(draw, s);
  const { asked, options } = askedOf(draw);
  const steps = Array.from({ length: draw.int(4) }, () => draw.int(s.keys + 1)).sort((a, b) => a - b);
  const [merges, travels, forks] = [!isCausal && draw.chance(0.3), draw.chance(0.3), draw.chance(0.3)];
  const hasOut = draw.chance(0.4);
  const { map: featureMap, featureScale } = asked;
  const { batch, kvHeads, headDim, valueDim, heads } = s;
  return {
    text: `LinearAttentionState(${textOf(s)}) φ ${featureMap} ${JSON.stringify(options)}${isCausal ? ' attend' : ''}`,
    elements: batch * kvHeads * (s.keys + s.queries * (heads / kvHeads)) * headDim * valueDim,
    hasPromise: false,
    isSameEverywhere: false,
    expects: 'value',
    invoke(api: Api, arena: Arena) {
      const Kind = api.LinearAttentionState as unknown as StateKind;
      const make = () => new Kind({ batch, kvHeads, headDim, valueDim, featureMap, featureScale });
      let state = make();
      const parts = (from: number, to: number) => {
        const [k, v] = [cut(arrays.k, headDim, s.keys, from, to), cut(arrays.v, valueDim, s.keys, from, to)];
        return [arena.input('k', k), arena.input('v', v)] as const;
      };
      const out = hasOut ? arena.output('out', new Float32Array(0), batch * heads * s.queries * valueDim) : undefined;
      const call = arena.options({ ...options, heads, out });
      const places = [0, ...steps, s.keys];
      if (isCausal) {
        const answer = state.attend(arena.input('q', arrays.q), ...parts(0, s.keys), call);
        return { out: answer, bytes: state.toBytes() };
      }
      for (const [i, to] of places.slice(1).entries()) {
        if (merges && i > 0) {
          const other = make();
          other.append(...parts(places[i]!, to));
          state.merge(other);
        } else state.append(...parts(places[i]!, to));
        if (travels) state = Kind.fromBytes(state.toBytes());
        if (forks) state = state.fork();
      }
      return { out: state.query(arena.input('q', arrays.q), call), bytes: state.toBytes() };
    },
    outputs: ({ out, bytes }: { out: Float32Array; bytes: Uint8Array }) => ({ out, bytes }),
    check: (outcome) => checkLinear(s, arrays, asked, isCausal ? (m) => m + 1 : () => s.keys, outcome),
  };
};

const linearMaker =
  (operator: 'magnitudeAwareAttention' | 'injectiveLinearAttention'): Maker =>
  (draw, limit): Case => {
    const s = sizesOf(draw, limit, false);
    const arrays = arraysOf(draw, s);
    const isInjective = operator === 'injectiveLinearAttention';
    const { asked: any } = askedOf(draw);
    const isPaper = !isInjective && draw.chance(0.4);
    const given = isInjective ? undefined : draw.pick([undefined, 0, 1e-6, 0.5]);
    const asked: Asked = isInjective
      ? { ...any, form: 'injective', epsilon: 0 }
      : {
          form: isPaper ? 'paper' : 'magnitudeAware',
          map: 'elu',
          epsilon: given ?? (isPaper ? 0 : 1e-6),
          featureScale: 1,
        };
    const options: Options = isInjective
      ? { featureMap: asked.map, featureScale: asked.featureScale }
      : { ...(isPaper && { scale: 'paper' }), ...(given !== undefined && { epsilon: given }) };
    const { batch, heads, kvHeads, headDim } = s;
    const hasOut = draw.chance(0.4);
    return {
      text: `${operator}(${textOf(s)}) ${JSON.stringify(options)}`,
      elements: batch * kvHeads * (s.keys + s.queries * (heads / kvHeads)) * headDim * s.valueDim,
      hasPromise: true,
      isSameEverywhere: false,
      expects: 'judged',
      invoke(api, arena) {
        const [q, k, v] = [arena.input('q', arrays.q), arena.input('k', arrays.k), arena.input('v', arrays.v)];
        const length = batch * heads * s.queries * s.valueDim;
        const out = hasOut && s.keys > 0 ? arena.output('out', new Float32Array(0), length) : undefined;
        return api[operator]!(q, k, v, arena.options({ ...options, batch, heads, kvHeads, headDim, out }));
      },
      outputs: (out: Float32Array) => ({ out }),
      // Without keys the length of a value is not known.
      check: (outcome) =>
        outcome.error?.message ?? (s.keys === 0 ? undefined : checkLinear(s, arrays, asked, () => s.keys, outcome)),
    };
  };

export const linearMakers: Record<string, Maker> = {
  LinearAttentionState: linearState,
  magnitudeAwareAttention: linearMaker('magnitudeAwareAttention'),
  injectiveLinearAttention: linearMaker('injectiveLinearAttention'),
};
