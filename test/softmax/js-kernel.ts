/** The softmax of the JavaScript backend, called with defaults for all but x. */
import { expect } from 'vitest';
import { MASK_NONE, type SoftmaxKernel } from '../../lib/backend/backend.js';
import { js } from '../../lib/js/index.js';
import { firstDifference, type Floats } from '../support/cases.js';
import type { FamilyOptions } from '../support/family.js';

export const BOUND = 0.51;

export interface Call extends FamilyOptions {
  out?: Floats;
}

export function softmax(x: Floats, call: Call = {}): Floats {
  const { cols = x.length, inner = 1, temperature = 1, mask = null, maskLayout = MASK_NONE, bias = null } = call;
  const { outer = x.length / (cols * inner), out = x.slice() } = call;
  const run = (x instanceof Float32Array ? js.softmax_f32 : js.softmax_f64) as SoftmaxKernel<Floats>;
  run(x, out, outer, cols, inner, temperature, mask, maskLayout, bias);
  return out;
}

export function expectSameBits(actual: Floats, wanted: Floats, what: string): void {
  const at = firstDifference(actual, wanted);
  if (at >= 0) expect.fail(`${what}: first difference in word ${at} of ${actual.length} elements`);
}
