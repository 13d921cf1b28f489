/**
 * A plain reference of the filters in any order: the published formulas in double, with Math.exp and sorts. It returns
 * undefined where a decision is so close that rounding may turn it.
 */
import type { FilterName, FilterOptions } from '../../lib/sampling/filter-options.js';

export interface ReferenceOptions extends FilterOptions<Float32Array> {
  mirostat?: { version: 1 | 2; mu: number };
  /** The random number of xtc. */
  chance?: number;
}

export interface Kept {
  /** The tokens that are left, in order of index, and their probabilities. */
  readonly tokens: readonly number[];
  readonly p: readonly number[];
}

class Close extends Error {}

/** a ≥ b, unless they are so close that it is uncertain. */
function atLeast(a: number, b: number): boolean {
  if (a !== b && Math.abs(a - b) <= 1e-9 * Math.max(Math.abs(a), Math.abs(b))) throw new Close();
  return a >= b;
}

interface Token {
  readonly index: number;
  /** The logit over the temperature so far. */
  z: number;
}

class Reference {
  tokens: Token[];
  readonly #options: ReferenceOptions;
  readonly #cols: number;

  constructor(logits: ArrayLike<number>, options: ReferenceOptions) {
    this.#cols = logits.length;
    this.#options = options;
    this.tokens = Array.from(logits, (z, index) => ({ z, index })).filter(({ z }) => z > -Infinity);
    this.#sort();
  }

