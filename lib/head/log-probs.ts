/** Log-probabilities of chosen tokens from hidden states. */
import type { AsyncOptions } from '../call/abort.js';
import { allocate } from '../call/allocate.js';
import { viewOf } from '../call/arrays.js';
import { count, positive } from '../call/checks.js';
import { wrongValue } from '../call/errors.js';
import { FORM_OPTIONS, type Form } from '../call/options.js';
import type { Steps } from '../call/steps.js';
import { checkedTokens, logProbsSteps, tokensOf, type LogProbs } from '../sampling/log-probs.js';
import { optionsOf } from '../sampling/options.js';
import { rowsOf } from '../sampling/rows.js';
import { eachBlock, productOf } from './blocks.js';
import { candidatesOf, eachList, listsOf, type CandidateOptions, type Candidates } from './candidates.js';
import type { HeadMatrix } from './matrix.js';
import { statesOf, type HiddenStates, type StateOptions } from './states.js';

export interface HeadLogProbsOptions extends StateOptions, CandidateOptions {
  /** The divisor of the logits: finite and > 0. Default: 1. */
  temperature?: number | null | undefined;
  /** The number of most probable tokens that are wanted too. Default: 0. */
  top?: number | null | undefined;
}

/** The place of each state's token in its list of candidates, the first of several. */
function placesOf(tokens: Int32Array, { lists, isShared }: Candidates): Int32Array {
  const places = lists.map((list) => {
    const places = new Map<number, number>();
    for (let i = list.length - 1; i >= 0; i--) places.set(list[i]!, i);
    return places;
  });
  return tokens.map((token, state) => {
    const place = places[isShared ? 0 : state]!.get(token);
    if (place === undefined) throw wrongValue('candidates of their states', 'tokens', `${token} at ${state}`);
    return place;
  });
}

/** Writes what is found of some states to their place. */
function storeLogs(all: LogProbs, at: number, found: LogProbs, classes: Uint32Array | null): void {
  const { n } = all.top;
  all.logProbs.set(found.logProbs, at);
  all.ranks.set(found.ranks, at);
  const { indices } = found.top;
  all.top.indices.set(classes === null ? indices : indices.map((index) => classes[index]!), at * n);
  all.top.logProbs.set(found.top.logProbs, at * n);
}

export function* headLogProbsSteps(
  form: Form,
  matrix: HeadMatrix,
  hidden: HiddenStates,
  tokens: ArrayLike<number> | number,
  options?: HeadLogProbsOptions & AsyncOptions,
): Steps<LogProbs> {
  const names = ['dtype', 'temperature', 'top', 'candidates', ...FORM_OPTIONS[form]];
  const given = optionsOf<HeadLogProbsOptions>(options, names);
  const temperature = positive(given.temperature ?? 1, 'temperature');
  const wanted = count(given.top ?? 0, 'top', 0);
  const lists = listsOf(given.candidates);
  const list = tokensOf(tokens);
  const states = statesOf(matrix, hidden, given.dtype);
  const candidates = candidatesOf(lists, states.count, matrix.rows);
  const checked = checkedTokens(list, states.count, matrix.rows);
  const chosen = candidates === undefined ? checked : placesOf(checked, candidates);
  const n = Math.min(wanted, candidates?.n ?? matrix.rows);
  const all = {
    logProbs: new Float64Array(states.count),
    ranks: new Uint32Array(states.count),
    top: {
      indices: allocate('Uint32Array', states.count * n, 'top.indices'),
      logProbs: allocate('Float64Array', states.count * n, 'top.logProbs'),
      n,
    },
  };
  const whole = yield* productOf(form, matrix, states, candidates !== undefined);
  yield* eachList(form, whole, candidates, function* ({ product, first: place, classes }) {
    const { rows: cols } = product.matrix;
    yield* eachBlock(form, product, cols, function* ({ logits, first, n: rows }) {
      const call = { ...rowsOf(logits, { cols }), own: ['x'] as const };
      const at = place + first;
      const found = yield* logProbsSteps(call, viewOf(chosen, at, at + rows), temperature, n, at);
      storeLogs(all, at, found, classes);
    });
  });
  return all;
}
