import { twoSum } from './log.js';

/** A sum that carries its rounding errors along: those of terms that are alike would add up. */
export class RunningSum {
  private high = 0;
  private low = 0;

  add(term: number): void {
    const [next, lost] = twoSum(this.high, term);
    this.high = next;
    this.low += lost;
  }

  /** The sum, rounded once or twice. Errors of an infinite sum are NaN, and left out. */
  get total(): number {
    return Number.isFinite(this.high) ? this.high + this.low : this.high;
  }
}
