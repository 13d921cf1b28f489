// Fetches another Node for Linux from the npm packages that carry its binaries, and unpacks it once:
//
//     node scripts/fetch-node.mjs x64|arm64 VERSION        prints the folder with bin/node and include/
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const captured = { stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8', maxBuffer: 1 << 26 };

export function fetchNode(arch, version) {
  const name = `node-linux-${arch}`;
  const folder = join(root, 'node_modules', '.cache', 'flash-softmax', `${name}-${version}`);
  if (existsSync(folder)) return folder;
  const unpacking = `${folder}.${process.pid}`;
  mkdirSync(unpacking, { recursive: true });
  const [{ filename }] = JSON.parse(
    execFileSync('npm', ['pack', `${name}@${version}`, '--json', '--pack-destination', unpacking], {
      ...captured,
      cwd: root,
    }),
  );
  execFileSync('tar', ['-xzf', filename, '--strip-components=1', 'package/bin', 'package/include'], {
    ...captured,
    cwd: unpacking,
  });
  rmSync(join(unpacking, filename));
  try {
    renameSync(unpacking, folder);
  } catch (error) {
    rmSync(unpacking, { recursive: true });
    if (!existsSync(folder)) throw error; // another process was first
  }
  return folder;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    console.log(fetchNode(process.argv[2], process.argv[3]));
  } catch (error) {
    console.error(error.stderr || error.message);
    process.exitCode = 1;
  }
}
