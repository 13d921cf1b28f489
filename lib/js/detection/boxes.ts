/** Boxes in double, with the steps of native/detection/boxes.h: both backends have the same bits. */
import { CENTER_SIZE, LEFT_TOP_SIZE, TOP_LEFT_BOTTOM_RIGHT } from '../../detection/formats.js';

/** Columns of boxes. Far sides have their signs turned. The area of an empty box is wrong, but it meets no other. */
export interface BoxColumns {
  readonly left: Float64Array;
  readonly top: Float64Array;
  readonly minusRight: Float64Array;
  readonly minusBottom: Float64Array;
  readonly area: Float64Array;
}

/** The columns of n boxes, of which the first is box `first` of an array. */
export function columnsOf(boxes: Float32Array, first: number, n: number, format: number, edge: number): BoxColumns {
  const column = () => new Float64Array(n);
  const [left, top, minusRight, minusBottom, area] = [column(), column(), column(), column(), column()];
  for (let i = 0, at = 4 * first; i < n; i++, at += 4) {
    const [a, b, c, d] = [boxes[at]!, boxes[at + 1]!, boxes[at + 2]!, boxes[at + 3]!];
    if (format === TOP_LEFT_BOTTOM_RIGHT) {
      left[i] = b;
      top[i] = a;
      minusRight[i] = -(d + edge);
      minusBottom[i] = -(c + edge);
    } else if (format === LEFT_TOP_SIZE) {
      left[i] = a;
      top[i] = b;
      minusRight[i] = -(a + c);
      minusBottom[i] = -(b + d);
    } else if (format === CENTER_SIZE) {
      left[i] = a - c * 0.5;
      top[i] = b - d * 0.5;
      minusRight[i] = -(a + c * 0.5);
      minusBottom[i] = -(b + d * 0.5);
    } else {
      left[i] = a;
      top[i] = b;
      minusRight[i] = -(c + edge);
      minusBottom[i] = -(d + edge);
    }
    area[i] = (left[i]! + minusRight[i]!) * (top[i]! + minusBottom[i]!);
  }
  return { left, top, minusRight, minusBottom, area };
}

/** Whether the four numbers of a box are finite. */
export function hasFiniteSides(boxes: Float32Array, box: number): boolean {
  for (let i = 4 * box; i < 4 * box + 4; i++) if (!(Math.abs(boxes[i]!) < Infinity)) return false;
  return true;
}
