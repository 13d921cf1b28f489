// Linear attention token by token, and over worker threads: a state has the same size however many keys it has seen.
// Each worker sums some of the tokens and sends its state; the states are merged, and decoding goes on from there.
//
//   node examples/linear-attention.mjs [tokens, default 20000] [workers, default 4]
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { LinearAttentionState } from 'flash-softmax/attention';

const [heads, kvHeads, headDim] = [8, 2, 64];

/** Numbers of −1 … 1, the same in every worker. */
const numbers = (n, seed) =>
  Float32Array.from({ length: n }, (_, i) => Math.fround(((Math.imul(i + seed, 2654435761) >>> 8) % 2001) / 1000 - 1));
const token = kvHeads * headDim;

/** The state over the tokens [from, to), added one by one as a decoder has them. */
function stateOf(from, to) {
  const state = new LinearAttentionState({ kvHeads, headDim });
  for (let t = from; t < to; t++) state.append(numbers(token, t * token), numbers(token, t * token + 7));
  return state;
}

function worker({ from, to }) {
  parentPort.postMessage(stateOf(from, to).toBytes());
}

async function main(total, count) {
  const share = Math.ceil(total / count);
  const workers = Array.from(
    { length: count },
    (_, i) =>
      new Worker(new URL(import.meta.url), {
        workerData: { from: Math.min(total, i * share), to: Math.min(total, (i + 1) * share) },
      }),
  );
  const bytes = await Promise.all(
    workers.map((each) => new Promise((resolve, reject) => each.once('message', resolve).once('error', reject))),
  );
  const state = new LinearAttentionState({ kvHeads, headDim });
  for (const each of bytes) state.merge(LinearAttentionState.fromBytes(each));
  const q = numbers(heads * headDim, 3);
  const out = state.query(q, { heads });
  const whole = stateOf(0, total).query(q, { heads });
  const off = out.reduce((most, x, i) => Math.max(most, Math.abs(x - whole[i])), 0);
  console.log(`${state.tokens} tokens in ${count} workers, ${bytes[0].length} bytes from each`);

  // Decoding: append a token, query it. MALA and InLine are forms of the same query.
  state.append(numbers(token, total * token), numbers(token, total * token + 7));
  for (const form of ['normalized', 'magnitudeAware', 'injective']) {
    console.log(`${form.padEnd(15)} ${[...state.query(q, { heads, form }).subarray(0, 3)].map((x) => x.toFixed(6))}`);
  }
  console.log(off <= 2 ** -23 ? 'the result of one state with all tokens' : `off by ${off}`);
  process.exitCode = off <= 2 ** -23 ? 0 : 1;
}

if (isMainThread) await main(Number(process.argv[2] ?? 20_000), Number(process.argv[3] ?? 4));
else worker(workerData);
