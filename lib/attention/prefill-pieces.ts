/** The pieces of a prefill: neighbouring sequences of equally many tokens, or a chunk of one sequence. */
import { copyInto, kindOf, newArray, viewOf, type ArrayKind } from '../call/arrays.js';
import type { Steps } from '../call/steps.js';
import { CACHE_VIEW } from './cache-view.js';
import { decodeCall, type DecodeOptions } from './decode.js';
import type { KVCache } from './kv-cache.js';
import type { Growth } from './kv-growth.js';

/** A mask or bias, and the distances of its sequences, heads and queries; 0 where they share entries. */
export interface Shared<A extends Uint8Array | Float32Array> {
  readonly entries: A;
  readonly batch: number;
  readonly head: number;
  readonly query: number;
}

/** A checked prefill. Its arrays are private, or nobody writes to them meanwhile. */
export interface Prompts {
  readonly growth: Growth;
  /** The new tokens of each sequence. */
  readonly tokens: readonly number[];
  /** The most tokens of a piece. */
  readonly chunk: number;
  readonly heads: number;
  readonly positionsFirst: 0 | 1;
  readonly q: Float32Array;
  readonly k: Float32Array;
  readonly v: Float32Array;
  readonly mask: Shared<Uint8Array> | undefined;
  readonly bias: Shared<Float32Array> | undefined;
  /** All other options of the calls. */
  readonly options: DecodeOptions;
  readonly out: Float32Array;
  readonly lse: Float64Array | null;
}

interface Piece {
  /** The first sequence, and how many there are. */
  readonly first: number;
  readonly sequences: number;
  /** The tokens [at, at + tokens) of each sequence. */
  readonly at: number;
  readonly tokens: number;
  /** The tokens of all earlier sequences. */
  readonly before: number;
}

function* piecesOf({ tokens, chunk, mask, bias }: Prompts): Generator<Piece> {
  const canJoin = mask === undefined && bias === undefined;
  let before = 0;
  for (let first = 0; first < tokens.length;) {
    const n = tokens[first]!;
    let sequences = 1;
    while (canJoin && n <= chunk && tokens[first + sequences] === n) sequences++;
    for (let at = 0; at < n; at += chunk) yield { first, sequences, at, tokens: Math.min(chunk, n - at), before };
    before += n * sequences;
    first += sequences;
  }
}

/** Appends piece after piece, and attends to it. */
export function* attendPieces(prompts: Prompts): Steps<void> {
  const { growth, tokens, heads, positionsFirst, q, k, v, out, lse } = prompts;
  const { kvHeads, headDim, valueDim } = growth;
  for (const piece of piecesOf(prompts)) {
    const rows = { piece, all: tokens[piece.first]! };
    const added = { positionsFirst, tokens: new Array<number>(piece.sequences).fill(piece.tokens) };
    const lies = { isSplit: positionsFirst === 0, rows };
    const [keys] = partOf(k, kvHeads, headDim, lies);
    const [values] = partOf(v, kvHeads, valueDim, lies);
    growth.append(piece.first, { k: keys, v: values, ...added });
    const [queries] = partOf(q, heads, headDim, lies);
    const [result, putResult] = partOf(out, heads, valueDim, lies);
    const [logs, putLogs] = lse === null ? [undefined, undefined] : partOf(lse, heads, 1, { isSplit: true, rows });
    yield decodeCall(queries, cacheOf(prompts, piece), new Array<number>(piece.sequences).fill(0), {
      ...optionsOf(prompts, piece),
      out: result,
      ...(logs && { lse: logs }),
    });
    putResult();
    putLogs?.();
    yield undefined;
  }
}

interface Lies {
  /** Whether heads come first, so that a chunk of a sequence is in as many parts. */
  readonly isSplit: boolean;
  /** The piece, and the tokens of its sequences. */
  readonly rows: { readonly piece: Piece; readonly all: number };
}

/**
 * The numbers of a piece, `dim` for each token and head: in place, or, where they are in parts, as a copy with a
 * function that copies it back.
 */
function partOf<A extends Float32Array | Float64Array>(
  x: A,
  heads: number,
  dim: number,
  { isSplit, rows: { piece, all } }: Lies,
): [part: A, put: () => void] {
  const { sequences, at, tokens, before } = piece;
  const size = heads * dim;
  if (!isSplit || tokens === all) {
    const from = (before + at) * size;
    return [viewOf(x, from, from + sequences * tokens * size), () => undefined];
  }
  const part = newArray(kindOf(x) as ArrayKind, tokens * size) as unknown as A;
  const inPlace = (head: number): A => {
    const from = (before * heads + head * all + at) * dim;
    return viewOf(x, from, from + tokens * dim);
  };
  const inPart = (head: number): A => viewOf(part, head * tokens * dim, (head + 1) * tokens * dim);
  for (let head = 0; head < heads; head++) copyInto(inPart(head), inPlace(head));
  const put = () => {
    for (let head = 0; head < heads; head++) copyInto(inPlace(head), inPart(head));
  };
  return [part, put];
}

/** What decodeAttention takes for a cache: the sequences of a piece as they are now. */
const cacheOf = ({ growth }: Prompts, { first, sequences }: Piece): KVCache =>
  ({ [CACHE_VIEW]: () => growth.view(first, first + sequences) }) as unknown as KVCache;

function optionsOf({ growth, heads, positionsFirst, mask, bias, options }: Prompts, piece: Piece): DecodeOptions {
  const keys = growth.lengths[piece.first]! + piece.at + piece.tokens;
  const entries = <A extends Uint8Array | Float32Array>(all: Shared<A>): A => entriesOf(all, piece, heads, keys);
  return {
    ...options,
    heads,
    queries: piece.tokens,
    layout: positionsFirst === 1 ? 'bshd' : 'bhsd',
    ...(mask && { mask: entries(mask) }),
    ...(bias && { bias: entries(bias) }),
  };
}

/** The entries of one chunk: [keys] where all rows share them, else [queries, keys] or [heads, queries, keys]. */
function entriesOf<A extends Uint8Array | Float32Array>(
  { entries, batch, head, query }: Shared<A>,
  { first, at, tokens }: Piece,
  heads: number,
  keys: number,
): A {
  const start = first * batch + at * query;
  if (head === 0 && query === 0) return viewOf(entries, start, start + keys);
  const rows = head === 0 ? 1 : heads;
  const part = newArray(kindOf(entries) as ArrayKind, rows * tokens * keys) as unknown as A;
  for (let row = 0; row < rows * tokens; row++) {
    const from = start + Math.floor(row / tokens) * head + (row % tokens) * query;
    copyInto(part, viewOf(entries, from, from + keys), row * keys);
  }
  return part;
}
