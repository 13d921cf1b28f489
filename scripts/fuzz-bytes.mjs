// Feeds the readers of test/bytes/targets.ts with bytes that coverage guides, by Jazzer.js:
//
//     npm i --no-save @jazzer.js/core && node scripts/fuzz-bytes.mjs [TARGET…] [--seconds 30]
//
// Jazzer.js 4 needs a system with glibc 2.38 or later (Debian 13, Ubuntu 24.04). Inputs that reach new code are kept in
// node_modules/.cache/flash-softmax/bytes/, for the next run; one that breaks a target is written to test/bytes/found/,
// where the tests take it from. Exit status 1 if there is one.
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
const cache = path.join(root, 'node_modules', '.cache', 'flash-softmax', 'bytes');
const { values, positionals } = parseArgs({
  options: { seconds: { type: 'string', default: '30' } },
  allowPositionals: true,
});

await build({
  entryPoints: ['targets', 'seeds'].map((name) => path.join(root, 'test', 'bytes', `${name}.ts`)),
  outdir: path.join(cache, 'dist'),
  bundle: true,
  external: ['node-gyp-build'],
  platform: 'node',
  format: 'cjs',
  define: { 'import.meta.url': JSON.stringify(pathToFileURL(path.join(root, 'test', 'bytes', 'x.js')).href) },
  logLevel: 'error',
});
writeFileSync(path.join(cache, 'package.json'), '{"type":"commonjs"}'); // Jazzer.js instruments files .js alone
const { seeds } = createRequire(import.meta.url)(path.join(cache, 'dist', 'seeds.js'));

let status = 0;
for (const name of positionals.length > 0 ? positionals : Object.keys(seeds)) {
  const corpus = path.join(cache, name);
  const found = path.join(root, 'test', 'bytes', 'found', name);
  for (const folder of [corpus, found]) mkdirSync(folder, { recursive: true });
  seeds[name]().forEach((bytes, i) => writeFileSync(path.join(corpus, `seed-${i}`), bytes));
  const entry = path.join(cache, `${name}.js`);
  writeFileSync(entry, `module.exports.fuzz = require('./dist/targets.js').targets['${name}'];\n`);
  const jazzer = path.join(root, 'node_modules', '.bin', 'jazzer');
  const limits = [`-max_total_time=${values.seconds}`, '-max_len=4096', `-artifact_prefix=${found}/`];
  // Coverage is that of the bundle, which lies below node_modules/.
  const instrumented = ['--includes', 'bytes/dist', '--excludes', 'no other'];
  const run = spawnSync(jazzer, [entry, corpus, '--sync', ...instrumented, '--', ...limits], {
    cwd: root,
    stdio: 'inherit',
  });
  if (run.status !== 0) status = 1;
}
process.exitCode = status;
