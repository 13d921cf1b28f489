/**
 * The C++ tests (test/native/), built by cmake-js from CMakeLists.txt, over a sample of their inputs, on this machine
 * and cross-compiled for arm64 under qemu; the nightly run (FLASH_SOFTMAX_LONG=1) tests every float. Both processor
 * families have the same bits, as have the addons of CMake and node-gyp, and compiler flags neither change the kernels'
 * bits nor leak kernels into other libraries.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect } from 'vitest';
import { cache, capabilitiesOn, layOut, root, runTests } from '../support/emulated.js';
import { run } from '../support/run.js';
import { isNightly, itWith, tool, type Tool } from '../support/tools.js';

const cmake = tool('cmake', ['cmake', '--version']);
const compiler = tool('g++', ['g++', '--version']);
const cross = tool('aarch64-linux-gnu-g++', ['aarch64-linux-gnu-g++', '--version']);
const qemu = tool('qemu-aarch64', ['qemu-aarch64', '--version']);
const nm = tool('nm', ['nm', '--version']);

const script = path.join(root, 'scripts', 'native-tests.mjs');
/** About one input of so many. Primes fall into step with no loop of the tests. */
const sample = (oneIn: number): string[] => (isNightly ? [] : ['--', '--thin', String(oneIn)]);
const families = {
  [process.arch]: { needs: [cmake, compiler], options: sample(29), folder: path.join(cache, 'cmake') },
  ...(process.arch === 'x64' && {
    arm64: {
      needs: [cmake, cross, qemu],
      options: ['--arm64', ...sample(997)],
      folder: path.join(cache, 'cmake-arm64'),
    },
  }),
} satisfies Record<string, { needs: Tool[]; options: string[]; folder: string }>;

const tenMinutes = 600_000;
const halfAnHour = 1_800_000;

/** The hashes of each processor family, for the comparison at the end. */
const corpora = new Map<string, string>();

describe.runIf(process.platform === 'linux' && ['x64', 'arm64'].includes(process.arch))('the C++ tests', () => {
  for (const [family, { needs, options, folder }] of Object.entries(families)) {
    itWith(
      needs,
      `pass on ${family}`,
      async () => {
        const output = await run(process.execPath, [script, ...options]);
        const [, passed, failed] = /^(\d+) passed, (\d+) failed$/m.exec(output)!;
        expect({ passed: Number(passed) >= 20, failed }, output).toEqual({ passed: true, failed: '0' });
        corpora.set(family, /^passed corpus \(.*?\): (.+)$/m.exec(output)![1]!);
      },
      halfAnHour,
    );

    itWith([...needs, nm], `find no weak symbol in a library for ${family}`, async () => {
      const libraries = (
        JSON.parse(readFileSync(path.join(root, 'native', 'sources.json'), 'utf8')) as Record<string, object>
      )[family]!;
      for (const name of Object.keys(libraries)) {
        const symbols = await run('nm', ['--defined-only', path.join(folder, `lib${name}.a`)]);
        expect(symbols).toContain(` kernels_${name}`);
        expect(symbols.split('\n').filter((line) => / [uVW] /i.test(line))).toEqual([]);
      }
    });

    itWith(
      needs,
      `are compiled for ${family} with nothing that changes rounding or asks for this machine's processor`,
      () => {
        const commands = JSON.parse(readFileSync(path.join(folder, 'compile_commands.json'), 'utf8')) as {
          file: string;
          command: string;
        }[];
        const kernels = commands.filter(({ file }) => file.includes('/native/isa/'));
        expect(kernels.length).toBeGreaterThan(1);
        for (const { command } of kernels) expect(command).toContain('-ffp-contract=off');
        for (const { command } of commands)
          expect(command).not.toMatch(/-ffast-math|-Ofast|-funsafe|-fassociative|-freciprocal|-ffinite|-flto|=native/);
      },
    );
  }

  itWith(
    Object.values(families).flatMap(({ needs }) => needs),
    'find the same bits in all families',
    () => {
      const [first, ...others] = corpora.values();
      expect(first).toMatch(/^softmax_f32 [0-9a-f]{16};/);
      for (const other of others) expect(other).toBe(first);
    },
  );

  itWith(
    [cmake, compiler],
    'are built beside an addon that has the bits of the corpus',
    async () => {
      const folder = path.join(cache, 'from-cmake');
      await layOut(folder, ['call/corpus'], path.join(cache, 'cmake', 'Release', 'flash_softmax.node'));
      expect((await capabilitiesOn([process.execPath], folder)).native).toMatchObject({ loaded: true });
      expect(await runTests([process.execPath], folder, 'call/corpus')).toBeGreaterThan(2);
    },
    tenMinutes,
  );
});

describe('the build files', () => {
  itWith([], 'ask for no arithmetic but that of IEEE 754', () => {
    for (const file of ['binding.gyp', 'CMakeLists.txt', 'native/sources.json', 'package.json']) {
      expect(readFileSync(path.join(root, file), 'utf8'), file).not.toMatch(
        /ffast-math|Ofast|funsafe-math|fp:fast|march=native/,
      );
    }
  });
});
