/** Operators. Made by scripts/operators.mjs from native/operators.def. Do not edit. */
import type { OperatorOf } from '../operator.js';

const TO_SINGLE = ['f32', 'f16', 'bf16'];

export const ROUTE: OperatorOf<'route'> = {
  name: 'route', types: TO_SINGLE, inPlace: null, inputs: ['x', 'bias', 'mask'],
  outputs: ['chosen', 'weights', 'counts', 'status'], logits: ['x'], results: ['weights'],
  parameters: [
    'x', 'chosen', 'weights', 'counts', 'status', 'bias', 'mask', 'tokens', 'experts', 'k', 'groups', 'topGroups',
    'score', 'normalize', 'scale',
  ],
  call: (kernel, a) => kernel(
    a.x, a.chosen, a.weights, a.counts, a.status, a.bias, a.mask, a.tokens, a.experts, a.k, a.groups, a.topGroups,
    a.score, a.normalize, a.scale,
  ),
};

export const LOAD_BALANCE_LOSS: OperatorOf<'load_balance_loss'> = {
  name: 'load_balance_loss', types: TO_SINGLE, inPlace: ['gradient', 'x'], inputs: ['x', 'shares', 'mask'],
  outputs: ['means', 'gradient', 'status'], logits: ['x', 'gradient'], results: [],
  parameters: ['x', 'shares', 'means', 'gradient', 'status', 'mask', 'tokens', 'experts', 'score', 'factor'],
  call: (kernel, a) => kernel(
    a.x, a.shares, a.means, a.gradient, a.status, a.mask, a.tokens, a.experts, a.score, a.factor,
  ),
};

export const ROUTE_BACKWARD: OperatorOf<'route_backward'> = {
  name: 'route_backward', types: TO_SINGLE, inPlace: ['out', 'x'], inputs: ['x', 'chosen', 'weights', 'slopes'],
  outputs: ['out', 'status'], logits: ['x', 'out'], results: [],
  parameters: [
    'x', 'chosen', 'weights', 'slopes', 'out', 'status', 'tokens', 'experts', 'k', 'score', 'normalize', 'scale',
  ],
  call: (kernel, a) => kernel(
    a.x, a.chosen, a.weights, a.slopes, a.out, a.status, a.tokens, a.experts, a.k, a.score, a.normalize, a.scale,
  ),
};
