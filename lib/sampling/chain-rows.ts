/** Reads rows as sets of tokens for filters in any order, draws from what these leave, and writes it. */
import { NO_INDEX } from '../backend/backend.js';
import type { FloatArray, NewUint32Array } from '../call/types.js';
import { widened } from '../js/rows/half.js';
import { rowFor } from '../js/sampling/rows.js';
import { HAS_NAN, NOTHING_FINITE, SAMPLED } from '../js/sampling/sample-row.js';
import { readerOf } from '../math/read.js';
import { LN2 } from '../math/powers.js';
import { applyFilters, muOf } from './chain.js';
import type { CheckedFilters } from './filters.js';
import type { RowDraws } from './random.js';
import { counts } from '../backend/masks.js';
import { lengthOf, viewOf } from '../call/arrays.js';
import type { Rows } from './rows.js';
import { TokenSet } from './token-set.js';
import { DEEPEST, IntegerSum } from './weights.js';

/** Arrays that the rows of a call are written to. */
export interface ChainOutputs {
  readonly tokens: Uint32Array;
  readonly draws: number;
  readonly status: Int32Array;
  readonly kept: FloatArray | null;
  readonly probabilities: FloatArray | null;
  /** The next mu of mirostat of each row; empty without it. */
  readonly mu: Float64Array;
}

/** The first tokens of each row: k indices a row, those of the largest logits first. */
export interface Candidates {
  readonly indices: Uint32Array;
  readonly k: number;
  /** The sum of all weights of each row, for mirostat. */
  readonly totals?: Float64Array | undefined;
}

export class ChainRows {
  readonly #call: Rows;
  readonly #filters: CheckedFilters;
  readonly #candidates: Candidates | undefined;

  constructor(call: Rows, filters: CheckedFilters, candidates: Candidates | undefined) {
    this.#call = call;
    this.#filters = filters;
    this.#candidates = candidates;
  }

  /** Filters row r and writes its results. `uniforms` are the numbers of its draws. */
  run(r: number, uniforms: Float64Array, draws: RowDraws, out: ChainOutputs): void {
    const { cols } = this.#call;
    const { set, unit, status } = this.#read(r);
    out.status[r] = status;
    if (status !== SAMPLED) {
      out.tokens.fill(NO_INDEX, r * out.draws, (r + 1) * out.draws);
      if (out.mu.length > 0) out.mu[r] = muOf(this.#filters.mirostat!, r);
      return;
    }
    const total = this.#candidates?.totals?.[r];
    applyFilters(set, this.#filters, { row: r, unit, cols, total, chance: () => draws.chance() });
    drawTokens(r, set, uniforms, this.#filters, out);
    if (out.kept !== null) this.#write(r, set, out.kept, out.probabilities!);
  }

  #read(r: number): { readonly set: TokenSet; readonly unit: number; readonly status: number } {
    const { cols, type } = this.#call;
    const candidates = this.#candidates;
    const temperature = this.#filters.temperature.at(r);
    let unit = 1;
    let z: Float64Array = new Float64Array(0);
    let index: Uint32Array;
    if (candidates !== undefined) {
      const { indices, k } = candidates;
      index = indices.slice(r * k, (r + 1) * k).sort();
      z = index.at(-1) === NO_INDEX ? Float64Array.of(NaN) : this.#sums(r, index);
    } else if (type === 'f64') {
      const { x, ...extras } = this.#call;
      ({ z, unit } = rowFor(temperature, x as Float64Array, r, cols, extras as Rows & { bias: Float64Array | null }));
      index = indicesOf(cols);
    } else {
      index = indicesOf(cols);
      z = this.#sums(r, undefined);
    }
    const status = statusOf(z);
    const set = status === SAMPLED ? new TokenSet(z, index, cols, 1 / unit) : NO_TOKENS;
    return { set, unit, status };
  }

  /** The logits of some columns, or of all, with their bias; −∞ where they are masked. */
  #sums(r: number, columns: Uint32Array | undefined): Float64Array {
    const { x, type, cols, mask, maskLayout, bias } = this.#call;
    const start = r * cols;
    const z = new Float64Array(columns?.length ?? cols);
    if (columns === undefined) z.set(floatsOf(viewOf(x, start, start + cols), type));
    else {
      const read = readerOf(x, type);
      for (let i = 0; i < z.length; i++) z[i] = read(start + columns[i]!);
    }
    if (bias !== null) {
      const [read, from] = [readerOf(bias, type), lengthOf(bias) === cols ? 0 : start];
      for (let i = 0; i < z.length; i++) z[i]! += read(from + (columns?.[i] ?? i));
    }
    if (mask !== null) {
      for (let i = 0; i < z.length; i++) {
        const column = columns?.[i] ?? i;
        if (!counts(mask, maskLayout, start + column, column)) z[i] = -Infinity;
      }
    }
    return z;
  }

  /** Writes row r as `filterLogits` gives it: as SampleRow of lib/js does. */
  #write(r: number, set: TokenSet, kept: FloatArray, probabilities: FloatArray): void {
    const { cols } = this.#call;
    const { weights, total } = set;
    const divisor = set.temperature;
    const { largest } = weights;
    const divided = kept instanceof Float32Array ? Math.fround(largest / divisor) : largest / divisor;
    const origin = Math.abs(divided) < Infinity ? 0 : largest;
    kept.fill(-Infinity, r * cols, (r + 1) * cols);
    probabilities.fill(0, r * cols, (r + 1) * cols); // memory that verifyDraft uses for row after row
    for (let i = 0; i < set.size; i++) {
      const [z, column] = [set.z[i]!, r * cols + set.index[i]!];
      kept[column] = (z - origin) / divisor;
      const isWeightless = !(weights.distance(z) > DEEPEST);
      probabilities[column] = isWeightless ? 0 : weights.unrounded(z) / (total / weights.unit);
    }
  }
}

