/** The losses of a target's −ln p that row_loss takes: native/losses/cross_entropy.h has the formulas. */
import { exp } from '../../math/exp.js';
import { log1p } from '../../math/log.js';

type Floats = Float32Array | Float64Array;

/** The kinds of f, as native/softmax/log_loss_terms.h numbers them. */
const COMP_SUM = 1;
const FOCAL = 2;

/** The numbers of a call beside logits and targets. */
export interface Terms {
  readonly soft: Floats | null;
  readonly weight: Float64Array | null;
  readonly given: Float64Array | null;
  readonly kind: number;
  readonly parameter: number;
  readonly smoothing: number;
  readonly penalty: number;
  readonly scale: number;
}

/** f(D), and f′(D) as factor · more: the product may overflow where a gradient does not. */
interface LossOfTarget {
  readonly loss: number;
  readonly factor: number;
  readonly more: number;
}

/** exp(v): +∞ above the range, 0 below. */
export function expOf(v: number): number {
  if (!(v < 720)) return v * Infinity;
  if (v < -750) return 0;
  const root = exp(v / 2);
  return root * root;
}

/** exp(v) − 1. */
function expMinusOne(v: number): number {
  if (!(v > -0.5 && v < 0.5)) return expOf(v) - 1;
  let sum = 0;
  for (let k = 18; k > 0; k--) sum = ((sum + 1) * v) / k;
  return sum;
}

export function lossOfTarget({ kind, parameter }: Terms, D: number, others: number, whole: number): LossOfTarget {
  if (kind === COMP_SUM) {
    const power = 1 - parameter;
    if (power === 0) return { loss: D, factor: 1, more: 1 };
    const h = power * D;
    const loss = expMinusOne(h) / power;
    if (!(h > 700)) return { loss, factor: expOf(h), more: 1 };
    const root = exp(h < 1400 ? h / 2 : 700);
    return { loss, factor: root, more: root };
  }
  if (kind === FOCAL && parameter !== 0) {
    const missed = others / whole;
    if (!(missed > 0)) return { loss: missed * 0, factor: missed * 0, more: 1 };
    const power = expOf(-parameter * log1p((whole - others) / others, 0)[0]);
    const p = (whole - others) / whole;
    return { loss: power * D, factor: power * (1 + (p > 0 ? parameter * p * (D / missed) : 0)), more: 1 };
  }
  return { loss: D, factor: 1, more: 1 };
}
