/** ClusteredVocabulary: a softmax over many tokens that share the logits of a few codes (VQ-Logits). */
import type { KernelArray } from '../backend/backend.js';
import { elementsOf, isDetached, kindOf, lengthOf } from '../call/arrays.js';
import { axisCall, newLike } from '../call/axis.js';
import { bitsOf, likeArray, positive } from '../call/checks.js';
import { describe, outOfRange, wrongType, wrongValue } from '../call/errors.js';
import { optionsOf } from '../call/options.js';
import { seedOf, type SeedOptions } from '../call/seed.js';
import {
  isFloat64Array,
  type LogitArray,
  type NewFloat64Array,
  type NewLike,
  type NewUint32Array,
} from '../call/types.js';
import { ln } from '../math/log.js';
import { block, philox, PURPOSE, uniformOf } from '../math/philox.js';
import { logSoftmax } from '../softmax/log-softmax.js';
import { logSumExp } from '../softmax/log-sum-exp.js';
import { softmax } from '../softmax/softmax.js';
import { indicesOf, positionsOf, type Targets } from './targets.js';
import { doublesOf, writerOf } from '../math/read.js';

export interface CodeOptions {
  /** What the logits are divided by: finite and > 0. Default: 1. */
  temperature?: number | undefined;
  /** What the bits of a Uint16Array are. For a Uint16Array only, and needed there. */
  dtype?: 'float16' | 'bfloat16' | undefined;
}

export interface CodeSampleOptions extends CodeOptions, SeedOptions {}

export interface CodeLossOptions<A extends LogitArray = LogitArray> extends CodeOptions {
  /** Where the gradient of each row's loss by the codes' logits goes: as `logits`, or `logits` itself. */
  gradient?: A | undefined;
  /** A row with this target does not count: its loss and its gradient are 0. Default: −100. */
  ignoreIndex?: number | undefined;
}

const CODE_NAMES = ['temperature', 'dtype'] as const;

/** A call's codes in double. */
interface Codes {
  readonly x: KernelArray;
  readonly type: string;
  readonly rows: number;
  readonly logits: NewFloat64Array;
  readonly options: { cols: number; temperature: number; bias: NewFloat64Array };
}

/**
 * A vocabulary whose tokens share the logits of codes (VQ-Logits, arXiv 2505.10202): token v has the logit of its code,
 *
 *     logit[v] = l[c(v)]      p[v] = exp(l[c(v)] / T) / Σ_c n_c exp(l[c] / T)      n_c: how many tokens code c has
 *
 * so that a softmax over the vocabulary is one over the codes with the bias ln n_c, and a uniform choice among a code's
 * tokens. Codes without tokens have the probability 0. All of it is computed in double and rounded once.
 *
 * Logits are rows of one number a code; rows follow one another. Edge values are those of {@link softmax}: −∞ gives 0,
 * and a row with a NaN or a +∞, or nothing but −∞ among the codes with tokens, is NaN. Largest error seen: 0.51 ULP
 * (float32), 6 ULP (float64).
 *
 * @example
 * import { ClusteredVocabulary } from 'flash-softmax/losses';
 * console.log(new ClusteredVocabulary([0, 1, 1]).probabilities(Float64Array.of(0, 0))[0].toFixed(4)); // → 0.3333
 */
export class ClusteredVocabulary {
  /** The number of codes: the length of a row of logits. */
  readonly codes: number;
  /** The number of tokens: the length of a row of results. */
  readonly tokens: number;
  readonly #map: Uint32Array;
  readonly #sizes: Float64Array;
  readonly #logSizes: Float64Array;
  /** The tokens of code c: members[starts[c]] … members[starts[c + 1] − 1], ascending. */
  readonly #starts: Uint32Array;
  readonly #members: Uint32Array;

