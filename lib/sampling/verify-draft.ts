/** verifyDraft: speculative decoding, for a chain or a tree of drafts. */
import type { AsyncOptions } from '../call/abort.js';
import { lengthOf, viewOf } from '../call/arrays.js';
import type { Call } from '../call/call.js';
import { count, oneOf } from '../call/checks.js';
import { outOfRange, wrongType, wrongValue } from '../call/errors.js';
import { FORM_OPTIONS, type Form } from '../call/options.js';
import { seedOf } from '../call/seed.js';
import { privately, runSteps, type Steps } from '../call/steps.js';
import { isUint16Array, type LogitArray, type NewUint32Array } from '../call/types.js';
import { block, philox, PURPOSE, uniformOf, type Key } from '../math/philox.js';
import { dtypeOf, extrasOf, filteredRow, massesOf, named, resultsOf, type RowExtras } from './draft-rows.js';
import { walk, walkGreedily, type DraftTree, type Uniforms, type Walked } from './draft-walk.js';
import { listOf, optionsOf, type Given } from './options.js';
import { FILTER_OPTIONS, type FilterOptions } from './filter-options.js';
import { tokensOf, type Tokens } from './penalty-options.js';
import { SEED_OPTIONS, type SeedOptions } from './random.js';
import { rowsOf, type Rows } from './rows.js';
import { nativeCall, planOf } from './sample-plan.js';

export interface VerifyDraftOptions<A extends LogitArray = LogitArray>
  extends Omit<FilterOptions<A>, 'shape' | 'axis'>, SeedOptions {
  /** The number of tokens of the vocabulary. Default: the length of `target` by the number of its rows. */
  cols?: number | null | undefined;
  /**
   * What the rows of `draft` are. 'logits': each token was drawn as `sample` draws from its row with the filters of
   * this call. 'probabilities': from its row divided by its sum. Default: 'logits'.
   */
  draftIs?: 'logits' | 'probabilities' | null | undefined;
  /**
   * For a tree: the draft that each draft continues, an earlier one; −1 for the context. Default: a chain, −1, 0, 1, ….
   */
  parents?: ArrayLike<number> | null | undefined;
  /**
   * How drafts with one parent were drawn. 'independent': each from its own row (SpecInfer). 'distinct': without
   * replacement, each from its row without the tokens before it. Default: 'independent'.
   */
  siblings?: 'independent' | 'distinct' | null | undefined;
}

export interface VerifiedDraft {
  /** How many drafts are accepted. */
  readonly accepted: number;
  /** The token after these: the target's own. */
  readonly token: number;
}

export interface VerifiedTree extends VerifiedDraft {
  /** The indices of the accepted drafts, from the context on. */
  readonly path: NewUint32Array;
}

/**
 * Verifies tokens that a draft model proposed (speculative decoding: Leviathan et al., arXiv 2211.17192; Chen et al.,
 * arXiv 2302.01318). With p of the target's row after the tokens before, and q that the draft was drawn from:
 *
 *     accept the draft x with the probability min(1, p[x] / q[x])
 *     refused: the next token is drawn from max(p − q, 0) / Σ max(p − q, 0)
 *     all accepted: the next token is drawn from the target's last row
 *
 * The tokens then have the distribution of the target alone, with its filters. `draft: null` is for drafts that were
 * chosen and not drawn (prompt lookup, n-grams, Medusa, EAGLE's trees): q is 1 for each, so x is accepted with
 * probability p[x], and has p[x] = 0 when it is refused. At temperature 0 a draft is accepted where it is the target's
 * largest logit, and `draft` is not read.
 *
 * A tree has `parents`. From the context on, the drafts that continue the accepted ones are tried in order, each on
 * what refused siblings left of p (SpecInfer, arXiv 2305.09781; without replacement: arXiv 2402.14160). It is exact
 * for a tree too.
 *
 * Probabilities are those of `filterLogits`, rounded to float32 for all logits but doubles. Draws are of the seed,
 * `step` and `firstRow`, apart from those of `sample` with the same ones. Use another step for each call. Whether xtc
 * applies is decided row by row, as `sample` decides it: row r of `draft` and of `target` is row `firstRow` + r.
 *
 * @param draft k rows, row i for token i; or null.
 * @param target Logits, k + 1 rows: row 0 after the context, row i + 1 after token i.
 * @param tokens The k tokens, from 1.
 * @param options `cols`, `draftIs`, `parents`, `siblings`; the filters of `sample`; `mask` and `bias` of `target`;
 *   `dtype` for those that are Uint16Arrays; `seed`, `step`, `firstRow`.
 * @returns The number of accepted tokens and the token after them; for a tree also the accepted `path`.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type or an option of another name.
 * @throws RangeError (ERR_OUT_OF_RANGE, ERR_INVALID_ARG_VALUE) for no tokens, a token that is not below `cols` or a
 *   parent that is not before its draft, with its index; lengths that do not fit; and for a row that has a NaN, no
 *   finite logit, or a probability below 0, which it names. Rows behind a refused draft are not read.
 * @example
 * import { verifyDraft } from 'flash-softmax/sampling';
 * const target = Float32Array.of(0, 9, 0, 9, 0, 0); // two rows of three: for the drafted token, and the one behind it
 * console.log(verifyDraft(null, target, [1], { cols: 3, temperature: 0 })); // → { accepted: 1, token: 0 }
 */
