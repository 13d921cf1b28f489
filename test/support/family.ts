/** One backend's kernels of the softmax family, called as the library calls them. */
import type {
  BackendName,
  BackwardKernel,
  CrossEntropyKernel,
  ExpSumKernel,
  NormalizeKernel,
  SoftmaxKernel,
} from '../../lib/backend/backend.js';
import { backendNamed } from '../../lib/backend/named.js';
import type { ExpSums } from '../../lib/index.js';
import type { Floats, FloatsName } from './cases.js';

export interface FamilyOptions {
  outer?: number;
  cols?: number;
  inner?: number;
  temperature?: number;
  mask?: Uint8Array;
  maskLayout?: number;
  bias?: Floats;
}

const like = (x: Floats) => new (x.constructor as new (n: number) => Floats)(x.length);
const typeOf = (x: Floats): FloatsName => (x instanceof Float32Array ? 'f32' : 'f64');

/** Sizes that are not given follow from the others; without any, x is one row. */
function shapeOf(x: Floats, { inner = 1, temperature = 1, ...given }: FamilyOptions) {
  const cols = given.cols ?? x.length / inner / (given.outer ?? 1);
  const outer = given.outer ?? (cols ? x.length / cols / inner : 0);
  return [outer, cols, inner, temperature] as const;
}

/** The last arguments of a kernel on logits. */
const dressOf = ({ mask, maskLayout, bias }: FamilyOptions) => [mask ?? null, maskLayout ?? 0, bias ?? null] as const;

export function logSoftmaxOn(name: BackendName, x: Floats, options: FamilyOptions = {}, out = like(x)): Floats {
  const run = backendNamed(name)[`log_softmax_${typeOf(x)}`] as SoftmaxKernel<Floats>;
  run(x, out, ...shapeOf(x, options), ...dressOf(options));
  return out;
}

export function logSumExpOn(name: BackendName, x: Floats, options: FamilyOptions = {}): Float64Array {
  const [outer, , inner] = shapeOf(x, options);
  const out = new Float64Array(outer * inner);
  const run = backendNamed(name)[`log_sum_exp_${typeOf(x)}`] as SoftmaxKernel<Floats, Float64Array>;
  run(x, out, ...shapeOf(x, options), ...dressOf(options));
  return out;
}

export function crossEntropyOn(
  name: BackendName,
  x: Floats,
  targets: ArrayLike<number>,
  options: FamilyOptions = {},
  gradient = like(x),
) {
  const loss = new Float64Array(targets.length);
  const run = backendNamed(name)[`cross_entropy_${typeOf(x)}`] as CrossEntropyKernel<Floats>;
  run(x, Int32Array.from(targets), loss, gradient, ...shapeOf(x, options), ...dressOf(options));
  return { loss, gradient };
}

export function backwardOn(
  name: BackendName,
  y: Floats,
  dy: Floats,
  options: FamilyOptions = {},
  out = like(y),
): Floats {
  const run = backendNamed(name)[`softmax_backward_${typeOf(y)}`] as BackwardKernel<Floats>;
  run(y, dy, out, 0, ...shapeOf(y, options), options.mask ?? null, options.maskLayout ?? 0);
  return out;
}

export function expSumOn(name: BackendName, x: Floats, options: FamilyOptions = {}): ExpSums {
  const [outer, , inner] = shapeOf(x, options);
  const state = { mantissa: new Float64Array(outer * inner), exponent: new Int32Array(outer * inner) };
  const run = backendNamed(name)[`exp_sum_${typeOf(x)}`] as ExpSumKernel<Floats>;
  run(x, state.mantissa, state.exponent, ...shapeOf(x, options), ...dressOf(options));
  return state;
}

export function normalizeOn<A extends Floats>(
  name: BackendName,
  x: A,
  { mantissa, exponent }: ExpSums,
  options: FamilyOptions = {},
  out = like(x),
): A {
  const run = backendNamed(name)[`normalize_${typeOf(x)}`] as NormalizeKernel<Floats>;
  run(x, out, mantissa, exponent, ...shapeOf(x, options), ...dressOf(options));
  return out as A;
}
