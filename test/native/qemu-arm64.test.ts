/**
 * arm64: the whole addon, built by the cross compiler and loaded in an arm64 Node under qemu, passes the tests of
 * numbers and has the committed bits, which x86 processors have too.
 */
import path from 'node:path';
import { beforeAll, describe, expect } from 'vitest';
import { capabilitiesOn, layOut, root, runTests } from '../support/emulated.js';
import { run } from '../support/run.js';
import { itWith, tool } from '../support/tools.js';

const compiler = tool('aarch64-linux-gnu-g++', ['aarch64-linux-gnu-g++', '--version']);
const qemu = tool('qemu-aarch64', ['qemu-aarch64', '--version']);
const suites = [
  ...['edge', 'masks', 'properties', 'softmax'].map((name) => `softmax/${name}`),
  'native/fpcontrol',
  'call/corpus',
  'call/workers',
];

describe.runIf(process.platform === 'linux' && process.arch !== 'arm64')('arm64', () => {
  let folder = '';
  let emulator: string[] = [];

  beforeAll(async () => {
    if (!compiler.available || !qemu.available) return;
    const output = await run(process.execPath, [path.join(root, 'scripts', 'build-arm64.mjs')]);
    const paths = JSON.parse(output) as { node: string; package: string };
    folder = paths.package;
    emulator = [qemu.path, '-L', '/usr/aarch64-linux-gnu', paths.node];
    await layOut(folder, suites);
  }, 600_000);

  itWith(
    [compiler, qemu],
    'Node loads the addon and runs NEON',
    async () => {
      const found = await capabilitiesOn(emulator, folder);
      expect(found, found.native.error).toMatchObject({
        backend: 'neon',
        available: ['neon', 'scalar', 'js'],
        native: { loaded: true },
      });
    },
    120_000,
  );

  for (const suite of suites) {
    itWith(
      [compiler, qemu],
      `passes ${suite}.test.ts`,
      async () => {
        expect(await runTests(emulator, folder, suite)).toBeGreaterThan(2);
      },
      600_000,
    );
  }
});
