/** Worker threads: many load the package at once, work on shared memory, and are ended in the middle of a call. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { backends, softmaxOn } from '../support/backends.js';
import { firstDifference, longest, row } from '../support/cases.js';
import { run } from '../support/run.js';

/** Workers run JavaScript, so they load the built package. */
const entry = new URL('../../dist/index.js', import.meta.url);
const script = new URL('./workers/call.mjs', import.meta.url);

/** An emulated processor is slow to start a worker. */
const emulated = longest < 2 ** 20;

interface Answer {
  backend: string;
  disturbances: string[];
}

interface Task {
  input: Float32Array;
  output: Float32Array;
  cols: number;
  calls: number;
}

function start(backend: string, task: Task): Worker {
  expect(existsSync(entry), 'dist/ is there (npm run compile)').toBe(true);
  const env = { ...process.env, FLASH_SOFTMAX_BACKEND: backend };
  return new Worker(script, { workerData: { entry: entry.href, ...task }, env });
}

const answer = (worker: Worker): Promise<Answer> =>
  new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
    worker.once('exit', (code) => reject(new Error(`The worker ended with ${code} and no answer`)));
  });

function shared(x: Float32Array): Float32Array {
  const copy = new Float32Array(new SharedArrayBuffer(x.byteLength));
  copy.set(x);
  return copy;
}

describe('worker threads', () => {
  for (const name of backends) {
    it(`${name}: eight load it at once and read one shared input`, async () => {
      const [rows, cols, workers] = [20, 5003, 8];
      const x = row('f32', 'N(0,8)', rows * cols);
      const wanted = softmaxOn(name, x, { cols });
      const input = shared(x);
      const everything = shared(new Float32Array(workers * x.length));
      const outputs = Array.from({ length: workers }, (_, i) => everything.subarray(i * x.length, (i + 1) * x.length));

      const answers = await Promise.all(
        outputs.map((output) => answer(start(name, { input, output, cols, calls: emulated ? 5 : 20 }))),
      );

      for (const { backend, disturbances } of answers) {
        expect(backend).toBe(name);
        expect(disturbances, 'floating-point control').toEqual([]);
      }
      for (const output of outputs) expect(firstDifference(output, wanted)).toBe(-1);
      expect(firstDifference(input, x), 'the input is only read').toBe(-1);
    }, 60_000);

    it(`${name}: rows in shared memory, in place`, async () => {
      const x = row('f32', 'down into the subnormals', 30_000);
      const inPlace = shared(x);
      const { disturbances } = await answer(start(name, { input: inPlace, output: inPlace, cols: 300, calls: 1 }));
      expect(disturbances).toEqual([]);
      expect(firstDifference(inPlace, softmaxOn(name, x, { cols: 300 }))).toBe(-1);
    }, 60_000);

    it(`${name}: ended in the middle of its calls`, async () => {
      for (let round = 0; round < (emulated ? 1 : 4); round++) {
        const input = shared(row('f32', 'N(0,1)', 200_000));
        const worker = start(name, { input, output: shared(input), cols: 1000, calls: 1e9 });
        await new Promise((resolve) => worker.once('online', resolve));
        await new Promise((resolve) => setTimeout(resolve, 40 + 30 * round));
        expect(await worker.terminate()).toBe(1);
      }
    }, 60_000);

    // An emulated process cannot start another one.
    if (!emulated) {
      it(`${name}: the process ends in the middle of calls`, async () => {
        const env = { FLASH_SOFTMAX_BACKEND: name };
        const exit = fileURLToPath(new URL('./workers/exit.mjs', import.meta.url));
        expect(
          await run(process.execPath, [...process.execArgv.filter((arg) => arg.includes('wasm')), exit, entry.href], {
            env,
          }),
        ).toBe('');
      }, 60_000);
    }
  }
});
