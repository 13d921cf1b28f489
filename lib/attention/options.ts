/** Options that the calls of attention share: their types, their names, and the checks of options about scores. */
import { allocate } from '../call/allocate.js';
import { count, oneOf, positive } from '../call/checks.js';
import { wrongType, wrongValue } from '../call/errors.js';
import { elementsOf } from '../call/arrays.js';
import { checkOptions } from '../call/options.js';
import { types, type LogitArray, type NewFloat32Array } from '../call/types.js';
import { finite } from '../call/values.js';
import type { SequenceId } from './kv-types.js';
import { perHead } from './sizes.js';
import { causalOf, windowOf, type Causal, type Window, type WindowSizes } from './visible-options.js';

/** Options about scores; the same for all calls. */
export interface ScoreOptions {
  /**
   * How heads and positions lie: 'bhsd' [batch, heads, positions, dim], 'bshd' [batch, positions, heads, dim].
   * Default: 'bhsd'.
   */
  layout?: 'bhsd' | 'bshd' | undefined;
  /** The factor of q · k. Default: 1/√headDim. */
  scale?: number | undefined;
  /**
   * Each query sees the keys at its own position and at earlier ones only. It also says where queries are:
   *
   * - `true`, 'bottomRight': the last query is at the last key, query m of M at keys − M + m. With `keyLengths` that is
   *   the last key of the sequence, with `totalKeys` the last of all parts. So have it FlashAttention, PyTorch's
   *   causal_lower_right, xformers' LowerTriangularFromBottomRightMask, and ONNX's Attention with a past of keys − M
   *   keys or with nonpad_kv_seqlen.
   * - 'topLeft': query m is at key m, whatever the number of keys; over a cache at token m, in a part at key m of all
   *   parts. So have it PyTorch's is_causal and causal_upper_left, xformers' LowerTriangularMask, and ONNX's Attention
   *   without a past.
   *
   * `window` and `alibi` count from this position; with `false` it is that of 'bottomRight'. Default: false; over a
   * cache true.
   */
  causal?: Causal | undefined;
  /**
   * How far a query sees. [left, right]: `left` keys before its own position, its own, and `right` behind it, each an
   * integer from 0, or Infinity for no bound; `causal` makes it [left, 0]. A positive integer n, or Infinity, stands
   * for [n − 1, n − 1]: with `causal` its own position and n − 1 before it. FlashAttention's window_size=(left, right)
   * is the same, and FlashInfer's window_left is [left, 0]; both have −1 for no bound. Default: everything.
   */
  window?: Window | undefined;
  /** Scores become softcap · tanh(score / softcap) (Gemma 2): > 0. Default: scores stay as they are. */
  softcap?: number | undefined;
  /**
   * A score loses slope · distance of the positions (Press et al., arXiv 2108.12409). `true`: the slopes of that paper
   * ({@link alibiSlopes}); or a slope for each query head. Default: none.
   */
  alibi?: boolean | Float32Array | undefined;
}

/** Which keys count, and a bias of the scores. */
export interface MaskOptions {
  /**
   * Which keys count, a byte each, any but 0 counts: [batch, heads, queries, keys]; or less, where dimensions share
   * their entries: [queries, keys], [batch, keys], [batch, queries, keys], [heads, queries, keys] or [keys]. A length
   * that two of these have, with different meanings, is an error. A masked key and its value, NaN included, do not
   * matter. Over a cache, `batch` are the sequences, and `keys` the length of the longest; entries behind the keys of a
   * shorter one do not matter.
   */
  mask?: Uint8Array | undefined;
  /** Added to the scores, after scale and softcap; −Infinity masks. It has one of the shapes of `mask`. */
  bias?: Float32Array | undefined;
}

/** Options about results, and sinks, which no partial result contains. */
export interface ResultOptions<Out extends LogitArray = Float32Array> {
  /**
   * A score for each query head that takes part in its softmax with a value of 0 (attention sinks, as in gpt-oss).
   * Default: none.
   */
  sinks?: Float32Array | undefined;
  /** Where the output goes: an array of its length, apart from all inputs. Default: a new array. */
  out?: Out | undefined;
  /**
   * log Σ exp(score) of each query row is wanted too, in a new array (true) or in this one: [batch, heads, queries],
   * whatever the layout is. Default: it is not.
   */
  lse?: boolean | Float64Array | undefined;
}

export const SCORE_OPTIONS = ['layout', 'scale', 'causal', 'window', 'softcap', 'alibi'] as const;
export const MASK_OPTIONS = ['mask', 'bias'] as const;
export const RESULT_OPTIONS = ['sinks', 'out', 'lse'] as const;

