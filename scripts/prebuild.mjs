// Builds the binaries of the npm package, with prebuildify and binding.gyp:
//
//     node scripts/prebuild.mjs [ARCH…] [--out=FOLDER] [--kernels=FOLDER]
//
// Each binary is built in a copy of the package, so that build/ stays as it is, checked (check-binary.mjs, with its
// objects) and copied to prebuilds/<platform>-<arch>/. --kernels copies its libraries of kernels, for the C++ tests, to
// FOLDER/<platform>-<arch>/. Without ARCH it builds for this machine, and for arm64 too if g++-aarch64-linux-gnu is
// there. The name of a binary for Linux has its C library: musl on Alpine, or PREBUILD_LIBC.
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { checkBinary, checkObjects } from './check-binary.mjs';

const NODE_TARGET = '20.0.0'; // the oldest supported Node; by Node-API the binary runs on all later ones

const root = fileURLToPath(new URL('..', import.meta.url));
const { platform } = process;
const tools = 'aarch64-linux-gnu';
const cross = {
  CC: `${tools}-gcc`,
  CXX: `${tools}-g++`,
  AR: `${tools}-ar`,
  LINK: `${tools}-g++`,
  PREBUILD_STRIP_BIN: `${tools}-strip`,
};
const crossArm64 = platform === 'linux' && process.arch !== 'arm64';
const crossCompiler = () => crossArm64 && spawnSync(cross.CXX, ['--version'], { stdio: 'ignore' }).status === 0;

/** Copies the files of a build; returns the folder. It lies below node_modules/, so that it finds node-addon-api. */
function stage(arch) {
  const folder = join(root, 'node_modules', '.cache', 'flash-softmax', `prebuild-${platform}-${arch}`);
  for (const part of ['package.json', 'binding.gyp', 'native']) {
    rmSync(join(folder, part), { recursive: true, force: true });
    cpSync(join(root, part), join(folder, part), { recursive: true, preserveTimestamps: true });
  }
  rmSync(join(folder, 'prebuilds'), { recursive: true, force: true });
  return folder;
}

/**
 * Arguments of prebuildify. --tag-libc is for Linux alone: it would name binaries for macOS and Windows `.glibc` too.
 */
export function prebuildifyArguments(arch, forPlatform = platform) {
  const tags = forPlatform === 'linux' ? ['--tag-libc'] : [];
  return ['--napi', '--strip', ...tags, '-t', NODE_TARGET, '--arch', arch, '--name', 'flash-softmax'];
}

function build(arch, { out, kernels }) {
  const folder = stage(arch);
  const prebuildify = join(root, 'node_modules', 'prebuildify', 'bin.js');
  const args = prebuildifyArguments(arch);
  const env = {
    ...process.env,
    FLASH_SOFTMAX_SCALAR: 'off',
    npm_config_jobs: 'max',
    ...(arch === 'arm64' && crossArm64 ? cross : {}),
  };
  // The headers of this Node, if they are installed, spare a download; Node-API is the same in all versions.
  const prefix = dirname(dirname(process.execPath));
  if (existsSync(join(prefix, 'include/node/node_api.h'))) env.npm_config_nodedir = prefix;
  execFileSync(process.execPath, [prebuildify, ...args], {
    cwd: folder,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 1 << 26,
  });

  const target = `${platform}-${arch}`;
  const made = join(folder, 'prebuilds', target);
  const kept = join(out, target);
  checkObjects(join(folder, 'build', 'Release'));
  mkdirSync(kept, { recursive: true });
  for (const file of readdirSync(made).filter((name) => name.endsWith('.node'))) {
    console.log(checkBinary(join(made, file), { platform, arch }));
    cpSync(join(made, file), join(kept, file));
  }
  if (kernels === undefined) return;
  const release = join(folder, 'build', 'Release');
  for (const file of readdirSync(release).filter((name) => name.endsWith('.a')))
    cpSync(join(release, file), join(kernels, target, file));
}

function main() {
  const options = { out: { type: 'string', default: join(root, 'prebuilds') }, kernels: { type: 'string' } };
  const { positionals, values } = parseArgs({ allowPositionals: true, options });
  const wanted = positionals.length > 0 ? positionals : [process.arch, ...(crossCompiler() ? ['arm64'] : [])];
  try {
    for (const arch of wanted) build(arch, values);
  } catch (error) {
    console.error(error.stderr ? `${error.stdout}${error.stderr}` : error.message);
    process.exitCode = 1;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();