  #sort(): void {
    this.tokens.sort((a, b) => b.z - a.z || a.index - b.index);
  }

  get p(): number[] {
    const top = this.tokens[0]!.z;
    const weights = this.tokens.map(({ z }) => Math.exp(z - top));
    const sum = weights.reduce((a, b) => a + b, 0);
    return weights.map((w) => w / sum);
  }

  get entropy(): number {
    return this.p.reduce((sum, p) => sum - (p > 0 ? p * Math.log(p) : 0), 0);
  }

  get #fewest(): number {
    return (this.#options.minKeep as number | undefined) ?? 1;
  }

  #keep(count: number): void {
    this.tokens = this.tokens.slice(0, Math.max(count, this.#fewest));
  }

  /** The length of the prefix with a share. Tied tokens of one weight make every comparison certain or close. */
  #share(order: readonly Token[], share: number): number {
    const [p, all] = [this.p, this.tokens];
    let sum = 0;
    let kept = 0;
    do sum += p[all.indexOf(order[kept++]!)]!;
    while (kept < order.length && !atLeast(sum, share));
    return kept;
  }

  readonly apply: Record<FilterName, () => void> = {
    temperature: () => {
      const { temperature = 1, dynamicTemperature } = this.#options;
      let t = temperature as number;
      if (dynamicTemperature) {
        const [range, exponent] = [dynamicTemperature.range as number, (dynamicTemperature.exponent ?? 1) as number];
        if (this.tokens.length <= 1) return;
        const least = Math.max(0, t - range);
        t = least + (t + range - least) * (this.entropy / Math.log(this.tokens.length)) ** exponent;
      }
      if (t === 0) this.tokens.length = 1;
      else for (const token of this.tokens) token.z /= t;
    },
    topNSigma: () => {
      const n = this.#options.topNSigma as number;
      const all = this.tokens.map((token) => token.z);
      const largest = Math.max(...all.map(Math.abs));
      // Squares of the largest and of subnormal numbers are beyond the range of doubles.
      const scale = largest > 2 ** 500 ? 2 ** -600 : largest < 2 ** -400 ? 2 ** 600 : 1;
      const z = all.map((each) => each * scale);
      const mean = z.reduce((a, b) => a + b, 0) / z.length;
      const sigma = Math.sqrt(z.reduce((sum, each) => sum + (each - mean) ** 2, 0) / z.length);
      if (z.length > 1) this.#keep(z.filter((each) => each === z[0] || atLeast(each, z[0]! - n * sigma)).length);
    },
    topH: () => {
      const all = this.tokens;
      this.tokens = all.slice(0, 100);
      const terms = this.p.map((p) => (p > 0 ? -p * Math.log(p) : 0));
      const part = (this.#options.topH as number) * terms.reduce((a, b) => a + b, 0);
      let [sum, kept] = [terms[0]!, 1];
      while (kept < terms.length && !atLeast((sum += terms[kept]!), part)) kept++;
      this.tokens = all;
      this.#keep(kept);
    },
    topK: () => {
      this.tokens = this.tokens.slice(0, this.#options.topK as number);
    },
    topP: () => this.#keep(this.#share(this.tokens, this.#options.topP as number)),
    minP: () => {
      const [least, top] = [Math.log(this.#options.minP as number), this.tokens[0]!.z];
      this.#keep(this.tokens.filter(({ z }) => z === top || atLeast(z - top, least)).length);
    },
    typicalP: () => {
      const [p, { entropy }, all] = [this.p, this, this.tokens];
      const off = all.map((_, i) => Math.abs(-Math.log(p[i]!) - entropy));
      const order = all.map((token, i) => ({ token, off: off[i]! }));
      order.sort((a, b) => a.off - b.off || a.token.index - b.token.index);
      order.forEach((a, i) => {
        const b = order[i + 1];
        if (b && a.token.z !== b.token.z && b.off - a.off < 1e-9 * (1 + entropy)) throw new Close();
        // Equal logits have equal distances in the library; here rounding may part them.
        if (b && a.token.z === b.token.z && a.token.index > b.token.index) throw new Close();
      });
      const sorted = order.map(({ token }) => token);
      this.tokens = sorted.slice(0, Math.max(this.#share(sorted, this.#options.typicalP as number), this.#fewest));
      this.#sort();
    },
    epsilonCutoff: () => this.#likely(this.#options.epsilonCutoff as number),
    etaCutoff: () => {
      const epsilon = this.#options.etaCutoff as number;
      this.#likely(Math.min(epsilon, Math.sqrt(epsilon) * Math.exp(-this.entropy)));
    },
    xtc: () => {
      const { threshold, probability } = this.#options.xtc as { threshold: number; probability: number };
      if (!((this.#options.chance ?? 0) < probability) || threshold > 0.5) return;
      const likely = this.p.filter((p) => atLeast(p, threshold)).length;
      if (likely > 1 && this.tokens.length - likely + 1 >= this.#fewest) this.tokens = this.tokens.slice(likely - 1);
    },
    mirostat: () => {
      const { version, mu } = this.#options.mirostat!;
      if (version === 2) {
        this.tokens.length = Math.max(1, this.p.filter((p) => atLeast(p, 2 ** -mu)).length);
        return;
      }
      const z = this.tokens.slice(0, 100).map((token) => token.z);
      if (z.length < 2) return;
      let [products, squares] = [0, 0];
      for (let i = 0; i + 1 < z.length; i++) {
        const t = Math.log((i + 2) / (i + 1));
        products += t * (z[i]! - z[i + 1]!);
        squares += t * t;
      }
      const s = products / squares;
      const k = (((s - 1) * 2 ** mu) / (1 - this.#cols ** (1 - s))) ** (1 / s);
      if (Math.abs(k - Math.round(k)) < 1e-6 * k) throw new Close();
      this.tokens.length = Math.min(this.tokens.length, Math.max(1, Math.trunc(k)));
    },
  };

  #likely(least: number): void {
    const top = this.tokens[0]!.z;
    this.#keep(this.p.filter((p, i) => this.tokens[i]!.z === top || atLeast(p, least)).length);
  }
}

/** The tokens that filters leave, in the given order; undefined if rounding may decide. */
export function chainReference(
  logits: ArrayLike<number>,
  options: ReferenceOptions,
  order: readonly FilterName[],
): Kept | undefined {
  const row = new Reference(logits, options);
  try {
    for (const name of order) row.apply[name]();
  } catch (error) {
    if (error instanceof Close) return undefined;
    throw error;
  }
  const p = row.p.map((each, i) => ({ p: each, index: row.tokens[i]!.index }));
  p.sort((a, b) => a.index - b.index);
  return { tokens: p.map(({ index }) => index), p: p.map((each) => each.p) };
}