  /**
   * @param map The code of each token: integers from 0 on. It is copied.
   * @param options `codes`: how many codes there are, where the last ones may have no tokens. Default: one more than
   *   the largest of `map`.
   * @throws TypeError (ERR_INVALID_ARG_TYPE), RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for a map that is
   *   empty or has something else than codes.
   */
  constructor(map: ArrayLike<number>, options?: { codes?: number | undefined }) {
    const { codes } = optionsOf(options, ['codes']);
    const list = listOf(map);
    const most = codes ?? list.reduce((least, c) => Math.max(least, c + 1), 0);
    if (typeof most !== 'number') throw wrongType('a positive integer', 'codes', most);
    if (!(Number.isInteger(most) && most > 0 && most < 2 ** 31)) throw outOfRange('a positive integer', 'codes', most);
    list.forEach((c, v) => {
      if (!(c < most)) throw outOfRange(`integers from 0 to ${most - 1}`, 'map', `${c} at ${v}`);
    });
    this.codes = most;
    this.tokens = list.length;
    this.#map = Uint32Array.from(list);
    this.#sizes = new Float64Array(most);
    for (const c of this.#map) this.#sizes[c]!++;
    this.#logSizes = this.#sizes.map(ln);
    this.#starts = new Uint32Array(most + 1);
    for (let c = 0; c < most; c++) this.#starts[c + 1] = this.#starts[c]! + this.#sizes[c]!;
    this.#members = new Uint32Array(this.tokens);
    const next = this.#starts.slice();
    this.#map.forEach((c, v) => (this.#members[next[c]!++] = v));
  }

  /**
   * The probability of each token.
   *
   * @param logits A number for each code, row by row.
   * @param options See {@link CodeOptions}.
   * @returns A new array of the type of `logits`, [rows, tokens].
   * @throws TypeError, RangeError as {@link softmax} does.
   */
  probabilities<A extends LogitArray>(logits: A, options?: CodeOptions): NewLike<A> {
    const codes = this.#read(logits, options, CODE_NAMES);
    const p = softmax(codes.logits, { ...codes.options, out: codes.logits });
    for (let i = 0; i < p.length; i++) p[i]! /= this.#sizes[i % this.codes]! || 1;
    return this.#gather(logits, codes, p);
  }

  /**
   * The logarithm of each token's probability; −∞ for a code of −∞.
   *
   * @param logits A number for each code, row by row.
   * @param options See {@link CodeOptions}.
   * @returns A new array of the type of `logits`, [rows, tokens].
   * @throws TypeError, RangeError as {@link softmax} does.
   */
  logProbs<A extends LogitArray>(logits: A, options?: CodeOptions): NewLike<A> {
    const codes = this.#read(logits, options, CODE_NAMES);
    const logs = logSoftmax(codes.logits, { ...codes.options, out: codes.logits });
    for (let i = 0; i < logs.length; i++) logs[i]! -= Math.max(0, this.#logSizes[i % this.codes]!);
    return this.#gather(logits, codes, logs);
  }

  /**
   * log Σ exp of each row's logits over the whole vocabulary.
   *
   * @param logits A number for each code, row by row.
   * @param options See {@link CodeOptions}.
   * @returns A new Float64Array with an element for each row.
   * @throws TypeError, RangeError as {@link softmax} does.
   */
  logSumExp(logits: LogitArray, options?: CodeOptions): NewFloat64Array {
    const codes = this.#read(logits, options, CODE_NAMES);
    return logSumExp(codes.logits, codes.options);
  }

  /**
   * One token of each row: a code by its probability, and one of its tokens, by this package's Philox4x32-10.
   *
   * @param logits A number for each code, row by row.
   * @param options `temperature`, `dtype`; `seed`, `step` and `firstRow` as those of flash-softmax/sampling.
   * @returns A new Uint32Array with a token for each row.
   * @throws TypeError, RangeError as {@link softmax} does, and for a row that has no probabilities, which it names.
   */
  sample(logits: LogitArray, options?: CodeSampleOptions): NewUint32Array {
    const names = [...CODE_NAMES, 'seed', 'step', 'firstRow'];
    const { seed, step, firstRow, ...given } = optionsOf(options, names);
    const codes = this.#read(logits, given, CODE_NAMES);
    const draws = seedOf({ seed, step, firstRow }, codes.rows);
    const p = softmax(codes.logits, { ...codes.options, out: codes.logits });
    const tokens = new Uint32Array(codes.rows);
    for (let row = 0; row < codes.rows; row++) {
      [block[0], block[1], block[2], block[3]] = [0, draws.firstRow + row, draws.step, PURPOSE.member];
      philox(draws.key);
      const member = uniformOf(block[2], block[3]);
      const c = this.#codeOf(p, row, uniformOf(block[0], block[1]));
      tokens[row] = this.#members[this.#starts[c]! + Math.floor(member * this.#sizes[c]!)]!;
    }
    return tokens;
  }

  /**
   * The loss of each row against its token, −ln p[target], and its gradient by the codes' logits, (P − [is the target's
   * code]) / temperature with P the probability of a code. A target of a code of −∞ costs +∞.
   *
   * @param logits A number for each code, row by row. Not written, unless `gradient`.
   * @param targets A token for each row, or `ignoreIndex`.
   * @param options See {@link CodeLossOptions}.
   * @returns A new Float64Array with an element for each row.
   * @throws TypeError, RangeError as crossEntropy does. Nothing was written then.
   */
  crossEntropy<A extends LogitArray>(logits: A, targets: Targets, options?: CodeLossOptions<A>): NewFloat64Array {
    const { gradient, ignoreIndex = -100, ...given } = optionsOf(options, [...CODE_NAMES, 'gradient', 'ignoreIndex']);
    const list = indicesOf(targets);
    const codes = this.#read(logits, given, CODE_NAMES);
    const positions = positionsOf(list, codes.rows, this.tokens, ignoreIndex);
    const slopes = gradient === undefined ? null : likeArray(gradient, logits, 'gradient', 'logits');
    const loss = new Float64Array(codes.rows);
    const logs = logSoftmax(codes.logits, codes.options);
    for (let row = 0; row < codes.rows; row++) {
      if (positions[row]! < 0) continue;
      const c = this.#map[positions[row]!]!;
      loss[row] = this.#logSizes[c]! - logs[row * this.codes + c]!;
    }
    if (slopes === null) return loss;
    const p = softmax(codes.logits, { ...codes.options, out: codes.logits });
    const write = writerOf(slopes, codes.type);
    const { temperature } = codes.options;
    for (let row = 0; row < codes.rows; row++) {
      const at = row * this.codes;
      const isIgnored = positions[row]! < 0;
      for (let c = 0; c < this.codes; c++) write(at + c, isIgnored ? 0 : p[at + c]! / temperature);
      if (isIgnored) continue;
      const c = this.#map[positions[row]!]!;
      write(at + c, -othersOf(p, at, this.codes, c) / temperature);
    }
    return loss;
  }

  /**
   * The logit of each token: that of its code.
   *
   * @param logits A number for each code, row by row.
   * @param options `dtype`, for a Uint16Array.
   * @returns A new array of the type of `logits`, [rows, tokens].
   * @throws TypeError, RangeError as {@link softmax} does.
   */
  expand<A extends LogitArray>(logits: A, options?: Pick<CodeOptions, 'dtype'>): NewLike<A> {
    const { x, rows } = this.#read(logits, options, ['dtype']);
    const out = newLike(logits, rows * this.tokens);
    this.#spread(bitsOf(out), x, rows);
    return out as NewLike<A>;
  }

  /** The checked logits in double, and the options of a softmax over the codes. */
  #read(logits: LogitArray, options: CodeOptions | undefined, names: readonly string[]): Codes {
    const { temperature = 1, dtype } = optionsOf(options, names);
    positive(temperature, 'temperature');
    const call = axisCall({ logits: 'logits', result: 'state' }, 'now', logits, { cols: this.codes, dtype });
    const { x, outer: rows } = call.args;
    const bias = this.#logSizes.map((log) => log * temperature) as NewFloat64Array;
    const doubles = doublesOf(x, call.type) as NewFloat64Array;
    // A code without tokens does not count, whatever its logit is.
    for (let i = 0; i < doubles.length; i++) if (this.#sizes[i % this.codes] === 0) doubles[i] = -Infinity;
    return { x, type: call.type, rows, logits: doubles, options: { cols: this.codes, temperature, bias } };
  }

  /** Numbers of codes as numbers of tokens, rounded to the type of the logits. */
  #gather<A extends LogitArray>(logits: A, { type, rows }: Codes, of: Float64Array): NewLike<A> {
    const out = newLike(logits, rows * this.tokens);
    const bits = bitsOf(out);
    // Each code's number is rounded once, and not each token's.
    const rounded = isFloat64Array(bits) ? of : (newLike(logits, lengthOf(of)) as LogitArray);
    const source = isFloat64Array(rounded) ? rounded : bitsOf(rounded);
    if (source !== of) {
      const write = writerOf(source, type);
      for (let i = 0; i < of.length; i++) write(i, of[i]!);
    }
    this.#spread(bits, source, rows);
    return out as NewLike<A>;
  }

  #spread(to: KernelArray, from: KernelArray, rows: number): void {
    const map = this.#map;
    for (let row = 0, at = 0; row < rows; row++) {
      const start = row * this.codes;
      for (let v = 0; v < map.length; v++, at++) to[at] = from[start + map[v]!]!;
    }
  }

