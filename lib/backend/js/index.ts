/** The backend in JavaScript: it runs everywhere, computes in double, and gives the same bits on every machine. */
import type { Backend } from '../backend.js';
import { attentionKernels } from './attention.js';
import { backwardKernels } from './backward-kernels.js';
import { appendKernels } from './kv-append.js';
import { crossEntropyKernels, logSoftmaxKernels, logSumExpKernels } from './log-kernels.js';
import { expSumKernels, normalizeKernels } from './partial-kernels.js';
import { samplingKernels } from './sampling.js';
import { softmaxKernels } from './softmax.js';

/** All of them. A public function imports its own alone, so that a bundle has no others. */
export const js: Backend = {
  ...softmaxKernels,
  ...logSoftmaxKernels,
  ...logSumExpKernels,
  ...crossEntropyKernels,
  ...backwardKernels,
  ...expSumKernels,
  ...normalizeKernels,
  ...attentionKernels,
  ...appendKernels,
  ...samplingKernels,
};
