// Uses the package for a long time as hostile programs do, and looks whether anything grows:
//
//     node scripts/soak.mjs [--minutes 30] [--svg FILE] [--json FILE]
//
// Each round starts worker threads and ends some in mid-call, raises signals of jobs, makes caches with forks and
// drops them, ends a child process in mid-job, kills two processes of a cluster in mid-call once they have answered,
// and waits for a thousand promises. Then it takes its memory, threads, handles and files, and times 200 short calls.
// Later rounds may not have more than the first ones after the warm-up. It needs dist/ (npm run compile), and garbage
// collection on demand, for which it starts itself anew. Exit status 1 if anything grew, or a result was wrong.
import { fork, spawnSync } from 'node:child_process';
import cluster from 'node:cluster';
import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { soakChart } from './soak-chart.mjs';

const self = fileURLToPath(import.meta.url);
const isChild = process.argv[2] === 'child' || cluster.isWorker;
if (!isChild && globalThis.gc === undefined) {
  const { status } = spawnSync(process.execPath, ['--expose-gc', self, ...process.argv.slice(2)], { stdio: 'inherit' });
  process.exit(status ?? 1);
}

const entry = new URL('../dist/index.js', import.meta.url).href;
const library = await import(entry);
const later = await import(new URL('../dist/promises.js', import.meta.url).href);
const { KVCache, decodeAttention } = await import(new URL('../dist/attention.js', import.meta.url).href);

/** A process of a cluster, which is killed in mid-call: the message is on its way before the call begins. */
if (cluster.isWorker) {
  const x = new Float32Array(1e5);
  const [now, soon] = [library.softmax(x), await later.softmax(x)];
  process.send([now[0], soon[99_999]], () => {
    for (;;) library.softmax(x, { cols: 1000 });
  });
  await new Promise(() => {});
}

/** A process that is ended in mid-job. */
if (isChild) {
  for (let i = 0; i < 4; i++) void later.softmax(new Float32Array(2 ** 20));
  process.send('busy');
  setTimeout(() => process.exit(3), 5);
  await new Promise(() => {});
}

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '30' }, svg: { type: 'string' }, json: { type: 'string' } },
});

const wrong = [];
const expect = (holds, what) => void (holds || wrong.push(what));
const x = Float32Array.from({ length: 2 ** 18 }, (_, i) => Math.sin(i) * 8);
const short = x.subarray(0, 1000);
const wanted = library.softmax(short);

const endless = `data:text/javascript,${encodeURIComponent(`
  import { parentPort, workerData } from 'node:worker_threads';
  import { softmax } from '${entry}';
  const x = new Float32Array(1e5);
  for (let i = 0; i < workerData; i++) softmax(x, { cols: 1000 });
  parentPort.postMessage(softmax(x)[0]);`)}`;

/** Worker threads: one ends by itself, one in mid-call. */
async function workers() {
  const ending = new Worker(new URL(endless), { workerData: 3 });
  const endlessly = new Worker(new URL(endless), { workerData: 1e9 });
  const answer = new Promise((resolve, reject) => ending.once('message', resolve).once('error', reject));
  const ended = new Promise((resolve) => ending.once('exit', resolve));
  await new Promise((resolve) => endlessly.once('online', resolve));
  expect(Math.abs((await answer) - 1e-5) < 1e-11, 'the answer of a worker');
  await ended;
  await endlessly.terminate();
}

/** Jobs whose signals are raised before, while and after they run. */
async function aborts() {
  const stops = Array.from({ length: 12 }, () => new AbortController());
  const jobs = stops.map(({ signal }) =>
    later.softmax(x, { signal }).then(
      () => 'done',
      ({ name }) => name,
    ),
  );
  for (const stop of stops) {
    await sleep(1);
    stop.abort();
  }
  for (const end of await Promise.all(jobs)) expect(end === 'done' || end === 'AbortError', `a job ended with ${end}`);
}

/** Caches with forks; half of them are disposed, the others dropped. */
function caches() {
  for (let i = 0; i < 20; i++) {
    const cache = new KVCache({ kvHeads: 2, headDim: 16, dtype: ['float32', 'float16', 'int8'][i % 3] });
    const prompt = cache.create();
    cache.append(prompt, x.subarray(0, 64 * 32), x.subarray(0, 64 * 32));
    const forks = Array.from({ length: 3 }, () => cache.fork(prompt, 40));
    for (const each of forks) cache.append(each, x.subarray(0, 32), x.subarray(0, 32));
    const out = decodeAttention(x.subarray(0, 3 * 32), cache, forks);
    expect(
      out.every((value) => value === value),
      'attention to a fork',
    );
    if (i % 2) cache.dispose();
  }
}

