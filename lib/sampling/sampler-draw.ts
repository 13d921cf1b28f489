/** One call for the draws of samplers: a row each. */
import { backendFor } from '../backend/choice.js';
import { SAMPLE_PENALIZED } from '../backend/operators.js';
import { callOf } from '../call/call.js';
import { count, positive } from '../call/checks.js';
import { isFloat64Array, type FloatArray } from '../call/types.js';
import { fraction } from '../call/values.js';
import { penalizedKernels } from '../js/sampling/penalized.js';
import { ln } from '../math/log.js';
import type { Given } from './options.js';
import { usesCounts, type Penalties } from './penalty-options.js';
import { invalidRow } from './rows.js';
import type { FilterOptions } from './sample.js';
import { Arena, type TokenTable } from './token-table.js';

/** The filters that the kernel has. */
const KERNEL_FILTERS = ['temperature', 'topK', 'topP', 'minP', 'typicalP', 'epsilonCutoff'];

/** Doubles at other temperatures are read in another unit: native/sampling/sample.h. */
const [SMALL_TEMPERATURE, LARGE_TEMPERATURE] = [2 ** -990, 2 ** 1000];

/** Filters and penalties as the kernel takes them: a row of its `settings`. */
export type Settings = readonly number[];

const COUNTS_PROMPT = 1;
const MAY_RAISE = 2;

/** The settings of a sampler; undefined if it has filters that the kernel lacks. */
export function settingsOf(filters: Given<FilterOptions>, penalties: Penalties): Settings | undefined {
  const others = Object.entries(filters).filter(([name, value]) => value != null && !KERNEL_FILTERS.includes(name));
  if (others.length > 0 || penalties.forced !== undefined) return undefined;
  const values = Object.values(filters) as unknown[];
  if (values.some((value) => value != null && typeof value !== 'number')) return undefined;
  const temperature = positive(filters.temperature ?? 1, 'temperature', true);
  if ((temperature > 0 && temperature < SMALL_TEMPERATURE) || temperature >= LARGE_TEMPERATURE) return undefined;
  const minP = fraction(filters.minP ?? 0, 'minP');
  const { encoder, repetition, frequency, presence, countsPrompt } = penalties;
  return [
    count(filters.topK ?? 0, 'topK', 0) || Infinity,
    temperature,
    fraction(filters.topP ?? 1, 'topP'),
    minP === 0 ? -Infinity : temperature * ln(minP),
    fraction(filters.typicalP ?? 1, 'typicalP'),
    fraction(filters.epsilonCutoff ?? 0, 'epsilonCutoff'),
    encoder,
    repetition,
    frequency,
    presence,
    (countsPrompt ? COUNTS_PROMPT : 0) + (mayRaise(penalties) ? MAY_RAISE : 0),
  ];
}

/** Whether a logit may become larger. */
function mayRaise(penalties: Penalties): boolean {
  const { encoder, repetition, frequency, presence, biases, sequences } = penalties;
  if (encoder > 1 || (usesCounts(penalties) && (repetition < 1 || frequency < 0 || presence < 0))) return true;
  return Array.from(biases.values()).some((bias) => bias > 0) || sequences.some(({ bias }) => bias > 0);
}

/** One row's draw. */
export interface Draw {
  readonly table: TokenTable;
  readonly settings: Settings;
  readonly uniform: number;
}

/** The call that draws a token from each row, and its tokens. It throws for a row that has none, and names it. */
export function drawCall(logits: FloatArray, cols: number, draws: readonly Draw[]) {
  const rows = draws.length;
  const arena = arenaOf(draws);
  const width = draws[0]!.settings.length;
  const settings = new Float64Array(rows * width);
  const regions = new Uint32Array(2 * rows);
  const uniforms = new Float64Array(rows);
  for (let r = 0; r < rows; r++) {
    const { table: each, settings: own, uniform } = draws[r]!;
    settings.set(own, r * width);
    if (own[0]! > cols) settings[r * width] = cols;
    regions[2 * r] = each.start;
    regions[2 * r + 1] = each.capacity;
    uniforms[r] = uniform;
  }
  const tokens = new Uint32Array(rows);
  const status = new Int32Array(rows);
  const { words: entries, slots } = arena;
  const call = callOf(SAMPLE_PENALIZED, {
    backend: backendFor(rows * cols, penalizedKernels),
    type: isFloat64Array(logits) ? 'f64' : 'f32',
    args: { x: logits, tokens, status, uniforms, entries, regions, settings, rows, cols, slots },
    own: ['tokens', 'status', 'uniforms', 'entries', 'regions', 'settings'],
    names: { x: 'logits' },
    work: rows * cols,
    finish() {
      const row = status.findIndex((code) => code !== 0);
      if (row >= 0) throw invalidRow(status[row]!, row);
    },
  });
  return { call, tokens };
}

/** The memory that has the tables of all draws: that of the first one, or a new one of twice the size. */
function arenaOf(draws: readonly Draw[]): Arena {
  const { arena } = draws[0]!.table;
  if (draws.every(({ table }) => table.moveTo(arena))) return arena;
  const larger = new Arena(2 * draws.reduce((sum, { table }) => sum + table.capacity, 0));
  for (const { table } of draws) table.moveTo(larger);
  return larger;
}
