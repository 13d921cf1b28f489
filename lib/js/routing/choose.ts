/** The largest choices of a token, among all experts or those of the groups that are worth most. */

/** The largest numbers that were offered, larger first; of equal ones those that came first. */
class Largest {
  readonly indices: Uint32Array;
  readonly #values: Float64Array;
  #size = 0;

  constructor(readonly limit: number) {
    this.indices = new Uint32Array(limit);
    this.#values = new Float64Array(limit);
  }

  clear(): void {
    this.#size = 0;
  }

  /** Offers n numbers: most are not above the last of a full list. */
  offerAll(values: Float64Array, n: number): void {
    const { limit } = this;
    const first = Math.min(limit, n);
    for (let i = 0; i < first; i++) this.offer(values[i]!, i);
    let least = this.#values[limit - 1]!;
    for (let i = first; i < n; i++) {
      const value = values[i]!;
      if (!(value > least)) continue;
      this.offer(value, i);
      least = this.#values[limit - 1]!;
    }
  }

  offer(value: number, index: number): void {
    const values = this.#values;
    if (this.#size === this.limit && !(value > values[this.limit - 1]!)) return;
    let at = this.#size < this.limit ? this.#size++ : this.limit - 1;
    for (; at > 0 && value > values[at - 1]!; at--) {
      values[at] = values[at - 1]!;
      this.indices[at] = this.indices[at - 1]!;
    }
    values[at] = value;
    this.indices[at] = index;
  }
}

/** The largest number of [from, to), or the sum of the two largest. */
function worthOf(choices: Float64Array, from: number, to: number, sumsTwo: boolean): number {
  let first = -Infinity;
  let second = -Infinity;
  for (let i = from; i < to; i++) {
    const choice = choices[i]!;
    if (choice > first) [first, second] = [choice, first];
    else if (choice > second) second = choice;
  }
  return sumsTwo && to - from > 1 ? first + second : first;
}

export class Chooser {
  readonly #best: Largest;
  readonly #bestGroups: Largest;
  readonly #size: number;

  constructor(
    experts: number,
    k: number,
    private readonly groups: number,
    topGroups: number,
    private readonly sumsTwo: boolean,
  ) {
    this.#best = new Largest(k);
    this.#bestGroups = new Largest(topGroups);
    this.#size = experts / groups;
  }

  /** The indices of the k largest choices, in order. */
  choose(choices: Float64Array): Uint32Array {
    const best = this.#best;
    best.clear();
    if (this.groups === 1) {
      best.offerAll(choices, this.#size);
      return best.indices;
    }
    for (const group of this.#kept(choices)) {
      for (let i = group * this.#size; i < (group + 1) * this.#size; i++) best.offer(choices[i]!, i);
    }
    return best.indices;
  }

  /** The groups that are kept, in ascending order. */
  #kept(choices: Float64Array): Uint32Array {
    const best = this.#bestGroups;
    best.clear();
    for (let g = 0; g < this.groups; g++) {
      best.offer(worthOf(choices, g * this.#size, (g + 1) * this.#size, this.sumsTwo), g);
    }
    return best.indices.slice().sort();
  }
}
