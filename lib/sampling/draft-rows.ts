/** Single rows of a draft and of its target: their calls, their masks, their masses. */
import type { KernelArray } from '../backend/backend.js';
import { counts } from '../backend/masks.js';
import { lengthOf, viewOf } from '../call/arrays.js';
import type { Call } from '../call/call.js';
import { outOfRange } from '../call/errors.js';
import type { Form } from '../call/options.js';
import type { Steps } from '../call/steps.js';
import type { FloatArray, LogitArray, NewUint32Array } from '../call/types.js';
import { SAMPLED } from '../js/sampling/sample-row.js';
import { doublesOf } from '../math/read.js';
import type { Masses } from './draft-walk.js';
import type { Given } from './options.js';
import { invalidRow, type Rows } from './rows.js';
import type { SampleOneOptions } from './sample-options.js';
import { planOf, type NewFloatArray } from './sample-plan.js';
import { sampleStepsOf } from './sample.js';

/** The results of a sampling call, in its arguments. */
export interface Results {
  readonly tokens: NewUint32Array;
  readonly probabilities: FloatArray;
  readonly status: Int32Array;
}
export const resultsOf = (call: Call<unknown>): Results => call.parts.args as unknown as Results;

/** A call whose errors name the array that it reads, and its row; `probabilities` are all that filterLogits writes. */
export function named(
  call: Call<unknown>,
  name: string,
  row = 0,
  probabilities: FloatArray | null = null,
): Call<unknown> {
  const { status } = resultsOf(call);
  const finish = () => {
    const at = status.findIndex((code) => code !== 0);
    if (at >= 0) throw invalidRow(status[at]!, row + at, name);
  };
  const args = { ...call.parts.args, kept: null, probabilities };
  const own = [...call.parts.own, 'x'];
  return { operator: call.operator, parts: { ...call.parts, args, own, names: { x: name }, finish } };
}

/** Where the probabilities of one row go, and what errors call it. */
interface Place {
  readonly name: string;
  readonly row: number;
  readonly into: FloatArray;
}

/** Writes the probabilities that filters leave of one row, which no caller can write. */
export function* filteredRow(
  form: Form,
  logits: LogitArray,
  options: Given<SampleOneOptions>,
  { name, row, into }: Place,
): Steps<void> {
  const plan = planOf(logits, { ...options, invalid: 'mark' }, 0);
  const { isNative } = plan.filters;
  const probabilities = into as NewFloatArray;
  yield* sampleStepsOf(form, isNative ? { ...plan, kept: null, probabilities } : { ...plan, probabilities });
  if (plan.status[0] !== SAMPLED) throw invalidRow(plan.status[0]!, row, name);
}

export const dtypeOf = (type: string): 'float16' | 'bfloat16' | undefined =>
  type === 'f16' ? 'float16' : type === 'bf16' ? 'bfloat16' : undefined;

/** What belongs to all rows of the target. */
export interface RowExtras extends Pick<Rows, 'mask' | 'maskLayout' | 'bias'> {
  readonly cols: number;
}

/** The mask and the bias of one row, as options. */
export function extrasOf({ mask, maskLayout, bias, cols }: RowExtras, row: number) {
  const isOne = bias !== null && lengthOf(bias) === cols;
  const own = bias === null || isOne ? bias : viewOf(bias, row * cols, (row + 1) * cols);
  const bits =
    mask && Uint8Array.from({ length: cols }, (_, i) => (counts(mask, maskLayout, row * cols + i, i) ? 1 : 0));
  return { mask: bits ?? undefined, maskFormat: 'bytes' as const, bias: (own ?? undefined) as LogitArray | undefined };
}

/** A row of probabilities. Throws if it has no distribution. */
export function massesOf(row: KernelArray, type: string, node: number): Masses {
  const masses = type === 'f32' || type === 'f64' ? (row as FloatArray) : doublesOf(row, type);
  let sum = 0;
  for (let i = 0; i < masses.length; i++) {
    const mass = masses[i]!;
    if (!(mass >= 0)) throw outOfRange('probabilities from 0', `row ${node} of draft`, mass);
    sum += mass;
  }
  if (!(sum > 0 && sum < Infinity)) throw outOfRange('a finite sum above 0', `row ${node} of draft`, sum);
  return { masses, total: sum };
}
