/** Expects numbers to be within a bound of exact ones. */
import { expect } from 'vitest';
import type { DD } from '../../lib/cli/oracle.js';
import { ulpError } from '../../lib/cli/oracle.js';
import { type FloatsName } from '../support/cases.js';

export function expectNear(
  actual: number,
  { hi, lo }: DD,
  type: FloatsName,
  most: number,
  what: string,
  slack = 0,
): void {
  if (Math.abs(actual - hi) <= slack) return;
  if (type === 'f32' && Math.abs(hi) > 3.402823567e38 && actual === (hi < 0 ? -Infinity : Infinity)) return;
  const error = ulpError(actual, hi, lo, type);
  if (!(error <= most)) expect.fail(`${what}: ${actual}, exact ${hi}: ${error} ULP`);
}
