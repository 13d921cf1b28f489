/**
 * Sums in sixteen lanes, by column: the order of native/sampling/moments.h. All backends find the same σ and the same
 * entropy, and so keep the same tokens.
 */
export class ColumnSums {
  private readonly lanes = new Float64Array(16);

  add(column: number, value: number): void {
    this.lanes[column & 15]! += value;
  }

  get total(): number {
    const { lanes } = this;
    for (let n = 8; n >= 1; n /= 2) for (let i = 0; i < n; i++) lanes[i]! += lanes[i + n]!;
    const sum = lanes[0]!;
    lanes.fill(0);
    return sum;
  }
}
