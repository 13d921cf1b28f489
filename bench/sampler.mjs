// Times the Sampler in one run, interleaved: one row of 128,256 logits on one thread, with penalties and histories of
// several lengths, beside the filters alone and beside a plain JavaScript sampler; then 64 sequences in one call.
//
//   npm run compile && node bench/sampler.mjs [rounds, default 60]
import { setThreads, softmax } from 'flash-softmax';
import { sampleAll } from 'flash-softmax/promises';
import { sample, Sampler, verifyDraft, beamStep } from 'flash-softmax/sampling';
import { normal, uniform } from './numbers.mjs';
import { oneThread, show, turns } from './turns.mjs';

const cols = 128_256;
const rounds = Number(process.argv[2] ?? 60);
const allThreads = oneThread();

const filters = { topK: 50, topP: 0.9, minP: 0.05 };
const penalties = { repetitionPenalty: 1.1, presencePenalty: 0.5 };

/** What a program without a library does: a copy, penalties from a Map, a sort of all tokens, the filters, a draw. */
function plainSampler(history) {
  const counts = new Map();
  for (const token of history) counts.set(token, (counts.get(token) ?? 0) + 1);
  return (logits) => {
    const row = logits.slice();
    for (const token of counts.keys()) row[token] = (row[token] > 0 ? row[token] / 1.1 : row[token] * 1.1) - 0.5;
    const order = Uint32Array.from(row, (_, i) => i);
    order.sort((a, b) => row[b] - row[a]);
    const kept = Array.from(order.subarray(0, filters.topK));
    const weights = kept.map((token) => Math.exp(row[token] - row[kept[0]]));
    const total = weights.reduce((a, b) => a + b);
    let [n, sum] = [0, 0];
    while (n < kept.length && sum < filters.topP * total && weights[n] >= filters.minP) sum += weights[n++];
    let u = Math.random() * sum;
    for (let i = 0; i < n; i++) if ((u -= weights[i]) < 0) return kept[i];
    return kept[n - 1];
  };
}

// Rows in the last-level cache, too many for a branch predictor to learn.
const rows = Array.from({ length: 8 }, (_, i) => normal(cols, 4, 10 + i));
const rowOf = (seed) => rows[seed % 8];
const out = new Float32Array(cols);
const next = uniform(7);
/** Half of the tokens of a history are those with the largest logits. */
const likely = rows.flatMap((row) => Array.from(row.keys()).filter((i) => row[i] > 12));
const historyOf = (n) =>
  Array.from({ length: n }, () => (next() < 0.5 ? likely[(next() * likely.length) | 0] : (next() * cols) | 0));
/** A sampler that forgets what it drew, so that its history keeps its length. */
function drawing(options, history) {
  const sampler = new Sampler({ ...filters, seed: 1, ...options });
  sampler.accept(history);
  return (seed) => sampler.next(rowOf(seed));
}
const histories = [10, 1000, 10_000, 100_000].map(historyOf);
const lowering = { ...penalties, logitBias: { 5: -1, 7: -2 } };
const raising = { ...penalties, logitBias: { 5: 1, 7: 2 } };
const dry = { multiplier: 0.8, allowedLength: 2 };
show(
  'one row, one thread: top-k 50, top-p .9, min-p .05',
  await turns(
    {
      'sample: the filters alone': (seed) => sample(rowOf(seed), { ...filters, seed: 1, step: seed }),
      softmax: (seed) => softmax(rowOf(seed), { out }),
      'memcpy of the row': (seed) => out.set(rowOf(seed)),
      'Sampler without penalties': drawing({}, histories[1]),
      ...Object.fromEntries(
        histories.map((history) => [
          `Sampler, repetition and presence, a history of ${history.length}`,
          drawing(penalties, history),
        ]),
      ),
      'Sampler, biases below 0 too, a history of 1000': drawing(lowering, histories[1]),
      'Sampler, biases above 0 too, a history of 1000': drawing(raising, histories[1]),
      'Sampler, DRY and no 4-gram twice too, a history of 10000': drawing(
        { ...penalties, dry, noRepeatNgram: 4 },
        histories[2],
      ),
      'Sampler, no top-k, a history of 1000': drawing({ ...penalties, topK: 0 }, histories[1]),
    },
    { rounds },
  ),
  'sample: the filters alone',
);

const plain = plainSampler(histories[1]);
const ours = drawing(penalties, histories[1]);
show(
  'beside plain JavaScript, a history of 1000',
  await turns(
    { 'flash-softmax': ours, 'plain JavaScript': (seed) => plain(rowOf(seed)) },
    { rounds: Math.ceil(rounds / 20) },
  ),
  'flash-softmax',
);

const batch = new Float32Array(64 * cols);
for (let r = 0; r < 64; r++) batch.set(rows[r % 8], r * cols);
const samplersOf = () =>
  Array.from({ length: 64 }, (_, i) => new Sampler({ ...filters, ...penalties, seed: i }).accept(historyOf(1000)));
const [one, all, promised, single] = [samplersOf(), samplersOf(), samplersOf(), samplersOf()];
/** A task on so many threads, which an untimed call has started. */
const on = (threads, run) => ({
  prepare() {
    setThreads(threads);
    sample(batch.subarray(0, 8 * cols), { cols, topK: 50 });
  },
  run,
});
show(
  '64 sequences, a history of 1000 each',
  await turns(
    {
      'sampleAll, one thread': on(1, () => Sampler.sampleAll(one, batch)),
      [`sampleAll, ${allThreads} threads`]: on(allThreads, () => Sampler.sampleAll(all, batch)),
      [`promises.sampleAll, ${allThreads} threads`]: on(allThreads, () => sampleAll(promised, batch)),
      'next of each, one thread': on(1, () =>
        single.map((each, r) => each.next(batch.subarray(r * cols, (r + 1) * cols))),
      ),
    },
    { rounds: Math.ceil(rounds / 2) },
  ),
  'sampleAll, one thread',
);
setThreads(1);

const [target, draft] = [batch.slice(0, 6 * cols), batch.slice(cols, 6 * cols)];
const tokens = [1, 2, 3, 4, 5].map((r) => sample(batch.slice(r * cols, (r + 1) * cols), { seed: r })[0]);
const scores = [0, -1, -2, -3];
show(
  'one thread',
  await turns(
    {
      'verifyDraft, 5 tokens, draft logits': (seed) => verifyDraft(draft, target, tokens, { cols, seed }),
      'verifyDraft, 5 tokens, draft logits, top-k 50': (seed) =>
        verifyDraft(draft, target, tokens, { cols, seed, topK: 50 }),
      'verifyDraft, 5 tokens, temperature 0': () => verifyDraft(null, target, tokens, { cols, temperature: 0 }),
      'beamStep, 4 beams, the best 8': () => beamStep(batch.subarray(0, 4 * cols), scores, 8),
    },
    { rounds: Math.ceil(rounds / 6) },
  ),
  'beamStep, 4 beams, the best 8',
);
