/** The reference of the public API: `npm run docs` makes it without a warning, one page for each entry point. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { root } from '../support/emulated.js';
import { run } from '../support/run.js';

const folder = mkdtempSync(path.join(tmpdir(), 'flash-softmax-docs-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const manifest = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as { exports: object };
const entries = Object.keys(manifest.exports).filter((entry) => !entry.endsWith('.json'));

it('npm run docs makes the reference without a warning', async () => {
  const require = createRequire(import.meta.url);
  const typedoc = path.join(path.dirname(require.resolve('typedoc/package.json')), 'bin', 'typedoc');
  // `npm run check` checks the types already; without them this takes half the time.
  await run(process.execPath, [typedoc, '--out', folder, '--skipErrorChecking'], { cwd: root });
  expect(entries.length).toBeGreaterThan(3);
  for (const entry of entries) {
    const page = path.join(folder, 'modules', `${entry === '.' ? 'index' : entry.slice(2)}.html`);
    expect(existsSync(page), page).toBe(true);
  }
  expect(readFileSync(path.join(folder, 'functions', 'index.softmax.html'), 'utf8')).toMatch(/Returns/);
}, 300_000);
