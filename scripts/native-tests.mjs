// Builds the C++ tests with CMake and runs them:
//
//     node scripts/native-tests.mjs [--arm64 | --sanitize] [--build] [-- TEST-ARGUMENTS]
//
// Without an option: for this machine, with every input. --arm64: cross-compiled, under qemu-aarch64, with a sample of
// the inputs. --sanitize: with AddressSanitizer and UndefinedBehaviorSanitizer, with a sample too. The same
// CMakeLists.txt also builds the addon (not for arm64). --build: builds, and runs no test. Arguments after `--` are
// passed on: --list, --thin N, names of tests. Files go to node_modules/.cache/flash-softmax/cmake…/, the addon to
// Release/ there.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = fileURLToPath(new URL('..', import.meta.url));
const cache = path.join(root, 'node_modules', '.cache', 'flash-softmax');
const require = createRequire(import.meta.url);

// Samples are taken at prime distances, which no loop of the tests has.
const kinds = {
  host: { folder: 'cmake', definitions: {}, tests: [], emulator: [] },
  sanitize: {
    folder: 'cmake-sanitize',
    definitions: { FLASH_SOFTMAX_SANITIZE: 'address,undefined' },
    tests: ['--thin', '13'],
    emulator: [],
  },
  arm64: { folder: 'cmake-arm64', tests: ['--thin', '97'], emulator: ['qemu-aarch64', '-L', '/usr/aarch64-linux-gnu'] },
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

const parallel = ['--parallel', String(availableParallelism())];

/** Builds with cmake-js, which finds Node's headers. */
function buildWithCmakeJs(folder, definitions) {
  const manifest = require.resolve('cmake-js/package.json');
  const program = path.join(path.dirname(manifest), require(manifest).bin['cmake-js']);
  const all = Object.entries({ FLASH_SOFTMAX_TESTS: 'ON', ...definitions }).map(
    ([name, value]) => `--CD${name}=${value}`,
  );
  step(process.execPath, [program, 'build', '--out', folder, ...parallel, ...all]);
}

function buildForArm64(folder) {
  const toolchain = path.join(root, 'cmake', 'aarch64-linux-gnu.cmake');
  step('cmake', ['-S', root, '-B', folder, '-DFLASH_SOFTMAX_TESTS=ON', `-DCMAKE_TOOLCHAIN_FILE=${toolchain}`]);
  step('cmake', ['--build', folder, ...parallel]);
}

const { values, positionals } = parseArgs({
  options: { arm64: { type: 'boolean' }, sanitize: { type: 'boolean' }, build: { type: 'boolean' } },
  allowPositionals: true,
});
const kind = values.arm64 ? kinds.arm64 : values.sanitize ? kinds.sanitize : kinds.host;
const folder = path.join(cache, kind.folder);

if (values.arm64) buildForArm64(folder);
else buildWithCmakeJs(folder, kind.definitions);

if (!values.build) {
  const [program, ...args] = [...kind.emulator, path.join(folder, 'native_tests'), ...kind.tests, ...positionals];
  const env = { ASAN_OPTIONS: 'detect_leaks=0', ...process.env };
  process.exitCode = spawnSync(program, args, { stdio: 'inherit', env }).status ?? 1;
}
