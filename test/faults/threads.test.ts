/** Threads that cannot be started: the same results on the threads that there are, at once and as promises. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect } from 'vitest';
import { temporaryDirectory } from '../cli/capture.js';
import { itWith } from '../support/tools.js';
import { canPreload, entry, library, node, tools, unlike } from './preloaded.js';

const script = fileURLToPath(new URL('./threads.mjs', import.meta.url));
const promises = entry.replace('index', 'promises');
const flags = process.execArgv.filter((arg) => arg.includes('wasm'));

let preload = '';
beforeAll(() => {
  if (tools.every(({ available }) => available)) preload = library();
});

describe.runIf(canPreload)('no thread can be started', () => {
  for (const name of unlike)
    for (const from of ['the first call', 'the second call']) {
      itWith([...tools], `${name}, from ${from} on: the same bits`, () => {
        const env = { LD_PRELOAD: preload, FLASH_SOFTMAX_BACKEND: name, FAULT_FROM: from };
        const { status, stdout, stderr } = node([...flags, script, entry, promises], env);
        expect([status, stderr]).toEqual([0, '']);
        expect(JSON.parse(stdout)).toEqual({ backend: name, differ: 0 });
      });
    }
});

describe('a worker that cannot start', () => {
  const calls = `
    const { softmax } = await import(${JSON.stringify(promises)});
    const x = Float32Array.from({ length: 100_000 }, (_, i) => i % 7);
    const [a, b] = await Promise.all([softmax(x), softmax(x)]);
    console.log(a[6] === b[6] && a[6] > a[0]);`;
  const wrong: Record<string, string> = {
    'ends before it is ready': 'process.exit(3)',
    'throws at once': "throw new Error('on purpose')",
    'has no memory': "require('node:worker_threads'); const all = []; for (;;) all.push(new Array(1e6).fill(0.5));",
  };
  for (const [name, text] of Object.entries(wrong)) {
    itWith([], `${name}: the call runs on the thread of its caller`, () => {
      const file = join(temporaryDirectory(), 'worker.cjs');
      writeFileSync(file, text);
      // The worker's own file is not touched: the class of workers starts another one.
      const start = `
        import threads from 'node:worker_threads'; import { syncBuiltinESMExports } from 'node:module';
        const { Worker } = threads;
        threads.Worker = class extends Worker {
          constructor(path, options) {
            super(${JSON.stringify(file)}, { ...options, resourceLimits: { maxOldGenerationSizeMb: 16 } });
          }
        };
        syncBuiltinESMExports();`;
      const args = [...flags, '--input-type=module', '--eval', start + calls];
      const { status, stdout, stderr } = node(args, { FLASH_SOFTMAX_BACKEND: 'js' });
      expect([status, stdout, stderr]).toEqual([0, 'true\n', '']);
    });
  }

  itWith([], 'a worker that dies in mid-job is a coded error, and the next call has a new one', () => {
    const start = `
      import threads from 'node:worker_threads'; import { syncBuiltinESMExports } from 'node:module';
      const { Worker } = threads;
      let made = 0;
      threads.Worker = class extends Worker {
        constructor(...args) {
          super(...args);
          if (made++ === 0) this.once('message', () => setTimeout(() => this.terminate(), 30));
        }
      };
      syncBuiltinESMExports();
      const { softmax } = await import(${JSON.stringify(promises)});
      const x = new Float32Array(2 ** 24);
      const out = new Float32Array(x.length).fill(7);
      const error = await softmax(x, { out }).then(() => undefined, (error) => error);
      const y = await softmax(new Float32Array(10_000));
      console.log(error?.code, out.every((value) => value === 7), y[0] > 9e-5, made);`;
    const { status, stdout, stderr } = node(['--input-type=module', '--eval', start], { FLASH_SOFTMAX_BACKEND: 'js' });
    expect([status, stdout, stderr]).toEqual([0, 'ERR_INVALID_STATE true true 2\n', '']);
  });
});
