/** iou_matrix in double, rounded once, with the steps and the bits of native/detection/iou_matrix.h. */
import { NO_INDEX, type BackendOf } from '../../backend/backend.js';
import type { Kernel } from '../../backend/operators.js';
import { columnsOf, hasFiniteSides } from './boxes.js';

/** The first of n boxes with a coordinate that is not finite; NO_INDEX if there is none. */
function firstUnbounded(boxes: Float32Array, n: number): number {
  for (let i = 0; i < n; i++) if (!hasFiniteSides(boxes, i)) return i;
  return NO_INDEX;
}

const iouMatrix: Kernel<'iou_matrix', never> = (boxes, others, out, status, rows, cols, format, edge) => {
  status[0] = firstUnbounded(boxes, rows);
  status[1] = firstUnbounded(others, cols);
  if (status[0] !== NO_INDEX || status[1] !== NO_INDEX) return;
  const a = columnsOf(boxes, 0, rows, format, edge);
  const b = columnsOf(others, 0, cols, format, edge);
  for (let i = 0; i < rows; i++) {
    const [x, y, minusX, minusY, own] = [a.left[i]!, a.top[i]!, a.minusRight[i]!, a.minusBottom[i]!, a.area[i]!];
    for (let j = 0; j < cols; j++) {
      const width = Math.max(x, b.left[j]!) + Math.max(minusX, b.minusRight[j]!);
      const height = Math.max(y, b.top[j]!) + Math.max(minusY, b.minusBottom[j]!);
      const common = width * height;
      out[i * cols + j] = width < 0 && height < 0 ? common / (own + b.area[j]! - common) : 0;
    }
  }
};

export const iouMatrixKernels: BackendOf<'iou_matrix'> = { name: 'js', iou_matrix_f32: iouMatrix };
