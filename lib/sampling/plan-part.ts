/** Some rows of a call of sample, as a call of its own with results of its own. */
import { viewOf } from '../call/arrays.js';
import type { CheckedFilters, Mirostat } from './filters.js';
import { RowNumbers } from './per-row.js';
import type { Rows } from './rows.js';
import type { Plan } from './sample-plan.js';

const numbersOf = <T>(numbers: RowNumbers<T>, first: number, end: number): RowNumbers<T> =>
  numbers.each === undefined
    ? numbers
    : new RowNumbers(numbers.name, numbers.each[first]!, numbers.each.slice(first, end));

function mirostatOf(mirostat: Mirostat | undefined, first: number, end: number): Mirostat | undefined {
  if (mirostat === undefined) return undefined;
  const { version, tau, eta, mu } = mirostat;
  return {
    version,
    tau: numbersOf(tau, first, end),
    eta: numbersOf(eta, first, end),
    mu: mu && numbersOf(mu, first, end),
  };
}

/** The filters of the rows [first, end). */
function filtersOf(filters: CheckedFilters, first: number, end: number): CheckedFilters {
  const part: Record<string, unknown> = { ...filters, mirostat: mirostatOf(filters.mirostat, first, end) };
  for (const [name, value] of Object.entries(filters)) {
    if (value instanceof RowNumbers) part[name] = numbersOf(value as RowNumbers, first, end);
  }
  return part as unknown as CheckedFilters;
}

/** The rows [first, first + call.rows) of a plan with one draw. Rows without an answer are marked. */
export function partOfPlan(plan: Plan, first: number, call: Rows): Plan {
  const { rows } = call;
  return {
    ...plan,
    call,
    filters: filtersOf(plan.filters, first, first + rows),
    uniforms: viewOf(plan.uniforms, first, first + rows),
    drawsOf: (row) => plan.drawsOf(first + row),
    tokens: new Uint32Array(rows),
    status: new Int32Array(rows),
    mu: new Float64Array(plan.mu.length === 0 ? 0 : rows),
    marks: true,
  };
}
