/** Every program in examples/ runs against the built package and says something, on its own process. */
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { root } from './setup/emulated.js';
import { run } from './setup/run.js';

const folder = path.join(root, 'examples');
const examples = readdirSync(folder).filter((name) => name.endsWith('.mjs'));

describe('examples', () => {
  it('have a build to run against', () => {
    expect(existsSync(path.join(root, 'dist', 'index.js')), 'dist/index.js, made by `npm run build:ts`').toBe(true);
    expect(examples.length).toBeGreaterThan(0);
  });

  for (const name of examples) {
    it(name, async () => {
      expect((await run(process.execPath, [path.join(folder, name)], { cwd: root })).trim()).not.toBe('');
    });
  }
});
