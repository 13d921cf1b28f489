/**
 * The bundle for a browser has nothing of Node in it, and runs in headless Chromium. test/consumers/ has bundles for
 * Node.
 */
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type BuildOptions } from 'esbuild';
import { beforeAll, describe, expect, it } from 'vitest';
import { root } from '../support/emulated.js';
import { run } from '../support/run.js';
import { itWith, tool } from '../support/tools.js';
import { compiler, linux, npmInstall, pack, prebuilds, project, temporary } from './package.js';

const chromium = tool(
  'chromium',
  ['chromium', '--version'],
  ['chromium-browser', '--version'],
  ['google-chrome', '--version'],
);
const folder = temporary();
const needs = [linux, compiler];
let place = '';

beforeAll(async () => {
  if (!needs.every(({ available }) => available)) return;
  await prebuilds();
  const tarballs = await pack(folder);
  place = project(path.join(folder, 'project'), tarballs.full, tarballs);
  await npmInstall(place);
  writeFileSync(
    path.join(place, 'app.mjs'),
    `
    import { capabilities, softmax } from 'flash-softmax';
    import * as promises from 'flash-softmax/promises';
    const y = softmax(Float32Array.of(1, 2, 3), { temperature: 0.5, mask: Uint8Array.of(1, 1, 0) });
    let refused;
    try { softmax([1, 2, 3]); } catch (error) { refused = error.code; }
    const long = new Float32Array(10000), expected = softmax(long)[0];
    promises.softmax(long).then((later) => {
      const same = later.every((value) => value === expected);
      const answer = JSON.stringify({ ...capabilities(), y: [...y], refused, same });
      if (typeof document === 'undefined') console.log(answer); else document.title = answer;
    });
  `,
  );
}, 600_000);

/** One file of JavaScript. */
async function bundle(options: BuildOptions): Promise<string> {
  const outfile = path.join(place, `out-${Math.random().toString(36).slice(2)}.mjs`);
  await build({
    entryPoints: [path.join(place, 'app.mjs')],
    bundle: true,
    format: 'esm',
    outfile,
    logLevel: 'silent',
    ...options,
  });
  return outfile;
}

const y = [Math.fround(1 / (1 + Math.exp(2))), Math.fround(1 / (1 + Math.exp(-2))), 0];

it('the portable build has nothing of Node in it', () => {
  const portable = fileURLToPath(new URL('../../dist/portable/', import.meta.url));
  for (const file of readdirSync(portable, { recursive: true, encoding: 'utf8' })) {
    if (!/\.c?js$/.test(file)) continue;
    const text = readFileSync(path.join(portable, file), 'utf8');
    expect(text, file).not.toMatch(/from\s*["'][\w@]|require\(["'][\w@]|node-gyp-build/);
    // Parts of Node that browsers lack are only reached through globalThis.
    expect(text.replace(/surroundings\.process\??/g, ''), file).not.toMatch(/\b(process|Buffer|__dirname)\.(?!\s)/);
  }
});

/**
 * The most bytes, minified; lists of axes take 3,300, calls without objects 1,100, the choice of WebAssembly 500. The
 * kernels of all operators would be twice as many.
 */
const SOFTMAX_ALONE = 27_200;

describe('with esbuild', () => {
  itWith(needs, 'a browser bundle of softmax has the kernels of no other operator', async () => {
    const contents = `import { softmax } from 'flash-softmax'; console.log(softmax(new Float32Array(3)));`;
    const stdin = { contents, resolveDir: place };
    const options: BuildOptions = { stdin, bundle: true, minify: true, format: 'esm', write: false };
    const { outputFiles } = await build({ ...options, write: false });
    expect(outputFiles[0]!.contents.length).toBeLessThan(SOFTMAX_ALONE);
  });

  itWith(
    [...needs, chromium],
    'a browser bundle runs in Chromium, in JavaScript',
    async () => {
      const file = await bundle({ platform: 'browser', format: 'iife' });
      const page = path.join(place, 'page.html');
      const script = readFileSync(file, 'utf8').replaceAll('</script', '<\\/script');
      const head = '<!doctype html><meta charset="utf-8"><title>nothing ran</title>';
      writeFileSync(page, `${head}<script>${script}</script>`);
      const arguments_ = [
        '--headless',
        '--no-sandbox',
        '--disable-gpu',
        '--disable-dev-shm-usage',
        `--user-data-dir=${path.join(folder, 'profile')}`,
        '--virtual-time-budget=5000',
        '--dump-dom',
        `file://${page}`,
      ];
      const title = /<title>(.*?)<\/title>/s.exec(await run(chromium.path, arguments_))![1]!;
      const answer = JSON.parse(title.replaceAll('&quot;', '"').replaceAll('&amp;', '&')) as { threads: number };
      expect(answer).toMatchObject({
        backend: 'js',
        available: ['js'],
        native: { loaded: false, error: expect.stringContaining('portable') },
        y,
        refused: 'ERR_INVALID_ARG_TYPE',
        same: true,
      });
      expect(answer.threads).toBeGreaterThan(0);
    },
    120_000,
  );
});

it('package.json offers types first, the portable build to browsers, the native build to Node and its like', () => {
  const { exports } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as {
    exports: Record<string, Record<string, Record<string, string>>>;
  };
  const portable = ['browser', 'workerd', 'edge-light'];
  const native = ['node', 'deno', 'node-addons', 'module-sync'];
  const everywhere = './wasm/inline'; // constants alone
  const entries = Object.entries(exports).filter(([name, value]) => name !== everywhere && typeof value === 'object');
  for (const [entry, kinds] of entries) {
    for (const targets of Object.values(kinds)) {
      expect(Object.keys(targets), entry).toEqual(['types', ...portable, ...native, 'default']);
      expect(new Set(native.map((condition) => targets[condition])).size, entry).toBe(1);
      for (const condition of [...portable, 'default']) expect(targets[condition], entry).toContain('/portable/');
    }
  }
});
