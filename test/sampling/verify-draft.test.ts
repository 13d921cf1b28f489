/** verifyDraft against distributions: χ² over many seeds, for chains and trees; greedy form; errors. */
import { describe, expect, it } from 'vitest';
import { backends } from '../support/backends.js';
import { row } from '../support/cases.js';
import { forceSampling, type PromisesApi, type SamplingApi } from './force-sampling.js';

const COLS = 7;

/** ln of a distribution of a context of tokens; another one for each context and model. */
function logitsOf(context: readonly number[], model: number): Float64Array {
  let state = context.reduce((hash, token) => (hash * 31 + token + 7) >>> 0, 97 * model + 5);
  return Float64Array.from({ length: COLS }, () => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0;
    return ((state >>> 8) / 2 ** 24) * 3;
  });
}
function softmaxOf(logits: ArrayLike<number>, temperature = 1): number[] {
  const weights = Array.from(logits, (z) => Math.exp(z / temperature));
  const sum = weights.reduce((a, b) => a + b);
  return weights.map((w) => w / sum);
}
function concat(rows: readonly ArrayLike<number>[]): Float64Array {
  return Float64Array.from(rows.flatMap((each) => Array.from(each)));
}
/** A generator of its own for drafts. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
function drawFrom(p: readonly number[], random: () => number): number {
  let u = random() * p.reduce((a, b) => a + b, 0);
  for (let i = 0; i < p.length; i++) if ((u -= p[i]!) < 0) return i;
  return p.findLastIndex((each) => each > 0);
}
/** χ² of counts against a distribution; expected below about dof + 4 √(2 dof) but once in ten thousand times. */
function isFitting(counts: readonly number[], p: readonly number[]): boolean {
  const n = counts.reduce((a, b) => a + b, 0);
  if (n === 0) return true;
  let chi2 = 0;
  let dof = -1;
  for (let i = 0; i < p.length; i++) {
    if (p[i]! * n < 1e-9) {
      if (counts[i]! > 0) return false;
      continue;
    }
    chi2 += (counts[i]! - n * p[i]!) ** 2 / (n * p[i]!);
    dof++;
  }
  return chi2 < dof + 4.5 * Math.sqrt(2 * dof) + 4;
}

