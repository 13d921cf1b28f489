/** softmaxBackward: dx = y (dy − Σ y dy) / T. Products and sums carry what rounding takes from them along. */
import { twoSum } from './log.js';
import { counts } from './masks.js';
import { exactProduct } from './powers.js';

type Floats = Float32Array | Float64Array;

export function softmaxBackward(
  y: Floats, dy: Floats, out: Floats, outer: number, cols: number, inner: number, temperature: number,
  mask: Uint8Array | null, maskLayout: number,
): void {
  const isKept = (at: number, column: number): boolean => mask === null || counts(mask, maskLayout, at, column);
  for (let o = 0; o < outer; o++) {
    for (let start = o * cols * inner, end = start + inner; start < end; start++) {
      let sum = 0;
      let low = 0;
      for (let c = 0, at = start; c < cols; c++, at += inner) {
        if (!isKept(at, c)) continue;
        const [product, rest] = exactProduct(y[at]!, dy[at]!);
        const [next, lost] = twoSum(sum, product);
        sum = next;
        // A factor near the end of the range has no exact product, and needs none.
        low += Number.isFinite(rest) ? rest + lost : lost;
      }
      for (let c = 0, at = start; c < cols; c++, at += inner) {
        if (!isKept(at, c)) {
          out[at] = 0;
          continue;
        }
        const [difference, lost] = twoSum(dy[at]!, -sum);
        const rest = lost - low;
        out[at] = (y[at]! * (Number.isFinite(rest) ? difference + rest : difference)) / temperature;
      }
    }
  }
}
