/**
 * Random numbers: Philox4x32-10 (Salmon, Moraes, Dror & Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011),
 * a bijection on 128-bit counters.
 *
 *     key = seed (64 bits)      counter = (draw, element or pair of elements; row; step; purpose)
 *
 * Two words a, b of a block make u = (k + ½) · 2^-52 with the 52-bit k = a · 2^20 + (b >> 12): in (0, 1), and never 0
 * or 1.
 */

/** The fourth word of the counter; its upper 24 bits count the attempts of a rejection method. */
export const PURPOSE = { token: 0, gumbel: 1, gamma: 2, margin: 3, member: 4, xtc: 5, draft: 6 } as const;

/** The four words of a counter, and then of its random block. */
export const block = new Uint32Array(4);

/** The upper word of a product of 32-bit numbers. */
function highProduct(a: number, b: number): number {
  const [al, ah, bl, bh] = [a & 0xffff, a >>> 16, b & 0xffff, b >>> 16];
  const middle = ah * bl + ((al * bl) >>> 16);
  return ah * bh + Math.floor(middle / 0x10000) + (((middle & 0xffff) + al * bh) >>> 16);
}

/** The two words of a key. */
export type Key = readonly [low: number, high: number];

/** Replaces the counter in `block` by its random block. */
export function philox(key: Key): void {
  let [c0, c1, c2, c3] = [block[0]!, block[1]!, block[2]!, block[3]!];
  let [key0, key1] = key;
  for (let round = 0; round < 10; round++) {
    const high0 = highProduct(0xd2511f53, c0);
    const high1 = highProduct(0xcd9e8d57, c2);
    const low0 = Math.imul(0xd2511f53, c0);
    const low1 = Math.imul(0xcd9e8d57, c2);
    c0 = (high1 ^ c1 ^ key0) >>> 0;
    c1 = low1 >>> 0;
    c2 = (high0 ^ c3 ^ key1) >>> 0;
    c3 = low0 >>> 0;
    key0 = (key0 + 0x9e3779b9) >>> 0;
    key1 = (key1 + 0xbb67ae85) >>> 0;
  }
  block[0] = c0;
  block[1] = c1;
  block[2] = c2;
  block[3] = c3;
}

/** Two words as a number in (0, 1). */
export const uniformOf = (a: number, b: number): number => (a * 2 ** 20 + (b >>> 12) + 0.5) * 2 ** -52;
