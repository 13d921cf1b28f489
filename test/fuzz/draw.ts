/**
 * Random choices of one case. They follow from the seed and the case's number alone, so that any case can run again.
 */
import { generator, normal } from '../support/cases.js';

export class Draw {
  readonly word: () => number;

  /** `path` separates the streams of one case: the memory of each backend has its own. */
  constructor(seed: number, ...path: number[]) {
    let state = seed >>> 0;
    for (const part of path) state = (generator(state ^ Math.imul(part + 1, 0x9e3779b1))() + part) >>> 0;
    this.word = generator(state);
  }

  /** From 0 to below 1. */
  uniform = (): number => this.word() / 2 ** 32;

  /** An integer from 0 to below n. */
  int = (n: number): number => Math.floor(this.uniform() * n);

  /** An integer, both ends included. */
  between = (least: number, most: number): number => least + this.int(most - least + 1);

  chance = (probability: number): boolean => this.uniform() < probability;

  pick = <T>(list: readonly T[]): T => list[this.int(list.length)]!;

  normal = (): number => normal(this.word);

  logUniform = (least: number, most: number): number => {
    const [from, octaves] = [Math.log2(least), Math.log2(most) - Math.log2(least)]; // most / least may overflow
    return 2 ** (from + octaves * this.uniform());
  };

  sign = (): number => (this.word() & 1 ? 1 : -1);
}
