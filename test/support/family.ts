/** The kernels of the logarithmic operators and of softmaxBackward, one backend's, called as the library calls them. */
import type { BackwardKernel, CrossEntropyKernel, SoftmaxKernel } from '../../lib/backend/backend.js';
import type { BackendName } from '../../lib/backend/backend.js';
import { backendNamed } from '../../lib/backend/named.js';
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

function shapeOf(x: Floats, { inner = 1, cols = x.length / inner, outer = cols ? x.length / cols / inner : 0, temperature = 1 }: FamilyOptions) {
  return [outer, cols, inner, temperature] as const;
}

export function logSoftmaxOn(name: BackendName, x: Floats, options: FamilyOptions = {}, out = like(x)): Floats {
  const run = backendNamed(name)[`log_softmax_${typeOf(x)}`] as SoftmaxKernel<Floats>;
  run(x, out, ...shapeOf(x, options), options.mask ?? null, options.maskLayout ?? 0, options.bias ?? null);
  return out;
}

export function logSumExpOn(name: BackendName, x: Floats, options: FamilyOptions = {}): Float64Array {
  const [outer, , inner] = shapeOf(x, options);
  const out = new Float64Array(outer * inner);
  const run = backendNamed(name)[`log_sum_exp_${typeOf(x)}`] as SoftmaxKernel<Floats, Float64Array>;
  run(x, out, ...shapeOf(x, options), options.mask ?? null, options.maskLayout ?? 0, options.bias ?? null);
  return out;
}

export function crossEntropyOn(name: BackendName, x: Floats, targets: ArrayLike<number>, options: FamilyOptions = {}, gradient = like(x)) {
  const loss = new Float64Array(targets.length);
  const run = backendNamed(name)[`cross_entropy_${typeOf(x)}`] as CrossEntropyKernel<Floats>;
  run(x, Int32Array.from(targets), loss, gradient, ...shapeOf(x, options), options.mask ?? null, options.maskLayout ?? 0, options.bias ?? null);
  return { loss, gradient };
}

export function backwardOn(name: BackendName, y: Floats, dy: Floats, options: FamilyOptions = {}, out = like(y)): Floats {
  const run = backendNamed(name)[`softmax_backward_${typeOf(y)}`] as BackwardKernel<Floats>;
  run(y, dy, out, ...shapeOf(y, options), options.mask ?? null, options.maskLayout ?? 0);
  return out;
}
