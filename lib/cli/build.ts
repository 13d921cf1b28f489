/**
 * flash-softmax build: the addon from source, for a machine that no prebuilt binary matches. Only on request, and with
 * what is there: cmake-js drives CMake and has Node's headers from npm (node-api-headers), so nothing is downloaded.
 */
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { Failure, type Command } from './command.js';

/** What the build needs of npm and the package does not depend on, as hardly anybody builds. */
const PACKAGES = ['cmake-js', 'node-addon-api'] as const;

/** The folder of an installed package, seen from where the user is or from this package. */
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

/** Says what is missing before a page of CMake's complaints does. On Windows CMake alone knows where Visual Studio is. */
function checkTools(env: NodeJS.ProcessEnv): void {
  if (!runs('cmake')) throw new Failure(`CMake is missing: ${howTo('cmake')}`);
  if (process.platform === 'win32') return;
  const compilers = env.CXX ? [env.CXX] : ['c++', 'g++', 'clang++'];
  if (!compilers.some(runs)) throw new Failure(`No C++ compiler (${compilers.join(', ')}) was found: ${howTo('compiler')}`);
}

function howTo(what: 'cmake' | 'compiler'): string {
  if (process.platform === 'darwin') return what === 'cmake' ? 'brew install cmake' : 'xcode-select --install';
  if (process.platform === 'win32') return 'winget install Kitware.CMake';
  return `install ${what === 'cmake' ? 'cmake' : 'g++ and make'} with your package manager (Debian: apt install g++ make cmake; Alpine: apk add g++ make cmake)`;
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
    if (missing.length > 0) throw new Failure(`The build needs ${missing.join(' and ')}: npm install --no-save ${missing.join(' ')}`);
    checkTools(process.env);

    const [cmakeJs, addonApi] = found as [string, string];
    const args = [join(cmakeJs, 'bin', 'cmake-js'), 'rebuild', '--directory', root, '--config', 'Release', `--CDNODE_ADDON_API=${addonApi}`, '--CDFLASH_SOFTMAX_SCALAR=OFF'];
    const stdio = given.has('verbose') ? 'inherit' : 'pipe';
    const { status, stdout: said, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8', stdio, maxBuffer: 1 << 26 });
    if (status !== 0) {
      const error = /(error|fatal)\b.*/i.exec(`${stderr ?? ''}\n${said ?? ''}`)?.[0] ?? `cmake-js ended with ${status}`;
      throw new Failure(`The build failed: ${error} (flash-softmax build --verbose shows all of it)`);
    }

    // In a process of its own, as this one may have looked for an addon already.
    const probe = `const { capabilities } = require('flash-softmax'); const { backend, native } = capabilities(); console.log(native.loaded ? backend + ', ' + native.path : 'no: ' + native.error)`;
    const check = spawnSync(process.execPath, ['--eval', probe], { cwd: root, encoding: 'utf8', env: { ...process.env, FLASH_SOFTMAX_BACKEND: '' } });
    const answer = check.stdout.trim();
    if (check.status !== 0 || answer.startsWith('no: ')) throw new Failure(`What was built does not load: ${answer || check.stderr.trim()}`);
    stdout.write(`built and loaded: ${answer}\n`);
    return 0;
  },
};
