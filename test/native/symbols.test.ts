/**
 * Symbols that the kernel libraries offer to the linker. An inline function in two of them is a weak symbol, and the
 * linker keeps one copy for all callers: if AVX-512 code is kept, older processors meet it everywhere.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { describe, expect } from 'vitest';
import { nativeBackends } from '../support/backends.js';
import { root } from '../support/emulated.js';
import { run } from '../support/run.js';
import { itWith, tool } from '../support/tools.js';

const nm = tool('nm', ['nm', '--version']);
const folder = path.join(root, 'build', 'Release');

describe.runIf(
  process.platform === 'linux' && nativeBackends.some((name) => existsSync(path.join(folder, `${name}.a`))),
)('the library of kernels for', () => {
  for (const name of nativeBackends) {
    itWith(nm, `${name} defines its table and nothing that others could take`, async () => {
      // A line is `address type name`; a small letter means local to the library.
      const lines = (await run('nm', ['--defined-only', path.join(folder, `${name}.a`)])).split('\n');
      const shared = lines
        .map((line) => line.split(' '))
        .filter(([, type]) => type !== undefined && !/^[a-t]$/.test(type));
      expect(shared.map(([, , symbol]) => symbol)).toEqual([`kernels_${name}`]);
    });
  }
});
