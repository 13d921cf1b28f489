/** The operators. Made by scripts/operators.mjs from native/operators.def. Do not edit. */
import type { OperatorOf } from './operator.js';

export type * from './operator.js';

const SAME_OR_WIDER = ['f32', 'f64', 'f16', 'bf16', 'f16_f32', 'bf16_f32'];
const SAME = ['f32', 'f64', 'f16', 'bf16'];
const SINGLE = ['f32'];
const STORED = ['f32', 'f16', 'bf16', 'i8'];
const AT_LEAST_SINGLE = ['f32', 'f64', 'f16', 'bf16'];
const FLOATS = ['f32', 'f64'];
const TO_SINGLE = ['f32', 'f16', 'bf16'];

export const SOFTMAX: OperatorOf<'softmax'> = {
  name: 'softmax', types: SAME_OR_WIDER, inPlace: ['out', 'x'], inputs: ['x', 'mask', 'bias'], outputs: ['out'],
  logits: ['x', 'bias'], results: ['out'],
  parameters: ['x', 'out', 'outer', 'cols', 'inner', 'temperature', 'mask', 'maskLayout', 'bias'],
  call: (kernel, a) => kernel(a.x, a.out, a.outer, a.cols, a.inner, a.temperature, a.mask, a.maskLayout, a.bias),
};

export const LOG_SOFTMAX: OperatorOf<'log_softmax'> = {
  name: 'log_softmax', types: SAME_OR_WIDER, inPlace: ['out', 'x'], inputs: ['x', 'mask', 'bias'], outputs: ['out'],
  logits: ['x', 'bias'], results: ['out'],
  parameters: ['x', 'out', 'outer', 'cols', 'inner', 'temperature', 'mask', 'maskLayout', 'bias'],
  call: (kernel, a) => kernel(a.x, a.out, a.outer, a.cols, a.inner, a.temperature, a.mask, a.maskLayout, a.bias),
};

export const LOG_SUM_EXP: OperatorOf<'log_sum_exp'> = {
  name: 'log_sum_exp', types: SAME, inPlace: null, inputs: ['x', 'mask', 'bias'], outputs: ['out'],
  logits: ['x', 'bias'], results: [],
  parameters: ['x', 'out', 'outer', 'cols', 'inner', 'temperature', 'mask', 'maskLayout', 'bias'],
  call: (kernel, a) => kernel(a.x, a.out, a.outer, a.cols, a.inner, a.temperature, a.mask, a.maskLayout, a.bias),
};

export const CROSS_ENTROPY: OperatorOf<'cross_entropy'> = {
  name: 'cross_entropy', types: SAME, inPlace: ['gradient', 'x'], inputs: ['x', 'targets', 'mask', 'bias'],
  outputs: ['loss', 'gradient'], logits: ['x', 'gradient', 'bias'], results: [],
  parameters: [
    'x', 'targets', 'loss', 'gradient', 'outer', 'cols', 'inner', 'temperature', 'mask', 'maskLayout', 'bias',
  ],
  call: (kernel, a) => kernel(
    a.x, a.targets, a.loss, a.gradient, a.outer, a.cols, a.inner, a.temperature, a.mask, a.maskLayout, a.bias,
  ),
};

export const ROW_LOSS: OperatorOf<'row_loss'> = {
  name: 'row_loss', types: SAME, inPlace: ['gradient', 'x'],
  inputs: ['x', 'targets', 'soft', 'weight', 'given', 'mask', 'bias'], outputs: ['loss', 'gradient'],
  logits: ['x', 'soft', 'gradient', 'bias'], results: [],
  parameters: [
    'x', 'targets', 'soft', 'weight', 'given', 'loss', 'gradient', 'kind', 'parameter', 'smoothing', 'lsePenalty',
    'scale', 'outer', 'cols', 'inner', 'temperature', 'mask', 'maskLayout', 'bias',
  ],
  call: (kernel, a) => kernel(
    a.x, a.targets, a.soft, a.weight, a.given, a.loss, a.gradient, a.kind, a.parameter, a.smoothing, a.lsePenalty,
    a.scale, a.outer, a.cols, a.inner, a.temperature, a.mask, a.maskLayout, a.bias,
  ),
};

export const STABLE_MAX: OperatorOf<'stable_max'> = {
  name: 'stable_max', types: SAME_OR_WIDER, inPlace: ['out', 'x'], inputs: ['x', 'mask', 'bias'], outputs: ['out'],
  logits: ['x', 'bias'], results: ['out'],
  parameters: ['x', 'out', 'outer', 'cols', 'inner', 'mask', 'maskLayout', 'bias'],
  call: (kernel, a) => kernel(a.x, a.out, a.outer, a.cols, a.inner, a.mask, a.maskLayout, a.bias),
};