export function verifyDraft<A extends LogitArray>(
  draft: LogitArray | null,
  target: A,
  tokens: Tokens,
  options: VerifyDraftOptions<A> & { parents: ArrayLike<number> },
): VerifiedTree;
export function verifyDraft<A extends LogitArray>(
  draft: LogitArray | null,
  target: A,
  tokens: Tokens,
  options?: VerifyDraftOptions<A>,
): VerifiedDraft;
export function verifyDraft(
  draft: LogitArray | null,
  target: LogitArray,
  tokens: Tokens,
  options?: VerifyDraftOptions,
): VerifiedDraft {
  return runSteps(verifyDraftSteps('now', draft, target, tokens, options));
}

const OWN_OPTIONS = ['draftIs', 'parents', 'siblings'] as const;
const OPTIONS = [...OWN_OPTIONS, ...FILTER_OPTIONS, ...SEED_OPTIONS].filter(
  (name) => name !== 'shape' && name !== 'axis',
);

/** The checked call: its generator has not begun. */
export function verifyDraftSteps(
  form: Form,
  draft: LogitArray | null,
  target: LogitArray,
  tokens: Tokens,
  options?: VerifyDraftOptions & AsyncOptions,
): Steps<VerifiedDraft | VerifiedTree> {
  const all: Given<VerifyDraftOptions & AsyncOptions> = optionsOf(options, [...OPTIONS, ...FORM_OPTIONS[form]]);
  const { draftIs = 'logits', parents, siblings = 'independent', seed, step, firstRow, signal: _, ...rest } = all;
  const isDrawn = oneOf(draftIs, ['logits', 'probabilities'], 'draftIs') === 'logits';
  const isDistinct = oneOf(siblings, ['independent', 'distinct'], 'siblings') === 'distinct';
  const list = tokensOf(tokens, 'tokens');
  const parentList = parents === undefined ? undefined : parentsOf(parents);
  const { key, step: at, firstRow: row } = seedOf({ seed, step, firstRow }, list.length + 1);

  // Lengths are taken from here on.
  if (list.length === 0) throw wrongValue('at least one token', 'tokens', 'none');
  const { cols, draftRows, filters, own } = sizesOf(draft, target, list, rest);
  const children = childrenOf(parentList, list.length);
  const uniforms = uniformsOf(key, row, at);
  const isGreedy = rest.temperature === 0;
  const parts = { form, tokens: list, children, isDistinct, isDrawn, draft: draftRows, uniforms };
  const isTree = parentList !== undefined;
  planOf(viewOf(target, 0, 0), { ...own, cols, dtype: filters.dtype }, 0); // checks the filters
  if (isGreedy) return greedySteps(largestOf(target, filters), parts, isTree);
  const seeds = { seed, step };
  const targetRows = rowsOf(target, filters, 'target');
  const [ofTarget, ofDraft] = [
    { ...filters, ...seeds },
    { ...own, ...seeds },
  ];
  return steps({ ...parts, targetRows, filters: ofTarget, own: ofDraft, firstRow: row, isTree });
}

/** Checks that all arrays fit together. `filters` are for the target, `own` for a draft of logits. */
function sizesOf(draft: LogitArray | null, target: LogitArray, tokens: number[], options: Given<FilterOptions>) {
  const k = tokens.length;
  const { dtype, mask: _, maskFormat: __, bias: ___, ...rest } = options;
  const isHalf = isUint16Array(target) || !isUint16Array(draft);
  const targetType = isHalf ? dtype : undefined;
  const whole = rowsOf(target, { dtype: targetType }, 'target').cols;
  const cols = options.cols === undefined ? whole / (k + 1) : count(options.cols, 'cols');
  if (whole === 0 || whole !== (k + 1) * cols || !Number.isInteger(cols)) {
    const expected = options.cols === undefined ? `${k + 1} rows` : `${k + 1} rows of ${cols}`;
    throw wrongValue(expected, 'target', `${whole} elements for ${k} tokens`);
  }
  tokens.forEach((token, i) => {
    if (token >= cols) throw outOfRange(`tokens from 0 to ${cols - 1}`, `tokens[${i}]`, token);
  });
  const filters = { ...options, dtype: targetType, cols };
  const own = { ...rest, dtype: isUint16Array(draft) ? dtype : undefined, cols };
  if (draft === null) return { cols, draftRows: undefined, filters, own };
  const draftRows = rowsOf(draft, { dtype: own.dtype }, 'draft');
  if (draftRows.cols !== k * cols) {
    throw wrongValue(`${k} rows of ${cols}, one a token,`, 'draft', `${draftRows.cols} elements`);
  }
  return { cols, draftRows, filters, own };
}

