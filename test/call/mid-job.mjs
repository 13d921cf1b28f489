// A process, or a worker thread, that ends while a job runs. argv or workerData name the way and the entry point.
import { setTimeout } from 'node:timers/promises';
import { isMainThread, parentPort, workerData } from 'node:worker_threads';

const [, , entry = workerData?.entry, end = workerData?.end] = isMainThread ? process.argv : [];
const { softmax } = await import(entry);

// Plain C++ takes twenty times as long as other backends.
const [long, short] = process.env.FLASH_SOFTMAX_BACKEND === 'scalar' ? [2 ** 20, 2 ** 18] : [2 ** 23, 2 ** 21];
const shared = new Float32Array(new SharedArrayBuffer(4 * long));
const own = new Float32Array(short);
await softmax(own.subarray(0, 5000)); // loads what the library loads at first use
const jobs = Array.from({ length: 6 }, () => softmax(shared, { out: shared }).catch(() => {}));
for (let i = 0; i < 3; i++) jobs.push(softmax(own).catch(() => {}));
await setTimeout(3);
parentPort?.postMessage('running');
if (end === 'exit') process.exit(7);
if (end === 'throw') throw new Error('on purpose');
// A job runs whenever the main thread ends the worker.
while (end === 'terminate') await softmax(shared, { out: shared });
await Promise.all(jobs);
