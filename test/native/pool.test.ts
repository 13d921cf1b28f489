/**
 * The native thread pool: under ThreadSanitizer, at exit, after fork, unloaded; in Node when workers and processes end.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { beforeAll, describe, expect, it } from 'vitest';
import { nativeBackends } from '../support/backends.js';
import { temporaryDirectory } from '../cli/capture.js';
import { root } from '../support/emulated.js';
import { run } from '../support/run.js';
import { itWith, tool } from '../support/tools.js';

const compiler = tool('g++', ['g++', '--version']);
const pool = join(root, 'native/platform/pool.cc');
const stress = join(root, 'test/native/programs/stress.cc');

/** Builds with g++; returns the path of the result. */
async function built(name: string, ...args: string[]): Promise<string> {
  const output = join(temporaryDirectory(), name);
  await run('g++', ['-std=c++17', '-O1', '-g', '-Wall', '-Wextra', '-Werror', '-pthread', '-o', output, ...args]);
  return output;
}

describe.runIf(process.platform === 'linux')('the pool', () => {
  itWith(compiler, 'has no data race, with many callers and changing settings', async () => {
    const program = await built('stress', '-fsanitize=thread', stress, pool, '-ldl');
    for (const what of ['callers', 'exit']) await run(program, [what], { env: { TSAN_OPTIONS: 'halt_on_error=1' } });
  });

  itWith(compiler, 'does its work with fewer threads where memory or threads cannot be had', async () => {
    await run(await built('stress', stress, pool, '-ldl'), ['starved']);
  });

  itWith(compiler, 'is joined at exit, begins anew after a fork, and can be unloaded', async () => {
    const program = await built('stress', stress, pool, '-ldl');
    const library = await built('pool.so', '-shared', '-fPIC', pool);
    for (const args of [['callers'], ['exit'], ['fork'], ['unload', library]]) await run(program, args);
  });
});

describe.runIf(nativeBackends.length > 0)('in Node', () => {
  const entry = new URL('../../dist/index.js', import.meta.url);
  /** A program that shares work among three threads again and again. */
  const busy = `
    const { setThreads, softmax } = await import(${JSON.stringify(entry.href)});
    setThreads(3);
    const x = new Float32Array(1e6), out = new Float32Array(1e6);
    const again = () => softmax(x, { out, cols: 1000 });
    again();`;

  beforeAll(() => expect(existsSync(entry), 'dist/ is there (npm run compile)').toBe(true));

  const evaluate = (script: string) =>
    run(process.execPath, ['--input-type=module', '--eval', script], { env: { FLASH_SOFTMAX_BACKEND: undefined } });

  it('a process ends, by itself and by process.exit()', async () => {
    await evaluate(busy);
    await evaluate(`${busy} process.exit()`);
    await evaluate(`${busy} setTimeout(() => process.exit(), 20); setInterval(again, 0)`);
  });

  it('a process ends while its workers are at work', async () => {
    const worker = JSON.stringify(`data:text/javascript,${encodeURIComponent(`${busy} for (;;) again()`)}`);
    await evaluate(`
      import { Worker } from 'node:worker_threads';
      for (let i = 0; i < 3; i++) new Worker(new URL(${worker})).once('online', () => {});
      setTimeout(() => process.exit(), 300);`);
  });

  it('workers end, the last one unloads the addon, and new ones begin', async () => {
    const worker = JSON.stringify(
      `data:text/javascript,${encodeURIComponent(`${busy} for (let i = 0; i < 5; i++) again()`)}`,
    );
    const exits = JSON.stringify(`data:text/javascript,${encodeURIComponent(`${busy} process.exit()`)}`);
    await evaluate(`
      import { Worker } from 'node:worker_threads';
      const ended = (source) => new Promise((resolve, reject) => {
        const worker = new Worker(new URL(source));
        worker.once('exit', (code) => code ? reject(code) : resolve()).once('error', reject);
      });
      for (let i = 0; i < 5; i++) await ended(${worker});
      await Promise.all([ended(${worker}), ended(${exits}), ended(${worker})]);
      await ended(${exits});`);
  });

  it('setThreads holds for the whole process', async () => {
    const source = `
      const { capabilities } = await import(${JSON.stringify(entry.href)});
      (await import('node:worker_threads')).parentPort.postMessage(capabilities().threads)`;
    const { setThreads } = (await import(entry.href)) as typeof import('../../lib/index.js');
    const before = setThreads(5);
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`));
    expect(await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))).toBe(5);
    setThreads(before);
  });
});
