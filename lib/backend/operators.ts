/** The operators. Made by scripts/operators.mjs from native/operators.def. Do not edit. */
export type * from './operator.js';
export * from './operators/softmax.js';
export * from './operators/attention.js';
export * from './operators/sampling.js';
export * from './operators/detection.js';
export * from './operators/routing.js';
export * from './operators/head.js';
