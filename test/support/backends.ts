/** The backends of this machine, each callable by name. */
import type { BackendName, SoftmaxKernel } from '../../lib/backend/backend.js';
import { backendNamed } from '../../lib/backend/named.js';
import { availableBackends } from '../../lib/backend/choice.js';
import type { Floats } from './cases.js';

export const backends: readonly BackendName[] = availableBackends();

/** Whether a backend gives the native bits: the addon's instruction sets do, and WebAssembly. */
export const isNative = (name: string): boolean => name !== 'js';
export const sameBitBackends: readonly BackendName[] = backends.filter(isNative);

/** The instruction sets of the addon. */
export const nativeBackends: readonly BackendName[] = sameBitBackends.filter((name) => name !== 'wasm');

export interface SoftmaxOptions<A extends Floats> {
  out?: A;
  cols?: number;
  temperature?: number;
  mask?: Uint8Array;
  /** 1 bytes for each element, 2 bytes of one row for all, 3 bits for each element, 4 bits of one row for all. */
  maskLayout?: number;
  bias?: A;
}

/** Calls one backend's kernel as the library does. */
export function softmaxOn<A extends Floats>(name: BackendName, x: A, options: SoftmaxOptions<A> = {}): A {
  const { out = new (x.constructor as new (n: number) => A)(x.length), cols = x.length, temperature = 1 } = options;
  const { mask = null, maskLayout = 0, bias = null } = options;
  const outer = cols === 0 ? 0 : x.length / cols;
  const backend = backendNamed(name);
  const run = (x instanceof Float32Array ? backend.softmax_f32 : backend.softmax_f64) as SoftmaxKernel<Floats>;
  run(x, out, outer, cols, 1, temperature, mask, maskLayout, bias);
  return out;
}
