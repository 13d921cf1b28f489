/** The kernels of softmaxBackward. */
import { SOFTMAX_BACKWARD } from '../../backend/operators.js';
import { twinOf } from '../twin.js';
import { softmaxBackward } from './backward.js';

export const softmaxBackwardKernels = /* @__PURE__ */ twinOf(SOFTMAX_BACKWARD, softmaxBackward, softmaxBackward);
