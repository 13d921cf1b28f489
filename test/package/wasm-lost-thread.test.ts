/** A thread of the WebAssembly backend that ends in the middle of a block: the caller does not wait for it for ever. */
import { afterEach, describe, expect, vi } from 'vitest';
import { MASK_NONE } from '../../lib/backend/backend.js';
import { backends } from '../support/backends.js';
import { itWith } from '../support/tools.js';

const relaxed = { name: 'relaxed SIMD', available: backends.includes('wasm'), path: '' };
const ROWS = 2 ** 10;
const COLS = 2 ** 10;

/** What a thread does when it has written half of its block. */
const FAULTS = {
  ends: 'process.exit(1);',
  'has no memory left': 'for (const all = []; ;) all.push(new Array(2 ** 16).fill(0.5));',
};

/** Text before the program of a thread: its softmax writes half of a block, and then ends the thread. */
const faulty = (fault: string): string => `
  const { Instance } = WebAssembly;
  WebAssembly.Instance = function (module, imports) {
    const { exports } = new Instance(module, imports);
    const softmax_f32 = (begin) => {
      const [, , out, length] = new Float64Array(imports.env.memory.buffer, begin - 512, 4);
      new Float32Array(imports.env.memory.buffer, out, length / 2).fill(9);
      ${fault}
    };
    return { exports: { ...exports, softmax_f32 } };
  };`;

/** The library with one more thread, which has a fault. */
async function withFault(fault: string) {
  vi.resetModules();
  vi.doMock('node:worker_threads', async (original) => {
    const real = await original<typeof import('node:worker_threads')>();
    class Worker extends real.Worker {
      constructor(text: string, options: object) {
        super(text, { ...options, resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 4 } });
      }
    }
    return { ...real, Worker };
  });
  const { wasm } = await import('../../lib/backend/wasm/host.js');
  const pool = await import('../../lib/backend/wasm/pool.js');
  const { startWorker } = await import('../../lib/backend/wasm/workers.js');
  const { functionOf } = await import('../../lib/backend/wasm/kernels.js');
  const { kernelsOf } = await import('../../lib/backend/wasm/parameters.js');
  const { SIGNATURES } = await import('../../lib/backend/wasm/signatures.js');
  const { inRegion } = await import('../../lib/backend/wasm/regions.js');
  wasm(); // finds the modules
  pool.allowThreads((program, onEnd) => startWorker(`(port) => { ${faulty(fault)}; (${program})(port); }`, onEnd));
  pool.threads(2);
  await pool.startThreads();
  const run = functionOf(kernelsOf(SIGNATURES[0]!).find(({ kernel }) => kernel === 'softmax_f32')!);
  const softmax = (x: Float32Array, out: Float32Array) => run(x, out, ROWS, COLS, 1, 1, null, MASK_NONE, null);
  return { ...pool, inRegion, softmax };
}

afterEach(() => {
  vi.doUnmock('node:worker_threads');
  vi.resetModules();
});

describe.each(Object.entries(FAULTS))('a thread that %s', (_, fault) => {
  for (const isPlaced of [false, true])
    for (const isInPlace of [false, true]) {
      const arrays = `${isPlaced ? 'arrays of allocate' : 'other arrays'}${isInPlace ? ', in place' : ''}`;
      itWith([relaxed], `leaves the call to others: ${arrays}`, async () => {
        const { inRegion, softmax, threads } = await withFault(fault);
        expect(threads()).toBe(2);
        const make = () => (isPlaced ? inRegion('Float32Array', ROWS * COLS)! : new Float32Array(ROWS * COLS));
        const x = make();
        const out = isInPlace ? x : make();
        let code: string | undefined;
        // The caller may have done all blocks before the thread takes one.
        for (let tries = 0; tries < 500 && threads() > 1; tries++) {
          x.fill(1);
          try {
            softmax(x, out);
            expect(new Set(out)).toEqual(new Set([1 / COLS]));
          } catch (error) {
            ({ code } = error as { code?: string });
            if (code === undefined) throw error;
          }
          await new Promise((resolve) => setTimeout(resolve, 1));
        }
        expect(threads()).toBe(1);
        expect(code).toBe(isPlaced && isInPlace ? 'ERR_THREAD_ENDED' : undefined);
        x.fill(1);
        softmax(x, out);
        expect(new Set(out)).toEqual(new Set([1 / COLS]));
      });
    }
});
