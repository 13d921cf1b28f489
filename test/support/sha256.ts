/** SHA-256 (FIPS 180-4) in place of node:crypto in a page, as far as the corpus uses that. */

const isPrime = (n: number): boolean => {
  for (let i = 2; i * i <= n; i++) if (n % i === 0) return false;
  return true;
};
const PRIMES = Array.from({ length: 312 }, (_, i) => i)
  .filter((n) => n > 1 && isPrime(n))
  .slice(0, 64);
/** The first 32 bits behind the point. */
const fraction = (x: number): number => Math.floor((x % 1) * 2 ** 32) | 0;
const CONSTANTS = Int32Array.from(PRIMES, (prime) => fraction(Math.cbrt(prime)));
const START = PRIMES.slice(0, 8).map((prime) => fraction(Math.sqrt(prime)));

const turn = (x: number, n: number): number => (x >>> n) | (x << (32 - n));
const words = new Int32Array(64);
const around = new Int32Array(8);

function addBlock(state: Int32Array, block: DataView, at: number): void {
  for (let i = 0; i < 16; i++) words[i] = block.getInt32(at + 4 * i);
  for (let i = 16; i < 64; i++) {
    const x = words[i - 15]!;
    const y = words[i - 2]!;
    const early = turn(x, 7) ^ turn(x, 18) ^ (x >>> 3);
    const late = turn(y, 17) ^ turn(y, 19) ^ (y >>> 10);
    words[i] = (words[i - 16]! + early + words[i - 7]! + late) | 0;
  }
  // The eight words go around in place of moving: word k of step i stands at (k − i) mod 8.
  around.set(state);
  for (let i = 0; i < 64; i++) {
    const a = around[-i & 7]!;
    const e = around[(4 - i) & 7]!;
    const choice = (e & around[(5 - i) & 7]!) ^ (~e & around[(6 - i) & 7]!);
    const majority =
      (a & around[(1 - i) & 7]!) ^ (a & around[(2 - i) & 7]!) ^ (around[(1 - i) & 7]! & around[(2 - i) & 7]!);
    const last = (7 - i) & 7;
    const first = (around[last]! + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + choice + CONSTANTS[i]! + words[i]!) | 0;
    around[(3 - i) & 7]! += first;
    around[last] = (first + (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + majority) | 0;
  }
  for (let i = 0; i < 8; i++) state[i]! += around[i]!;
}

/** The bytes, a one, zeros, and the number of bits in eight bytes. */
function padded(chunks: readonly Uint8Array[]): DataView {
  const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  const all = new Uint8Array(Math.ceil((length + 9) / 64) * 64);
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  all[length] = 0x80;
  const view = new DataView(all.buffer);
  view.setBigUint64(all.length - 8, BigInt(length) * 8n);
  return view;
}

export function createHash(_algorithm: 'sha256') {
  const chunks: Uint8Array[] = [];
  return {
    update: (bytes: Uint8Array): unknown => chunks.push(bytes.slice()),
    digest(_encoding: 'hex'): string {
      const state = Int32Array.from(START);
      const blocks = padded(chunks);
      for (let at = 0; at < blocks.byteLength; at += 64) addBlock(state, blocks, at);
      return Array.from(state, (word) => (word >>> 0).toString(16).padStart(8, '0')).join('');
    },
  };
}
