/** Steps on a row (row.ts): loading its logits, and hiding those that are masked. */

/** Makes the steps that fill `cells`. Logits lie at start, start + stride, …; each step returns the largest. */
export function loadSteps(cells: Float64Array) {
  const row = cells;

  /** Puts a logit into the row. Returns the larger of it and `max`; a NaN is never the larger. */
  function put(i: number, logit: number, max: number): number {
    row[i] = logit;
    return logit > max ? logit : max;
  }

  /** Puts four logits into the row. Returns the largest of them and `max`; a NaN is never the largest. */
  function putFour(i: number, a: number, b: number, c: number, d: number, max: number): number {
    row[i] = a;
    row[i + 1] = b;
    row[i + 2] = c;
    row[i + 3] = d;
    if (a > max) max = a;
    if (b > max) max = b;
    if (c > max) max = c;
    return d > max ? d : max;
  }

  function load_f32(x: Float32Array, start: number, stride: number, n: number): number {
    let max = -Infinity;
    let i = 0;
    for (; stride === 1 && i < n - 3; i += 4) {
      const at = start + i;
      max = putFour(i, x[at]!, x[at + 1]!, x[at + 2]!, x[at + 3]!, max);
    }
    for (; i < n; i++) max = put(i, x[start + i * stride]!, max);
    return max;
  }

  /** Divides the logits by a power of two. */
  function load_f64(x: Float64Array, start: number, stride: number, n: number, divisor: number): number {
    const scale = 1 / divisor;
    let max = -Infinity;
    let i = 0;
    for (; stride === 1 && i < n - 3; i += 4) {
      const at = start + i;
      max = putFour(i, x[at]! * scale, x[at + 1]! * scale, x[at + 2]! * scale, x[at + 3]! * scale, max);
    }
    for (; i < n; i++) max = put(i, x[start + i * stride]! * scale, max);
    return max;
  }

  /** Loads halves. `values` has the values of all. */
  function load_half(x: Uint16Array, values: Float32Array, start: number, stride: number, n: number): number {
    let max = -Infinity;
    let i = 0;
    for (; stride === 1 && i < n - 3; i += 4) {
      const at = start + i;
      max = putFour(i, values[x[at]!]!, values[x[at + 1]!]!, values[x[at + 2]!]!, values[x[at + 3]!]!, max);
    }
    for (; i < n; i++) max = put(i, values[x[start + i * stride]!]!, max);
    return max;
  }

  return { load_f32, load_f64, load_half };
}

/** Makes the step that hides masked logits. */
export function maskSteps(cells: Float64Array) {
  const row = cells;

  /** Turns masked logits into −∞. Returns the largest of the others: NaN if one is NaN, −∞ if there are none. */
  function hide(mask: Uint8Array, isBits: boolean, start: number, stride: number, n: number): number {
    let max = -Infinity;
    for (let i = 0, at = start; i < n; i++, at += stride) {
      const kept = isBits ? mask[Math.floor(at / 8)]! & (1 << (at & 7)) : mask[at]!;
      const logit = row[i]!;
      if (kept === 0) row[i] = -Infinity;
      else if (logit > max || logit !== logit) max = logit;
    }
    return max;
  }

  return { hide };
}
