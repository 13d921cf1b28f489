// Shards of a vocabulary: each has some classes, sums its logits and draws a candidate. The client adds the sums and
// chooses among the candidates. The unit is a part of 2^16 classes, the block that a row is summed in: states of parts,
// merged in order, have the bits of the unsharded sum, and the token is the same however the parts are shared out.
import { expSum, ExpSumAccumulator } from 'flash-softmax';
import { gumbelTopK, sample } from 'flash-softmax/sampling';
import { Gather } from './gather.mjs';
import { request, ShardError } from './messages.mjs';

export const PART = 2 ** 16;

/** Which parts and classes each shard has, and the shard of each part. */
export function layoutOf(vocabulary, count) {
  const parts = Math.ceil(vocabulary / PART);
  const share = Math.ceil(parts / count);
  const owners = Array.from({ length: parts }, (_, part) => Math.floor(part / share));
  const shards = Array.from({ length: count }, (_, shard) => ({
    from: Math.min(vocabulary, shard * share * PART),
    to: Math.min(vocabulary, (shard + 1) * share * PART),
  }));
  return { owners, shards };
}

/**
 * The function of a shard from a request to its reply: for each row and part, a state and a candidate.
 *
 * @param logitsOf From a request to the logits of its rows, [rows, to − from].
 */
export function vocabularyShard({ logitsOf, from, to, vocabulary }) {
  const parts = Math.ceil(vocabulary / PART);
  return function answer(asked) {
    const logits = logitsOf(asked);
    const frames = [];
    for (let row = 0; row < asked.rows; row++) {
      for (let at = from; at < to; at += PART) {
        const start = row * (to - from) + at - from;
        const part = { number: at / PART, parts, row, first: at };
        const slice = logits.subarray(start, start + Math.min(PART, to - at));
        frames.push(...partFrames(slice, part, asked));
      }
    }
    return frames;
  };
}

function partFrames(logits, part, { temperature, epoch, ...options }) {
  const sum = new ExpSumAccumulator({ temperature }).merge(expSum(logits, { temperature }));
  const isUsable = sum.state.mantissa[0] > 0 && sum.state.mantissa[0] < Infinity;
  const index = isUsable ? candidate(logits, part, { temperature, ...options }) : { index: 0, key: -Infinity };
  const numbers = Float64Array.of(part.first + index.index, logits[index.index], index.key);
  return [sum.toBytes({ shard: part.number, epoch: epoch + part.row }), new Uint8Array(numbers.buffer)];
}

/** The draw of a part. Its random numbers are a row of the generator, apart from the one that chooses a part. */
function candidate(logits, { number, parts, row, first }, { temperature, seed, step, draw }) {
  if (draw === 'gumbel') {
    const { indices, values } = gumbelTopK(logits, 1, { temperature, seed, step, firstRow: row, firstColumn: first });
    return { index: indices[0], key: values[0] };
  }
  const [index] = sample(logits, { temperature, seed, step, firstRow: row * (parts + 1) + 1 + number });
  return { index, key: 0 };
}

/**
 * Draws a token of each row from a vocabulary that lies on shards.
 *
 * @param shards An engine: {@link NatsShards} or {@link BullMQShards}.
 * @param options `hidden` and `rows`; `vocabulary`; `epoch`, a number that no other row has; `temperature`, `seed`,
 *   `step`. `draw`: 'gumbel' has the tokens of gumbelMax on whole rows; 'parts' draws a part, then a class of it, 100
 *   times as fast.
 * @returns Of each row the token, its log-probability and the state of the whole row.
 */
export async function drawTokens(shards, { hidden, vocabulary, rows = 1, timeout, ...options }) {
  const { epoch, temperature = 1, seed = 0, step = 0, draw = 'gumbel' } = options;
  const { owners } = layoutOf(vocabulary, shards.count);
  const gather = new Gather({ epoch, rows, owners, read: (bytes) => ExpSumAccumulator.fromBytes(bytes) });
  const candidates = Array.from({ length: rows }, () => new Array(owners.length));
  const asked = request({ epoch, rows, temperature, seed, step, draw }, hidden);
  await shards.ask(asked, timeout, (shard, frames) => {
    for (let i = 0; i < frames.length; i += 2) {
      const numbers = numbersOf(shard, frames[i + 1]);
      const counted = gather.add(shard, frames[i]);
      if (counted) candidates[counted.row][counted.part] = numbers;
    }
    return gather.has(shard);
  });
  return candidates.map((ofParts, row) => {
    const states = gather.statesOf(row);
    const whole = states.reduce((sum, state) => sum.merge(state), new ExpSumAccumulator({ temperature }));
    if (whole.state.mantissa[0] === 0) throw new RangeError(`Expected a finite logit for row ${row} but received none`);
    const part = draw === 'gumbel' ? largest(ofParts) : drawnPart(states, { seed, step, row });
    const [token, logit] = ofParts[part];
    return { token, logProb: logit / temperature - whole.logSumExp(), sum: whole };
  });
}

/** Token, logit and key of a candidate. */
function numbersOf(shard, bytes) {
  const numbers = bytes?.length === 24 ? new Float64Array(bytes.slice().buffer) : [];
  if (numbers.length === 3 && Number.isInteger(numbers[0]) && numbers[2] === numbers[2]) return numbers;
  throw new ShardError(shard, 'a token, its logit and its key', bytes ? `${bytes.length} bytes` : 'none');
}

const largest = (candidates) => candidates.reduce((best, [, , key], i) => (key > candidates[best][2] ? i : best), 0);

/** The part that the row's own random number falls into. */
function drawnPart(states, { seed, step, row }) {
  const sums = Float64Array.from(states, (state) => state.logSumExp());
  return sample(sums, { seed, step, firstRow: row * (states.length + 1) })[0];
}
