/** The formats of boxes and the conventions of coordinates: their names, and the numbers that kernels take. */
import { oneOf } from '../call/checks.js';

export type BoxFormat = 'xyxy' | 'yxyx' | 'xywh' | 'cxcywh';

/** The formats, numbered as in native/detection/boxes.h. */
export const LEFT_TOP_RIGHT_BOTTOM = 0;
export const TOP_LEFT_BOTTOM_RIGHT = 1;
export const LEFT_TOP_SIZE = 2;
export const CENTER_SIZE = 3;

const FORMATS = ['xyxy', 'yxyx', 'xywh', 'cxcywh'] as const;

export const formatOf = (format: unknown): number => FORMATS.indexOf(oneOf(format, FORMATS, 'format'));

/** What is added to far corners. */
export const edgeOf = (coordinates: unknown): number =>
  oneOf(coordinates, ['continuous', 'pixels'] as const, 'coordinates') === 'pixels' ? 1 : 0;

/** How the four numbers of a box are read. */
export interface BoxOptions {
  /**
   * What the four numbers of a box are. 'xyxy': left, top, right, bottom. 'yxyx': top, left, bottom, right. 'xywh':
   * left, top, width, height. 'cxcywh': the centre, width, height. Default: 'xyxy'.
   */
  format?: BoxFormat | undefined;
  /**
   * 'continuous': corners are points, a width is right − left. 'pixels': corners are the first and the last pixel, a
   * width is right − left + 1; the widths of 'xywh' and 'cxcywh' are widths already. Default: 'continuous'.
   */
  coordinates?: 'continuous' | 'pixels' | undefined;
}
