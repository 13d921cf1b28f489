// Calls the whole public interface with random arguments, on every backend of this machine, and compares instruction
// sets bit for bit, results with an oracle, errors with each other, and memory with its earlier contents.
//
//     node scripts/fuzz.mjs [--seed 1] [--minutes 1 | --cases N] [--jobs N] [--only operator] [--backends avx2,js]
// [--plain]
//     node scripts/fuzz.mjs --seed S --case N [--limit L]        repeats one case, with the arguments of a finding
//
// --plain: no arrays that lie about themselves, no shared or resizable memory, no getters. --report FILE: all findings,
// as lines of JSON. It runs lib/ with the addon in build/Release (npm run build:native) or --addon FILE, such as one
// with sanitizers under LD_PRELOAD=libasan.so. Exit status 1 if anything differs.
import { spawn } from 'node:child_process';
import { appendFileSync, cpSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
const text = { type: 'string' };
const { values } = parseArgs({
  options: {
    seed: text,
    minutes: text,
    cases: text,
    case: text,
    limit: text,
    jobs: text,
    only: text,
    backends: text,
    report: text,
    addon: text,
    plain: { type: 'boolean' },
  },
});
const number = (name, otherwise) => (values[name] === undefined ? otherwise : Number(values[name]));
const onlyCase = number('case');
const seed = number('seed', 1);
const jobs = onlyCase === undefined ? number('jobs', availableParallelism()) : 1;

/** A folder with the layout of the package and lib/ in one module; dist/ has the worker of the JavaScript backend. */
const folder = path.join(root, 'node_modules', '.cache', 'flash-softmax', `fuzz-${process.pid}`);
mkdirSync(path.join(folder, 'build'), { recursive: true });
cpSync(path.join(root, 'package.json'), path.join(folder, 'package.json'));
cpSync(
  values.addon ?? path.join(root, 'build', 'Release', 'flash_softmax.node'),
  path.join(folder, 'build', 'Release', 'flash_softmax.node'),
);
cpSync(path.join(root, 'dist', 'flash-softmax-worker.cjs'), path.join(folder, 'dist', 'flash-softmax-worker.cjs'));
await build({
  entryPoints: {
    library: path.join(root, 'test/fuzz/library.ts'),
    main: path.join(root, 'test/fuzz/main.ts'),
  },
  outdir: path.join(folder, 'dist'),
  bundle: true,
  external: ['node-gyp-build'],
  platform: 'node',
  format: 'esm',
  target: 'node20',
  logLevel: 'warning',
});
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

const totals = { cases: 0, calls: 0, elements: 0, differences: 0 };
const findings = [];
const until =
  onlyCase === undefined && values.cases === undefined ? Date.now() + number('minutes', 1) * 60_000 : undefined;

function add(finding) {
  findings.push(finding);
  if (values.report) appendFileSync(values.report, `${JSON.stringify(finding)}\n`);
}

/** Runs cases in one process. If the process dies, its case is a finding, and a new process runs the later cases. */
async function run(from, step) {
  const job = {
    library: path.join(folder, 'dist', 'library.js'),
    progress: path.join(folder, `progress-${from % step}`),
    seed,
    limit: number('limit', 2 ** 20),
    isPlain: values.plain ?? false,
    from,
    step,
    to: onlyCase === undefined ? number('cases') : onlyCase + 1,
    until,
    only: values.only,
    backends: values.backends?.split(','),
    shrinks: values.limit === undefined,
  };
  const child = spawn(process.execPath, [path.join(folder, 'dist', 'main.js'), JSON.stringify(job)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let done = false;
  for await (const line of createInterface({ input: child.stdout })) {
    const message = JSON.parse(line);
    if (message.totals) for (const name in totals) totals[name] += message.totals[name];
    else add(message);
    done ||= message.totals !== undefined;
  }
  if (done) return;
  const { number: died, totals: before } = JSON.parse(readFileSync(job.progress, 'utf8'));
  for (const name in totals) totals[name] += before[name];
  totals.differences++;
  add({ case: died, operator: '', text: '', what: `the process died of ${child.signalCode ?? child.exitCode}` });
  await run(died + step, step);
}

const begin = Date.now();
await Promise.all(onlyCase === undefined ? Array.from({ length: jobs }, (_, i) => run(i, jobs)) : [run(onlyCase, 1)]);

findings.sort((a, b) => a.case - b.case);
const shown = new Map();
for (const { case: n, limit, operator, text, what, more } of findings) {
  shown.set(operator, (shown.get(operator) ?? 0) + 1);
  if (shown.get(operator) > 5) continue;
  const usedLimit = limit || values.limit;
  const options = `${values.plain ? ' --plain' : ''}${usedLimit ? ` --limit ${usedLimit}` : ''}`;
  console.log(`--seed ${seed} --case ${n}${options}: ${text}\n    ${what}${more ? ` (and ${more} more)` : ''}`);
}
for (const [operator, n] of shown) if (n > 5) console.log(`${operator || 'died'}: ${n} in all`);
const seconds = ((Date.now() - begin) / 1000).toFixed(0);
const amount = `${totals.cases} cases, ${totals.calls} calls, ${totals.elements} elements`;
console.log(`${amount} in ${seconds} s: ${totals.differences} differences`);
process.exitCode = totals.differences === 0 ? 0 : 1;
