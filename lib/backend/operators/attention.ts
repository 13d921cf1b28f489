/** Operators. Made by scripts/operators.mjs from native/operators.def. Do not edit. */
import type { OperatorOf } from '../operator.js';

const SAME_OR_WIDER = ['f32', 'f64', 'f16', 'bf16', 'f16_f32', 'bf16_f32'];
const SINGLE_OR_HALF = ['f32', 'f16', 'bf16', 'f16_f32', 'bf16_f32'];
const SINGLE = ['f32'];
const STORED = ['f32', 'f16', 'bf16', 'i8'];

export const ATTENTION: OperatorOf<'attention'> = {
  name: 'attention', types: SINGLE_OR_HALF, inPlace: null,
  inputs: ['shape', 'spans', 'keyLengths', 'q', 'k', 'v', 'slopes', 'sinks', 'mask', 'bias'],
  outputs: ['out', 'lse', 'sums', 'mantissa', 'exponent'], logits: ['q', 'k', 'v'], results: ['out'],
  parameters: [
    'shape', 'spans', 'keyLengths', 'q', 'k', 'v', 'slopes', 'sinks', 'mask', 'bias', 'out', 'lse', 'sums',
    'mantissa', 'exponent',
  ],
  call: (kernel, a) => kernel(
    a.shape, a.spans, a.keyLengths, a.q, a.k, a.v, a.slopes, a.sinks, a.mask, a.bias, a.out, a.lse, a.sums,
    a.mantissa, a.exponent,
  ),
};

export const ATTENTION_EXACT: OperatorOf<'attention_exact'> = {
  name: 'attention_exact', types: SAME_OR_WIDER, inPlace: null, inputs: ['shape', 'spans', 'keyLengths', 'q', 'k',
  'v', 'slopes', 'sinks', 'mask', 'bias', 'wideSlopes', 'wideSinks', 'wideBias'],
  outputs: ['out', 'weights', 'scores', 'lse', 'sums', 'mantissa', 'exponent'], logits: ['q', 'k', 'v'],
  results: ['out', 'weights', 'scores'],
  parameters: [
    'shape', 'spans', 'keyLengths', 'q', 'k', 'v', 'slopes', 'sinks', 'mask', 'bias', 'wideSlopes', 'wideSinks',
    'wideBias', 'out', 'weights', 'scores', 'stage', 'lse', 'sums', 'mantissa', 'exponent',
  ],
  call: (kernel, a) => kernel(
    a.shape, a.spans, a.keyLengths, a.q, a.k, a.v, a.slopes, a.sinks, a.mask, a.bias, a.wideSlopes, a.wideSinks,
    a.wideBias, a.out, a.weights, a.scores, a.stage, a.lse, a.sums, a.mantissa, a.exponent,
  ),
};

export const ATTENTION_BACKWARD: OperatorOf<'attention_backward'> = {
  name: 'attention_backward', types: SINGLE, inPlace: null,
  inputs: ['shape', 'spans', 'keyLengths', 'q', 'k', 'v', 'slopes', 'sinks', 'mask', 'bias', 'out', 'lse', 'dOut'],
  outputs: ['dq', 'dk', 'dv', 'dBias', 'dSinks'], logits: [], results: [],
  parameters: [
    'shape', 'spans', 'keyLengths', 'q', 'k', 'v', 'slopes', 'sinks', 'mask', 'bias', 'out', 'lse', 'dOut', 'dq',
    'dk', 'dv', 'dBias', 'dSinks',
  ],
  call: (kernel, a) => kernel(
    a.shape, a.spans, a.keyLengths, a.q, a.k, a.v, a.slopes, a.sinks, a.mask, a.bias, a.out, a.lse, a.dOut, a.dq,
    a.dk, a.dv, a.dBias, a.dSinks,
  ),
};

export const ATTENTION_CACHED: OperatorOf<'attention_cached'> = {
  name: 'attention_cached', types: STORED, inPlace: null,
  inputs: ['shape', 'spans', 'q', 'table', 'lengths', 'slopes', 'sinks', 'mask', 'bias'],
  outputs: ['out', 'lse', 'sums', 'mantissa', 'exponent'], logits: [], results: [],
  parameters: [
    'shape', 'spans', 'q', 'slabs', 'scales', 'table', 'lengths', 'slopes', 'sinks', 'mask', 'bias', 'out', 'lse',
    'sums', 'mantissa', 'exponent',
  ],
  call: (kernel, a) => kernel(
    a.shape, a.spans, a.q, a.slabs, a.scales, a.table, a.lengths, a.slopes, a.sinks, a.mask, a.bias, a.out, a.lse,
    a.sums, a.mantissa, a.exponent,
  ),
};

export const KV_APPEND: OperatorOf<'kv_append'> = {
  name: 'kv_append', types: STORED, inPlace: null, inputs: ['shape', 'k', 'v', 'table'], outputs: [], logits: [],
  results: [],
  parameters: ['shape', 'k', 'v', 'slabs', 'scales', 'table', 'from'],
  call: (kernel, a) => kernel(a.shape, a.k, a.v, a.slabs, a.scales, a.table, a.from),
};

export const LINEAR_APPEND: OperatorOf<'linear_append'> = {
  name: 'linear_append', types: SINGLE, inPlace: ['out', 'sums'], inputs: ['sums', 'k', 'v'], outputs: ['out'],
  logits: [], results: [],
  parameters: ['sums', 'k', 'v', 'out', 'tokens', 'heads', 'depth', 'valueDepth', 'feature', 'featureScale'],
  call: (kernel, a) => kernel(
    a.sums, a.k, a.v, a.out, a.tokens, a.heads, a.depth, a.valueDepth, a.feature, a.featureScale,
  ),
};

export const LINEAR_QUERY: OperatorOf<'linear_query'> = {
  name: 'linear_query', types: SINGLE, inPlace: null, inputs: ['q', 'sums'], outputs: ['out'], logits: [],
  results: [],
  parameters: [
    'q', 'sums', 'out', 'queries', 'heads', 'depth', 'valueDepth', 'feature', 'featureScale', 'keys', 'form', 'scale',
    'epsilon',
  ],
  call: (kernel, a) => kernel(
    a.q, a.sums, a.out, a.queries, a.heads, a.depth, a.valueDepth, a.feature, a.featureScale, a.keys, a.form, a.scale,
    a.epsilon,
  ),
};
