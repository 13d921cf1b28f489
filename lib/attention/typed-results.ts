/** The results of attention that have the type of its queries: the output, weights and scores; and their types. */
import { bufferOf, byteOffsetOf, kindOf, lengthOf, overlap, type ArrayKind } from '../call/arrays.js';
import { isLike, oneOf } from '../call/checks.js';
import { outOfRange, wrongType, wrongValue } from '../call/errors.js';
import {
  isFloat32Array,
  isFloat64Array,
  isUint16Array,
  type ElementType,
  type LogitArray,
  type NewFloat64Array,
  type NewLike,
  type Returned,
} from '../call/types.js';
import { byType } from './inputs.js';
import { allocate } from '../call/allocate.js';
import { checkedLse } from './results.js';
import { attached, perHead } from './sizes.js';

/** The stages of a score that a call may ask for, in the order of ONNX's qk_matmul_output_mode. */
export const STAGES = ['raw', 'softcapped', 'masked', 'softmax'] as const;
export type ScoreStage = (typeof STAGES)[number];

/** The results that are asked for beside the output. */
export interface Asked<
  Lse = boolean | Float64Array | undefined,
  Weights = boolean | LogitArray | undefined,
  Scores = ScoreStage | undefined,
> {
  /**
   * log Σ exp(score) of each query row is wanted too, in a new array (true) or in this one: [batch, heads, queries],
   * whatever the layout is. Default: it is not.
   */
  lse?: Lse;
  /**
   * The softmax weights of each query row are wanted too, in a new array (true) or in this one, which has the type of
   * the output: [batch, heads, queries, keys], whatever the layout is. Keys that a row does not see weigh 0, and so
   * does every key of a row that sees none. A sink's share is left out: the weights of its row sum to less than 1. In
   * a row with a NaN or +∞ among its scores every visible key weighs NaN. Default: they are not.
   */
  weights?: Weights;
  /**
   * The scores are wanted too, at a stage, as weights in type and shape: 'raw', q · k · scale, of keys that a row does
   * not see too; 'softcapped', these after the softcap; 'masked', after slope and bias too, −Infinity for keys that
   * the row does not see; 'softmax', the weights. These are ONNX's qk_matmul_output_mode 0, 1, 2 and 3 in the order
   * that its Attention-23 and -24 have since onnx 7913 (mode 1 was 'masked' before, mode 2 the softcapped sum of score
   * and mask, where −∞ became −softcap). Default: they are not.
   */
  scores?: Scores;
}
export const ASKED_OPTIONS = ['weights', 'scores'] as const;

type IsAsked<T> = T extends false | undefined ? false : true;
/** A property for a result that is asked for; optional where the type of the option does not tell. */
type Part<Name extends string, T, Result> =
  true extends IsAsked<T>
    ? false extends IsAsked<T>
      ? { readonly [N in Name]?: Result }
      : { readonly [N in Name]: Result }
    : unknown;
type Given<T, Default> = [Extract<T, ArrayBufferView>] extends [never] ? Default : Extract<T, ArrayBufferView>;
type Flat<T> = { [K in keyof T]: T[K] };

/** An output with all that was asked for beside it. */
type Whole<Out, Lse, Weights, Scores> = Flat<
  { readonly out: Returned<Out> } & Part<'lse', Lse, Given<Lse, NewFloat64Array>> &
    Part<'weights', Weights, Given<Weights, Out extends LogitArray ? NewLike<Out> : never>> &
    Part<'scores', Scores, Out extends LogitArray ? NewLike<Out> : never>
>;

/** What attention returns: the output alone, or an object that has exactly what was asked for. */
export type Attended<Out, Lse, Weights, Scores> = true extends IsAsked<Lse> | IsAsked<Weights> | IsAsked<Scores>
  ? [IsAsked<Lse>] extends [true]
    ? Whole<Out, Lse, Weights, Scores>
    : [IsAsked<Weights>] extends [true]
      ? Whole<Out, Lse, Weights, Scores>
      : [IsAsked<Scores>] extends [true]
        ? Whole<Out, Lse, Weights, Scores>
        : Returned<Out> | Whole<Out, Lse, Weights, Scores>
  : Returned<Out>;

/** A result of attention for code that does not know what was asked for. */
export type AnyAttended =
  | LogitArray
  | {
      readonly out: LogitArray;
      readonly lse?: Float64Array;
      readonly weights?: LogitArray;
      readonly scores?: LogitArray;
    };

export interface ResultOptionsOfAnyType {
  readonly out?: LogitArray | undefined;
  readonly sinks?: Float32Array | Float64Array | undefined;
  readonly lse?: unknown;
  readonly weights?: unknown;
  readonly scores?: unknown;
}

interface Sizes {
  readonly heads: number;
  readonly rows: number;
  readonly keys: number;
  readonly valueDim: number;
}

/** The kind of new arrays for results. */
const kindOfResults = (q: LogitArray, out: LogitArray | undefined): ArrayKind => kindOf(out ?? q) as ArrayKind;

/** An array as kernels take it: a Float16Array as the bits of its elements, in the type of the kernel's arrays. */
export const kernelArray = (x: LogitArray): Float32Array =>
  (isFloat32Array(x) || isFloat64Array(x) || isUint16Array(x)
    ? x
    : new Uint16Array(bufferOf(x), byteOffsetOf(x), lengthOf(x))) as Float32Array;

