/** The loops that a person would write in place of the package. */

/** exp(x − max) of a row and its sum, into `out`. */
function exponentials(x: Float32Array, out: Float32Array, from: number, to: number): { max: number; sum: number } {
  let max = -Infinity;
  for (let i = from; i < to; i++) if (x[i]! > max) max = x[i]!;
  let sum = 0;
  for (let i = from; i < to; i++) {
    const e = Math.exp(x[i]! - max);
    out[i] = e;
    sum += e;
  }
  return { max, sum };
}

export function softmaxLoop(x: Float32Array, out: Float32Array, cols: number): void {
  for (let from = 0; from < x.length; from += cols) {
    const { sum } = exponentials(x, out, from, from + cols);
    for (let i = from; i < from + cols; i++) out[i]! /= sum;
  }
}

export function logSoftmaxLoop(x: Float32Array, out: Float32Array, cols: number): void {
  for (let from = 0; from < x.length; from += cols) {
    const { max, sum } = exponentials(x, out, from, from + cols);
    const log = max + Math.log(sum);
    for (let i = from; i < from + cols; i++) out[i] = x[i]! - log;
  }
}

/** log Σ exp of each row, less the logit of its target where there are targets. */
export function logSumLoop(x: Float32Array, out: Float32Array, cols: number, targets?: Uint32Array): Float64Array {
  return Float64Array.from({ length: x.length / cols }, (_, row) => {
    const { max, sum } = exponentials(x, out, row * cols, (row + 1) * cols);
    return max + Math.log(sum) - (targets ? x[row * cols + targets[row]!]! : 0);
  });
}

/** A token of each row: temperature, top-k, top-p, a uniform number. */
export function sampleLoop(x: Float32Array, cols: number, { temperature = 1, topK = 50, topP = 0.9 }): number[] {
  const tokens: number[] = [];
  for (let from = 0; from < x.length; from += cols) {
    const row = x.subarray(from, from + cols);
    const kept = Array.from(row, (logit, token) => ({ logit: logit / temperature, token }))
      .sort((a, b) => b.logit - a.logit)
      .slice(0, topK);
    const weights = kept.map(({ logit }) => Math.exp(logit - kept[0]!.logit));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    let n = 0;
    for (let sum = 0; n < weights.length && sum < topP * total; n++) sum += weights[n]!;
    const nucleus = weights.slice(0, n).reduce((sum, weight) => sum + weight, 0);
    let left = Math.random() * nucleus;
    let at = 0;
    while (at < n - 1 && (left -= weights[at]!) > 0) at++;
    tokens.push(kept[at]!.token);
  }
  return tokens;
}

/** The k largest of each row, by a sort of the indices. */
export function topLoop(x: Float32Array, cols: number, k: number): Uint32Array[] {
  return Array.from({ length: x.length / cols }, (_, row) => {
    const logits = x.subarray(row * cols, (row + 1) * cols);
    return Uint32Array.from(logits.keys())
      .sort((a, b) => logits[b]! - logits[a]!)
      .slice(0, k);
  });
}

export interface HeadsShape {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly queries: number;
  readonly keys: number;
}

/** Causal attention over arrays [heads, positions, headDim], the last query at the last key. */
export function attentionLoop(
  { q, k, v, out }: Readonly<Record<'q' | 'k' | 'v' | 'out', Float32Array>>,
  { heads, kvHeads, headDim, queries, keys }: HeadsShape,
): void {
  const scores = new Float32Array(keys);
  const weights = new Float32Array(keys);
  for (let head = 0; head < heads; head++) {
    const first = Math.floor((head * kvHeads) / heads) * keys;
    for (let query = 0; query < queries; query++) {
      const at = (head * queries + query) * headDim;
      const seen = keys - queries + query + 1;
      for (let key = 0; key < seen; key++) {
        let dot = 0;
        for (let d = 0; d < headDim; d++) dot += q[at + d]! * k[(first + key) * headDim + d]!;
        scores[key] = dot / Math.sqrt(headDim);
      }
      softmaxLoop(scores.subarray(0, seen), weights, seen);
      out.fill(0, at, at + headDim);
      for (let key = 0; key < seen; key++) {
        for (let d = 0; d < headDim; d++) out[at + d]! += weights[key]! * v[(first + key) * headDim + d]!;
      }
    }
  }
}

/** Hidden states times rows of weights. */
export function headLoop(weights: Float32Array, hidden: Float32Array, out: Float32Array, cols: number): void {
  const rows = weights.length / cols;
  for (let state = 0; state < hidden.length / cols; state++) {
    for (let row = 0; row < rows; row++) {
      let dot = 0;
      for (let c = 0; c < cols; c++) dot += weights[row * cols + c]! * hidden[state * cols + c]!;
      out[state * rows + row] = dot;
    }
  }
}

/** Non-maximum suppression: boxes [n, 4] as corners; those that overlap a better one by more than `most` go. */
export function nmsLoop(boxes: Float32Array, scores: Float32Array, most: number): number[] {
  const order = Array.from(scores.keys()).sort((a, b) => scores[b]! - scores[a]!);
  const kept: number[] = [];
  for (const i of order) if (kept.every((other) => overlap(boxes, i, other) <= most)) kept.push(i);
  return kept;
}

function overlap(boxes: Float32Array, a: number, b: number): number {
  const [left, top, right, bottom] = [0, 1, 2, 3].map((side) => {
    const [x, y] = [boxes[4 * a + side]!, boxes[4 * b + side]!];
    return side < 2 ? Math.max(x, y) : Math.min(x, y);
  }) as [number, number, number, number];
  const area = (i: number) => (boxes[4 * i + 2]! - boxes[4 * i]!) * (boxes[4 * i + 3]! - boxes[4 * i + 1]!);
  const common = Math.max(0, right - left) * Math.max(0, bottom - top);
  return common / (area(a) + area(b) - common);
}
