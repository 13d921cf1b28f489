/** flash-softmax/promises: the numbers of the sync functions; signals, lost buffers, threads that end in mid-job. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { setImmediate } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { backends, nativeBackends } from '../support/backends.js';
import { firstDifference, longest, row, typeNames } from '../support/cases.js';
import { forceBackend } from '../support/force-backend.js';

type Root = typeof import('../../lib/index.js');
type Promises = typeof import('../../lib/promises.js');

const entry = new URL('../../dist/promises.js', import.meta.url);
const script = new URL('./mid-job.mjs', import.meta.url);
/** Neither emulator nor sanitizer: modules can be loaded again with another backend. */
const isUsual = longest >= 2 ** 20;
/** 16 M floats. Plain C++ takes twenty times as long as the other backends. */
const lengthFor = (name: string): number => (name === 'scalar' ? 2 ** 20 : isUsual ? 2 ** 24 : 2 ** 22);

for (const name of isUsual ? backends : backends.slice(0, 1)) {
  describe(name, () => {
    const LONG = lengthFor(name);
    let sync: Root;
    let later: Promises;
    forceBackend(name, async () => {
      expect(existsSync(entry), 'dist/ is there (npm run compile)').toBe(true);
      sync = await import('../../lib/index.js');
      later = await import('../../lib/promises.js');
    });

    it('gives the results of the root', async () => {
      for (const type of typeNames) {
        for (const n of [0, 12, 3000, 300_000]) {
          const x = row(type, 'N(0,8)', n) as Float32Array;
          const options = {
            cols: n / 3 || 1,
            temperature: 0.7,
            mask: Uint8Array.from(x, (v) => Number(v > -4)),
            bias: x.slice(),
          };
          expect(firstDifference(await later.softmax(x, options), sync.softmax(x, options))).toBe(-1);
          const state = await later.expSum(x, options);
          expect(state).toEqual(sync.expSum(x, options));
          expect(firstDifference(await later.normalize(x, state, options), sync.normalize(x, state, options))).toBe(-1);
          expect(await later.expSum(x, { ...options, unifiedMax: 3 })).toEqual(
            sync.expSum(x, { ...options, unifiedMax: 3 }),
          );
          expect(firstDifference(await later.logSoftmax(x, options), sync.logSoftmax(x, options))).toBe(-1);
          expect(await later.logSumExp(x, options)).toEqual(sync.logSumExp(x, options));
          expect(await later.logSumExp(state)).toEqual(sync.logSumExp(state));
          const targets = Array<number>(n / options.cols).fill(0);
          const [gradient, wanted] = [x.slice(), x.slice()];
          expect(await later.crossEntropy(x, targets, options)).toEqual(
            sync.crossEntropy(x, targets, { ...options, gradient: wanted }),
          );
          expect(await later.crossEntropy(x, targets, { ...options, gradient })).toHaveLength(targets.length);
          expect(firstDifference(gradient, wanted)).toBe(-1);
          await later.crossEntropy(gradient.fill(0.5), targets, { cols: options.cols, gradient });
          sync.crossEntropy(wanted.fill(0.5), targets, { cols: options.cols, gradient: wanted });
          expect(firstDifference(gradient, wanted)).toBe(-1);
          const { bias: dy, ...rest } = options;
          expect(firstDifference(await later.softmaxBackward(x, dy, rest), sync.softmaxBackward(x, dy, rest))).toBe(-1);
        }
      }
    });

    it('gives the results of the root for half types', async () => {
      for (const dtype of ['float16', 'bfloat16'] as const) {
        for (const n of [12, 30_000]) {
          const x = Uint16Array.from(row('f32', 'N(0,8)', n), (v) => 0x3c00 + (Math.trunc(v * 64) & 0x1ff));
          const options = { cols: n / 3, dtype };
          const out = () => ({ ...options, out: new Float32Array(n) });
          const state = await later.expSum(x, options);
          expect(state).toEqual(sync.expSum(x, options));
          expect(await later.softmax(x, options)).toEqual(sync.softmax(x, options));
          expect(await later.softmax(x, out())).toEqual(sync.softmax(x, out()));
          expect(await later.normalize(x, state, options)).toEqual(sync.normalize(x, state, options));
          expect(await later.logSoftmax(x, out())).toEqual(sync.logSoftmax(x, out()));
          expect(await later.softmaxBackward(x, x, options)).toEqual(sync.softmaxBackward(x, x, options));
        }
      }
    });

    it('writes to out: another array, the input, shared memory', async () => {
      const x = row('f32', 'N(0,8)', 600_000);
      const wanted = sync.softmax(x, { cols: 1000 });
      const shared = new Float32Array(new SharedArrayBuffer(x.byteLength));
      shared.set(x);
      for (const [input, out] of [
        [x, new Float32Array(x.length)],
        [shared, x.slice()],
        [x.slice(), 'x'],
        [shared, 'x'],
      ] as const) {
        const target = out === 'x' ? input : out;
        expect(await later.softmax(input, { cols: 1000, out: target })).toBe(target);
        expect(firstDifference(target, wanted)).toBe(-1);
      }
    });

    it('rejects what the root throws, before anything else', async () => {
      const x = new Float32Array(6);
      await expect(later.softmax([1] as never)).rejects.toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' });
      await expect(later.softmax(x, { cols: 4 })).rejects.toThrow(RangeError);
      await expect(later.softmax(x, { cold: 4 } as never)).rejects.toThrow(/Expected only .*signal for options/);
      await expect(later.softmax(x, { signal: {} as never })).rejects.toThrow(/Expected an AbortSignal for signal/);
      await expect(later.expSum(Float32Array.of(3e9))).rejects.toThrow(/row 0/);
      await expect(later.normalize(x, {} as never)).rejects.toThrow(TypeError);
    });

    it('works on a copy of the input, which may change afterwards', async () => {
      const x = row('f32', 'N(0,8)', 100_000);
      const wanted = sync.softmax(x);
      for (const change of [
        (a: Float32Array) => a.fill(NaN),
        (a: Float32Array) => structuredClone(a.buffer, { transfer: [a.buffer as ArrayBuffer] }),
      ]) {
        const copy = x.slice();
        const job = later.softmax(copy);
        change(copy); // a short input was copied before the promise was returned
        expect(firstDifference(await job, wanted)).toBe(-1);
      }
    });

    it('rejects and writes nothing if an array loses its buffer while it is read or before it is written', async () => {
      const n = 3_000_000;
      const detach = (a: Float32Array) => void structuredClone(a.buffer, { transfer: [a.buffer as ArrayBuffer] });
      const shrink = (a: Float32Array) => (a.buffer as ArrayBuffer & { resize(bytes: number): void }).resize(4 * n - 8);
      const resizable = () => {
        const buffer = new (ArrayBuffer as unknown as new (n: number, o: object) => ArrayBuffer)(4 * n, {
          maxByteLength: 4 * n + 64,
        });
        return new Float32Array(buffer).fill(1);
      };
      for (const [make, lose] of [
        [() => new Float32Array(n).fill(1), detach],
        [resizable, shrink],
        [resizable, detach],
      ] as const) {
        for (const turns of [0, 1, 4]) {
          const x = make();
          const job = later.softmax(x);
          for (let i = 0; i < turns; i++) await setImmediate();
          lose(x);
          await expect(job, `input, ${turns} turns`).rejects.toThrow(
            /Expected 3000000 elements until the promise settles for x/,
          );

          const [y, out] = [new Float32Array(n), make()];
          const other = later.softmax(y, { out });
          for (let i = 0; i < turns; i++) await setImmediate();
          lose(out);
          await expect(other, `out, ${turns} turns`).rejects.toThrow(/until the promise settles for out but received/);
          expect(out.length === 0 || out.every((v) => v === 1)).toBe(true);
        }
      }
    }, 60_000);

    it('is stopped by a signal: before, while the input is copied, while the job runs; not afterwards', async () => {
      const x = new Float32Array(LONG);
      await expect(later.softmax(x, { signal: AbortSignal.abort() })).rejects.toMatchObject({ name: 'AbortError' });
      await expect(later.softmax(x, { signal: AbortSignal.abort('enough') })).rejects.toBe('enough');

      const shared = new Float64Array(new SharedArrayBuffer(8 * LONG));
      let whole = Infinity; // of the shortest run: the first one touches new memory, and takes several times as long
      for (let i = 0; i < 3; i++) {
        const started = performance.now();
        await later.expSum(shared);
        whole = Math.min(whole, performance.now() - started);
      }
      /**
       * The outcome of a job that is told to stop after so many milliseconds, and the milliseconds that it took to
       * stop.
       */
      const stopped = async (
        input: typeof x | typeof shared,
        out: Float32Array,
        wait: number,
      ): Promise<{ found: unknown; late: number }> => {
        const controller = new AbortController();
        const { signal } = controller;
        const job = input === x ? later.softmax(x, { out, signal }) : later.expSum(shared, { signal });
        const settled = job.catch((error: unknown) => error);
        const from = performance.now();
        while (performance.now() - from < wait) await setImmediate();
        controller.abort();
        const at = performance.now();
        return { found: await settled, late: performance.now() - at };
      };
      for (const [input, wait] of [
        [x, 0],
        [x, 5],
        [shared, 0],
        [shared, whole / 4],
      ] as const) {
        // A native job ends with its block; a worker thread takes some time to end.
        const isAddon = nativeBackends.includes(name) && name !== 'scalar';
        const limit = isAddon ? Math.max(20, whole / 2) : Infinity;
        const out = new Float32Array(input === x ? LONG : 0);
        // Other programs may hold up this thread until the job has ended, or for longer than the job takes to stop.
        let [last, sooner] = [{ found: undefined as unknown, late: Infinity }, 1];
        for (let i = 0; i < 10 && !(last.found instanceof Error && last.late < limit); i++) {
          last = await stopped(input, out.fill(2), wait / sooner);
          if (wait > 0 && !(last.found instanceof Error)) sooner *= 2;
          else expect(last.found, `after ${wait / sooner} ms of ${whole}`).toMatchObject({ name: 'AbortError' });
        }
        expect(last.found, `after ${wait / sooner} ms of ${whole}`).toMatchObject({ name: 'AbortError' });
        expect(last.late, `after ${wait / sooner} ms of ${whole}`).toBeLessThan(limit);
        expect(out.every((v) => v === 2)).toBe(true);
      }

      const controller = new AbortController();
      const y = await later.softmax(x.subarray(0, 100_000), { signal: controller.signal });
      controller.abort();
      expect(y[0]).toBeCloseTo(1e-5, 12);
      expect(firstDifference(await later.softmax(x.subarray(0, 100_000)), y), 'a job after a stopped one').toBe(-1);
    }, 120_000);

    it('runs many jobs at once', async () => {
      const inputs = Array.from({ length: 12 }, (_, i) => row('f32', 'N(0,8)', 20_000 + i));
      const results = await Promise.all(inputs.map((x) => later.softmax(x)));
      results.forEach((y, i) => expect(firstDifference(y, sync.softmax(inputs[i]!))).toBe(-1));
    });

    it('ends with its process and with its worker thread in mid-job', async () => {
      const env = { ...process.env, FLASH_SOFTMAX_BACKEND: name };
      for (const [end, code] of [
        ['exit', 7],
        ['throw', 1],
        ['wait', 0],
      ] as const) {
        const flags = process.execArgv.filter((arg) => arg.includes('wasm'));
        const command = [...flags, fileURLToPath(script), entry.href, end];
        const { status, signal, stderr } = spawnSync(process.execPath, command, {
          env,
          encoding: 'utf8',
          timeout: 60_000,
        });
        expect([status, signal], stderr).toEqual([code, null]);
      }
      for (const end of ['exit', 'terminate'] as const) {
        const worker = new Worker(script, { workerData: { entry: entry.href, end }, env });
        await new Promise((resolve) => worker.once('message', resolve));
        const code =
          end === 'exit' ? await new Promise((resolve) => worker.once('exit', resolve)) : await worker.terminate();
        expect(code).toBe(end === 'exit' ? 7 : 1);
      }
    }, 120_000);
  });
}
