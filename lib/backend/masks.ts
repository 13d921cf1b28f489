/** Masks in their layouts (backend.ts): bytes or bits, for every element or for one row that all share. */
import { MASK_BITS, MASK_ROW_BITS, MASK_ROW_BYTES } from './backend.js';

export const isBits = (layout: number): boolean => layout === MASK_BITS || layout === MASK_ROW_BITS;
export const isShared = (layout: number): boolean => layout === MASK_ROW_BYTES || layout === MASK_ROW_BITS;

/** Whether a mask lets the element `at`, of a row's `column`, count. */
export function counts(mask: Uint8Array, layout: number, at: number, column: number): boolean {
  const i = isShared(layout) ? column : at;
  // No shift: i may have more than 32 bits.
  return (isBits(layout) ? mask[Math.floor(i / 8)]! & (1 << (i & 7)) : mask[i]!) !== 0;
}
