/** The backend in JavaScript: it runs everywhere, computes in double, and gives the same bits on every machine. */
import type { Backend } from '../backend/backend.js';
import { attentionKernels } from './attention/attention.js';
import { attentionBackwardKernels } from './attention/backward.js';
import { attentionExactKernels } from './attention/exact.js';
import { appendKernels } from './attention/append.js';
import { linearKernels } from './attention/linear.js';
import { decodeYoloKernels } from './detection/decode-yolo.js';
import { iouMatrixKernels } from './detection/iou-matrix.js';
import { softNmsKernels } from './detection/soft-nms.js';
import { headKernels } from './head/head.js';
import { crossEntropyKernels } from './losses/cross-entropy.js';
import { softTopKBackwardKernels } from './losses/soft-top-k-backward.js';
import { softTopKKernels } from './losses/soft-top-k.js';
import { rowLossKernels } from './losses/row-loss.js';
import { logStableMaxKernels, stableMaxKernels } from './losses/stable-max.js';
import { stableMaxLossKernels } from './losses/stable-max-loss.js';
import { loadBalanceKernels } from './routing/load-balance.js';
import { routeKernels } from './routing/route.js';
import { routeBackwardKernels } from './routing/route-backward.js';
import { safeStepRadiusKernels } from './losses/step-radius.js';
import { taylorSoftmaxKernels } from './losses/taylor-softmax.js';
import { zLossKernels } from './losses/z-loss.js';
import { momentsKernels } from './sampling/moments.js';
import { penalizedKernels } from './sampling/penalized.js';
import { samplingKernels } from './sampling/sampling.js';
import { expSumKernels } from './softmax/exp-sum.js';
import { logSoftmaxKernels } from './softmax/log-softmax.js';
import { logSumExpKernels } from './softmax/log-sum-exp.js';
import { normalizeKernels } from './softmax/normalize.js';
import { softmaxBackwardKernels } from './softmax/softmax-backward.js';
import { softmaxKernels } from './softmax/softmax.js';

/** All kernels. A public function imports its own kernels alone, so that a bundle has no others. */
export const js: Backend = {
  ...softmaxKernels,
  ...logSoftmaxKernels,
  ...logSumExpKernels,
  ...crossEntropyKernels,
  ...rowLossKernels,
  ...stableMaxKernels,
  ...logStableMaxKernels,
  ...stableMaxLossKernels,
  ...taylorSoftmaxKernels,
  ...zLossKernels,
  ...softTopKKernels,
  ...softTopKBackwardKernels,
  ...safeStepRadiusKernels,
  ...softmaxBackwardKernels,
  ...expSumKernels,
  ...normalizeKernels,
  ...attentionKernels,
  ...attentionBackwardKernels,
  ...attentionExactKernels,
  ...appendKernels,
  ...linearKernels,
  ...routeKernels,
  ...loadBalanceKernels,
  ...routeBackwardKernels,
  ...headKernels,
  ...samplingKernels,
  ...momentsKernels,
  ...penalizedKernels,
  ...softNmsKernels,
  ...iouMatrixKernels,
  ...decodeYoloKernels,
};
