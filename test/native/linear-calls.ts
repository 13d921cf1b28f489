/** A right call of each operator of linear attention, for contract.test.ts. */
import type { OperatorArguments } from '../../lib/backend/operators.js';

const floats = (n: number) => new Float32Array(n).fill(0.5);
const [heads, depth, valueDepth] = [2, 3, 5];
const shape = { heads, depth, valueDepth, feature: 0, featureScale: 1 };
const length = heads * (depth * valueDepth + depth + valueDepth);

export const linearCalls: Pick<OperatorArguments, 'linear_append' | 'linear_query'> = {
  linear_append: {
    sums: new Float64Array(length),
    k: floats(heads * 4 * depth),
    v: floats(heads * 4 * valueDepth),
    out: new Float64Array(length),
    tokens: 4,
    ...shape,
  },
  linear_query: {
    q: floats(heads * 6 * depth),
    sums: new Float64Array(length).fill(1),
    out: floats(heads * 6 * valueDepth),
    queries: 6,
    ...shape,
    keys: 4,
    form: 0,
    scale: 0.5,
    epsilon: 0,
  },
};
