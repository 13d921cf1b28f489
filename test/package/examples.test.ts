/** The programs of examples/ run on the built package, with small sizes. */
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'vitest';
import { backends } from '../support/backends.js';
import { root } from '../support/emulated.js';
import { run } from '../support/run.js';
import { itLong, itWith } from '../support/tools.js';

/** Arguments that are smaller than the programs' defaults. */
const sizes: Record<string, string[]> = {
  'shard-over-workers.mjs': ['2000003', '3'],
  'decode.mjs': ['200'],
  'attention-over-workers.mjs': ['3000', '3'],
  'linear-attention.mjs': ['500', '3'],
  'retrieve.mjs': ['20000', '4'],
};

for (const file of readdirSync(path.join(root, 'examples')).filter((name) => name.endsWith('.mjs'))) {
  for (const [at, name] of backends.entries()) {
    // What an example shows is the same on other instruction sets.
    const test = at === 0 || name === 'js' ? itWith : itLong;
    test([], `${file}, ${name}`, async () => {
      const output = await run(process.execPath, [path.join(root, 'examples', file), ...(sizes[file] ?? [])], {
        cwd: root,
        env: { FLASH_SOFTMAX_BACKEND: name },
      });
      expect(output).not.toBe('');
      if (file === 'shard-over-workers.mjs') expect(output).toContain('the same bits');
      if (file === 'retrieve.mjs') expect(output).toContain('4 of 4 found');
      if (file === 'detect-picture.mjs') expect(output).toContain('4 of 4 objects');
      if (file === 'linear-attention.mjs') expect(output).toContain('the result of one state with all tokens');
      if (file === 'attention-over-workers.mjs') expect(output).toContain('the result of one cache with all keys');
    });
  }
}
