/**
 * The tokens whose logits change: a hash table with counts and biases, that each token of a history updates. Kernels
 * read it as it is, so that a draw takes no time for the length of the history.
 */
import type { FloatArray } from '../call/types.js';

/**
 * Words of a slot: the token plus 1 (0: an empty slot), how often it is in the output, in the prompt; flags; then two
 * doubles, what is added to the logit before penalties, and after.
 */
const SLOT_WORDS = 8;
const [SLOT_NUMBERS, FIRST_NUMBER] = [4, 2];
/** The flag of tokens that encoderRepetitionPenalty changes. */
const ENCODER = 1;

/** Larger tokens are no positions of any row, and have no slots. */
const MOST_TOKENS = 2 ** 32 - 1;

/** The memory of one table or more. */
export class Arena {
  readonly words: Uint32Array;
  /** The same memory. */
  readonly numbers: Float64Array;
  readonly slots: number;
  used = 0;

  constructor(slots: number) {
    this.slots = slots;
    this.words = new Uint32Array(SLOT_WORDS * slots);
    this.numbers = new Float64Array(this.words.buffer);
  }
}

/** What penalties do to the tokens of a table: native/sampling/penalties.h. */
export interface PenaltyRule {
  readonly encoder: number;
  readonly repetition: number;
  readonly frequency: number;
  readonly presence: number;
  readonly countsPrompt: boolean;
}

export class TokenTable {
  #arena = new Arena(16);
  #start = 0;
  /** A power of two; at least twice as many as there are tokens. */
  #capacity = 16;
  #tokens = 0;

  constructor() {
    this.#arena.used = 16;
  }

  get arena(): Arena {
    return this.#arena;
  }
  /** The first slot. */
  get start(): number {
    return this.#start;
  }
  get capacity(): number {
    return this.#capacity;
  }

  /** Moves the table into an arena. Returns false if there is no room. */
  moveTo(arena: Arena): boolean {
    if (arena === this.#arena) return true;
    if (arena.used + this.#capacity > arena.slots) return false;
    const [from, to, n] = [this.#start, arena.used, this.#capacity];
    arena.words.set(this.#arena.words.subarray(SLOT_WORDS * from, SLOT_WORDS * (from + n)), SLOT_WORDS * to);
    [this.#arena, this.#start] = [arena, to];
    arena.used += n;
    return true;
  }

  /** The token's slot, a new one if it has none. */
  #slotOf(token: number): number {
    const { words } = this.#arena;
    let at = slotOfHash(token, this.#capacity);
    for (; ; at = (at + 1) & (this.#capacity - 1)) {
      const found = words[SLOT_WORDS * (this.#start + at)]!;
      if (found === token + 1) return this.#start + at;
      if (found === 0) break;
    }
    if (2 * (this.#tokens + 1) > this.#capacity) {
      this.#grow();
      return this.#slotOf(token);
    }
    this.#tokens++;
    words[SLOT_WORDS * (this.#start + at)] = token + 1;
    return this.#start + at;
  }

  #grow(): void {
    const [arena, start, capacity] = [this.#arena, this.#start, this.#capacity];
    this.#arena = new Arena(2 * capacity);
    [this.#start, this.#capacity, this.#arena.used, this.#tokens] = [0, 2 * capacity, 2 * capacity, 0];
    for (let slot = start; slot < start + capacity; slot++) {
      const token = arena.words[SLOT_WORDS * slot]!;
      if (token === 0) continue;
      const to = this.#slotOf(token - 1);
      for (let i = 1; i < SLOT_WORDS; i++) {
        this.#arena.words[SLOT_WORDS * to + i] = arena.words[SLOT_WORDS * slot + i]!;
      }
    }
  }

  /** Changes how often a token is in the prompt or the output. */
  count(token: number, isPrompt: boolean, change: 1 | -1): void {
    if (token >= MOST_TOKENS) return;
    const at = SLOT_WORDS * this.#slotOf(token) + (isPrompt ? 2 : 1); // a new slot may move the table
    this.#arena.words[at]! += change;
  }

  /** Marks a token for encoderRepetitionPenalty. */
  mark(token: number): void {
    if (token >= MOST_TOKENS) return;
    const at = SLOT_WORDS * this.#slotOf(token) + 3;
    this.#arena.words[at]! |= ENCODER;
  }

  /** Adds to a token's biases. −∞ stays. */
  addBias(token: number, before: number, after: number): void {
    if (token >= MOST_TOKENS) return;
    const at = SLOT_NUMBERS * this.#slotOf(token) + FIRST_NUMBER;
    this.#arena.numbers[at]! += before;
    this.#arena.numbers[at + 1]! += after;
  }

  /** The biases of a token: before penalties, and after. */
  biasesOf(token: number): readonly [before: number, after: number] {
    const at = SLOT_NUMBERS * this.#slotOf(token) + FIRST_NUMBER;
    return [this.#arena.numbers[at]!, this.#arena.numbers[at + 1]!];
  }

  setBiases(token: number, [before, after]: readonly [number, number]): void {
    const at = SLOT_NUMBERS * this.#slotOf(token) + FIRST_NUMBER;
    [this.#arena.numbers[at], this.#arena.numbers[at + 1]] = [before, after];
  }

  /** Changes a row in place. All tokens are below its length. */
  apply(row: FloatArray, rule: PenaltyRule): void {
    const { words, numbers } = this.#arena;
    applyTable(row, rule, { words, numbers, start: this.#start, capacity: this.#capacity });
  }
}

/** The first slot to look for a token in: Fibonacci hashing. */
const slotOfHash = (token: number, capacity: number): number =>
  Math.imul(token + 1, 0x9e3779b1) >>> (Math.clz32(capacity) + 1);

interface Region {
  readonly words: Uint32Array;
  readonly numbers: Float64Array;
  readonly start: number;
  readonly capacity: number;
}

/** The steps of native/sampling/penalties.h: each logit is rounded to the row's type after each of them. */
export function applyTable(row: FloatArray, rule: PenaltyRule, { words, numbers, start, capacity }: Region): void {
  const { encoder, repetition, frequency, presence, countsPrompt } = rule;
  for (let slot = start; slot < start + capacity; slot++) {
    const token = words[SLOT_WORDS * slot]! - 1;
    if (!(token >= 0 && token < row.length)) continue;
    const [output, prompt] = [words[SLOT_WORDS * slot + 1]!, words[SLOT_WORDS * slot + 2]!];
    const at = SLOT_NUMBERS * slot + FIRST_NUMBER;
    const [before, after] = [numbers[at]!, numbers[at + 1]!];
    if (before === -Infinity || after === -Infinity) {
      row[token] = -Infinity;
      continue;
    }
    row[token]! += before;
    const isMarked = (words[SLOT_WORDS * slot + 3]! & ENCODER) !== 0;
    if (isMarked && encoder !== 1) row[token] = row[token]! > 0 ? row[token]! * encoder : row[token]! / encoder;
    if (output + prompt > 0) {
      const logit = row[token]!;
      const times = output + (countsPrompt ? prompt : 0);
      const penalized = repetition === 1 ? logit : logit > 0 ? logit / repetition : logit * repetition;
      row[token] = penalized - times * frequency - (times > 0 ? presence : 0);
    }
    row[token]! += after;
  }
}
