/** Which keys a query sees, before mask and bias. */
import type { AttentionShape } from '../../backend/backend.js';

/** The keys [from, to) that a query sees, which may lie beyond the keys there are. */
export interface VisibleKeys {
  /** Of the query; the first key has the position 0. */
  readonly position: number;
  readonly from: number;
  readonly to: number;
}

/** The value of AttentionShape.causal with which query m is at key m. */
const TOP_LEFT = 2;

/** `spans` are those of the kernel, and `keys` is the number of keys of sequence b. */
export function visibleKeys(
  s: AttentionShape,
  spans: Float64Array | null,
  keys: number,
  b: number,
  query: number,
): VisibleKeys {
  const total = spans ? spans[2 * b + 1]! : keys;
  const start = spans ? spans[2 * b]! : 0;
  const position = (s.causal === TOP_LEFT ? 0 : total - s.queries) + query - start;
  return {
    position,
    from: s.windowLeft > 0 ? position - s.windowLeft + 1 : 0,
    to: s.causal ? position + 1 : s.windowRight > 0 ? position + s.windowRight : keys,
  };
}
