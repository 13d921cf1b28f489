/** linear_append and linear_query in double: the sums of native/attention/linear_append.h in the same order. */
import type { BackendOf } from '../../backend/backend.js';
import type { Kernel } from '../../backend/operators.js';
import { exp } from '../../math/exp.js';
import {
  ELU,
  EXP,
  IDENTITY,
  INJECTIVE,
  MAGNITUDE_AWARE,
  MAGNITUDE_AWARE_PAPER,
  SUM,
} from '../../attention/linear-options.js';

/** e^z in double: ∞ above the range, 0 below 2^-1020. */
function exponential(z: number): number {
  if (z !== z) return z;
  if (z > 709.782712893384) return Infinity;
  if (z < -707) return 0;
  return Math.abs(z) <= 700 ? exp(z) : exp(z / 2) ** 2;
}

/** φ of n floats from x[at] on, into out. */
function mapFeatures(feature: number, scale: number, x: Float32Array, at: number, out: Float64Array): void {
  for (let i = 0; i < out.length; i++) {
    const z = x[at + i]! * scale;
    if (feature === IDENTITY) out[i] = z;
    else if (feature === EXP) out[i] = exponential(z);
    else if (feature === ELU) out[i] = z < 0 ? exponential(z) : z + 1;
    else out[i] = z < 0 ? 0 : z;
  }
}

const append: Kernel<'linear_append', never> = (
  sums,
  k,
  v,
  out,
  tokens,
  heads,
  depth,
  valueDepth,
  feature,
  featureScale,
) => {
  const length = depth * valueDepth + depth + valueDepth;
  const phi = new Float64Array(depth);
  if (out !== sums) out.set(sums.subarray(0, heads * length));
  for (let head = 0; head < heads; head++) {
    const products = head * length;
    const features = products + depth * valueDepth;
    for (let t = head * tokens; t < (head + 1) * tokens; t++) {
      mapFeatures(feature, featureScale, k, t * depth, phi);
      const from = t * valueDepth;
      for (let i = 0; i < depth; i++) {
        const weight = phi[i]!;
        const row = products + i * valueDepth;
        out[features + i]! += weight;
        for (let j = 0; j < valueDepth; j++) out[row + j]! += weight * v[from + j]!;
      }
      for (let j = 0; j < valueDepth; j++) out[features + depth + j]! += v[from + j]!;
    }
  }
};

/** The factors a and b of a · φ(q)·S + b · Σ v. `isMean`: φ(q)·S does not count. */
interface Affine {
  readonly a: number;
  readonly b: number;
  readonly isMean?: boolean;
}

/** A z of 0 (normalized: a divisor of 0) gives the mean of v, one that is not finite NaN, and no keys 0. */
function factors(z: number, keys: number, form: number, scale: number, epsilon: number): Affine {
  if (!(keys > 0)) return { a: 0, b: 0, isMean: true };
  if (form === SUM) return { a: 1, b: 0 };
  if (!(Math.abs(z) < Infinity)) return { a: NaN, b: 0 };
  const scaled = (scale * z) / keys;
  if (form === INJECTIVE) return { a: scale / keys, b: (1 - scaled) / keys };
  const divisor = form === MAGNITUDE_AWARE ? scaled : form === MAGNITUDE_AWARE_PAPER ? z : z + epsilon;
  if (divisor === 0) return { a: 0, b: 1 / keys, isMean: true };
  if (form === MAGNITUDE_AWARE) return { a: (scale / keys) * (1 + 1 / (scaled + epsilon)), b: -scaled / keys };
  if (form === MAGNITUDE_AWARE_PAPER) return { a: 1 + 1 / (z + epsilon), b: -z / keys };
  return { a: 1 / (z + epsilon), b: 0 };
}

const query: Kernel<'linear_query', never> = (
  q,
  sums,
  out,
  queries,
  heads,
  depth,
  valueDepth,
  feature,
  featureScale,
  keys,
  form,
  scale,
  epsilon,
) => {
  const length = depth * valueDepth + depth + valueDepth;
  const phi = new Float64Array(depth);
  const result = new Float64Array(valueDepth);
  for (let m = 0; m < heads * queries; m++) {
    const products = Math.floor(m / queries) * length;
    const features = products + depth * valueDepth;
    mapFeatures(feature, featureScale, q, m * depth, phi);
    result.fill(0);
    let z = 0;
    for (let i = 0; i < depth; i++) {
      const weight = phi[i]!;
      const row = products + i * valueDepth;
      z += weight * sums[features + i]!;
      for (let j = 0; j < valueDepth; j++) result[j]! += weight * sums[row + j]!;
    }
    const { a, b, isMean } = factors(z, keys, form, scale, epsilon);
    for (let j = 0; j < valueDepth; j++) {
      const mean = b === 0 ? 0 : b * sums[features + depth + j]!;
      out[m * valueDepth + j] = isMean ? mean : a * result[j]! + mean;
    }
  }
};

export const linearKernels: BackendOf<'linear_append' | 'linear_query'> = {
  name: 'js',
  linear_append_f32: append,
  linear_query_f32: query,
};
