/** The kernels of row_loss: native/losses/cross_entropy.h has the formulas. */
import type { RowLossKernel } from '../../backend/backend.js';
import { ROW_LOSS } from '../../backend/operators.js';
import { log1p, twoSum } from '../../math/log.js';
import { exactProduct } from '../../math/powers.js';
import { cells } from '../rows/logits.js';
import { LogRows } from '../softmax/log-rows.js';
import { RAISE } from '../softmax/log-steps.js';
import { eachRow } from '../rows/row.js';
import { twinOf } from '../twin.js';
import { sameNaN } from './loss-rows.js';
import { expOf, lossOfTarget, type Terms } from './loss-of-target.js';
import { isPlainLoss, plainRowLoss } from './row-loss-plain.js';

type Floats = Float32Array | Float64Array;

/** What the share of a logit is divided by and multiplied with. */
interface Slopes {
  readonly whole: number;
  readonly factor: number;
  readonly more: number;
  readonly slope: number;
}

interface TargetTerm {
  readonly D: number;
  readonly others: number;
  readonly whole: number;
}

class LossRows extends LogRows {
  /** Set by the kernel, before anything else. */
  terms!: Terms;

  // What losses are made from, of the row that was measured.

  private valueOfLogSumExp(): number {
    return this.isNonFinite ? this.nonFiniteSum : this.logSumOf();
  }
  private scaleOfLogits(): number {
    return this.temperature;
  }
  private isNaNRow(): boolean {
    return this.isNonFinite && !(this.nonFiniteLog < 0);
  }
  private isEmptyRow(): boolean {
    return this.isNonFinite && this.nonFiniteLog < 0;
  }
  /** −ln p of a target, the sum of all terms but its own, and the sum of all. */
  private targetOf(start: number, target: number): TargetTerm {
    const at = start + target * this.inner;
    const whole = 1 + this.others;
    if (this.isMasked(at, target)) return { D: Infinity, others: whole, whole };
    const { logit, rest } = this.logitAt(at, target);
    const D = this.isNonFinite ? -this.nonFiniteLog : -this.logOf(logit, rest);
    const isTop = logit === this.max && rest === this.maxRest;
    if (isTop || this.isNonFinite) return { D, others: this.others, whole };
    return { D, others: 1 - this.weightOfLogit(logit, rest) / RAISE + this.others, whole };
  }
  /** −ln p of a target whose logit is given beside the row, the sum of all terms but its own, and the sum of all. */
  private givenTerm(row: number): TargetTerm {
    const target = this.terms.given![2 * row]!;
    if (this.isNonFinite && this.nonFiniteSum === -Infinity)
      return { D: target === target ? 0 : NaN, others: 0, whole: 1 };
    if (this.isNonFinite) return { D: NaN, others: 1, whole: 1 };
    const [high, low] = twoSum(this.max, -target);
    const a = high / this.temperature;
    if (!Number.isFinite(a)) return { D: a > 0 ? a : a === a ? 0 : a, others: a > 0 ? 1 : 0, whole: 1 };
    const [product, error] = exactProduct(a, this.temperature);
    const rest = (high - product - error + (low + this.maxRest)) / this.temperature;
    const others = 1 + this.others;
    const term = expOf(-Math.abs(a)) * (1 + (a < 0 ? rest : -rest));
    if (a < 0) return { D: log1p(others * term, 0)[0], others: others * term, whole: 1 + others * term };
    return { D: a + (log1p(this.others + term, 0)[0] + rest), others, whole: others + term };
  }
  private weightOf(column: number): number {
    const { weight } = this.terms;
    return weight === null ? 1 : weight[column]!;
  }

  private shareOf(at: number, column: number, classes: number): number {
    const { soft, smoothing } = this.terms;
    const given = soft === null ? 0 : (1 - smoothing) * soft[at]!;
    return this.weightOf(column) * (given + smoothing / classes);
  }

  private isGiven(at: number): boolean {
    const { soft, smoothing } = this.terms;
    return soft !== null && (1 - smoothing) * soft[at]! !== 0;
  }

  /** The shares of all classes: Σ b, Σ b · −ln p, and how many are not masked. */
  private shares(start: number): readonly [sum: number, loss: number, classes: number] {
    const { soft, smoothing } = this.terms;
    let classes = this.cols;
    if (soft === null && !(smoothing > 0)) return [0, 0, classes];
    if (this.mask !== null) for (let c = 0; c < this.cols; c++) classes -= +this.isMasked(start + c * this.inner, c);
    let sum = 0;
    let loss = 0;
    let rest = 0; // what rounding takes from `loss`
    this.eachPart((first, n) => {
      if (!this.isNonFinite) this.putLogs(start, first, n, false);
      for (let i = 0; i < n; i++) {
        const column = first + i;
        const at = start + column * this.inner;
        const b = this.shareOf(at, column, classes);
        const isMasked = this.isMasked(at, column);
        if (b === 0 || (isMasked && !this.isGiven(at))) continue;
        sum += b;
        const term = b * (isMasked ? Infinity : -(this.isNonFinite ? this.nonFiniteLog : cells[i]!));
        const next = loss + term;
        rest += Math.abs(loss) < Math.abs(term) ? term - next + loss : loss - next + term;
        loss = next;
      }
    });
    return [sum, Number.isFinite(loss) ? loss + rest : loss, classes];
  }

