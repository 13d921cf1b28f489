/** The operators of this family by their definitions, in double-double arithmetic: one row of finite numbers each. */
import { add, addNumber, divide, expDD, multiply, multiplyNumber, twoSum, type DD } from '../../lib/cli/oracle.js';
import { log1pDD, ZERO } from '../softmax/log-oracle.js';

export const dd = (hi: number, lo = 0): DD => ({ hi, lo });
export const negative = (a: DD): DD => ({ hi: -a.hi, lo: -a.lo });
export const subtract = (a: DD, b: DD): DD => add(a, negative(b));
export const ONE = dd(1);
export const total = (terms: readonly DD[]): DD => terms.reduce(add, ZERO);

/** √a by Newton's method. */
export function rootDD(a: DD): DD {
  if (a.hi === 0) return ZERO;
  let root = dd(Math.sqrt(a.hi));
  for (let i = 0; i < 2; i++) root = multiplyNumber(add(root, divide(a, root)), 0.5);
  return root;
}

/** 1 / (1 + exp(−z)) without cancellation. */
export function sigmoidDD(z: DD): DD {
  const e = expDD(z.hi > 0 ? negative(z) : z);
  return divide(z.hi > 0 ? ONE : e, addNumber(e, 1));
}

/** ln(1 + exp(z)). */
export function softplusDD(z: DD): DD {
  return z.hi > 0 ? add(z, log1pDD(expDD(negative(z)))) : log1pDD(expDD(z));
}

/** Logits with a bias. */
export const sumsOf = (x: ArrayLike<number>, bias?: ArrayLike<number>): DD[] =>
  Array.from(x, (v, i) => twoSum(v, bias?.[i] ?? 0));

/** Σ_{k ≤ n} z^k / k! over its sum. */
export function taylorOracle(z: readonly DD[], order: number, temperature = 1): DD[] {
  const terms = z.map((logit) => {
    const v = divide(logit, dd(temperature));
    let [sum, power] = [ONE, ONE];
    for (let k = 1; k <= order; k++) {
      power = divide(multiply(power, v), dd(k));
      sum = add(sum, power);
    }
    return sum;
  });
  const sum = total(terms);
  return terms.map((term) => divide(term, sum));
}

export function zLossOf(o: readonly DD[], target: number, a: number, b: number): DD {
  const n = o.length;
  const mean = divide(total(o), dd(n));
  const std = rootDD(divide(total(o.map((v) => multiply(subtract(v, mean), subtract(v, mean)))), dd(n)));
  const z = std.hi === 0 ? ZERO : divide(subtract(o[target]!, mean), std);
  return divide(softplusDD(multiplyNumber(subtract(dd(b), z), a)), dd(a));
}

/** ∂f/∂o[k] by central differences, with an error of h⁴: the oracle is good to 2^-95. */
export function slopeOf(f: (o: readonly DD[]) => DD, o: readonly DD[], k: number, h: number): number {
  const at = (step: number): DD => f(o.map((v, i) => (i === k ? addNumber(v, step) : v)));
  const near = subtract(at(h), at(-h));
  const far = subtract(at(2 * h), at(-2 * h));
  return divide(subtract(multiplyNumber(near, 8), far), dd(12 * h)).hi;
}

/** σ(α (x + t)) with Σ = k: t by bisection and a last step of Newton's method. */
export function softTopKOracle(x: readonly DD[], k: number, alpha: number): DD[] {
  const places = x.map((v) => multiplyNumber(v, alpha));
  const at = (s: DD): DD[] => places.map((z) => sigmoidDD(add(z, s)));
  const edge = Math.log(k / (x.length - k));
  let low = dd(edge - Math.max(...places.map(({ hi }) => hi)) - 1e-6);
  let high = dd(edge - Math.min(...places.map(({ hi }) => hi)) + 1e-6);
  const excess = (p: readonly DD[]): DD => addNumber(total(p), -k);
  for (let i = 0; i < 60; i++) {
    const middle = multiplyNumber(add(low, high), 0.5);
    if (excess(at(middle)).hi > 0) high = middle;
    else low = middle;
  }
  let s = low;
  for (let i = 0; i < 3; i++) {
    const p = at(s);
    s = subtract(s, divide(excess(p), total(p.map((each) => multiply(each, subtract(ONE, each))))));
  }
  return at(s);
}
