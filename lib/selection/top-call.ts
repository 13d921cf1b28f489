/** The checked call of the kernel top_k, for rows that have been checked. */
import type { KernelArray } from '../backend/backend.js';
import { backendFor } from '../backend/choice.js';
import { TOP_K } from '../backend/operators.js';
import { kindOf, newArray, type ArrayKind } from '../call/arrays.js';
import { callOf, type Call } from '../call/call.js';
import { samplingKernels } from '../js/sampling/sampling.js';
import type { Rows } from '../sampling/rows.js';

/** Where a selection is written. */
export interface TopOutputs {
  readonly indices: Uint32Array;
  /** Logits of the kind of x. Default: memory of the call's own. */
  readonly values?: KernelArray;
  /** A column of each row, and the array for their ranks: from 1, NO_INDEX in a row with a NaN. */
  readonly targets?: Uint32Array;
  readonly ranks?: Uint32Array;
}

/** Selects the k ≤ cols largest logits of each row. The first index of a row with a NaN is NO_INDEX. */
export function topCall(call: Rows, k: number, outputs: TopOutputs): Call<void> {
  const { x, type, cols, mask, maskLayout, bias } = call;
  const { indices, targets = null, ranks = null } = outputs;
  const rows = k === 0 && ranks === null ? 0 : call.rows;
  const values = outputs.values ?? (newArray(kindOf(x) as ArrayKind, rows * k) as KernelArray);
  return callOf(TOP_K, {
    backend: backendFor(call.rows * cols, samplingKernels),
    type,
    args: { x, indices, values, targets, ranks, rows, cols, k, mask, maskLayout, bias },
    own: ['indices', 'values', 'targets', 'ranks', ...call.own],
    work: call.rows * cols,
    finish: () => undefined,
  });
}
