/**
 * Compilers of other systems, for faults that GCC on Linux does not find: clang builds the addon for Linux, which must
 * have the committed bits; clang and MinGW check the sources for Windows, on x64 and arm64.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect } from 'vitest';
import { layOut, root, runTests } from '../support/emulated.js';
import { run } from '../support/run.js';
import { itWith, tool, type Tool } from '../support/tools.js';

type Flags = Record<string, { source: string; gcc: string[] }>;
interface Sources {
  common: string[];
  x64: Flags;
  arm64: Flags;
  flags: { gcc: string[] };
  link: { gcc: string[] };
}

const sources = JSON.parse(readFileSync(path.join(root, 'native', 'sources.json'), 'utf8')) as Sources;
const require = createRequire(import.meta.url);
const nodeHeaders = (require('node-api-headers') as { include_dir: string }).include_dir;
const addonHeaders = path.dirname(require.resolve('node-addon-api/package.json'));
const stubs = path.join(root, 'test', 'fixtures', 'msvc');
const folder = mkdtempSync(path.join(tmpdir(), 'flash-softmax-compilers-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const clang = tool('clang++-19', ['clang++-19', '--version']);
const mingw = tool('x86_64-w64-mingw32-g++-posix', ['x86_64-w64-mingw32-g++-posix', '--version']);
const linux: Tool = { name: 'linux', available: process.platform === 'linux' && process.arch === 'x64', path: '' };

const warnings = ['-Werror', '-fdiagnostics-color=never'];
const definitions = [
  '-DNAPI_VERSION=8',
  '-DNAPI_CPP_EXCEPTIONS',
  '-DNODE_ADDON_API_DISABLE_DEPRECATED',
  '-DNODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS',
];
const binding = [...definitions, `-isystem${nodeHeaders}`, `-isystem${addonHeaders}`];
const kernels = (family: Flags) =>
  Object.values(family).map(({ source, gcc }) => ({ source, flags: ['-fno-exceptions', ...gcc] }));
const x64 = [...sources.common.map((source) => ({ source, flags: binding })), ...kernels(sources.x64)];

/** Runs a compiler on each of the sources, two at a time. */
async function compile(program: string, units: typeof x64, args: (source: string) => string[]): Promise<void> {
  const queue = [...units];
  const worker = async (): Promise<void> => {
    for (let unit = queue.pop(); unit; unit = queue.pop()) {
      await run(program, [...args(unit.source), ...unit.flags, unit.source], { cwd: root });
    }
  };
  await Promise.all([worker(), worker()]);
}

/** What stands before every kernel (native/isa/scalar.cc). */
const VECTORS = ['simd/scalar.h', 'simd/scalar_bytes.h', 'simd/scalar_dots.h'];

describe('the headers of kernels', () => {
  itWith(
    tool('g++', ['g++', '--version']),
    'compile one by one: each includes what it uses, but for the vectors',
    async () => {
      const native = path.join(root, 'native');
      const headers = (readdirSync(native, { recursive: true }) as string[])
        .filter((name) => /^(?!simd|host|platform).*\.h$/.test(name))
        .map((name) => {
          const source = path.join(folder, `${name.replaceAll(path.sep, '-')}.cc`);
          writeFileSync(
            source,
            [...VECTORS, name.replaceAll(path.sep, '/')].map((each) => `#include "${each}"\n`).join(''),
          );
          return { source, flags: [`-I${native}`] };
        });
      expect(headers.length).toBeGreaterThan(50);
      await compile('g++', headers, () => ['-std=c++17', '-fsyntax-only', '-fdiagnostics-color=never']);
    },
    300_000,
  );
});

