/**
 * The fuzzer of scripts/fuzz.mjs on a fixed seed, for half a minute. An hour: `node scripts/fuzz.mjs --minutes 60`.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it } from 'vitest';
import { root } from '../support/emulated.js';
import { isLong } from '../support/long.js';

/** Counts cases instead of time, so that every run makes the same calls. */
const CASES = isLong ? 6000 : 3000;

it(`${CASES} calls of the whole public interface: every backend, the oracle, errors, memory`, () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'flash-softmax-fuzz-'));
  const report = path.join(folder, 'findings.jsonl');
  const args = [path.join(root, 'scripts', 'fuzz.mjs'), '--seed', '1', '--cases', String(CASES), '--report', report];
  const limits = { maxBuffer: 1 << 26, timeout: 580_000 };
  const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', ...limits });
  const lines = existsSync(report) ? readFileSync(report, 'utf8').trim().split('\n') : [];
  rmSync(folder, { recursive: true });
  const cases = lines.map((line) => (JSON.parse(line) as { case: number }).case).sort((a, b) => a - b);
  expect(cases, `${stdout}\n${stderr}`).toEqual([]);
  expect(stdout).toContain(`${CASES} cases, `);
}, 600_000);