/** Draws the tokens of row r from the set that its filters leave. */
export function drawTokens(
  r: number,
  set: TokenSet,
  uniforms: Float64Array,
  { mirostat }: CheckedFilters,
  { tokens, draws, mu }: Pick<ChainOutputs, 'tokens' | 'draws' | 'mu'>,
): void {
  const sums = new Float64Array(set.size);
  const sum = new IntegerSum();
  const { w } = set;
  for (let i = 0; i < set.size; i++) sums[i] = sum.add(w[i]!).value;
  let at = 0;
  for (let d = r * draws; d < (r + 1) * draws; d++) {
    const target = uniforms[d]! * sum.value;
    let to = set.size - 1;
    at = 0;
    while (at < to) {
      const middle = (at + to) >> 1;
      if (sums[middle]! > target) to = middle;
      else at = middle + 1;
    }
    tokens[d] = set.index[at]!;
  }
  if (mu.length === 0) return;
  const surprise = -set.logOf(set.z[at]!) / LN2;
  mu[r] = muOf(mirostat!, r) - mirostat!.eta.at(r) * (surprise - mirostat!.tau.at(r));
}

const NO_TOKENS = /* @__PURE__ */ new TokenSet(new Float64Array(0), new Uint32Array(0), 1, 1);

function indicesOf(cols: number): NewUint32Array {
  const indices = new Uint32Array(cols);
  for (let i = 0; i < cols; i++) indices[i] = i;
  return indices;
}

/** The status of a row: HAS_NAN, NOTHING_FINITE or SAMPLED. */
function statusOf(z: Float64Array): number {
  let top = -Infinity;
  for (let i = 0; i < z.length; i++) {
    if (z[i]! > top) top = z[i]!;
    else if (z[i] !== z[i]) return HAS_NAN;
  }
  return Math.abs(top) < Infinity ? SAMPLED : NOTHING_FINITE;
}

function floatsOf(x: Rows['x'], type: string): Float32Array {
  if (type === 'f32') return x as Float32Array;
  return widened(x as Uint16Array, type !== 'f16');
}
