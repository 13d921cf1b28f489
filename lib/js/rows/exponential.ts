/** e^x of one number after the other, where no row is in `cells`. */
import { LN2, LN2_LOW, rootsOfTwo, split, STEP_BITS, STEPS } from '../../math/powers.js';

/** Makes e^x for x ≤ 0, 0 from −708 on. Max error: some ULP. */
function exponential(): (x: number) => number {
  const { high: roots, low: rootsLow } = rootsOfTwo();
  const octave = new Float64Array(1024).fill(1);
  for (let i = 1; i < octave.length; i++) octave[i] = octave[i - 1]! / 2;
  const [stepHigh, rest] = split(LN2 / STEPS);
  const stepLow = rest + LN2_LOW / STEPS;
  return (x) => {
    if (!(x > -708)) return x !== x ? x : 0;
    const steps = Math.round((x * STEPS) / LN2);
    const t = x - steps * stepHigh - steps * stepLow;
    const whole = -(steps >> STEP_BITS);
    const root = steps & (STEPS - 1);
    const expMinus1 = t + t * t * (1 / 2 + t * (1 / 6 + t * (1 / 24)));
    return (roots[root]! + (rootsLow[root]! + (roots[root]! + rootsLow[root]!) * expMinus1)) * octave[whole]!;
  };
}

export const exponentialOf = /* @__PURE__ */ exponential();