  /** Writes the gradient of a finite row without masks and shares, as if no logit were the target. */
  private plainSlopes(start: number, gradient: Floats, { whole, factor, more, slope }: Slopes): void {
    this.eachPart((first, n) => {
      this.putWeights(start, first, n);
      let at = start + first * this.inner;
      for (let i = 0; i < n; i++, at += this.inner) {
        const value = (cells[i]! / RAISE / whole) * factor * more * slope;
        gradient[at] = value === value ? value : NaN;
      }
    });
  }

  /** Writes the loss and the gradient of one row. */
  rowLoss(targets: Int32Array, loss: Float64Array, gradient: Floats | null, start: number, row: number): void {
    const { soft, given, smoothing, penalty, scale } = this.terms;
    const hasShares = soft !== null || smoothing > 0;
    const target = targets[row]!;
    if (target < 0) {
      loss[row] = 0;
      for (let c = 0; gradient !== null && c < this.cols; c++) gradient[start + c * this.inner] = 0;
      return;
    }
    this.measure(start, gradient !== null && !hasShares);
    const term = given === null ? null : this.givenTerm(row);
    const lse = penalty === 0 ? 0 : term ? given![2 * row]! / this.temperature + term.D : this.valueOfLogSumExp();
    const isAlone = term !== null && term.others === 0 && this.isNonFinite;
    const [sum, sharedLoss, classes] = this.shares(start);
    const beside = sum + 2 * penalty * lse;
    const weight = soft === null ? this.weightOf(target) * (1 - smoothing) : 0;
    let total = sharedLoss + penalty * lse * lse;
    let [factor, more, atTarget] = [beside, 1, 0];
    if (weight !== 0) {
      const { D, others, whole } = term ?? this.targetOf(start, target);
      const f = lossOfTarget(this.terms, D, others, whole);
      total += weight * f.loss;
      more = f.more;
      factor = weight * f.factor + beside / more;
      atTarget = beside * ((whole - others) / whole) - weight * f.factor * (others / whole) * more;
      if (given !== null) atTarget *= given[2 * row + 1]!;
    }
    if (term !== null) factor *= term.others / term.whole;
    loss[row] = this.isNaNRow() && !isAlone ? NaN : sameNaN(total * scale);
    if (gradient === null) return;
    const isVisible = given !== null || !this.isMasked(start + target * this.inner, target);
    const takeBack = weight !== 0 && isVisible ? target : -1;
    const slope = scale / this.scaleOfLogits();
    // Elements are written as they are read, so a share is taken before its element, which may be of the same array.
    const whole = 1 + this.others;
    if (!hasShares && this.mask === null && !this.isNonFinite) {
      this.plainSlopes(start, gradient, { whole, factor, more, slope });
      if (takeBack >= 0) gradient[start + takeBack * this.inner] = sameNaN(atTarget * slope);
      return;
    }
    this.eachPart((first, n) => {
      if (!this.isNonFinite) this.putWeights(start, first, n);
      for (let i = 0; i < n; i++) {
        const column = first + i;
        const at = start + column * this.inner;
        const p = cells[i]! / RAISE / whole;
        const share = hasShares ? this.shareOf(at, column, classes) : 0;
        if (this.isMasked(at, column)) gradient[at] = 0;
        else if (isAlone || this.isEmptyRow()) gradient[at] = 0;
        else if (this.isNaNRow()) gradient[at] = NaN;
        else if (column === takeBack) gradient[at] = sameNaN((atTarget - share) * slope);
        else gradient[at] = sameNaN((p * factor * more - share) * slope);
      }
    });
  }
}

const rowLoss: RowLossKernel<Floats> = (
  x,
  targets,
  soft,
  weight,
  given,
  loss,
  gradient,
  kind,
  parameter,
  smoothing,
  penalty,
  scale,
  outer,
  cols,
  inner,
  ...rest
) => {
  const terms = { soft, weight, given, kind, parameter, smoothing, penalty, scale };
  let rows: LossRows | undefined;
  const rowsOf = (): LossRows => {
    if (rows === undefined) {
      rows = new LossRows(x, cols, inner, ...rest);
      rows.terms = terms;
    }
    return rows;
  };
  if (isPlainLoss(terms, cols, inner, rest[0], rest[1], rest[3])) {
    plainRowLoss(terms, x, targets, loss, gradient, outer, cols, (start, row) =>
      rowsOf().rowLoss(targets, loss, gradient, start, row),
    );
    return;
  }
  eachRow(outer, cols, inner, (start, row) => rowsOf().rowLoss(targets, loss, gradient, start, row));
};

export const rowLossKernels = /* @__PURE__ */ twinOf(ROW_LOSS, rowLoss, rowLoss);
