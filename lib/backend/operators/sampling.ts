/** Operators. Made by scripts/operators.mjs from native/operators.def. Do not edit. */
import type { OperatorOf } from '../operator.js';

const SAME = ['f32', 'f64', 'f16', 'bf16'];
const AT_LEAST_SINGLE = ['f32', 'f64', 'f16', 'bf16'];
const FLOATS = ['f32', 'f64'];

export const ARGMAX: OperatorOf<'argmax'> = {
  name: 'argmax', types: SAME, inPlace: null, inputs: ['x'], outputs: ['indices'], logits: ['x'], results: [],
  parameters: ['x', 'indices', 'rows', 'cols'],
  call: (kernel, a) => kernel(a.x, a.indices, a.rows, a.cols),
};

export const TOP_K: OperatorOf<'top_k'> = {
  name: 'top_k', types: SAME, inPlace: null, inputs: ['x', 'targets', 'mask', 'bias'],
  outputs: ['indices', 'values', 'ranks'], logits: ['x', 'values', 'bias'], results: [],
  parameters: ['x', 'indices', 'values', 'targets', 'ranks', 'rows', 'cols', 'k', 'mask', 'maskLayout', 'bias'],
  call: (kernel, a) => kernel(
    a.x, a.indices, a.values, a.targets, a.ranks, a.rows, a.cols, a.k, a.mask, a.maskLayout, a.bias,
  ),
};

export const SAMPLE: OperatorOf<'sample'> = {
  name: 'sample', types: AT_LEAST_SINGLE, inPlace: null, inputs: ['x', 'uniforms', 'rowFilters', 'mask', 'bias'],
  outputs: ['tokens', 'kept', 'probabilities', 'status'], logits: ['x', 'bias'], results: ['kept', 'probabilities'],
  parameters: [
    'x', 'tokens', 'kept', 'probabilities', 'status', 'uniforms', 'rowFilters', 'rows', 'cols', 'draws', 'topK',
    'temperature', 'topP', 'minDistance', 'typicalP', 'epsilon', 'mask', 'maskLayout', 'bias',
  ],
  call: (kernel, a) => kernel(
    a.x, a.tokens, a.kept, a.probabilities, a.status, a.uniforms, a.rowFilters, a.rows, a.cols, a.draws, a.topK,
    a.temperature, a.topP, a.minDistance, a.typicalP, a.epsilon, a.mask, a.maskLayout, a.bias,
  ),
};

export const MOMENTS: OperatorOf<'moments'> = {
  name: 'moments', types: SAME, inPlace: null, inputs: ['x', 'temperatures', 'mask', 'bias'],
  outputs: ['spread', 'mass', 'status'], logits: ['x', 'bias'], results: [],
  parameters: ['x', 'temperatures', 'spread', 'mass', 'status', 'rows', 'cols', 'mask', 'maskLayout', 'bias'],
  call: (kernel, a) => kernel(
    a.x, a.temperatures, a.spread, a.mass, a.status, a.rows, a.cols, a.mask, a.maskLayout, a.bias,
  ),
};

export const SAMPLE_PENALIZED: OperatorOf<'sample_penalized'> = {
  name: 'sample_penalized', types: FLOATS, inPlace: null, inputs: ['x', 'uniforms', 'entries', 'regions', 'settings'],
  outputs: ['tokens', 'status'], logits: ['x'], results: [],
  parameters: ['x', 'tokens', 'status', 'uniforms', 'entries', 'regions', 'settings', 'rows', 'cols', 'slots'],
  call: (kernel, a) => kernel(
    a.x, a.tokens, a.status, a.uniforms, a.entries, a.regions, a.settings, a.rows, a.cols, a.slots,
  ),
};
