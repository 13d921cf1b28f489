// npm's `prepare`, for the package as a git dependency: builds dist/, and the binary for this machine if there is a
// compiler. In a clone it does nothing: `npm start` and `npm test` build there.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

// npm sets the first variable while it builds a git dependency; pnpm and Yarn set none.
const { _PACOTE_NO_PREPARE_: npmMark, npm_config_user_agent: agent = '' } = process.env;
const isDependency = npmMark !== undefined || /^(pnpm|yarn)/.test(agent);

const run = (...args) =>
  spawnSync(process.execPath, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] }).status === 0;

if (isDependency && !existsSync(`${root}/dist/index.js`)) {
  if (!run('scripts/prebuild.mjs', process.arch))
    console.error('flash-softmax: no binary could be built; the JavaScript backend will run');
  const isBuilt = run('node_modules/tsup/dist/cli-default.js') && run('scripts/static-files.mjs');
  process.exitCode = isBuilt ? 0 : 1;
}