/** A checked copy: integers from −1 on. */
function parentsOf(parents: unknown): number[] {
  const check = (parent: unknown, i: number): number => {
    if (typeof parent !== 'number') throw wrongType('an integer', `parents[${i}]`, parent);
    if (Number.isInteger(parent) && parent >= -1 && parent < i) return parent;
    throw outOfRange('an integer from −1 to below its index', `parents[${i}]`, parent);
  };
  return listOf(parents, 'parents', check, 'an array of indices');
}

/** The drafts that continue each row of the target. */
function childrenOf(parents: readonly number[] | undefined, k: number): number[][] {
  if (parents !== undefined && parents.length !== k) {
    throw wrongValue(`${k} parents, one a token,`, 'parents', String(parents.length));
  }
  const children = Array.from({ length: k + 1 }, (): number[] => []);
  for (let i = 0; i < k; i++) children[(parents?.[i] ?? i - 1) + 1]!.push(i);
  return children;
}

/** The draws of a call: those of one row of the generator. */
function uniformsOf(key: Key, row: number, step: number): Uniforms {
  return (counter) => {
    [block[0], block[1], block[2], block[3]] = [counter, row, step, PURPOSE.draft];
    philox(key);
    return { test: uniformOf(block[0]!, block[1]!), draw: uniformOf(block[2]!, block[3]!) };
  };
}

interface Drafts extends Pick<DraftTree, 'tokens' | 'children' | 'isDistinct'> {
  readonly form: Form;
  /** Whether drafts are logits. */
  readonly isDrawn: boolean;
  readonly draft: Rows | undefined;
  readonly uniforms: Uniforms;
}

/** The largest logit of each row of the target. */
function largestOf(target: LogitArray, { cols, dtype, mask, maskFormat, bias }: Given<FilterOptions>): Call<unknown> {
  const noise = { length: lengthOf(target) / cols! };
  const options = { cols, dtype, mask, maskFormat, bias, temperature: 0, noise: Float64Array.from(noise, () => 0) };
  return named(
    nativeCall(planOf(target, options, 1), () => undefined),
    'target',
  );
}

function* greedySteps(call: Call<unknown>, drafts: Drafts, isTree: boolean): Steps<VerifiedDraft | VerifiedTree> {
  yield { ...call, parts: { ...call.parts, own: call.parts.own.filter((name) => name !== 'x') } };
  return resultOf(walkGreedily(drafts, resultsOf(call).tokens), isTree);
}

interface Parts extends Drafts {
  readonly targetRows: Rows;
  /** For the target, and for drafts of logits. */
  readonly filters: Given<FilterOptions>;
  readonly own: Given<FilterOptions>;
  /** The generator's number of the first row of both: xtc decides row by row, as in `sample`. */
  readonly firstRow: number;
  readonly isTree: boolean;
}

/** Rows are read as the walk reaches them, one at a time into the same memory. */
function* steps(parts: Parts): Steps<VerifiedDraft | VerifiedTree> {
  const { form, targetRows, draft, filters, own, firstRow, isDrawn, uniforms } = parts;
  const { cols, maskLayout, type } = targetRows;
  const copies = [
    privately(form, targetRows.x, 'target'),
    targetRows.mask === null ? null : privately(form, targetRows.mask, 'mask'),
    targetRows.bias === null ? null : privately(form, targetRows.bias, 'bias'),
    draft === undefined ? null : privately(form, draft.x, 'draft'),
  ] as const;
  const x = yield* copies[0];
  const mask = copies[1] === null ? null : yield* copies[1];
  const bias = copies[2] === null ? null : yield* copies[2];
  const draftCopy = copies[3] === null ? null : yield* copies[3];
  const drafts = draft && draftCopy ? { ...draft, x: draftCopy } : undefined;

  const newRow = (of: string) => (of === 'f64' ? new Float64Array(cols) : new Float32Array(cols));
  const [p, q] = [newRow(type), isDrawn && drafts ? newRow(drafts.type) : undefined];
  const extras: RowExtras = { mask, maskLayout, bias, cols };
  const tree: DraftTree = {
    ...parts,
    *target(row) {
      const rest = { dtype: dtypeOf(type), cols, firstRow: firstRow + row };
      const options = { ...filters, ...rest, ...extrasOf(extras, row) };
      yield* filteredRow(form, viewOf(x, row * cols, (row + 1) * cols), options, { name: 'target', row, into: p });
      return p;
    },
    draft:
      drafts &&
      function* (node) {
        const row = viewOf(drafts.x, node * cols, (node + 1) * cols);
        if (q === undefined) return massesOf(row, drafts.type, node);
        const options = { ...own, dtype: dtypeOf(drafts.type), cols, firstRow: firstRow + node };
        yield* filteredRow(form, row, options, { name: 'draft', row: node, into: q });
        return { masses: q, total: 1 };
      },
  };
  return resultOf(yield* walk(tree, uniforms), parts.isTree);
}

function resultOf({ path, token }: Walked, isTree: boolean): VerifiedDraft | VerifiedTree {
  const result = { accepted: path.length, token };
  return isTree ? { ...result, path: Uint32Array.from(path) } : result;
}