for (const name of backends.filter((each) => each !== 'scalar')) {
  describe(name, () => {
    let api: SamplingApi;
    let later: PromisesApi;
    forceSampling(name, (...loaded) => ([api, later] = loaded));

    it('has the distribution of the target for a chain', () => {
      for (const temperature of [1, 0.6]) {
        const random = randomOf(3);
        const first = new Array<number>(COLS).fill(0);
        const second = Array.from({ length: COLS }, () => new Array<number>(COLS).fill(0));
        const accepted = [0, 0, 0];
        for (let seed = 0; seed < 4000; seed++) {
          const tokens: number[] = [];
          for (let i = 0; i < 2; i++) tokens.push(drawFrom(softmaxOf(logitsOf(tokens, 1), temperature), random));
          const contexts = [[], tokens.slice(0, 1), tokens];
          const target = concat(contexts.map((each) => logitsOf(each, 2)));
          const drafts = contexts.slice(0, 2).map((each) => logitsOf(each, 1));
          const isDraft = seed % 2 === 0;
          const draft = isDraft ? concat(drafts) : concat(drafts.map((each) => softmaxOf(each, temperature)));
          const draftIs = isDraft ? 'logits' : 'probabilities';
          const result = api.verifyDraft(draft, target, tokens, { cols: COLS, draftIs, temperature, seed, step: seed });
          const all = [...tokens.slice(0, result.accepted), result.token];
          accepted[result.accepted]!++;
          first[all[0]!]!++;
          if (all.length > 1) second[all[0]!]![all[1]!]!++;
        }
        expect(accepted.every((count) => count > 150)).toBe(true);
        expect(isFitting(first, softmaxOf(logitsOf([], 2), temperature))).toBe(true);
        for (let token = 0; token < COLS; token++) {
          expect(isFitting(second[token]!, softmaxOf(logitsOf([token], 2), temperature))).toBe(true);
        }
      }
    });

    it.each(['independent', 'distinct', 'chosen'] as const)('has it for a tree of %s siblings', (kind) => {
      const random = randomOf(11);
      const parents = [-1, -1, -1, 0, 0, 1];
      const first = new Array<number>(COLS).fill(0);
      const second = Array.from({ length: COLS }, () => new Array<number>(COLS).fill(0));
      let deep = 0;
      for (let seed = 0; seed < 3000; seed++) {
        const tokens: number[] = [];
        const contexts = parents.map((): number[] => []);
        const draft: number[][] = [];
        for (const [i, parent] of parents.entries()) {
          contexts[i] = parent < 0 ? [] : [...contexts[parent]!, tokens[parent]!];
          const q = softmaxOf(logitsOf(contexts[i]!, 1));
          draft.push(q);
          const siblings = parents.flatMap((each, j) => (j < i && each === parent ? [tokens[j]!] : []));
          const left = q.map((each, token) => (siblings.includes(token) ? 0 : each));
          if (kind === 'chosen') tokens.push(left.indexOf(Math.max(...left)));
          else tokens.push(drawFrom(kind === 'distinct' ? left : q, random));
        }
        const target = [[], ...contexts.map((each, i) => [...each, tokens[i]!])].map((each) => logitsOf(each, 2));
        const options = { cols: COLS, draftIs: 'probabilities', parents, seed } as const;
        const siblings = kind === 'distinct' ? 'distinct' : undefined;
        const rows = kind === 'chosen' ? null : concat(draft);
        const { accepted, token, path } = api.verifyDraft(rows, concat(target), tokens, { ...options, siblings });
        expect(accepted).toBe(path.length);
        for (const [i, node] of path.entries()) expect(parents[node]).toBe(i === 0 ? -1 : path[i - 1]);
        const all = [...Array.from(path, (node) => tokens[node]!), token];
        first[all[0]!]!++;
        if (all.length > 1) second[all[0]!]![all[1]!]!++;
        if (accepted === 2) deep++;
      }
      expect(deep).toBeGreaterThan(100);
      expect(isFitting(first, softmaxOf(logitsOf([], 2)))).toBe(true);
      for (let token = 0; token < COLS; token++) {
        expect(isFitting(second[token]!, softmaxOf(logitsOf([token], 2)))).toBe(true);
      }
    });

    it('accepts with min(1, p / q), and draws from max(p − q, 0)', () => {
      const p = [0.5, 0.2, 0.2, 0.1];
      const q = [0.1, 0.6, 0.2, 0.1];
      const target = Float64Array.from([...p, ...p].map(Math.log));
      const draft = Float64Array.from(q.map((each) => 10 * each)); // rows are divided by their sums
      const rates = [1, 1 / 3, 1, 1];
      for (const [token, rate] of rates.entries()) {
        let accepted = 0;
        for (let seed = 0; seed < 1000; seed++) {
          const result = api.verifyDraft(draft, target, [token], { cols: 4, draftIs: 'probabilities', seed });
          accepted += result.accepted;
          if (result.accepted === 0) expect(result.token).toBe(0);
        }
        expect(Math.abs(accepted / 1000 - rate)).toBeLessThan(rate === 1 ? 1e-9 : 0.06);
      }
      // A token that the draft cannot have drawn is refused, as in vLLM.
      const other = Float64Array.of(1, 0, 1, 1);
      expect(api.verifyDraft(other, target, [1], { draftIs: 'probabilities', seed: 1 }).accepted).toBe(0);
    });

    it('keeps to the filters of the target', () => {
      const target = Float32Array.of(3, 2, 1, 0, 0, 1, 2, 3);
      const mask = Uint8Array.of(1, 1, 1, 0, 1, 0, 1, 1);
      for (let seed = 0; seed < 50; seed++) {
        const options = { cols: 4, seed, topK: 2 };
        const { accepted, token } = api.verifyDraft(null, target, [1], options);
        expect((accepted === 1 ? [2, 3] : [0]).includes(token)).toBe(true);
        expect(api.verifyDraft(null, target, [3], options).accepted).toBe(0);
        const masked = api.verifyDraft(target.subarray(0, 4), target, [0], { cols: 4, seed, mask });
        expect(masked.token === 3 && masked.accepted === 0).toBe(false);
        expect(masked.token === 1 && masked.accepted === 1).toBe(false);
      }
    });

    it('is greedy at temperature 0, for chains and trees', () => {
      const rows = [1, 3, 0, 2].map((best) => Float32Array.from({ length: 5 }, (_, i) => (i === best ? 2 : i / 10)));
      const target = Float32Array.from(rows.flatMap((each) => Array.from(each)));
      const verify = (tokens: number[], more: object = {}) =>
        api.verifyDraft(null, target, tokens, { cols: 5, temperature: 0, ...more });
      expect(verify([1, 3, 0])).toEqual({ accepted: 3, token: 2 });
      expect(verify([1, 3, 4])).toEqual({ accepted: 2, token: 0 });
      expect(verify([0, 3, 0])).toEqual({ accepted: 0, token: 1 });
      expect(verify([4, 1, 0], { parents: [-1, -1, 1] })).toEqual({
        accepted: 2,
        token: 2,
        path: Uint32Array.of(1, 2),
      });
      expect(verify([4, 2, 0], { parents: [-1, -1, 1] })).toEqual({ accepted: 0, token: 1, path: new Uint32Array(0) });
      // Draws at a temperature so low that one token is left agree.
      expect(api.verifyDraft(null, target, [1, 3, 4], { temperature: 1e-3, seed: 5 })).toEqual({
        accepted: 2,
        token: 0,
      });
    });

    it('takes halves, and gives the results of promises', async () => {
      const target = row('f32', 'N(0,8)', 5 * 3000) as Float32Array;
      const draft = row('f32', 'N(0,8)', 4 * 3000, 2) as Float32Array;
      const tokens = [1, 5, 9, 2999];
      for (const options of [{}, { temperature: 0 }, { topK: 40, parents: [-1, -1, 0, 1] }, { topP: 0.9 }]) {
        for (let seed = 0; seed < 4; seed++) {
          const now = api.verifyDraft(draft, target, tokens, { cols: 3000, seed, ...options });
          expect(await later.verifyDraft(draft, target, tokens, { cols: 3000, seed, ...options })).toEqual(now);
          const p = draft.map(Math.exp);
          const of = { cols: 3000, seed, ...options, draftIs: 'probabilities' } as const;
          expect(await later.verifyDraft(p, target, tokens, of)).toEqual(api.verifyDraft(p, target, tokens, of));
        }
      }
      const halves = Uint16Array.from({ length: 8 }, (_, i) => 0x3c00 + 64 * i);
      const dtype = 'bfloat16';
      expect(api.verifyDraft(null, halves, [3], { temperature: 0, dtype })).toEqual({ accepted: 1, token: 3 });
      const floats = Float32Array.from(
        halves.subarray(0, 4),
        (bits) => new Float32Array(Uint32Array.of(bits << 16).buffer)[0]!,
      );
      for (let seed = 0; seed < 20; seed++) {
        const of = api.verifyDraft(halves.subarray(0, 4), new Float32Array(8), [3], { dtype, seed });
        expect(of).toEqual(api.verifyDraft(floats, new Float32Array(8), [3], { seed }));
      }
      const half = Uint16Array.of(0, 0x3c00, 0, 0); // [0, 1, 0, 0]
      const of = { dtype: 'float16', draftIs: 'probabilities', seed: 1 } as const;
      expect(api.verifyDraft(half, Float32Array.of(-9, 0, -9, -9, 1, 9, 1, 1), [1], of)).toEqual({
        accepted: 1,
        token: 1,
      });
    });

    it('rejects as it throws, and lets go of its arrays', async () => {
      const draft = new Float32Array(600_000);
      const promise = later.verifyDraft(draft, new Float32Array(900_000), [1, 2], { cols: 300_000 });
      structuredClone(draft.buffer, { transfer: [draft.buffer] });
      await expect(promise).rejects.toThrow(/until the promise settles/);
      const reason = new Error('enough');
      const signal = AbortSignal.abort(reason);
      await expect(later.verifyDraft(null, new Float32Array(9), [1, 2], { signal })).rejects.toBe(reason);
      await expect(later.verifyDraft(null, new Float32Array(9), [1, 3])).rejects.toThrow('tokens[1]');
    });

    it('refuses what makes no sense, and names it', () => {
      const x = new Float32Array(12);
      const verify =
        (...args: unknown[]) =>
        () =>
          Reflect.apply(api.verifyDraft, undefined, args) as unknown;
      expect(verify(null, x, [])).toThrow('Expected at least one token for tokens but received none');
      expect(verify(null, x, [1, 4], { cols: 4 })).toThrow('Expected tokens from 0 to 3 for tokens[1] but received 4');
      expect(verify(null, x, [1, 1.5])).toThrow('an integer from 0 for tokens');
      expect(verify(null, x, [1], { cols: 4 })).toThrow('2 rows of 4 for target but received 12 elements');
      expect(verify(null, x, [1, 2, 3, 4])).toThrow('5 rows for target');
      expect(verify(x, x, [1, 2])).toThrow('2 rows of 4, one a token, for draft but received 12 elements');
      expect(verify(null, x, [1, 2], { parents: [-1] })).toThrow('2 parents, one a token, for parents but received 1');
      expect(verify(null, x, [1, 2], { parents: [0, 0] })).toThrow(
        'Expected an integer from −1 to below its index for parents[0] but received 0',
      );
      expect(verify(null, x, [1, 2], { draftIs: 'p' })).toThrow("'logits' or 'probabilities' for draftIs");
      expect(verify(null, x, [1, 2], { noise: [0] })).toThrow(TypeError);
      expect(verify(null, x, [1, 2], { topP: 2 })).toThrow(RangeError);
      expect(verify(undefined, x, [1, 2])).toThrow('for draft but received undefined');
      expect(verify(null, [1, 2], [1])).toThrow('for target but received an Array');
      const bad = new Float64Array(8).fill(0.25);
      bad[6] = -1;
      const of = { draftIs: 'probabilities', seed: 1 };
      expect(verify(bad, new Float64Array(12), [1, 2], of)).toThrow('probabilities from 0 for row 1 of draft');
      bad.fill(0, 4);
      expect(verify(bad, new Float64Array(12), [1, 2], of)).toThrow('a finite sum above 0 for row 1 of draft');
      bad[2] = NaN;
      expect(verify(bad, new Float64Array(12), [1, 2], of)).toThrow('row 0 of draft but received NaN');
      expect(verify(bad, new Float64Array(12), [1, 2])).toThrow('no NaN for row 0 of draft');
      const holed = new Float64Array(12).fill(-Infinity, 0, 4);
      expect(verify(null, holed, [1, 2])).toThrow('a finite largest logit for row 0 of target');
    });
  });
}