describe('clang', () => {
  itWith(
    [clang, linux],
    'builds an addon with the committed bits',
    async () => {
      const object = (source: string) => path.join(folder, `${source.replaceAll('/', '-')}.o`);
      const position = ['-fPIC', '-c'];
      await compile(clang.path, x64, (source) => [
        ...sources.flags.gcc,
        ...warnings,
        ...position,
        '-o',
        object(source),
      ]);
      const addon = path.join(folder, 'flash_softmax.node');
      const objects = x64.map(({ source }) => object(source));
      await run(clang.path, ['-shared', ...sources.link.gcc, '-o', addon, ...objects], { cwd: root });
      const laidOut = path.join(root, 'node_modules', '.cache', 'flash-softmax', 'clang');
      mkdirSync(laidOut, { recursive: true });
      await layOut(laidOut, ['call/corpus'], addon);
      expect(await runTests([process.execPath], laidOut, 'call/corpus')).toBeGreaterThan(3);
    },
    600_000,
  );

  itWith(
    clang,
    'takes the kernels for arm64',
    async () => {
      const args = ['--target=aarch64-linux-gnu', ...sources.flags.gcc, ...warnings, '-fsyntax-only'];
      await compile(clang.path, kernels(sources.arm64), () => args);
    },
    120_000,
  );
});

/** Words of GCC and clang that MSVC does not know. It has two builtins, for its own <limits>. */
const foreign = new RegExp(
  [
    /__builtin_(?!huge_val\b|nan\b)\w+/,
    /\b__(?:attribute|asm|restrict|typeof|extension)__\b/,
    /\b__(?:atomic|sync)_\w+|\b__int128\b/,
  ]
    .map((words) => words.source)
    .join('|'),
  'g',
);

/** A source as MSVC's preprocessor leaves it, without headers outside native/. */
async function asMsvcReads(source: string, machine: string): Promise<string> {
  const headers = path.join(folder, 'headers');
  const files = readdirSync(path.join(root, 'native'), { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  for (const file of files) {
    const text = readFileSync(path.join(file.parentPath, file.name), 'utf8');
    for (const [, name] of text.matchAll(/#include <([^>]+)>/g)) {
      mkdirSync(path.dirname(path.join(headers, name!)), { recursive: true });
      writeFileSync(path.join(headers, name!), '');
    }
  }
  const macros = ['-D_MSC_VER=1942', '-D_WIN32', `-D_M_${machine}`];
  return run(clang.path, ['-E', '-P', '-x', 'c++', '-undef', '-nostdinc', ...macros, `-I${headers}`, source], {
    cwd: root,
  });
}

describe('for Windows', () => {
  itWith(
    mingw,
    'MinGW takes all sources',
    async () => {
      await compile(mingw.path, x64, () => [...sources.flags.gcc, ...warnings, '-fsyntax-only']);
    },
    300_000,
  );

  const dialect = [
    '-fms-compatibility',
    '-fms-extensions',
    '-fms-compatibility-version=19.40',
    '-ffreestanding',
    '-std=c++17',
  ];
  const tolerance = ['-Wno-unknown-attributes', '-Wno-unknown-pragmas', '-flax-vector-conversions=all'];
  const msvc = [...dialect, '-Wall', '-Wextra', ...warnings, ...tolerance, `-I${stubs}`, '-fsyntax-only'];
  const families = [
    ['x86_64', 'X64', sources.x64],
    ['aarch64', 'ARM64', sources.arm64],
  ] as const;
  for (const [target, machine, family] of families) {
    itWith(
      clang,
      `clang, as MSVC, takes the kernels for ${target}`,
      async () => {
        await compile(clang.path, kernels(family), () => [`--target=${target}-pc-windows-msvc`, ...msvc]);
      },
      120_000,
    );

    itWith(
      clang,
      `MSVC gets no word of GCC for ${target}`,
      async () => {
        for (const source of [...sources.common, ...kernels(family).map((unit) => unit.source)]) {
          const text = await asMsvcReads(source, machine);
          expect(text.length).toBeGreaterThan(300);
          expect(text.match(foreign) ?? [], source).toEqual([]);
        }
      },
      120_000,
    );
  }
});
