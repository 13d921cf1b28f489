/** How scores of overlapping boxes are lowered: the numbers of native/detection/soft_nms.h. */
export const HARD = 0;
export const LINEAR = 1;
export const GAUSSIAN = 2;

/** By the names that callers know. */
export const METHODS = ['hard', 'linear', 'gaussian'] as const;
