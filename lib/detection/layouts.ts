/** The layouts of a detector's output, numbered as in native/detection/decode_yolo.h. */
export const CHANNELS_FIRST = 0;
export const BOXES_FIRST = 1;

/** By the names that callers know. */
export const LAYOUTS = ['channels-first', 'boxes-first'] as const;
