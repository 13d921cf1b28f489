/**
 * flash-softmax build: compiles the addon, for a machine that no prebuilt binary matches. It runs on request only, and
 * downloads nothing: cmake-js drives CMake and has Node's headers from npm (node-api-headers).
 */
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { Failure, type Command } from './command.js';

/** Packages that the build needs. They are no dependencies, as hardly anybody builds. */
const PACKAGES = ['cmake-js', 'node-addon-api'] as const;

/** The folder of an installed package, resolved from the first of some places that finds it. */
function folderOf(name: string, places: readonly string[]): string | undefined {
  for (const place of places) {
    try {
      return dirname(createRequire(join(place, 'noop.js')).resolve(`${name}/package.json`));
    } catch {
      continue;
    }
  }
  return undefined;
}

const runs = (program: string): boolean => spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0;

/** Throws a Failure that names a missing tool. On Windows CMake alone knows where Visual Studio is. */
function checkTools(env: NodeJS.ProcessEnv): void {
  if (!runs('cmake')) throw new Failure(`CMake is missing: ${howTo('cmake')}`);
  if (process.platform === 'win32') return;
  const compilers = env.CXX ? [env.CXX] : ['c++', 'g++', 'clang++'];
  if (!compilers.some(runs)) {
    throw new Failure(`No C++ compiler (${compilers.join(', ')}) was found: ${howTo('compiler')}`);
  }
}

/** How to install a tool on this system. */
function howTo(what: 'cmake' | 'compiler'): string {
  if (process.platform === 'darwin') return what === 'cmake' ? 'brew install cmake' : 'xcode-select --install';
  if (process.platform === 'win32') return 'winget install Kitware.CMake';
  const wanted = what === 'cmake' ? 'cmake' : 'g++ and make';
  const examples = 'Debian: apt install g++ make cmake; Alpine: apk add g++ make cmake';
  return `install ${wanted} with your package manager (${examples})`;
}

/** Runs cmake-js; throws a Failure with the first error that it prints. */
function compile(root: string, cmakeJs: string, addonApi: string, isVerbose: boolean): void {
  const tool = [join(cmakeJs, 'bin', 'cmake-js'), 'rebuild', '--directory', root, '--config', 'Release'];
  const definitions = [`--CDNODE_ADDON_API=${addonApi}`, '--CDFLASH_SOFTMAX_SCALAR=OFF'];
  const { status, stdout, stderr } = spawnSync(process.execPath, [...tool, ...definitions], {
    cwd: root,
    encoding: 'utf8',
    stdio: isVerbose ? 'inherit' : 'pipe',
    maxBuffer: 1 << 26,
  });
  if (status === 0) return;
  const error = /(error|fatal)\b.*/i.exec(`${stderr ?? ''}\n${stdout ?? ''}`)?.[0] ?? `cmake-js ended with ${status}`;
  throw new Failure(`The build failed: ${error} (flash-softmax build --verbose shows all of it)`);
}

const PROBE = `const { capabilities } = require('flash-softmax');
const { backend, native } = capabilities();
console.log(native.loaded ? backend + ', ' + native.path : 'no: ' + native.error)`;

/** The backend and path of the new addon, from a new process: this one may have looked for an addon already. */
function loadedBackend(root: string): string {
  const env = { ...process.env, FLASH_SOFTMAX_BACKEND: '' };
  const check = spawnSync(process.execPath, ['--eval', PROBE], { cwd: root, encoding: 'utf8', env });
  const answer = check.stdout.trim();
  if (check.status !== 0 || answer.startsWith('no: ')) {
    throw new Failure(`What was built does not load: ${answer || check.stderr.trim()}`);
  }
  return answer;
}

export const build: Command = {
  name: 'build',
  summary: 'Compile the native addon on this machine, where no prebuilt binary matches.',
  options: { verbose: { help: 'show what CMake and the compiler say' } },
  notes: `Needs CMake, a C++17 compiler and two packages of npm, which flash-softmax does not depend on:

  npm install --no-save ${PACKAGES.join(' ')}

Nothing else is downloaded. The result lies in build/Release of the installed package, where it comes before a
prebuilt binary; npm removes it when it reinstalls the package.
`,
  run(given, _, { stdout }) {
    const root = dirname(createRequire(import.meta.url).resolve('flash-softmax/package.json'));
    const found = PACKAGES.map((name) => folderOf(name, [process.cwd(), root]));
    const missing = PACKAGES.filter((_, i) => found[i] === undefined);
    if (missing.length > 0) {
      throw new Failure(`The build needs ${missing.join(' and ')}: npm install --no-save ${missing.join(' ')}`);
    }
    checkTools(process.env);

    const [cmakeJs, addonApi] = found as [string, string];
    compile(root, cmakeJs, addonApi, given.has('verbose'));
    const answer = loadedBackend(root);
    stdout.write(`built and loaded: ${answer}\n`);
    return 0;
  },
};
