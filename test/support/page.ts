/** Scripts in a page of headless Chromium. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { build, type BuildOptions, type Plugin } from 'esbuild';
import { root } from './emulated.js';
import { run } from './run.js';

/** Modules of lib/ that dist/portable/ replaces, as in tsup.config.ts. */
const STAND_INS: Readonly<Record<string, string>> = {
  'lib/backend/native.js': 'lib/backend/portable.ts',
  'lib/call/js-jobs.js': 'lib/call/portable-jobs.ts',
  'lib/head/file.js': 'lib/head/portable-file.ts',
  'lib/backend/wasm/host.js': 'lib/backend/wasm/portable-host.ts',
  'lib/backend/wasm/urls.js': 'lib/backend/wasm/portable-urls.ts',
};

/** Lets a bundle of lib/ be the one of dist/portable/, and gives what tests import of Node. */
export const portable: Plugin = {
  name: 'portable',
  setup({ onResolve }) {
    onResolve({ filter: /^\./ }, ({ path: wanted, resolveDir }) => {
      const standIn = STAND_INS[path.relative(root, path.resolve(resolveDir, wanted)).replaceAll('\\', '/')];
      return standIn === undefined ? undefined : { path: path.join(root, standIn) };
    });
    onResolve({ filter: /^node:crypto$/ }, () => ({ path: path.join(root, 'test/support/sha256.ts') }));
  },
};

/** Bundles a script, runs it in a page, and returns what it has written into the page's title, parsed. */
export async function runInPage(chromium: string, script: string, options: BuildOptions): Promise<unknown> {
  const folder = mkdtempSync(path.join(tmpdir(), 'flash-softmax-page-'));
  try {
    const { outputFiles } = await build({
      stdin: { contents: script, resolveDir: root },
      bundle: true,
      format: 'esm',
      write: false,
      logLevel: 'silent',
      ...options,
    });
    const page = path.join(folder, 'page.html');
    const text = outputFiles![0]!.text.replaceAll('</script', '<\\/script');
    const head = '<!doctype html><meta charset="utf-8"><title>"nothing ran"</title>';
    writeFileSync(page, `${head}<script type="module">${text}</script>`);
    const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--dump-dom'];
    const dom = await run(chromium, [...flags, `--user-data-dir=${path.join(folder, 'profile')}`, `file://${page}`]);
    const title = /<title>(.*?)<\/title>/s.exec(dom)![1]!;
    return JSON.parse(title.replaceAll('&quot;', '"').replaceAll('&lt;', '<').replaceAll('&amp;', '&'));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
