/** Calls of kernels whose rows are apart, for the tests of WebAssembly's memory and threads. */
import { lengthOf } from '../../lib/backend/wasm/lengths.js';
import type { KernelParameters, Parameter } from '../../lib/backend/wasm/parameters.js';
import { newArray } from '../../lib/call/arrays.js';

export type Numbers = Float32Array | Float64Array | Int32Array | Uint32Array | Uint16Array | Uint8Array;

export const ROWS = 37;
const COLS = 19;
/** Sizes and numbers of the calls, by name. */
const NUMBERS: Readonly<Record<string, number>> = {
  outer: ROWS,
  rows: ROWS,
  tokens: ROWS,
  cols: COLS,
  experts: COLS,
  inner: 3,
  draws: 2,
  k: 3,
  topK: 5,
  slots: 8,
  order: 4,
  temperature: 0.7,
  topP: 0.9,
  minDistance: -Infinity,
  typicalP: 1,
  alpha: 1.5,
  reach: 3,
  scale: 2,
  factor: 2,
  smoothing: 0.1,
};

/** Of a row of sample. */
const FILTERS = [5, 0.7, 0.9, -Infinity, 1, 0];
/** Of a row of sample_penalized: its filters, which leave all, then no penalties. */
const SETTINGS = [COLS, 1, 1, -Infinity, 1, 0, 0, 0, 1, 1, 0];

let seed = 1;
const random = (): number => (seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff) / 0x80000000;

/** An element of an argument. */
function element({ name, kind }: Parameter, i: number): number {
  if (name === 'targets') return Math.floor(random() * COLS);
  if (name === 'chosen') return Math.floor(random() * COLS);
  if (name === 'uniforms' || name === 'shares') return random();
  if (name === 'temperatures') return 1;
  if (name === 'mantissa') return 1 + random();
  if (name === 'regions') return i % 2 === 0 ? 0 : 8;
  if (name === 'settings') return SETTINGS[i % SETTINGS.length]!;
  if (name === 'rowFilters') return FILTERS[i % FILTERS.length]!;
  if (name === 'mask') return Math.floor(random() * 256);
  if (kind === 'Uint16Array') return 0x3800 + Math.floor(random() * 0x700);
  return kind === 'Float32Array' || kind === 'Float64Array' ? random() * 8 - 4 : 0;
}

function filled(parameter: Parameter, length: number): Numbers {
  const array = newArray(parameter.kind, length) as unknown as Numbers;
  for (let i = 0; i < length; i++) array[i] = element(parameter, i);
  return array;
}

/**
 * A call of a kernel: a mask of a layout, a bias with one row or all elements. Results hold 7. The same arguments give
 * the same call.
 */
export function callOf(kernel: KernelParameters, maskLayout: number, isWhole: boolean): unknown[] {
  seed = maskLayout + 1;
  const { parameters } = kernel;
  const values: unknown[] = parameters.map(({ name }) => (name === 'maskLayout' ? maskLayout : (NUMBERS[name] ?? 0)));
  const elements = lengthOf(parameters[0]!, values)!;
  const masks = [0, elements, COLS, Math.ceil(elements / 8), Math.ceil(COLS / 8)];
  parameters.forEach((parameter, i) => {
    if (parameter.form !== 'array') return;
    const given = lengthOf(parameter, values) ?? (parameter.length === 'mask' ? masks[maskLayout]! : COLS);
    const length = parameter.length === 'bias' && isWhole ? elements : given;
    const isLeft = ['rowFilters', 'soft', 'given', 'entries', 'mask'].includes(parameter.name) && length === 0;
    values[i] = isLeft || (parameter.name === 'rowFilters' && !isWhole) ? null : filled(parameter, length);
    if (parameter.isWritten) (values[i] as Numbers).fill(7);
  });
  return values;
}

/** The arrays that a call writes. */
export const resultsOf = ({ parameters }: KernelParameters, values: readonly unknown[]): unknown[] =>
  values.filter((_, i) => parameters[i]!.isWritten);