export const LOG_STABLE_MAX: OperatorOf<'log_stable_max'> = {
  name: 'log_stable_max', types: SAME_OR_WIDER, inPlace: ['out', 'x'], inputs: ['x', 'mask', 'bias'],
  outputs: ['out'], logits: ['x', 'bias'], results: ['out'],
  parameters: ['x', 'out', 'outer', 'cols', 'inner', 'mask', 'maskLayout', 'bias'],
  call: (kernel, a) => kernel(a.x, a.out, a.outer, a.cols, a.inner, a.mask, a.maskLayout, a.bias),
};

export const STABLE_MAX_LOSS: OperatorOf<'stable_max_loss'> = {
  name: 'stable_max_loss', types: SAME, inPlace: ['gradient', 'x'], inputs: ['x', 'targets', 'mask', 'bias'],
  outputs: ['loss', 'gradient'], logits: ['x', 'gradient', 'bias'], results: [],
  parameters: ['x', 'targets', 'loss', 'gradient', 'scale', 'outer', 'cols', 'inner', 'mask', 'maskLayout', 'bias'],
  call: (kernel, a) => kernel(
    a.x, a.targets, a.loss, a.gradient, a.scale, a.outer, a.cols, a.inner, a.mask, a.maskLayout, a.bias,
  ),
};

export const TAYLOR_SOFTMAX: OperatorOf<'taylor_softmax'> = {
  name: 'taylor_softmax', types: SAME_OR_WIDER, inPlace: ['out', 'x'], inputs: ['x', 'mask', 'bias'],
  outputs: ['out'], logits: ['x', 'bias'], results: ['out'],
  parameters: ['x', 'out', 'order', 'outer', 'cols', 'inner', 'temperature', 'mask', 'maskLayout', 'bias'],
  call: (kernel, a) => kernel(
    a.x, a.out, a.order, a.outer, a.cols, a.inner, a.temperature, a.mask, a.maskLayout, a.bias,
  ),
};

export const Z_LOSS: OperatorOf<'z_loss'> = {
  name: 'z_loss', types: SAME, inPlace: ['gradient', 'x'], inputs: ['x', 'targets', 'mask', 'bias'],
  outputs: ['loss', 'gradient'], logits: ['x', 'gradient', 'bias'], results: [],
  parameters: ['x', 'targets', 'loss', 'gradient', 'a', 'b', 'outer', 'cols', 'inner', 'mask', 'maskLayout', 'bias'],
  call: (kernel, a) => kernel(
    a.x, a.targets, a.loss, a.gradient, a.a, a.b, a.outer, a.cols, a.inner, a.mask, a.maskLayout, a.bias,
  ),
};

export const SOFT_TOP_K: OperatorOf<'soft_top_k'> = {
  name: 'soft_top_k', types: SAME_OR_WIDER, inPlace: ['out', 'x'], inputs: ['x', 'mask', 'bias'],
  outputs: ['out', 'status'], logits: ['x', 'bias'], results: ['out'],
  parameters: ['x', 'out', 'status', 'k', 'alpha', 'outer', 'cols', 'inner', 'mask', 'maskLayout', 'bias'],
  call: (kernel, a) => kernel(
    a.x, a.out, a.status, a.k, a.alpha, a.outer, a.cols, a.inner, a.mask, a.maskLayout, a.bias,
  ),
};

export const SOFT_TOP_K_BACKWARD: OperatorOf<'soft_top_k_backward'> = {
  name: 'soft_top_k_backward', types: SAME_OR_WIDER, inPlace: ['out', 'p'], inputs: ['p', 'dp'], outputs: ['out'],
  logits: ['p', 'dp'], results: ['out'],
  parameters: ['p', 'dp', 'out', 'alpha', 'outer', 'cols', 'inner'],
  call: (kernel, a) => kernel(a.p, a.dp, a.out, a.alpha, a.outer, a.cols, a.inner),
};

export const SAFE_STEP_RADIUS: OperatorOf<'safe_step_radius'> = {
  name: 'safe_step_radius', types: SAME, inPlace: null, inputs: ['x', 'mask', 'bias'], outputs: ['out'],
  logits: ['x', 'bias'], results: [],
  parameters: ['x', 'out', 'reach', 'outer', 'cols', 'inner', 'mask', 'maskLayout', 'bias'],
  call: (kernel, a) => kernel(a.x, a.out, a.reach, a.outer, a.cols, a.inner, a.mask, a.maskLayout, a.bias),
};

export const SOFTMAX_BACKWARD: OperatorOf<'softmax_backward'> = {
  name: 'softmax_backward', types: SAME_OR_WIDER, inPlace: ['out', 'y'], inputs: ['y', 'dy', 'mask'],
  outputs: ['out'], logits: ['y', 'dy'], results: ['out'],
  parameters: ['y', 'dy', 'out', 'isLog', 'outer', 'cols', 'inner', 'temperature', 'mask', 'maskLayout'],
  call: (kernel, a) => kernel(
    a.y, a.dy, a.out, a.isLog, a.outer, a.cols, a.inner, a.temperature, a.mask, a.maskLayout,
  ),
};

