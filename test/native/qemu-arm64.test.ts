/**
 * arm64: the binary of `npm run prebuild`, loaded in an arm64 Node under qemu, passes the tests of numbers and has the
 * committed bits, which x86 processors have too. A long run has more of these tests.
 */
import path from 'node:path';
import { beforeAll, describe, expect } from 'vitest';
import { cross, linux, node, prebuilds, qemu } from '../package/package.js';
import { cache, capabilitiesOn, layOut, runTests } from '../support/emulated.js';
import { itLong, itWith } from '../support/tools.js';

const NODE_VERSION = '20.20.2';
const needs = [linux, cross, qemu];
const suites = ['softmax/edge', 'native/fpcontrol', 'call/corpus'];
const suitesOfLongRuns = ['softmax/masks', 'softmax/properties', 'softmax/softmax', 'call/workers'];

describe.runIf(process.platform === 'linux' && process.arch !== 'arm64')('arm64', () => {
  const folder = path.join(cache, 'arm64');
  let emulator: string[] = [];

  beforeAll(async () => {
    if (!needs.every(({ available }) => available)) return;
    const place = path.join(await node('arm64', NODE_VERSION), 'bin', 'node');
    emulator = [qemu.path, '-L', '/usr/aarch64-linux-gnu', place];
    const addon = path.join(await prebuilds(), 'linux-arm64', 'flash-softmax.glibc.node');
    await layOut(folder, [...suites, ...suitesOfLongRuns], addon);
  }, 600_000);

  itWith(
    needs,
    'Node loads the addon and runs NEON',
    async () => {
      const found = await capabilitiesOn(emulator, folder);
      expect(found, found.native.error).toMatchObject({
        backend: 'neon',
        available: ['neon', 'js'],
        native: { loaded: true },
      });
    },
    120_000,
  );

  const passes = async (suite: string) => expect(await runTests(emulator, folder, suite)).toBeGreaterThan(2);
  for (const suite of suites) itWith(needs, `passes ${suite}.test.ts`, () => passes(suite), 600_000);
  for (const suite of suitesOfLongRuns) itLong(needs, `passes ${suite}.test.ts`, () => passes(suite), 3_600_000);
});
