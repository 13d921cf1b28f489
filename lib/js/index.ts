/** The backend in JavaScript: it runs everywhere, computes in double, and gives the same bits on every machine. */
import type { Backend } from '../backend/backend.js';
import { attentionKernels } from './attention/attention.js';
import { backwardKernels } from './softmax/backward-kernels.js';
import { appendKernels } from './attention/kv-append.js';
import { crossEntropyKernels, logSoftmaxKernels, logSumExpKernels } from './softmax/log-kernels.js';
import { expSumKernels, normalizeKernels } from './softmax/partial-kernels.js';
import { samplingKernels } from './sampling/sampling.js';
import { softmaxKernels } from './softmax/softmax.js';

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
