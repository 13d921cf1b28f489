// A cache split over worker threads. Each worker has some of the keys in its own cache and answers a query with a state of
// a few hundred bytes a head; the states are merged. Other machines in place of threads work in the same way.
//
//   node examples/attention-over-workers.mjs [keys, default 100000] [workers, default 4]
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import {
  attentionPartial,
  AttentionPartial,
  decodeAttention,
  KVCache,
  mergeAttentionPartials,
} from 'flash-softmax/attention';

const [heads, kvHeads, headDim] = [8, 2, 64];

/** Numbers of −1 … 1, the same in every worker. */
const numbers = (n, seed) =>
  Float32Array.from({ length: n }, (_, i) => Math.fround(((Math.imul(i + seed, 2654435761) >>> 8) % 2001) / 1000 - 1));
const token = kvHeads * headDim;

function fill(cache, from, to) {
  const sequence = cache.create();
  for (let at = from; at < to; at += 1000) {
    const n = Math.min(1000, to - at) * token;
    cache.append(sequence, numbers(n, at * token), numbers(n, at * token + 7));
  }
  return sequence;
}

function worker({ from, to, total }) {
  const cache = new KVCache({ kvHeads, headDim });
  const sequence = fill(cache, from, to);
  parentPort.on('message', (q) => {
    const state = attentionPartial(q, cache, sequence, { keyOffset: from, totalKeys: total, alibi: true });
    parentPort.postMessage(state.toBytes());
  });
}

async function main(total, count) {
  const share = Math.ceil(total / count / 512) * 512; // any other share works too
  const workers = Array.from(
    { length: count },
    (_, i) =>
      new Worker(new URL(import.meta.url), {
        workerData: { from: Math.min(total, i * share), to: Math.min(total, (i + 1) * share), total },
      }),
  );
  const q = numbers(heads * headDim, 3);
  const answers = workers.map(
    (each) => new Promise((resolve, reject) => each.once('message', resolve).once('error', reject)),
  );
  for (const each of workers) each.postMessage(q);
  const bytes = await Promise.all(answers);
  const { out, lse } = mergeAttentionPartials(...bytes.map((each) => AttentionPartial.fromBytes(each))).finish({
    lse: true,
  });
  await Promise.all(workers.map((each) => each.terminate()));

  const cache = new KVCache({ kvHeads, headDim });
  const whole = decodeAttention(q, cache, fill(cache, 0, total), { alibi: true });
  const off = out.reduce((most, x, i) => Math.max(most, Math.abs(x - whole[i])), 0);
  console.log(
    `${total} keys in ${count} workers, ${bytes[0].length} bytes from each; log-sum-exp of the first head ${lse[0].toFixed(6)}`,
  );
  console.log(off <= 2 ** -23 ? 'the result of one cache with all keys' : `off by ${off}`);
  process.exitCode = off <= 2 ** -23 ? 0 : 1;
}

if (isMainThread) await main(Number(process.argv[2] ?? 100_000), Number(process.argv[3] ?? 4));
else worker(workerData);
