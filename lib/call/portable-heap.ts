/** Replaces heap.ts in the portable build, which has no native kernels. */
import type * as node from './heap.js';

export const isInHeap: typeof node.isInHeap = () => false;
export const outOfHeap: typeof node.outOfHeap = (array) => array as node.SmallArray;
export const copySmall: typeof node.copySmall = () => undefined;
export const runOutOfHeap: typeof node.runOutOfHeap = (operator, kernel, { args }) => operator.call(kernel, args);
