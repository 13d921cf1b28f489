/**
 * Emulated x86 processors that lack features of this one: each must choose kernels that it can run, meet no instruction
 * that it lacks, and give the bits of the corpus. Two stand for all where tests take long, except in a long run.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect } from 'vitest';
import { cache, capabilitiesOn, layOut, root, runTests } from '../support/emulated.js';
import { itLong, itWith, tool, type Tool } from '../support/tools.js';

const qemu = tool('qemu-x86_64', ['qemu-x86_64', '--version']);
const addon = path.join(root, 'build', 'Release', 'flash_softmax.node');
const built: Tool = { name: 'the addon (npm run compile)', available: existsSync(addon), path: addon };

/** Names for qemu's -cpu, and the backends that each must find. All but scalar run; the first is the choice. */
const processors: readonly [string, string[]][] = [
  ['Nehalem', ['scalar', 'js']],
  ['SandyBridge', ['scalar', 'js']],
  ['Haswell', ['avx2', 'scalar', 'js']],
  ['Haswell,-fma', ['scalar', 'js']],
  ['Haswell,-xsave', ['scalar', 'js']],
  ['Haswell,-avx2', ['scalar', 'js']],
];

describe.runIf(process.platform === 'linux' && process.arch === 'x64')('x86 processors', () => {
  const folder = path.join(cache, 'x64');
  const emulator = (processor: string) => [qemu.path, '-cpu', processor, process.execPath];

  beforeAll(async () => {
    if (qemu.available && built.available) await layOut(folder, ['call/corpus', 'softmax/edge'], addon);
  }, 60_000);

  for (const [processor, backends] of processors) {
    itWith(
      [qemu, built],
      `${processor} chooses from ${backends.join(', ')}`,
      async () => {
        const found = await capabilitiesOn(emulator(processor), folder);
        expect(found, found.native.error).toMatchObject({
          backend: backends.find((name) => name !== 'scalar'),
          available: backends,
          native: { loaded: true },
        });
      },
      60_000,
    );

    // The oldest one runs the kernels of all that lack AVX2.
    const test = ['Nehalem', 'Haswell'].includes(processor) ? itWith : itLong;
    test(
      [qemu, built],
      `${processor} has the committed bits`,
      async () => {
        expect(await runTests(emulator(processor), folder, 'call/corpus')).toBeGreaterThan(backends.length);
      },
      300_000,
    );
  }

  itLong(
    [qemu, built],
    'Haswell passes edge.test.ts',
    async () => {
      expect(await runTests(emulator('Haswell'), folder, 'softmax/edge')).toBeGreaterThan(20);
    },
    300_000,
  );
});
