/** A right call of each operator of losses, which contract.test.ts breaks. */
import type { OperatorArguments } from '../../lib/backend/operators.js';
import { cols, elements, floats, inner, outer, rows } from './contract-rows.js';

const targets = () => new Int32Array(outer * inner);
const losses = () => new Float64Array(outer * inner);

export const lossCalls = {
  cross_entropy: {
    x: floats(elements),
    targets: targets(),
    loss: losses(),
    gradient: floats(elements),
    ...rows,
  },
  row_loss: {
    x: floats(elements),
    targets: targets(),
    soft: floats(elements),
    weight: new Float64Array(cols).fill(1),
    given: new Float64Array(2 * outer * inner),
    loss: losses(),
    gradient: floats(elements),
    kind: 0,
    parameter: 0,
    smoothing: 0.1,
    lsePenalty: 0.01,
    scale: 2,
    ...rows,
  },
  stable_max: { x: floats(elements), out: floats(elements), ...rows },
  log_stable_max: { x: floats(elements), out: floats(elements), ...rows },
  stable_max_loss: {
    x: floats(elements),
    targets: targets(),
    loss: losses(),
    gradient: floats(elements),
    scale: 2,
    ...rows,
  },
  taylor_softmax: { x: floats(elements), out: floats(elements), order: 4, ...rows },
  z_loss: {
    x: floats(elements),
    targets: targets(),
    loss: losses(),
    gradient: floats(elements),
    a: 1,
    b: 1,
    ...rows,
  },
  soft_top_k: {
    x: floats(elements),
    out: floats(elements),
    status: new Int32Array(outer * inner),
    k: 2,
    alpha: 1,
    ...rows,
  },
  soft_top_k_backward: {
    p: floats(elements),
    dp: floats(elements),
    out: floats(elements),
    alpha: 1,
    outer,
    cols,
    inner,
  },
  safe_step_radius: { x: floats(elements), out: losses(), reach: 3, ...rows },
} satisfies Partial<OperatorArguments>;
