/** ln and exp with the same bits on every machine: Math.log and Math.exp differ from one JavaScript engine to the next. */
import { powerOfTwo } from '../math/extended.js';
import { octavesOf, rootOfTwo } from '../js/math/powers.js';

const LN2_HIGH = 0x162e42fee / 2 ** 33; // 32 bits, so that its product with a small integer is exact
const LN2_LOW = 1.9082149292705877e-10;

const number = new Float64Array(1);
const words = new Uint32Array(number.buffer); // the upper one is the second, on every machine that Node runs on

/** ln x to about an ULP; −∞ for 0, NaN below. x = 2^n (1 + f) with 1 + f in [√½, √2], h = f / (2 + f), ln(1 + f) = 2 (h + h³/3 + …). */
export function ln(x: number): number {
  if (!(x > 0 && x < Infinity)) return x === 0 ? -Infinity : x === Infinity ? x : NaN;
  let n = 0;
  number[0] = x;
  if (words[1]! < 0x100000) { // subnormal
    number[0] = x * 2 ** 54;
    n = -54;
  }
  n += (words[1]! >>> 20) - 1023;
  words[1] = (words[1]! & 0xfffff) | 0x3ff00000;
  if (number[0]! > Math.SQRT2) {
    number[0]! /= 2;
    n++;
  }
  const f = number[0]! - 1;
  const h = f / (2 + f);
  const z = h * h;
  // |h| ≤ 0.172: the first term left out, 2 h²³ / 23, is below 2^-60 of the result.
  let p = 2 / 21;
  for (let k = 19; k >= 3; k -= 2) p = p * z + 2 / k;
  return n * LN2_HIGH + (2 * h + (h * z * p + n * LN2_LOW));
}

/** e^x to some ULP, for x from −700 to 700. */
export function exp(x: number): number {
  const { whole, fraction } = octavesOf(x, 0, 1);
  return rootOfTwo(fraction) * powerOfTwo(whole);
}
