/** The kernels of softTopK. native/losses/soft_top_k.h has the method and takes the same steps. */
import { SOFT_TOP_K } from '../../backend/operators.js';
import { log1p } from '../../math/log.js';
import { twinOf } from '../twin.js';
import { expBelow, LossRows, type Floats } from './loss-rows.js';

/** What is written to `status` for a row. */
const FINE = 0;
const TOO_SHORT = 1;
const IS_NAN = 2;

/** ln(a / b) of positive numbers. */
const logOfRatio = (a: number, b: number): number => (a >= b ? log1p((a - b) / b, 0)[0] : -log1p((b - a) / a, 0)[0]);

/** The threshold of one row: its elements are α (x − reference) + s from the root. */
class Root {
  s = 0;
  reference: number;
  readonly #rows: LossRows;
  readonly #start: number;
  readonly #k: number;
  readonly #alpha: number;
  readonly #least: number;
  readonly #count: number;
  /** |s| from which its rounding would show in results. */
  readonly #far: number;

  constructor(rows: LossRows, start: number, k: number, alpha: number) {
    [this.#rows, this.#start, this.#k, this.#alpha] = [rows, start, k, alpha];
    this.#far = rows.isSingle ? 64 : 2;
    let [most, least, count] = [-Infinity, Infinity, 0];
    for (let c = 0; c < rows.cols; c++) {
      if (!rows.isVisible(start, c)) continue;
      const z = rows.read(start, c) + rows.low;
      if (z === -Infinity) continue;
      most = z > most || z !== z ? z : most;
      if (most !== most) break;
      least = Math.min(least, z);
      count++;
    }
    [this.reference, this.#least, this.#count] = [most, least, count];
  }

  get status(): number {
    if (this.reference !== this.reference || this.reference === Infinity) return IS_NAN;
    return this.#k < this.#count ? FINE : TOO_SHORT;
  }

  /** The place of element c, −∞ where it is masked. */
  placeOf(c: number): number {
    if (!this.#rows.isVisible(this.#start, c)) return -Infinity;
    const d = this.#rows.read(this.#start, c) - this.reference + this.#rows.low;
    return this.#alpha * d + this.s;
  }

  solve(): void {
    const spread = this.#alpha * (this.reference - this.#least);
    const start = logOfRatio(this.#k, this.#count - this.#k);
    const high = start + Math.min(spread, 2 ** 1000) * (1 + 2 ** -50) + 2 ** -40;
    this.s = start;
    this.#search(start - 2 ** -40 - 2 ** -50 * Math.abs(start), high);
    if (Math.abs(this.s) > this.#far) this.#moveReference();
  }

  /** The element nearest to the root becomes the reference, as s has lost places behind the point. */
  #moveReference(): void {
    let [nearest, element] = [Infinity, 0];
    for (let c = 0; c < this.#rows.cols; c++) {
      const size = Math.abs(this.placeOf(c));
      if (!(size < nearest)) continue;
      [nearest, element] = [size, this.#rows.read(this.#start, c)];
    }
    if (nearest === Infinity) return;
    const reach = Math.abs(this.s) * 2 ** -48 + 1;
    this.s = this.#alpha * (element - this.reference) + this.s;
    this.reference = element;
    this.#search(this.s - reach, this.s + reach);
  }

  #search(low: number, high: number): void {
    for (let steps = 0; steps < 1200; steps++) {
      const { below, above, slopeBelow, slopeAbove } = this.#sums();
      if (below === above) return;
      const { s } = this;
      if (below > above) high = s;
      else low = s;
      let next = low + (high - low) / 2;
      if (below > 2 ** -1000 && above > 2 ** -1000) {
        const newton = s - logOfRatio(below, above) / (slopeBelow / below + slopeAbove / above);
        if (newton > low && newton < high) next = newton;
      }
      this.s = next;
      if (Math.abs(next - s) <= 2 ** -51 * Math.max(1, Math.abs(next)) || next === low || next === high) return;
    }
  }

  /** A and B, and the sums of their derivatives' sizes. */
  #sums() {
    let [below, above, slopeBelow, slopeAbove, over] = [0, 0, 0, 0, 0];
    for (let c = 0; c < this.#rows.cols; c++) {
      const z = this.placeOf(c);
      const exp = expBelow(-Math.abs(z));
      const q = exp / (1 + exp);
      if (z > 0) {
        above += q;
        slopeAbove += q - q * q;
        over++;
      } else {
        below += q;
        slopeBelow += q - q * q;
      }
    }
    below += Math.max(over - this.#k, 0);
    above += Math.max(this.#k - over, 0);
    return { below, above, slopeBelow, slopeAbove };
  }
}

function softTopK(
  x: Floats,
  out: Floats,
  status: Int32Array,
  k: number,
  alpha: number,
  outer: number,
  cols: number,
  inner: number,
  mask: Uint8Array | null,
  maskLayout: number,
  bias: Floats | null,
): boolean {
  const rows = new LossRows(x, cols, inner, mask, maskLayout, bias);
  let areFine = true;
  rows.each(outer, (start, row) => {
    status[row] = new Root(rows, start, k, alpha).status;
    areFine &&= status[row] !== TOO_SHORT;
  });
  if (!areFine) return false;
  const places = new Float64Array(cols);
  rows.each(outer, (start, row) => {
    const isNaNRow = status[row] === IS_NAN;
    const root = new Root(rows, start, k, alpha);
    if (!isNaNRow) root.solve();
    for (let c = 0; c < cols; c++) {
      if (isNaNRow) places[c] = rows.isVisible(start, c) ? NaN : 0;
      else {
        const z = root.placeOf(c);
        const exp = expBelow(-Math.abs(z));
        places[c] = (z > 0 ? 1 : exp) / (1 + exp);
      }
    }
    for (let c = 0; c < cols; c++) out[start + c * inner] = places[c]!;
  });
  return true;
}

export const softTopKKernels = /* @__PURE__ */ twinOf(SOFT_TOP_K, softTopK, softTopK);
