// The tarball as npm would publish it, looked at before anybody gets it:
//
//     npm run pack:check [-- FOLDER] [--update] [--all]
//
// publint and @arethetypeswrong/cli, a size budget, and the list of its files against pack-files.txt, which --update
// rewrites. Binaries may be missing where they were not built, but not with --all, which a release asks for.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const MOST_BYTES = 2960 * 1024; // the tarball: all binaries (check-binary.mjs) and the rest

const root = fileURLToPath(new URL('..', import.meta.url));
const list = join(root, 'scripts', 'pack-files.txt');
const tool = (...parts) => join(root, 'node_modules', ...parts);
const TOOLS = {
  publint: [tool('publint', 'src', 'cli.js'), 'run', '--strict'],
  attw: [tool('@arethetypeswrong', 'cli', 'dist', 'index.js'), '--no-definitely-typed', '--no-color'],
};

/** What entry points share is named by its content: code as a chunk, types after one of the files in it. */
const listed = (path) => path.replace(/chunk-\w+(\.\w+)$/, 'chunk-*$1').replace(/^dist\/[\w-]+-[\w-]{8}(\.d\.c?ts)$/, 'dist/types-*$1');
const isBinary = (path) => path.startsWith('prebuilds/');

function compare(files, { update, all }) {
  const found = [...new Set(files.map(({ path }) => listed(path)))].sort();
  const wanted = readFileSync(list, 'utf8').trim().split('\n');
  if (update) {
    const binaries = wanted.filter(isBinary); // of platforms that no single machine builds
    writeFileSync(list, [...found.filter((path) => !isBinary(path)), ...binaries].sort().join('\n') + '\n');
    return [];
  }
  return [
    ...found.filter((path) => !wanted.includes(path)).map((path) => `${path} is packed but not in pack-files.txt`),
    ...wanted.filter((path) => !found.includes(path) && (all || !isBinary(path))).map((path) => `${path} is in pack-files.txt but not packed`),
  ];
}

const options = { update: process.argv.includes('--update'), all: process.argv.includes('--all') };
const folder = resolve(process.argv.slice(2).find((argument) => !argument.startsWith('--')) ?? root);
const destination = mkdtempSync(join(tmpdir(), 'flash-softmax-pack-'));
try {
  const [packed] = JSON.parse(execFileSync('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', destination], { cwd: folder, encoding: 'utf8', shell: process.platform === 'win32' }));
  const wrong = compare(packed.files, options);
  if (packed.size > MOST_BYTES) wrong.push(`The tarball has ${packed.size} bytes, more than ${MOST_BYTES}`);
  for (const [name, command] of Object.entries(TOOLS)) {
    try {
      execFileSync(process.execPath, [...command, join(destination, packed.filename)], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
    } catch (error) {
      wrong.push(`${name}:\n${error.stdout}${error.stderr}`);
    }
  }
  for (const each of wrong) console.error(each);
  if (wrong.length > 0) process.exitCode = 1;
  else console.log(`${packed.filename}: ${packed.files.length} files, ${(packed.size / 1024).toFixed(0)} KB of at most ${MOST_BYTES / 1024} KB`);
} finally {
  rmSync(destination, { recursive: true, force: true });
}