  /** The code at which the running sum of a row's probabilities passes u of the whole. */
  #codeOf(p: Float64Array, row: number, u: number): number {
    const start = row * this.codes;
    let whole = 0;
    for (let c = 0; c < this.codes; c++) whole += p[start + c]!;
    if (!(whole > 0)) throw wrongValue('logits with a finite number and no NaN', `row ${row} of logits`, 'others');
    let [sum, last] = [0, 0];
    for (let c = 0; c < this.codes; c++) {
      if (p[start + c] === 0) continue;
      sum += p[start + c]!;
      last = c;
      if (sum > u * whole) break;
    }
    return last;
  }
}

/** The sum of a row without element c, which 1 − p[c] would cancel. */
function othersOf(p: Float64Array, at: number, n: number, c: number): number {
  let sum = 0;
  for (let i = 0; i < n; i++) if (i !== c) sum += p[at + i]!;
  return sum;
}

function listOf(map: unknown): number[] {
  const isTyped = kindOf(map) !== undefined;
  if (!isTyped && !Array.isArray(map)) throw wrongType('an array of integers', 'map', map);
  if (isTyped && isDetached(map as Uint32Array)) throw wrongType('an array that has its memory', 'map', map);
  const list = elementsOf(map as ArrayLike<unknown>);
  if (list.length === 0) throw wrongValue('one token at least', 'map', 'none');
  list.forEach((c, v) => {
    if (typeof c !== 'number') throw wrongType('integers', 'map', c);
    if (!(Number.isInteger(c) && c >= 0)) throw outOfRange('integers from 0', 'map', `${describe(c)} at ${v}`);
  });
  return list as number[];
}
