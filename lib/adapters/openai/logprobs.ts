/** chatLogprobs and completionLogprobs: ln p of drawn tokens in the two shapes of OpenAI's API. */
import { kindOf } from '../../call/arrays.js';
import { wrongType, wrongValue } from '../../call/errors.js';
import { isUint8Array } from '../../call/types.js';
import type { LogProbs } from '../../sampling/log-probs.js';
import { listOf } from '../../sampling/options.js';

/**
 * The text of a token. Its bytes are better: a token may hold a part of a character only, which no string can show.
 */
export type Decode = (token: number) => string | Uint8Array;

/** Drawn tokens with ln p: a result of `sample` with `logProbs`, or one of the function `logProbs` with its tokens. */
export interface DrawnTokens extends Pick<LogProbs, 'logProbs' | 'top'> {
  readonly tokens: ArrayLike<number>;
}

/** One of `top_logprobs` of a chat. */
export interface TopLogprob {
  /** The text; 'bytes:\xe2\x82' where the bytes are no characters. */
  readonly token: string;
  /** ln p; −9999 for 0, which JSON has no logarithm of. */
  readonly logprob: number;
  readonly bytes: readonly number[];
}

/** An element of `choices[].logprobs.content` of a chat. */
export interface ChatLogprob extends TopLogprob {
  readonly top_logprobs: readonly TopLogprob[];
}

/** `choices[].logprobs` of a completion. */
export interface CompletionLogprobs {
  readonly tokens: readonly string[];
  readonly token_logprobs: readonly number[];
  /** For each token ln p of the most probable ones and of itself, by their texts; null where none were wanted. */
  readonly top_logprobs: readonly Readonly<Record<string, number>>[] | null;
  /** Where each token begins in the text, in characters (code points). */
  readonly text_offset: readonly number[];
}

/** What JSON has in place of −∞, as OpenAI's API and vLLM. */
const LEAST = -9999;

const jsonLog = (logProb: number): number => (logProb > LEAST ? logProb : LEAST);

interface Text {
  readonly text: string;
  readonly bytes: Uint8Array;
}

/** The bytes of a token. */
export function bytesOf(decoded: unknown, name: string): Uint8Array {
  if (typeof decoded === 'string') return new TextEncoder().encode(decoded);
  if (isUint8Array(decoded)) return decoded;
  throw wrongType('a string or a Uint8Array', name, decoded);
}

const hex = (byte: number): string => `\\x${byte.toString(16).padStart(2, '0')}`;

function textOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return `bytes:${Array.from(bytes, hex).join('')}`;
  }
}

/** The texts of tokens, each decoded once. */
function textsWith(decode: Decode): (token: number) => Text {
  if (typeof decode !== 'function') throw wrongType('a function', 'decode', decode);
  const known = new Map<number, Text>();
  return (token) => {
    const found = known.get(token);
    if (found !== undefined) return found;
    const bytes = bytesOf(decode(token), 'decode(token)');
    const text = { text: textOf(bytes), bytes };
    known.set(token, text);
    return text;
  };
}

interface Row {
  readonly token: number;
  readonly logProb: number;
  /** The most probable tokens with ln p. */
  readonly top: readonly (readonly [token: number, logProb: number])[];
}

function rowsOf(drawn: DrawnTokens): Row[] {
  if (typeof drawn !== 'object' || drawn === null) throw wrongType('tokens with logProbs', 'drawn', drawn);
  const { tokens, logProbs, top } = drawn;
  if (kindOf(logProbs) !== 'Float64Array' || typeof top !== 'object') {
    throw wrongType('a result with logProbs', 'drawn', drawn);
  }
  const list = listOf(tokens, 'drawn.tokens', (token) => token as number);
  if (list.length !== logProbs.length) {
    throw wrongValue(`${list.length} numbers, one a token,`, 'drawn.logProbs', String(logProbs.length));
  }
  return list.map((token, row) => ({
    token,
    logProb: logProbs[row]!,
    top: Array.from({ length: top.n }, (_, i) => [top.indices[row * top.n + i]!, top.logProbs[row * top.n + i]!]),
  }));
}

/**
 * `choices[].logprobs.content` of a chat completion, an element a token:
 *
 *     const drawn = sample(logits, { temperature: 0.8, logProbs: 5 });
 *     const content = chatLogprobs(drawn, (token) => tokenizer.decode([token]));
 *
 * @param drawn The result of `sample` with `logProbs`; or `{ tokens, ...logProbs(logits, tokens, { top }) }`.
 * @param decode The text or the bytes of a token.
 * @throws TypeError (ERR_INVALID_ARG_TYPE) for an argument of the wrong type; RangeError where tokens and
 *   log-probabilities are not equally many.
 * @example
 * import { chatLogprobs } from 'flash-softmax/adapters/openai';
 * import { sample } from 'flash-softmax/sampling';
 * const drawn = sample(Float32Array.of(1, 4, 2), { temperature: 0, logProbs: 2 });
 * const [{ token, logprob }] = chatLogprobs(drawn, (each) => ['no', 'yes', 'perhaps'][each]);
 * console.log(token, logprob.toFixed(3)); // → yes -0.170
 */
export function chatLogprobs(drawn: DrawnTokens, decode: Decode): ChatLogprob[] {
  const textsOf = textsWith(decode);
  const entry = (token: number, logProb: number): TopLogprob => {
    const { text, bytes } = textsOf(token);
    return { token: text, logprob: jsonLog(logProb), bytes: Array.from(bytes) };
  };
  return rowsOf(drawn).map(({ token, logProb, top }) => ({
    ...entry(token, logProb),
    top_logprobs: top.map(([other, logarithm]) => entry(other, logarithm)),
  }));
}

/**
 * `choices[].logprobs` of a completion.
 *
 * @param drawn As for {@link chatLogprobs}.
 * @param decode As for {@link chatLogprobs}.
 * @param textOffset Where the first token begins in the text, in characters: behind an echoed prompt or the chunks
 *   before. Default: 0.
 * @throws As {@link chatLogprobs}.
 * @example
 * import { completionLogprobs } from 'flash-softmax/adapters/openai';
 * import { sample } from 'flash-softmax/sampling';
 * const drawn = sample(Float32Array.of(1, 4, 2), { temperature: 0, logProbs: 2 });
 * const { tokens, text_offset } = completionLogprobs(drawn, (each) => ['no', 'yes', 'perhaps'][each]);
 * console.log(tokens.join(), text_offset.join()); // → yes 0
 */
export function completionLogprobs(drawn: DrawnTokens, decode: Decode, textOffset = 0): CompletionLogprobs {
  const textsOf = textsWith(decode);
  const rows = rowsOf(drawn);
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  let offset = textOffset;
  const offsets = rows.map(({ token }) => {
    const start = offset;
    for (const _ of decoder.decode(textsOf(token).bytes, { stream: true })) offset++;
    return start;
  });
  const wantsTop = rows.some(({ top }) => top.length > 0);
  const topOf = ({ token, logProb, top }: Row): Record<string, number> =>
    Object.fromEntries([...top, [token, logProb] as const].map(([each, log]) => [textsOf(each).text, jsonLog(log)]));
  return {
    tokens: rows.map(({ token }) => textsOf(token).text),
    token_logprobs: rows.map(({ logProb }) => jsonLog(logProb)),
    top_logprobs: wantsTop ? rows.map(topOf) : null,
    text_offset: offsets,
  };
}
