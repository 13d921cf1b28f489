// Builds the addon for this machine with node-gyp. Without a C++ compiler it prints one line and succeeds: the package
// then runs on its JavaScript backend. Arguments are passed on to node-gyp (`--debug`, `-- -Dsanitize=address`).
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const works = (command) =>
  spawnSync(command, ['--version'], { stdio: 'ignore', shell: process.platform === 'win32' }).status === 0;

if (process.platform !== 'win32') {
  const missing = [
    process.env.CXX ?? (works('g++') ? 'g++' : works('clang++') ? 'clang++' : 'c++'),
    'make',
    'python3',
  ].filter((tool) => !works(tool));
  if (missing.length > 0) {
    console.log(
      `flash-softmax: no ${missing.join(', no ')} here, so no native addon was built; the JavaScript backend runs instead.`,
    );
    process.exit(0);
  }
}

// The headers of this Node, if they are installed, spare a download.
const prefix = dirname(dirname(process.execPath));
const headers = existsSync(join(prefix, 'include/node/node_api.h')) ? [`--nodedir=${prefix}`] : [];
const nodeGyp = createRequire(import.meta.url).resolve('node-gyp/bin/node-gyp.js');
const { status } = spawnSync(
  process.execPath,
  [nodeGyp, 'configure', 'build', '-j', 'max', '--loglevel', 'warn', ...headers, ...process.argv.slice(2)],
  { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] },
);
process.exit(status ?? 1);