export const EXP_SUM: OperatorOf<'exp_sum'> = {
  name: 'exp_sum', types: SAME, inPlace: null, inputs: ['x', 'mask', 'bias'], outputs: ['mantissa', 'exponent'],
  logits: ['x', 'bias'], results: [],
  parameters: ['x', 'mantissa', 'exponent', 'outer', 'cols', 'inner', 'temperature', 'mask', 'maskLayout', 'bias'],
  call: (kernel, a) => kernel(
    a.x, a.mantissa, a.exponent, a.outer, a.cols, a.inner, a.temperature, a.mask, a.maskLayout, a.bias,
  ),
};

export const NORMALIZE: OperatorOf<'normalize'> = {
  name: 'normalize', types: SAME_OR_WIDER, inPlace: ['out', 'x'],
  inputs: ['x', 'mantissa', 'exponent', 'mask', 'bias'], outputs: ['out'], logits: ['x', 'bias'], results: ['out'],
  parameters: [
    'x', 'out', 'mantissa', 'exponent', 'outer', 'cols', 'inner', 'temperature', 'mask', 'maskLayout', 'bias',
  ],
  call: (kernel, a) => kernel(
    a.x, a.out, a.mantissa, a.exponent, a.outer, a.cols, a.inner, a.temperature, a.mask, a.maskLayout, a.bias,
  ),
};

export const ATTENTION: OperatorOf<'attention'> = {
  name: 'attention', types: SINGLE, inPlace: null,
  inputs: ['shape', 'spans', 'q', 'k', 'v', 'slopes', 'sinks', 'mask', 'bias'],
  outputs: ['out', 'lse', 'sums', 'mantissa', 'exponent'], logits: [], results: [],
  parameters: [
    'shape', 'spans', 'q', 'k', 'v', 'slopes', 'sinks', 'mask', 'bias', 'out', 'lse', 'sums', 'mantissa', 'exponent',
  ],
  call: (kernel, a) => kernel(
    a.shape, a.spans, a.q, a.k, a.v, a.slopes, a.sinks, a.mask, a.bias, a.out, a.lse, a.sums, a.mantissa, a.exponent,
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

export const SAMPLE_PENALIZED: OperatorOf<'sample_penalized'> = {
  name: 'sample_penalized', types: FLOATS, inPlace: null, inputs: ['x', 'uniforms', 'entries', 'regions', 'settings'],
  outputs: ['tokens', 'status'], logits: ['x'], results: [],
  parameters: ['x', 'tokens', 'status', 'uniforms', 'entries', 'regions', 'settings', 'rows', 'cols', 'slots'],
  call: (kernel, a) => kernel(
    a.x, a.tokens, a.status, a.uniforms, a.entries, a.regions, a.settings, a.rows, a.cols, a.slots,
  ),
};

export const SOFT_NMS: OperatorOf<'soft_nms'> = {
  name: 'soft_nms', types: SINGLE, inPlace: null, inputs: ['boxes', 'scores', 'classes'],
  outputs: ['indices', 'kept', 'counts', 'status'], logits: [], results: [],
  parameters: [
    'boxes', 'scores', 'classes', 'indices', 'kept', 'counts', 'status', 'batch', 'n', 'most', 'format', 'edge',
    'method', 'sigma', 'iouThreshold', 'scoreThreshold',
  ],
  call: (kernel, a) => kernel(
    a.boxes, a.scores, a.classes, a.indices, a.kept, a.counts, a.status, a.batch, a.n, a.most, a.format, a.edge,
    a.method, a.sigma, a.iouThreshold, a.scoreThreshold,
  ),
};

export const IOU_MATRIX: OperatorOf<'iou_matrix'> = {
  name: 'iou_matrix', types: SINGLE, inPlace: null, inputs: ['boxes', 'others'], outputs: ['out', 'status'],
  logits: [], results: [],
  parameters: ['boxes', 'others', 'out', 'status', 'rows', 'cols', 'format', 'edge'],
  call: (kernel, a) => kernel(a.boxes, a.others, a.out, a.status, a.rows, a.cols, a.format, a.edge),
};

export const DECODE_YOLO: OperatorOf<'decode_yolo'> = {
  name: 'decode_yolo', types: SINGLE, inPlace: null, inputs: ['x'],
  outputs: ['boxes', 'scores', 'labels', 'indices', 'counts', 'status'], logits: [], results: [],
  parameters: [
    'x', 'boxes', 'scores', 'labels', 'indices', 'counts', 'status', 'batch', 'n', 'classes', 'layout', 'format',
    'scoreThreshold',
  ],
  call: (kernel, a) => kernel(
    a.x, a.boxes, a.scores, a.labels, a.indices, a.counts, a.status, a.batch, a.n, a.classes, a.layout, a.format,
    a.scoreThreshold,
  ),
};

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
