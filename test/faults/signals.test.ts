/** SIGINT and SIGTERM in mid-job: the process ends by the signal, or as its handler says, and at once. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { entry, unlike } from './preloaded.js';

const flags = process.execArgv.filter((arg) => arg.includes('wasm'));
const promises = entry.replace('index', 'promises');

const endless = `data:text/javascript,${encodeURIComponent(`
  import { softmax } from ${JSON.stringify(pathToFileURL(entry).href)};
  for (;;) softmax(new Float32Array(1e5));`)}`;

/** A program with promises under way, a worker thread of its own that computes, and threads that share work. */
const busy = (handler: string) => `
  import { Worker } from 'node:worker_threads';
  import { setThreads, softmax } from ${JSON.stringify(entry)};
  import * as later from ${JSON.stringify(promises)};
  ${handler}
  setThreads(2);
  const x = new Float32Array(2 ** 21);
  const controller = new AbortController();
  const { signal } = controller;
  await later.softmax(x.subarray(0, 5000));
  const worker = new Worker(new URL(${JSON.stringify(endless)}));
  await new Promise((resolve) => worker.once('online', resolve));
  let settled = 0;
  const again = () => later.softmax(x, { signal }).then(again, () => settled++);
  for (let i = 0; i < 6; i++) again();
  setTimeout(() => console.log('busy'), 20);
  setInterval(() => softmax(x, { cols: 1024 }), 5);`;

const handlers = {
  none: '',
  'process.exit(5)': "for (const name of ['SIGINT', 'SIGTERM']) process.on(name, () => process.exit(5));",
  'an abort of all jobs': `for (const name of ['SIGINT', 'SIGTERM']) process.on(name, async () => {
    controller.abort();
    while (settled < 6) await new Promise((resolve) => setTimeout(resolve, 1));
    await worker.terminate();
    process.exit(6);
  });`,
};

describe.runIf(process.platform !== 'win32')('a signal in mid-job', () => {
  for (const name of unlike) {
    for (const [handler, text] of Object.entries(handlers)) {
      it(`${name}, handler: ${handler}`, async () => {
        expect(existsSync(entry), 'dist/ is there (npm run compile)').toBe(true);
        for (const signal of handler === 'none' ? (['SIGINT', 'SIGTERM'] as const) : (['SIGTERM'] as const)) {
          const child = spawn(process.execPath, [...flags, '--input-type=module', '--eval', busy(text)], {
            env: { ...process.env, FLASH_SOFTMAX_BACKEND: name },
            stdio: ['ignore', 'pipe', 'pipe'],
          });
          let stderr = '';
          child.stderr.on('data', (part) => (stderr += part));
          await new Promise((resolve) => child.stdout.once('data', resolve).once('close', resolve));
          child.kill(signal);
          const late = setTimeout(() => child.kill('SIGKILL'), 30_000);
          const [code, by] = await new Promise<unknown[]>((resolve) => child.once('exit', (...end) => resolve(end)));
          clearTimeout(late);
          const wanted = handler === 'none' ? [null, signal] : [handler.includes('exit') ? 5 : 6, null];
          expect([code, by], stderr).toEqual(wanted);
          expect(stderr).toBe('');
        }
      });
    }
  }
});
