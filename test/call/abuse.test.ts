/** Arrays that lie, memory that goes away, getters that take it: no backend crashes, and every error has a code. */
import { mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { layOutAbuse, runAbuse } from '../abuse/run.js';
import { backends, nativeBackends } from '../support/backends.js';
import { cache, root } from '../support/emulated.js';
import { isLong } from '../support/long.js';

const folder = path.join(cache, `abuse-${process.pid}`);
/** Instruction sets share all code but the kernels: the best one, scalar and JavaScript stand for all. */
const chosen = [...new Set([nativeBackends[0], backends.find((name) => name === 'scalar'), 'js'])].filter(
  (name) => name !== undefined,
);

describe('abuse', () => {
  beforeAll(async () => {
    mkdirSync(folder, { recursive: true });
    await layOutAbuse(folder, path.join(root, 'build', 'Release', 'flash_softmax.node'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  for (const [turn, name] of chosen.entries()) {
    it(`${name} survives, and gives a result or an error with a code`, () => {
      const { ran, failures } = runAbuse({ node: [process.execPath], folder, backend: name, turn });
      expect(failures.map((failure) => `${failure.name}: ${failure.what}`)).toEqual([]);
      expect(ran).toBeGreaterThan(isLong ? 9000 : 1500);
    }, 600_000);
  }
});
