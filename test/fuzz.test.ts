/** The fuzzer of scripts/fuzz.mjs on a fixed seed: about a minute of it on two processors. An hour: `node scripts/fuzz.mjs --minutes 60`. */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { expect, it } from 'vitest';
import { root } from './setup/emulated.js';

/** Cases and not time are counted, so that every run makes the same calls. */
const CASES = 6000;

it(`${CASES} calls of the whole public interface: every backend, the oracle, errors, memory`, () => {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [path.join(root, 'scripts', 'fuzz.mjs'), '--seed', '1', '--cases', String(CASES)],
    { encoding: 'utf8', maxBuffer: 1 << 26 },
  );
  expect(status, `${stdout}\n${stderr}`).toBe(0);
  expect(stdout).toMatch(/ 0 differences$/m);
}, 600_000);
