/** The verification of drafts: which tokens of a tree are accepted, and the token after them. */
import type { Steps } from '../call/steps.js';
import type { FloatArray } from '../call/types.js';

/** A distribution: masses, and their total. */
export interface Masses {
  readonly masses: FloatArray;
  readonly total: number;
}

/** Drafts, as a tree, and the distributions of both models, which are made when they are needed. */
export interface DraftTree {
  readonly tokens: readonly number[];
  /** The drafts that continue each row of the target, in order: row 0 is the context, row i + 1 draft i. */
  readonly children: readonly (readonly number[])[];
  /** Probabilities of a row. They last until the next call. */
  target(row: number): Steps<FloatArray>;
  /** What a draft was drawn from. Absent for drafts that were chosen. */
  readonly draft: ((node: number) => Steps<Masses>) | undefined;
  /** Whether a draft was drawn from what its earlier siblings left. */
  readonly isDistinct: boolean;
}

/** Two numbers in (0, 1) of a block: for the test of a draft, and for the draw of the last token. */
export type Uniforms = (counter: number) => { readonly test: number; readonly draw: number };

export interface Walked {
  /** The accepted drafts, from the context on. */
  readonly path: number[];
  readonly token: number;
}

/** Walks down the tree from the context, as far as drafts are accepted. */
export function* walk(tree: DraftTree, uniforms: Uniforms): Steps<Walked> {
  const path: number[] = [];
  for (let row = 0; ; row = path.at(-1)! + 1) {
    const left = new Left(yield* tree.target(row));
    const next = yield* acceptedOf(tree, row, left, uniforms);
    if (next === undefined) return { path, token: left.draw(uniforms(0).draw) };
    path.push(next);
  }
}

/** The first draft behind a row that is accepted. */
function* acceptedOf(tree: DraftTree, row: number, left: Left, uniforms: Uniforms): Steps<number | undefined> {
  const { tokens, draft, isDistinct } = tree;
  const refused: number[] = [];
  for (const node of tree.children[row]!) {
    const token = tokens[node]!;
    const drawnFrom = draft && (yield* draft(node));
    if (left.accepts(token, drawnFrom, { u: uniforms(node + 1).test, gone: isDistinct ? refused : [] })) return node;
    if (!refused.includes(token)) refused.push(token);
  }
  return undefined;
}

/** As {@link walk}, where the target chooses one token of each row. */
export function walkGreedily(
  { tokens, children }: Pick<DraftTree, 'tokens' | 'children'>,
  choices: ArrayLike<number>,
): Walked {
  const path: number[] = [];
  for (let row = 0; ; row = path.at(-1)! + 1) {
    const next = children[row]!.find((node) => tokens[node] === choices[row]);
    if (next === undefined) return { path, token: choices[row]! };
    path.push(next);
  }
}

interface Test {
  /** A number in (0, 1). */
  readonly u: number;
  /** Tokens that the draft could not be. */
  readonly gone: readonly number[];
}

/** The masses of a row of the target that refused drafts leave: max(p − q, 0), relative to their total. */
class Left {
  #masses: FloatArray;
  #total = 1;

  constructor(target: FloatArray) {
    this.#masses = target;
  }

  /** Whether a draft is accepted: with the probability min(1, p / q). What a refusal leaves is kept. */
  accepts(token: number, draft: Masses | undefined, { u, gone }: Test): boolean {
    const mass = this.#masses[token]!;
    if (draft === undefined) {
      if (u * this.#total < mass) return true;
      this.#replace(without(this.#masses, token));
      return false;
    }
    let { total } = draft;
    for (const each of gone) total -= draft.masses[each]!;
    const q = gone.includes(token) ? 0 : draft.masses[token]! / total;
    if (q > 0 && u * q * this.#total < mass) return true;
    if (total > 0) this.#replace(residual(this.#masses, this.#total, { masses: draft.masses, total }, gone));
    return false;
  }

  /** Nothing is left only by rounding: p and q are the same then, and p stays. */
  #replace(masses: Float64Array): void {
    const total = sumOf(masses);
    if (!(total > 0)) return;
    [this.#masses, this.#total] = [masses, total];
  }

  /** The first token with which the sum of masses exceeds u times the total. */
  draw(u: number): number {
    const masses = this.#masses;
    const target = u * sumOf(masses);
    let sum = 0;
    let last = 0;
    for (let i = 0; i < masses.length; i++) {
      if (masses[i] === 0) continue;
      sum += masses[i]!;
      last = i;
      if (sum > target) break;
    }
    return last;
  }
}

function sumOf(masses: FloatArray): number {
  let sum = 0;
  for (let i = 0; i < masses.length; i++) sum += masses[i]!;
  return sum;
}

function without(masses: FloatArray, token: number): Float64Array {
  const rest = Float64Array.from(masses);
  rest[token] = 0;
  return rest;
}

/** max(p / total − q / its total, 0). */
function residual(p: FloatArray, total: number, q: Masses, gone: readonly number[]): Float64Array {
  const rest = new Float64Array(p.length);
  const { masses, total: all } = q;
  for (let i = 0; i < rest.length; i++) {
    const mass = p[i]! / total - masses[i]! / all;
    rest[i] = mass > 0 ? mass : 0;
  }
  for (const token of gone) rest[token] = p[token]! / total;
  return rest;
}