/**
 * Checks the results of a call, or allocates them: the kernel's arguments, and what the call returns. `inputs` are its
 * other arrays. Call it when all other checks have passed.
 */
export function typedResults(
  options: ResultOptionsOfAnyType,
  q: LogitArray,
  type: ElementType,
  sizes: Sizes,
  inputs: Readonly<Record<string, ArrayBufferView | null>>,
) {
  const { heads, rows, keys, valueDim } = sizes;
  const { out, lse } = options;
  const sinks = options.sinks === undefined ? null : perHead(options.sinks, heads, 'sinks', type === 'f64');
  const stage = options.scores === undefined ? 0 : STAGES.indexOf(oneOf(options.scores, STAGES, 'scores'));
  const kind = out === undefined ? kindOfResults(q, out) : kindOfOut(out, q);
  if (out !== undefined) exactLength(out, rows * valueDim, `${rows} rows of valueDim = ${valueDim},`, 'out');
  const weights = givenWeights(options.weights, kind, rows, keys);
  const givenLse = lse === undefined || typeof lse === 'boolean' ? undefined : checkedLse(lse, rows, out);
  allApart({ out, lse: givenLse, weights }, { ...inputs, sinks });

  const own: ('out' | 'lse' | 'weights' | 'scores')[] = ['scores'];
  if (out === undefined) own.push('out');
  if (givenLse === undefined) own.push('lse');
  if (weights === undefined) own.push('weights');
  const make = (n: number, name: string) => allocate(kind, n, name) as unknown as LogitArray;
  const results = {
    out: out ?? make(rows * valueDim, 'out'),
    lse: lse === true ? allocate('Float64Array', rows, 'lse') : (givenLse ?? null),
    weights: options.weights === true ? make(rows * keys, 'weights') : (weights ?? null),
    scores: options.scores === undefined ? null : make(rows * keys, 'scores'),
  };
  const finish = (): AnyAttended => {
    if (!results.lse && !results.weights && !results.scores) return results.out;
    return Object.fromEntries(Object.entries(results).filter(([, x]) => x !== null)) as unknown as AnyAttended;
  };
  const [floats, doubles] = byType(sinks);
  const bits = (x: LogitArray | null) => x && kernelArray(x);
  return {
    sinks: floats,
    wideSinks: doubles,
    args: { out: bits(results.out), lse: results.lse, sums: null, mantissa: null, exponent: null },
    scoreArgs: { weights: bits(results.weights), scores: bits(results.scores), stage },
    own,
    /** The type of a kernel with these results. */
    type: isHalf(type) && kind === 'Float32Array' ? (`${type}_f32` as const) : type,
    finish,
  };
}

function kindOfOut(out: LogitArray, q: LogitArray): ArrayKind {
  const isHalf = !isFloat32Array(q) && !isFloat64Array(q);
  if (!isLike(out, q) && !(isHalf && isFloat32Array(out))) {
    throw wrongType(`a ${kindOf(q)}, as q is,${isHalf ? ' or a Float32Array' : ''}`, 'out', out);
  }
  return kindOf(attached(out, kindOf(out)!, 'out')) as ArrayKind;
}

function givenWeights(weights: unknown, kind: ArrayKind, rows: number, keys: number): LogitArray | undefined {
  if (weights === undefined || typeof weights === 'boolean') return undefined;
  if (kindOf(weights) !== kind) throw wrongType(`a boolean or a ${kind}, as the output is,`, 'weights', weights);
  attached(weights as LogitArray, kind, 'weights');
  exactLength(weights as LogitArray, rows * keys, `${rows} rows of ${keys} keys,`, 'weights');
  return weights as LogitArray;
}

function exactLength(x: ArrayBufferView, length: number, what: string, name: string): void {
  const given = lengthOf(x);
  if (given !== length) throw wrongValue(`${what} ${length} elements,`, name, String(given));
}

/** Refuses results that share memory with one another or with an input. */
function allApart(
  results: Readonly<Record<string, ArrayBufferView | undefined>>,
  inputs: Readonly<Record<string, ArrayBufferView | null>>,
): void {
  const checked: [string, ArrayBufferView][] = [];
  for (const [name, x] of Object.entries(results)) {
    if (x === undefined) continue;
    for (const [other, y] of [...Object.entries(inputs), ...checked]) {
      if (y !== null && overlap(x, y)) throw wrongValue(`memory apart from ${other}`, name, 'an overlap');
    }
    checked.push([name, x]);
  }
}

export const isHalf = (type: ElementType): type is 'f16' | 'bf16' => type === 'f16' || type === 'bf16';

/** Whether a call computes in double: it is asked to, its inputs are doubles, or it gives weights or scores. */
export function isExact(
  { accumulate, weights, scores }: { accumulate?: unknown; weights?: unknown; scores?: unknown },
  type: ElementType,
): boolean {
  const needs = type === 'f64' ? 'float64 inputs' : weights || scores !== undefined ? 'weights or scores' : undefined;
  if (accumulate === undefined) return needs !== undefined;
  const isDouble = oneOf(accumulate, ['float32', 'float64'], 'accumulate') === 'float64';
  if (!isDouble && needs !== undefined) throw outOfRange(`'float64' beside ${needs}`, 'accumulate', accumulate);
  return isDouble;
}
