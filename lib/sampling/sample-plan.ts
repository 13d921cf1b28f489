/** The checks of sample, sampleMany and filterLogits, and the call of their kernel. */
import { backendFor } from '../backend/choice.js';
import { SAMPLE } from '../backend/operators.js';
import { callOf, type Call } from '../call/call.js';
import { count, oneOf } from '../call/checks.js';
import { types, type LogitArray } from '../call/types.js';
import type { NewFloat32Array, NewFloat64Array, NewInt32Array, NewUint32Array } from '../call/types.js';
import { SAMPLED } from '../js/sampling/sample-row.js';
import { samplingKernels } from '../js/sampling/sampling.js';
import { ln } from '../math/log.js';
import { checkedFilters, checkFilterRows, type CheckedFilters } from './filters.js';
import type { Given } from './options.js';
import { checkCount, checkEither, noiseOf, rowDrawsOf, seedsOf, type RowDraws } from './random.js';
import { invalidRow, rowsOf, type Rows } from './rows.js';
import type { SampleOneOptions } from './sample-options.js';

export type NewFloatArray = NewFloat32Array | NewFloat64Array;

/** A call whose arguments have passed all checks. */
export interface Plan {
  readonly call: Rows;
  readonly filters: CheckedFilters;
  readonly draws: number;
  readonly uniforms: NewFloat64Array;
  readonly drawsOf: (row: number) => RowDraws;
  readonly tokens: NewUint32Array;
  readonly status: NewInt32Array;
  readonly mu: NewFloat64Array;
  readonly kept: NewFloatArray | null;
  readonly probabilities: NewFloatArray | null;
  readonly marks: boolean;
  /** The number of most probable tokens; undefined: no ln p. */
  readonly wanted: number | undefined;
}

/** Checks a call. `draws` is 0 where kept logits are wanted. */
export const planOf = (logits: LogitArray, options: Given<SampleOneOptions>, draws: number): Plan =>
  planFor(options, draws, () => rowsOf(logits, options));

/** Checks options, then what `readRows` takes the lengths of. */
export function planFor(options: Given<SampleOneOptions>, draws: number, readRows: () => Rows): Plan {
  checkEither(options);
  const noise = noiseOf(options.noise, 'numbers from 0 to below 1', (u) => u >= 0 && u < 1);
  const seeds = seedsOf(options);
  const filters = checkedFilters(options, options.mirostat);
  const marks = oneOf(options.invalid ?? 'throw', ['throw', 'mark'], 'invalid') === 'mark';
  const wanted = options.logProbs === undefined ? undefined : count(options.logProbs, 'logProbs', 0);
  const call = readRows();
  const { rows, cols } = call;
  checkFilterRows(filters, rows);
  if (noise !== undefined) checkCount(noise, rows * draws);
  const drawsOf = rowDrawsOf(seeds, rows);
  const Floats = types.isFloat64Array(call.x) ? Float64Array : Float32Array;
  const wantsLogits = draws === 0;
  return {
    call,
    filters,
    draws,
    uniforms: noise ?? uniformsOf(drawsOf, rows, draws),
    drawsOf,
    tokens: new Uint32Array(rows * draws),
    status: new Int32Array(rows),
    mu: new Float64Array(filters.mirostat === undefined ? 0 : rows),
    kept: wantsLogits ? new Floats(rows * cols) : null,
    probabilities: wantsLogits ? new Floats(rows * cols) : null,
    marks,
    wanted,
  };
}

/** A number in [0, 1) for each draw. */
function uniformsOf(drawsOf: (row: number) => RowDraws, rows: number, draws: number): NewFloat64Array {
  const uniforms = new Float64Array(rows * draws);
  for (let r = 0; r < rows && draws > 0; r++) {
    const row = drawsOf(r);
    for (let d = 0; d < draws; d++) uniforms[r * draws + d] = row.token(d);
  }
  return uniforms;
}

/** The call of the kernel, for filters in its order. */
export function nativeCall<R>(plan: Plan, finish: () => R): Call<R> {
  const { call, filters, draws, uniforms, tokens, status, kept, probabilities } = plan;
  const { x, type, rows, cols, mask, maskLayout, bias } = call;
  const [topK, temperature, topP, minDistance, typicalP, epsilon] = kernelFilters(filters, cols, 0);
  const rowFilters = rowFiltersOf(filters, rows, cols);
  const numbers = { topK, temperature, topP, minDistance, typicalP, epsilon, rows, cols, draws };
  return callOf(SAMPLE, {
    backend: backendFor(rows * cols, samplingKernels),
    type,
    args: { x, tokens, kept, probabilities, status, uniforms, rowFilters, ...numbers, mask, maskLayout, bias },
    own: ['tokens', 'kept', 'probabilities', 'status', 'uniforms', 'rowFilters', ...call.own],
    names: { x: 'logits' },
    work: rows * cols,
    finish,
  });
}

type KernelFilters = readonly [number, number, number, number, number, number];

/** The filters of a row, as the kernel takes them. */
function kernelFilters(filters: CheckedFilters, cols: number, row: number): KernelFilters {
  const { topK, temperature, topP, minP, typicalP, epsilonCutoff } = filters;
  const [k, t, least] = [topK.at(row), temperature.at(row), minP.at(row)];
  const minDistance = Math.max(least === 0 ? -Infinity : t * ln(least), filters.distances?.[row] ?? -Infinity);
  return [k === 0 ? cols : Math.min(k, cols), t, topP.at(row), minDistance, typicalP.at(row), epsilonCutoff.at(row)];
}

/** The filters of all rows; null if these are the same. */
function rowFiltersOf(filters: CheckedFilters, rows: number, cols: number): NewFloat64Array | null {
  const { topK, temperature, topP, minP, typicalP, epsilonCutoff } = filters;
  const all = [topK, temperature, topP, minP, typicalP, epsilonCutoff];
  const isOne = all.every(({ each }) => each === undefined) && filters.distances === undefined;
  if (isOne || rows === 0) return null;
  const numbers = new Float64Array(6 * rows);
  for (let r = 0; r < rows; r++) numbers.set(kernelFilters(filters, cols, r), 6 * r);
  return numbers;
}

/** Throws for the first row without an answer, unless such rows are marked. */
export function checkStatus({ status, marks }: Plan): void {
  const row = marks ? -1 : status.findIndex((code) => code !== SAMPLED);
  if (row >= 0) throw invalidRow(status[row]!, row);
}