/** The options behind kernel arguments of another name. */
export const OPTION_NAMES = { slopes: 'alibi' } as const;

/** Checks option names; returns a copy, so that getters run once, and before any length is taken. */
export function copyOptions<O extends object>(options: O, names: readonly string[], isNeeded = false): O {
  checkOptions(options, names, isNeeded);
  const copy: Record<string, unknown> = {};
  for (const name of names) {
    const value = (options as Record<string, unknown> | undefined)?.[name];
    if (value !== undefined) copy[name] = value;
  }
  return copy as O;
}

/** A copy of the sequences of a call. */
export function idsOf(sequences: unknown): SequenceId[] {
  if (typeof sequences === 'number') return [sequences];
  if (!Array.isArray(sequences)) throw wrongType('a sequence or an array of them', 'sequences', sequences);
  const ids = elementsOf(sequences) as SequenceId[];
  if (ids.length === 0) throw wrongValue('one sequence at least', 'sequences', 'none');
  return ids;
}

/** 1 for the layout in which positions come first, 0 for the other one. */
export function layoutFlag(layout: unknown, positionsFirst: string, headsFirst: string): 0 | 1 {
  return oneOf(layout, [headsFirst, positionsFirst], 'layout') === positionsFirst ? 1 : 0;
}

/**
 * The slopes of ALiBi: 2^(−8/n), 2^(−16/n), … for n heads, if n is a power of two. Else the largest power of two below
 * n has its own slopes, and the other heads have every second slope of twice that power.
 *
 * @example
 * import { alibiSlopes } from 'flash-softmax/attention';
 * console.log(alibiSlopes(4).join(' ')); // → 0.25 0.0625 0.015625 0.00390625
 */
export function alibiSlopes(heads: number): NewFloat32Array {
  count(heads, 'heads');
  const power = 2 ** Math.floor(Math.log2(heads));
  const slopes = allocate('Float32Array', heads, 'slopes');
  for (let i = 0; i < power; i++) slopes[i] = 2 ** ((-8 * (i + 1)) / power);
  for (let i = power; i < heads; i++) slopes[i] = 2 ** ((-8 * (2 * (i - power) + 1)) / (2 * power));
  return slopes;
}

/** The checked options about scores, as kernels take them. */
export interface Scores<Slopes = Float32Array | Float64Array> extends WindowSizes {
  readonly positionsFirst: 0 | 1;
  /** undefined: 1/√headDim. */
  readonly scale: number | undefined;
  /** As causalOf has it. */
  readonly causal: 0 | 1 | 2;
  /** 0: none. */
  readonly softcap: number;
  /** true: the slopes of {@link alibiSlopes}. */
  readonly alibi: Slopes | true | null;
}

/** Options about scores beside arrays of any type. */
type WideScoreOptions = Omit<ScoreOptions, 'alibi'> & {
  readonly alibi?: boolean | Float32Array | Float64Array | undefined;
};

/** Reads and checks the options about scores, as far as they do not depend on sizes. */
export function scoresOf(options: ScoreOptions, causalDefault: boolean): Scores<Float32Array>;
export function scoresOf(options: WideScoreOptions, causalDefault: boolean, isDouble: boolean): Scores;
export function scoresOf(options: WideScoreOptions, causalDefault: boolean, isDouble = false): Scores {
  const { layout = 'bhsd', scale, causal = causalDefault, window, softcap, alibi = false } = options;
  const positionsFirst = layoutFlag(layout, 'bshd', 'bhsd');
  if (scale !== undefined) finite(scale, 'scale');
  const isCausal = causalOf(causal);
  const sizes = windowOf(window);
  if (typeof alibi !== 'boolean' && !types.isFloat32Array(alibi) && !(isDouble && types.isFloat64Array(alibi))) {
    throw wrongType('a boolean or a Float32Array', 'alibi', alibi);
  }
  return {
    positionsFirst,
    scale,
    causal: isCausal,
    ...sizes,
    softcap: softcap === undefined ? 0 : kernelSoftcap(positive(softcap, 'softcap')),
    alibi: alibi === false ? null : alibi,
  };
}

/** The softcap of kernels: 0, which is none, for one beyond all scores. */
const kernelSoftcap = (softcap: number): number => (softcap < 2 ** 1000 ? softcap : 0);

/** The slope of each query head; null without ALiBi. */
export function slopesOf<Slopes extends Float32Array | Float64Array>(
  alibi: Scores<Slopes>['alibi'],
  heads: number,
): Slopes | Float32Array | null {
  return alibi === true ? alibiSlopes(heads) : alibi && perHead(alibi, heads, 'alibi', types.isFloat64Array(alibi));
}