/** A child process that ends in mid-job. */
async function processes() {
  const child = fork(self, ['child']);
  const code = await new Promise((resolve) => child.once('exit', resolve));
  expect(code === 3, `a child ended with ${code}`);
}

/** Two processes of a cluster, which answer and are killed. */
async function clusters() {
  const both = [cluster.fork(), cluster.fork()];
  const endings = both.map((each) => once(each, 'exit'));
  for (const [[now, soon]] of await Promise.all(both.map((each) => once(each, 'message'))))
    expect(Math.abs(now - 1e-5) < 1e-11 && soon === now, 'the answer of a process of a cluster');
  for (const each of both) each.process.kill('SIGKILL');
  for (const [, signal] of await Promise.all(endings)) expect(signal === 'SIGKILL', `a process ended with ${signal}`);
}

async function promises() {
  const results = await Promise.all(Array.from({ length: 1000 }, () => later.softmax(short)));
  expect(
    results.every((y) => y[7] === wanted[7] && y[999] === wanted[999]),
    'results of promises',
  );
}

/** The p99 of 200 short calls, in microseconds. */
function latency() {
  const times = Array.from({ length: 200 }, () => {
    const begin = process.hrtime.bigint();
    library.softmax(short);
    return Number(process.hrtime.bigint() - begin) / 1000;
  });
  return times.sort((a, b) => a - b)[197];
}

const count = (folder) => (process.platform === 'linux' ? readdirSync(folder).length : 0);
async function sample(minute) {
  for (let i = 0; i < 2; i++) {
    globalThis.gc();
    await sleep(20);
  }
  const { rss, external, arrayBuffers, heapUsed } = process.memoryUsage();
  return {
    minute,
    rss: rss / 2 ** 20,
    external: (external + arrayBuffers) / 2 ** 20,
    heap: heapUsed / 2 ** 20,
    threads: count('/proc/self/task'),
    handles: process.getActiveResourcesInfo().length,
    files: count('/proc/self/fd'),
    p99: latency(),
  };
}

const begin = Date.now();
const minutes = () => (Date.now() - begin) / 60_000;
const samples = [];
while (minutes() < Number(values.minutes)) {
  await workers();
  await aborts();
  caches();
  await processes();
  await clusters();
  await promises();
  samples.push(await sample(minutes()));
}

/** The median of a figure in the samples from one share of the time to another. */
function median(name, from, to) {
  const part = samples.slice(Math.floor(from * samples.length), Math.ceil(to * samples.length));
  return part.map((each) => each[name]).sort((a, b) => a - b)[part.length >> 1];
}
/** How much more than in the second fifth a figure may be in the last one: a factor, and what it may be above that. */
const limits = { rss: [1.1, 16], external: [1.1, 4], heap: [1.15, 4], threads: [1, 2], handles: [1, 1], files: [1, 1] };
for (const [name, [factor, more]] of Object.entries(limits)) {
  const [early, late] = [median(name, 0.2, 0.4), median(name, 0.8, 1)];
  const isFlat = late <= early * factor + more;
  expect(isFlat, `${name} grew from ${early.toFixed(1)} to ${late.toFixed(1)}`);
  console.log(
    `${name.padEnd(9)} ${early.toFixed(1).padStart(8)} → ${late.toFixed(1).padStart(8)}${isFlat ? '' : '  GROWS'}`,
  );
}
const cpu = (process.cpuUsage().user + process.cpuUsage().system) / 1e6;
const lower = readFileSync(new URL('../package.json', import.meta.url), 'utf8').match(/"version": "([^"]+)"/)[1];
console.log(`p99 of a call of 1,000 logits: ${median('p99', 0, 1).toFixed(0)} µs in the median round`);
console.log(`${samples.length} rounds in ${minutes().toFixed(1)} minutes, ${cpu.toFixed(0)} s of processor time`);
for (const what of new Set(wrong)) console.log(`WRONG: ${what}`);
if (values.json) writeFileSync(values.json, `${JSON.stringify(samples)}\n`);
if (values.svg) writeFileSync(values.svg, soakChart(samples, `flash-softmax ${lower}, node ${process.version}`));
process.exit(wrong.length > 0 ? 1 : 0);
