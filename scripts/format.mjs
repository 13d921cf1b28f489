// Formats the files that differ from the last commit, or the named ones:
//
//     npm run format [-- FILE…]
//
// prettier formats TypeScript and JavaScript (.prettierrc.json), clang-format C++ (.clang-format) if it is installed.
// Not every file is formatted yet: format the files that you change.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const prettier = join(root, 'node_modules', 'prettier', 'bin', 'prettier.cjs');
const works = (program) => spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0;

function run(program, args) {
  const { status } = spawnSync(program, args, { cwd: root, stdio: 'inherit' });
  if (status !== 0) process.exitCode = 1;
}

/** Changed, added and new files, from git. */
function changedFiles() {
  const list = (...args) => spawnSync('git', args, { cwd: root, encoding: 'utf8' }).stdout.split('\n');
  const files = [...list('diff', '--name-only', 'HEAD'), ...list('ls-files', '--others', '--exclude-standard')];
  return files.filter((file) => file !== '' && existsSync(join(root, file)));
}

const named = process.argv.slice(2);
const files = named.length > 0 ? named : changedFiles();
const scripts = files.filter((file) => /\.[cm]?[jt]s$/.test(file));
const sources = files.filter((file) => /\.(cc|h)$/.test(file));

if (scripts.length > 0) run(process.execPath, [prettier, '--write', ...scripts]);
if (sources.length > 0) {
  const clangFormat = ['clang-format-19', 'clang-format'].find(works);
  if (clangFormat) run(clangFormat, ['-i', ...sources]);
  else console.error('Expected clang-format for C++ but received none: these stay as they are', sources.join(' '));
}
