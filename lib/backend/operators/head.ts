/** Operators. Made by scripts/operators.mjs from native/operators.def. Do not edit. */
import type { OperatorOf } from '../operator.js';

const SINGLE = ['f32'];

export const HEAD_LOGITS: OperatorOf<'head_logits'> = {
  name: 'head_logits', types: SINGLE, inPlace: null,
  inputs: ['hidden', 'factors', 'bias', 'weights', 'scales', 'zeroPoints'], outputs: ['out'], logits: [], results: [],
  parameters: [
    'hidden', 'factors', 'bias', 'out', 'count', 'softcap', 'weights', 'scales', 'zeroPoints', 'rows', 'cols',
    'block', 'format',
  ],
  call: (kernel, a) => kernel(
    a.hidden, a.factors, a.bias, a.out, a.count, a.softcap, a.weights, a.scales, a.zeroPoints, a.rows, a.cols,
    a.block, a.format,
  ),
};

export const HEAD_INTEGER_LOGITS: OperatorOf<'head_integer_logits'> = {
  name: 'head_integer_logits', types: SINGLE, inPlace: null,
  inputs: ['hidden', 'factors', 'bias', 'weights', 'scales', 'zeroPoints'], outputs: ['out'], logits: [], results: [],
  parameters: [
    'hidden', 'factors', 'bias', 'out', 'count', 'softcap', 'weights', 'scales', 'zeroPoints', 'rows', 'cols',
    'block', 'format',
  ],
  call: (kernel, a) => kernel(
    a.hidden, a.factors, a.bias, a.out, a.count, a.softcap, a.weights, a.scales, a.zeroPoints, a.rows, a.cols,
    a.block, a.format,
  ),
};

export const HEAD_ROWS: OperatorOf<'head_rows'> = {
  name: 'head_rows', types: SINGLE, inPlace: null, inputs: ['factors', 'weights', 'scales', 'zeroPoints'],
  outputs: ['out'], logits: [], results: [],
  parameters: ['factors', 'out', 'weights', 'scales', 'zeroPoints', 'rows', 'cols', 'block', 'format'],
  call: (kernel, a) => kernel(
    a.factors, a.out, a.weights, a.scales, a.zeroPoints, a.rows, a.cols, a.block, a.format,
  ),
};

export const HEAD_SUMS: OperatorOf<'head_sums'> = {
  name: 'head_sums', types: SINGLE, inPlace: ['out', 'sums'], inputs: ['sums', 'factors', 'vectors'],
  outputs: ['out'], logits: [], results: [],
  parameters: ['sums', 'factors', 'vectors', 'out', 'count', 'rows', 'cols'],
  call: (kernel, a) => kernel(a.sums, a.factors, a.vectors, a.out, a.count, a.rows, a.cols),
};
