// Builds the C++ tests with CMake and runs them:
//
//     node scripts/native-tests.mjs [--arm64 | --sanitize] [--kernels=FOLDER] [--best] [--build] [-- TEST-ARGUMENTS]
//
// Without an option: for this machine, with every input, against the kernels that node-gyp compiles (`npm run
// build:native`). --sanitize: with AddressSanitizer and UndefinedBehaviorSanitizer, a sample of the inputs; the addon
// with sanitizers is built too. --best leaves all instruction sets but the best one and the reference without them.
// --arm64: cross-compiled, under qemu-aarch64, with a sample. --kernels: libraries of kernels (neon.a) that are there.
// --build: builds, and runs no test. Arguments after `--` are passed on: --list, --thin N, names of tests. Files go to
// node_modules/.cache/flash-softmax/cmake…/, the addon with sanitizers to Sanitized/ there.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = fileURLToPath(new URL('..', import.meta.url));
const cache = path.join(root, 'node_modules', '.cache', 'flash-softmax');
const require = createRequire(import.meta.url);

// Samples are taken at prime distances, which no loop of the tests has. One folder holds what this machine runs, so
// that the test cases are compiled once.
const kinds = {
  host: { folder: 'cmake', targets: ['native_tests'], tests: [], emulator: [] },
  sanitize: {
    folder: 'cmake',
    targets: ['native_tests_sanitized', 'flash_softmax_sanitized'],
    tests: ['--thin', '13'],
    emulator: [],
  },
  arm64: {
    folder: 'cmake-arm64',
    targets: ['native_tests'],
    tests: ['--thin', '97'],
    emulator: ['qemu-aarch64', '-L', '/usr/aarch64-linux-gnu'],
  },
};

/** Runs a step of the build; prints its output and exits only if it fails. */
function step(program, args) {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  if (status === 0) return;
  console.error(`${[program, ...args].join(' ')}\n${error?.message ?? `${stdout}\n${stderr}`}`);
  process.exit(1);
}

const build = (folder, targets) =>
  step('cmake', ['--build', folder, '--parallel', String(availableParallelism()), '--target', ...targets]);

/** The folder of the kernels that node-gyp has compiled for this machine, brought up to date. */
function hostKernels() {
  const folder = path.join(root, 'build', 'Release');
  const changed = (file) => statSync(file).mtimeMs;
  const libraries = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.a')) : [];
  const sources = readdirSync(path.join(root, 'native'), { recursive: true }).map((name) => path.join('native', name));
  const newest = Math.max(...[...sources, 'binding.gyp'].map((name) => changed(path.join(root, name))));
  const isCurrent = libraries.length > 0 && libraries.every((name) => changed(path.join(folder, name)) > newest);
  if (!isCurrent) step(process.execPath, [path.join(root, 'scripts', 'build-native.mjs')]);
  return folder;
}

/** The best instruction set of this machine, and the reference: their kernels are sanitized with --best. */
function bestSets() {
  if (process.arch !== 'x64') return ['neon', 'scalar'];
  const flags = existsSync('/proc/cpuinfo') ? readFileSync('/proc/cpuinfo', 'utf8') : '';
  return [/\bavx512vl\b/.test(flags) ? 'avx512' : 'avx2', 'scalar'];
}

/** Builds for this machine. cmake-js finds Node's headers. */
function buildForHost(folder, targets, best) {
  const manifest = require.resolve('cmake-js/package.json');
  const program = path.join(path.dirname(manifest), require(manifest).bin['cmake-js']);
  const definitions = {
    FLASH_SOFTMAX_TESTS: 'ON',
    FLASH_SOFTMAX_KERNELS: hostKernels(),
    FLASH_SOFTMAX_SANITIZE: 'address,undefined',
    FLASH_SOFTMAX_SANITIZED_SETS: best ? bestSets().join(';') : '',
  };
  const all = Object.entries(definitions).map(([name, value]) => `--CD${name}=${value}`);
  step(process.execPath, [program, 'configure', '--out', folder, ...all]);
  build(folder, targets);
}

function buildForArm64(folder, targets, kernels) {
  const definitions = {
    FLASH_SOFTMAX_TESTS: 'ON',
    FLASH_SOFTMAX_KERNELS: kernels ?? '',
    FLASH_SOFTMAX_SCALAR: kernels && !existsSync(path.join(kernels, 'scalar.a')) ? 'OFF' : 'ON',
    CMAKE_TOOLCHAIN_FILE: path.join(root, 'cmake', 'aarch64-linux-gnu.cmake'),
  };
  const all = Object.entries(definitions).map(([name, value]) => `-D${name}=${value}`);
  step('cmake', ['-S', root, '-B', folder, ...all]);
  build(folder, targets);
}

const { values, positionals } = parseArgs({
  options: {
    arm64: { type: 'boolean' },
    sanitize: { type: 'boolean' },
    kernels: { type: 'string' },
    best: { type: 'boolean' },
    build: { type: 'boolean' },
  },
  allowPositionals: true,
});
const kind = values.arm64 ? kinds.arm64 : values.sanitize ? kinds.sanitize : kinds.host;
const folder = path.join(cache, kind.folder);

if (values.arm64) buildForArm64(folder, kind.targets, values.kernels && path.resolve(values.kernels));
else buildForHost(folder, kind.targets, values.best);

if (!values.build) {
  const [program, ...args] = [...kind.emulator, path.join(folder, kind.targets[0]), ...kind.tests, ...positionals];
  const env = { ASAN_OPTIONS: 'detect_leaks=0', ...process.env };
  process.exitCode = spawnSync(program, args, { stdio: 'inherit', env }).status ?? 1;
}
