/** iouMatrix: the intersection over union of boxes with boxes. */
import { NO_INDEX } from '../backend/backend.js';
import { backendFor } from '../backend/choice.js';
import { IOU_MATRIX } from '../backend/operators.js';
import type { AsyncOptions } from '../call/abort.js';
import { callOf, runNow, type Call } from '../call/call.js';
import { wrongValue } from '../call/errors.js';
import { FORM_OPTIONS, optionsOf, type Form } from '../call/options.js';
import type { NewFloat32Array } from '../call/types.js';
import { iouMatrixKernels } from '../js/detection/iou-matrix.js';
import { edgeOf, formatOf, type BoxOptions } from './formats.js';
import { boxesIn } from './inputs.js';

const NAMES = ['format', 'coordinates'] as const satisfies readonly (keyof BoxOptions)[];

/**
 * The intersection over union of each box with each of the others: |a ∩ b| / (|a| + |b| − |a ∩ b|), and 0 for an empty
 * box. Largest error: 0.51 ULP, of corners in double. All backends, JavaScript too, have the same bits; the IoU of a
 * box and itself is 1.
 *
 * @param boxes [n, 4]: four numbers a box, finite. See {@link BoxOptions}.
 * @param others [m, 4]: the boxes that they are compared with. `boxes` itself gives a symmetric matrix.
 * @param options See {@link BoxOptions}.
 * @returns [n, m], row-major.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
 * @throws RangeError (ERR_INVALID_ARG_VALUE) for a length that is no multiple of four, an option's wrong value, or a
 *   box with NaN or an infinite number, which it names.
 * @example
 * import { iouMatrix } from 'flash-softmax/detection';
 * console.log(iouMatrix(Float32Array.of(0, 0, 2, 2), Float32Array.of(1, 0, 3, 2))[0].toFixed(4)); // → 0.3333
 */
export function iouMatrix(boxes: Float32Array, others: Float32Array, options?: BoxOptions): NewFloat32Array {
  return runNow(iouMatrixCall('now', boxes, others, options));
}

export function iouMatrixCall(
  form: Form,
  boxes: Float32Array,
  others: Float32Array,
  options?: BoxOptions & AsyncOptions,
): Call<NewFloat32Array> {
  const given = optionsOf<BoxOptions>(options, [...NAMES, ...FORM_OPTIONS[form]]);
  const { format = 'xyxy', coordinates = 'continuous' } = given;
  const boxFormat = { format: formatOf(format), edge: edgeOf(coordinates) };
  const [rows, cols] = [boxesIn(boxes, 'boxes'), boxesIn(others, 'others')];
  const [out, status] = [new Float32Array(rows * cols), new Uint32Array(2)];
  return callOf(IOU_MATRIX, {
    backend: backendFor(rows * cols, iouMatrixKernels),
    type: 'f32',
    args: { boxes, others, out, status, rows, cols, ...boxFormat },
    own: ['out', 'status'],
    work: rows * cols,
    finish: () => {
      for (const [i, name] of ['boxes', 'others'].entries()) {
        if (status[i] !== NO_INDEX) throw wrongValue('finite coordinates', `box ${status[i]} of ${name}`, 'others');
      }
      return out;
    },
  });
}
