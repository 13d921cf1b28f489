/** The kernel calls of linear attention, checked and not run yet. */
import { backend } from '../backend/choice.js';
import { LINEAR_APPEND, LINEAR_QUERY } from '../backend/operators.js';
import { allocate } from '../call/allocate.js';
import { lengthOf } from '../call/arrays.js';
import { callOf, type Call } from '../call/call.js';
import { apart } from '../call/checks.js';
import { wrongType, wrongValue } from '../call/errors.js';
import { isFloat32Array } from '../call/types.js';
import { linearKernels } from '../js/attention/linear.js';
import type { KernelForm } from './linear-options.js';
import { headLength, type LinearParts, type StateSizes } from './linear-wire.js';
import { attached } from './sizes.js';

/** Keys and values of a checked call. */
interface Tokens {
  readonly k: Float32Array;
  readonly v: Float32Array;
  readonly tokens: number;
}

const shapeOf = ({ batch, kvHeads, headDim, valueDim }: StateSizes) => ({
  heads: batch * kvHeads,
  depth: headDim,
  valueDepth: valueDim,
});

/** The call that adds tokens to the sums in place. `own` names the arrays that no caller can touch. */
export function appendCall(
  { sizes, features, sums }: LinearParts,
  { k, v, tokens }: Tokens,
  own: readonly ('k' | 'v')[],
): Call<void> {
  const shape = shapeOf(sizes);
  return callOf(LINEAR_APPEND, {
    backend: backend(linearKernels),
    type: 'f32',
    args: { sums, k, v, out: sums, tokens, ...shape, ...features },
    own: ['sums', 'out', ...own],
    work: shape.heads * tokens * headLength(sizes),
    finish: () => undefined,
  });
}

/** Queries of a checked call. */
interface Asked {
  readonly q: Float32Array;
  /** Of one key/value head. */
  readonly queries: number;
  readonly out: Float32Array;
  readonly form: KernelForm;
}

export function queryCall(
  { sizes, features, sums, tokens }: LinearParts,
  { q, queries, out, form }: Asked,
  own: readonly ('q' | 'out')[],
): Call<void> {
  const shape = shapeOf(sizes);
  return callOf(LINEAR_QUERY, {
    backend: backend(linearKernels),
    type: 'f32',
    args: { q, sums, out, queries, ...shape, ...features, keys: tokens, ...form },
    own: ['sums', ...own],
    work: shape.heads * queries * headLength(sizes),
    finish: () => undefined,
  });
}

/** `out`, checked, or a new array. */
export function resultOf(out: Float32Array | undefined, length: number, q: Float32Array): Float32Array {
  if (out === undefined) return allocate('Float32Array', length, 'out');
  if (!isFloat32Array(out)) throw wrongType('a Float32Array', 'out', out);
  const given = lengthOf(attached(out, 'Float32Array', 'out'));
  if (given !== length) throw wrongValue(`${length} elements`, 'out', String(given));
  apart(out, 'out', q, 'q');
  return out;
}
