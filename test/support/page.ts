/** Scripts in a page of headless Chromium. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { json } from 'node:stream/consumers';
import { build, type BuildOptions, type Plugin } from 'esbuild';
import { root } from './emulated.js';
import { run } from './run.js';

/** Modules of lib/ that dist/portable/ replaces, and their replacements. */
const standIns = JSON.parse(readFileSync(path.join(root, 'scripts/portable-modules.json'), 'utf8')) as Readonly<
  Record<string, string>
>;

/** Lets a bundle of lib/ be the one of dist/portable/, and gives what tests import of Node. */
export const portable: Plugin = {
  name: 'portable',
  setup({ onResolve }) {
    onResolve({ filter: /^\./ }, ({ path: wanted, resolveDir }) => {
      const name = path.relative(path.join(root, 'lib'), path.resolve(resolveDir, wanted)).replaceAll('\\', '/');
      const standIn = standIns[name.replace(/\.js$/, '')];
      return standIn === undefined ? undefined : { path: path.join(root, standIn) };
    });
    onResolve({ filter: /^node:crypto$/ }, () => ({ path: path.join(root, 'test/support/sha256.ts') }));
  },
};

/** A page with the bundle of a script. */
async function pageOf(script: string, options: BuildOptions): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents: script, resolveDir: root },
    bundle: true,
    format: 'esm',
    write: false,
    logLevel: 'silent',
    ...options,
  });
  const text = outputFiles![0]!.text.replaceAll('</script', '<\\/script');
  const head = '<!doctype html><meta charset="utf-8"><title>"nothing ran"</title>';
  return `${head}<script type="module">${text}</script>`;
}

const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'];

/**
 * Runs a script in a page of a server, which is cross-origin isolated, and returns what it posts to /answer, parsed. It
 * may wait for promises and workers.
 */
export async function runIsolated(chromium: string, script: string, options: BuildOptions): Promise<unknown> {
  const folder = mkdtempSync(path.join(tmpdir(), 'flash-softmax-page-'));
  const page = await pageOf(script, options);
  const headers = {
    'content-type': 'text/html',
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-embedder-policy': 'require-corp',
  };
  const server = createServer();
  let browser: ChildProcess | undefined;
  let ended: Promise<unknown> | undefined;
  try {
    return await new Promise((resolve, reject) => {
      server.on('request', (request, response) => {
        if (request.url === '/answer') void json(request).then(resolve, reject);
        response.writeHead(200, headers).end(request.url === '/' ? page : '');
      });
      server.listen(0, '127.0.0.1', () => {
        const { port } = server.address() as AddressInfo;
        const args = [...FLAGS, '--remote-debugging-port=0', `--user-data-dir=${path.join(folder, 'profile')}`];
        browser = spawn(chromium, [...args, `http://127.0.0.1:${port}/`], { stdio: 'ignore', detached: true });
        browser.on('error', reject);
        browser.on('exit', () => reject(new Error('Chromium ended without an answer')));
        ended = once(browser, 'close');
      });
    });
  } finally {
    if (browser?.pid !== undefined) process.kill(-browser.pid, 'SIGKILL'); // with the processes that it started
    await ended;
    server.close();
    server.closeAllConnections();
    rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 });
  }
}

/** Bundles a script, runs it in a page, and returns what it has written into the page's title, parsed. */
export async function runInPage(chromium: string, script: string, options: BuildOptions): Promise<unknown> {
  const folder = mkdtempSync(path.join(tmpdir(), 'flash-softmax-page-'));
  try {
    const page = path.join(folder, 'page.html');
    writeFileSync(page, await pageOf(script, options));
    const args = [...FLAGS, '--dump-dom', `--user-data-dir=${path.join(folder, 'profile')}`];
    const dom = await run(chromium, [...args, `file://${page}`]);
    const title = /<title>(.*?)<\/title>/s.exec(dom)![1]!;
    return JSON.parse(title.replaceAll('&quot;', '"').replaceAll('&lt;', '<').replaceAll('&amp;', '&'));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
