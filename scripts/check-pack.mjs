// Checks the tarball as npm would publish it:
//
//     npm run pack:check [-- FOLDER] [--update] [--all]
//
// It runs publint and @arethetypeswrong/cli, and checks the size and the list of files against pack-files.txt, which
// --update rewrites. Binaries that were not built may be missing, unless --all is given, as a release does.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const MOST_BYTES = 7800 * 1024; // the tarball, with all binaries (check-binary.mjs)

const root = fileURLToPath(new URL('..', import.meta.url));
const list = join(root, 'scripts', 'pack-files.txt');
const tool = (...parts) => join(root, 'node_modules', ...parts);
const TOOLS = {
  publint: [tool('publint', 'src', 'cli.js'), 'run', '--strict'],
  attw: [tool('@arethetypeswrong', 'cli', 'dist', 'index.js'), '--no-definitely-typed', '--no-color'],
};

/** A path without the hash in the names of files that entry points share: chunks of code, and types. */
const listed = (path) =>
  path.replace(/chunk-\w+(\.\w+)$/, 'chunk-*$1').replace(/^dist\/[\w-]+-[\w-]{8}(\.d\.c?ts)$/, 'dist/types-*$1');
const isBinary = (path) => path.startsWith('prebuilds/');

function compare(files, { update, all }) {
  const found = [...new Set(files.map(({ path }) => listed(path)))].sort();
  const wanted = readFileSync(list, 'utf8').trim().split('\n');
  if (update) {
    const binaries = wanted.filter(isBinary); // no single machine builds all platforms
    writeFileSync(list, [...found.filter((path) => !isBinary(path)), ...binaries].sort().join('\n') + '\n');
    return [];
  }
  return [
    ...found.filter((path) => !wanted.includes(path)).map((path) => `${path} is packed but not in pack-files.txt`),
    ...wanted
      .filter((path) => !found.includes(path) && (all || !isBinary(path)))
      .map((path) => `${path} is in pack-files.txt but not packed`),
  ];
}

/** Files that name or hold others are written after these: npm run build:wasm, then build:ts. */
function stale(files) {
  const sizeOf = (path) => files.find((file) => file.path === path)?.size ?? 0;
  const modules = files.reduce((sum, { path, size }) => sum + (path.endsWith('.wasm') ? size : 0), 0);
  if (sizeOf('dist/wasm-inline.js') > modules) return [];
  return ['dist/wasm-inline.js lacks modules of wasm/: npm run build:ts'];
}

const options = { update: process.argv.includes('--update'), all: process.argv.includes('--all') };
const folder = resolve(process.argv.slice(2).find((argument) => !argument.startsWith('--')) ?? root);
const destination = mkdtempSync(join(tmpdir(), 'flash-softmax-pack-'));
try {
  const [packed] = JSON.parse(
    execFileSync('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', destination], {
      cwd: folder,
      encoding: 'utf8',
      shell: process.platform === 'win32',
    }),
  );
  const problems = [...compare(packed.files, options), ...stale(packed.files)];
  if (packed.size > MOST_BYTES) problems.push(`The tarball has ${packed.size} bytes, more than ${MOST_BYTES}`);
  for (const [name, command] of Object.entries(TOOLS)) {
    try {
      execFileSync(process.execPath, [...command, join(destination, packed.filename)], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'pipe'],
      });
    } catch (error) {
      problems.push(`${name}:\n${error.stdout}${error.stderr}`);
    }
  }
  for (const problem of problems) console.error(problem);
  if (problems.length > 0) process.exitCode = 1;
  else
    console.log(
      `${packed.filename}: ${packed.files.length} files, ${(packed.size / 1024).toFixed(0)} KB of at most ${MOST_BYTES / 1024} KB`,
    );
} finally {
  rmSync(destination, { recursive: true, force: true });
}
