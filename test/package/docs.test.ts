/** The documentation site: `npm run docs` makes the reference of the public API without a warning, and no dead link. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { root } from '../support/emulated.js';
import { run } from '../support/run.js';

const site = mkdtempSync(path.join(tmpdir(), 'flash-softmax-docs-'));
afterAll(() => rmSync(site, { recursive: true, force: true }));

const manifest = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as { exports: object };
/** Entries of code; files, and modules of WebAssembly as text, have no reference. */
const entries = Object.keys(manifest.exports).filter((entry) => !/\.json$|^\.\/wasm\//.test(entry));
const program = (name: string) =>
  path.join(path.dirname(createRequire(import.meta.url).resolve(`${name}/package.json`)), 'bin', name);

it('npm run docs makes a site of the guides and the reference', async () => {
  // `npm run check` checks the types already; without them this takes half the time.
  await run(process.execPath, [program('typedoc'), '--skipErrorChecking'], { cwd: root });
  await run(process.execPath, [`${program('vitepress')}.js`, 'build', 'guides', '--outDir', site], { cwd: root });
  expect(entries.length).toBeGreaterThan(3);
  for (const entry of entries) {
    const page = path.join(site, 'reference', entry === '.' ? 'index' : entry.slice(2), 'index.html');
    expect(existsSync(page), page).toBe(true);
  }
  const softmax = readFileSync(path.join(site, 'reference', 'index', 'functions', 'softmax.html'), 'utf8');
  expect(softmax).toMatch(/Returns/);
  expect(softmax).toContain('serve-a-language-model'); // in the sidebar
}, 600_000);
