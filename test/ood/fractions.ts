/** Exact fractions of BigInts, and the fit and the distance of flash-softmax/ood by their definitions. */

const gcd = (a: bigint, b: bigint): bigint => {
  while (b !== 0n) [a, b] = [b, a % b];
  return a < 0n ? -a : a;
};

export class Fraction {
  readonly top: bigint;
  readonly bottom: bigint;

  constructor(top: bigint, bottom = 1n) {
    const divisor = gcd(top, bottom) * (bottom < 0n ? -1n : 1n);
    this.top = divisor === 0n ? 0n : top / divisor;
    this.bottom = divisor === 0n ? 1n : bottom / divisor;
  }
  plus(o: Fraction): Fraction {
    return new Fraction(this.top * o.bottom + o.top * this.bottom, this.bottom * o.bottom);
  }
  minus(o: Fraction): Fraction {
    return this.plus(new Fraction(-o.top, o.bottom));
  }
  times(o: Fraction): Fraction {
    return new Fraction(this.top * o.top, this.bottom * o.bottom);
  }
  over(o: Fraction): Fraction {
    return new Fraction(this.top * o.bottom, this.bottom * o.top);
  }
  compare(o: Fraction): number {
    const difference = this.minus(o).top;
    return difference < 0n ? -1 : Number(difference > 0n);
  }
  /** To about 60 bits. */
  toNumber(): number {
    const shift = BigInt(Math.max(0, this.bottom.toString(2).length - this.top.toString(2).length + 70));
    return Number((this.top << shift) / this.bottom) / 2 ** Number(shift);
  }
}

/** A double, exactly. */
export function fractionOf(x: number): Fraction {
  let bottom = 1n;
  for (let scaled = x; !Number.isInteger(scaled); scaled *= 2) bottom *= 2n;
  return new Fraction(BigInt(x * Number(bottom)), bottom);
}

const ZERO = new Fraction(0n);
const sum = (all: readonly Fraction[]): Fraction => all.reduce((a, b) => a.plus(b), ZERO);

/** Means and the shrunk covariance of labelled samples. */
export function modelOracle(features: ArrayLike<number>, labels: readonly number[], classes: number, s: Fraction) {
  const dim = features.length / labels.length;
  const rows = labels.map((_, r) => Array.from({ length: dim }, (__, i) => fractionOf(features[r * dim + i]!)));
  const means = Array.from({ length: classes }, (_, c) => {
    const own = rows.filter((__, r) => labels[r] === c);
    return Array.from({ length: dim }, (__, i) =>
      sum(own.map((row) => row[i]!)).over(new Fraction(BigInt(own.length))),
    );
  });
  const centered = rows.map((row, r) => row.map((x, i) => x.minus(means[labels[r]!]![i]!)));
  const tied = (i: number, j: number) =>
    sum(centered.map((row) => row[i]!.times(row[j]!))).over(new Fraction(BigInt(rows.length)));
  const raw = Array.from({ length: dim * dim }, (_, at) => tied(Math.floor(at / dim), at % dim));
  const trace = sum(raw.filter((_, at) => Math.floor(at / dim) === at % dim)).over(new Fraction(BigInt(dim)));
  const covariance = raw.map((c, at) => {
    const kept = new Fraction(1n).minus(s).times(c);
    return Math.floor(at / dim) === at % dim ? kept.plus(s.times(trace)) : kept;
  });
  return { means: means.flat(), covariance };
}

/** The squared distance from each class, by Gaussian elimination of Σ·y = f − μ: no factor, no double. */
export function mahalanobisOracle(
  feature: ArrayLike<number>,
  { means, covariance }: { means: Float64Array; covariance: Float64Array },
): Fraction[] {
  const dim = feature.length;
  return Array.from({ length: means.length / dim }, (_, c) => {
    const difference = Array.from({ length: dim }, (__, i) =>
      fractionOf(feature[i]!).minus(fractionOf(means[c * dim + i]!)),
    );
    const rows = difference.map((d, i) => [
      ...Array.from({ length: dim }, (__, j) => fractionOf(covariance[i * dim + j]!)),
      d,
    ]);
    for (let p = 0; p < dim; p++) {
      for (let r = 0; r < dim; r++) {
        if (r === p) continue;
        const factor = rows[r]![p]!.over(rows[p]![p]!);
        for (let j = p; j <= dim; j++) rows[r]![j] = rows[r]![j]!.minus(factor.times(rows[p]![j]!));
      }
    }
    return sum(difference.map((d, i) => d.times(rows[i]![dim]!.over(rows[i]![i]!))));
  });
}
