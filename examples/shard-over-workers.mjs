// The softmax of one row in shared memory, by worker threads. Each worker sums its shard and posts states of 28 bytes; the
// main thread adds them, and each worker writes the probabilities of its shard. The result has the bits of one call.
//
//   node examples/shard-over-workers.mjs [elements, default 10^8] [workers, default: one a core, four at least]
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { availableParallelism } from 'node:os';
import { capabilities, ExpSumAccumulator, expSum, normalize, softmax } from 'flash-softmax';

// Rows are summed in units of 2^16 elements. One state a unit, added in order, gives the bits of the unsharded sum.
const UNIT = 2 ** 16;

function worker({ logits, probabilities, from, to }) {
  const units = [];
  for (let at = from; at < to; at += UNIT)
    units.push(new ExpSumAccumulator().add(logits.subarray(at, Math.min(at + UNIT, to))).toBytes());
  parentPort.postMessage(units);
  parentPort.once('message', (bytes) => {
    const row = ExpSumAccumulator.fromBytes(bytes);
    row.normalize(logits.subarray(from, to), probabilities.subarray(from, to));
    parentPort.postMessage('done');
  });
}

async function main(elements, count) {
  const shared = () => new Float32Array(new SharedArrayBuffer(4 * elements));
  const [logits, probabilities] = [shared(), shared()];
  for (let i = 0, state = 1; i < elements; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0; // any numbers, of −16 … 16
    logits[i] = state / 2 ** 27;
  }

  const started = performance.now();
  const share = Math.ceil(elements / UNIT / count) * UNIT;
  const workers = Array.from({ length: count }, (_, i) => {
    const [from, to] = [Math.min(elements, i * share), Math.min(elements, (i + 1) * share)];
    return new Worker(new URL(import.meta.url), { workerData: { logits, probabilities, from, to } });
  });
  const answer = (worker) => new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));

  const units = await Promise.all(workers.map(answer)); // in the order of the shards
  const row = new ExpSumAccumulator();
  for (const bytes of units.flat()) row.merge(ExpSumAccumulator.fromBytes(bytes));

  const written = Promise.all(workers.map(answer));
  for (const each of workers) each.postMessage(row.toBytes());
  await written;
  console.log(
    `${elements} logits, ${count} workers: ${(performance.now() - started).toFixed(0)} ms, log-sum-exp ${row.logSumExp()}`,
  );

  // On native backends softmax has the same bits. In JavaScript expSum and normalize have them, and softmax has its own.
  const isNative = capabilities().backend !== 'js';
  const whole = isNative ? softmax(logits) : normalize(logits, expSum(logits));
  const [a, b] = [whole, probabilities].map((y) => new Uint32Array(y.buffer, y.byteOffset, y.length));
  const different = a.findIndex((word, i) => word !== b[i]);
  console.log(
    different === -1
      ? `the same bits as ${isNative ? 'softmax' : 'normalize'} of the whole row`
      : `different bits at ${different}`,
  );
  process.exitCode = different === -1 ? 0 : 1;
}

if (isMainThread)
  await main(Number(process.argv[2] ?? 1e8), Number(process.argv[3] ?? Math.max(4, availableParallelism())));
else worker(workerData);
