/**
 * The C++ tests (test/native/), built by CMake, over a sample of their inputs: on this machine, and cross-compiled for
 * arm64 under qemu; a long run tests every float here. They are linked with the kernels that node-gyp has compiled for
 * this machine and for the arm64 binary. Both processor families have the same bits, and compiler flags neither change
 * the kernels' bits nor leak kernels into other libraries.
 */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect } from 'vitest';
import { arm64Kernels, cross, exclusively, qemu } from '../package/package.js';
import { cache, root } from '../support/emulated.js';
import { isLong } from '../support/long.js';
import { run } from '../support/run.js';
import { itWith, tool, type Tool } from '../support/tools.js';

const cmake = tool('cmake', ['cmake', '--version']);
const compiler = tool('g++', ['g++', '--version']);
const nm = tool('nm', ['nm', '--version']);

const script = path.join(root, 'scripts', 'native-tests.mjs');
const emulator = [qemu.path, '-L', '/usr/aarch64-linux-gnu'];

interface Family {
  readonly needs: Tool[];
  /** Builds the tests; returns the command line that runs them, and the folder of the kernels' libraries. */
  readonly build: () => Promise<{ command: string[]; kernels: string }>;
  /** About one input of so many is tested. Primes fall into step with no loop of the tests. */
  readonly thin: number;
  readonly configure: string[];
}

const buildTests = (...options: string[]) => run(process.execPath, [script, '--build', ...options]);

const families: Record<string, Family> = {
  [process.arch]: {
    needs: [cmake, compiler],
    build: async () => {
      const folder = path.join(cache, 'cmake');
      await exclusively(folder, () => buildTests());
      return { command: [path.join(folder, 'native_tests')], kernels: path.join(root, 'build', 'Release') };
    },
    thin: isLong ? 1 : 97,
    configure: [],
  },
  ...(process.arch === 'x64' && {
    arm64: {
      needs: [cmake, compiler, cross, qemu],
      build: async () => {
        const kernels = await arm64Kernels();
        await buildTests('--arm64', `--kernels=${kernels}`);
        return { command: [...emulator, path.join(cache, 'cmake-arm64', 'native_tests')], kernels };
      },
      thin: isLong ? 97 : 1999,
      configure: [`-DCMAKE_TOOLCHAIN_FILE=${path.join(root, 'cmake', 'aarch64-linux-gnu.cmake')}`],
    },
  }),
};

const halfAnHour = 1_800_000;

/** The hashes of each processor family, for the comparison at the end. */
const corpora = new Map<string, string>();

describe.runIf(process.platform === 'linux' && ['x64', 'arm64'].includes(process.arch))('the C++ tests', () => {
  for (const [family, { needs, build, thin, configure }] of Object.entries(families)) {
    itWith(
      needs,
      `pass on ${family}`,
      async () => {
        const { command } = await build();
        const [program, ...args] = [...command, '--thin', String(thin)];
        const output = await run(program!, args);
        const [, passed, failed] = /^(\d+) passed, (\d+) failed$/m.exec(output)!;
        expect({ passed: Number(passed) >= 20, failed }, output).toEqual({ passed: true, failed: '0' });
        corpora.set(family, /^passed corpus \(.*?\): (.+)$/m.exec(output)![1]!);
      },
      halfAnHour,
    );

    itWith(
      [...needs, nm],
      `find no weak symbol in a library for ${family}`,
      async () => {
        const { kernels } = await build();
        const libraries = readdirSync(kernels).filter((name) => name.endsWith('.a'));
        expect(libraries.length).toBeGreaterThan(0);
        for (const name of libraries) {
          const symbols = await run('nm', ['--defined-only', path.join(kernels, name)]);
          expect(symbols).toContain(` kernels_${path.basename(name, '.a')}`);
          expect(symbols.split('\n').filter((line) => / [uVW] /i.test(line))).toEqual([]);
        }
      },
      halfAnHour,
    );

    itWith(
      needs,
      `are compiled for ${family} with nothing that changes rounding or asks for this machine's processor`,
      async () => {
        const folder = path.join(cache, `cmake-configured-${family}`);
        await run('cmake', ['-S', root, '-B', folder, '-DFLASH_SOFTMAX_TESTS=ON', ...configure]);
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
      60_000,
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
