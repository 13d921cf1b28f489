// Times flash-softmax beside its peers: `npm run bench:peers [-- --threads 2 --rounds 31 --max 1048576]`. Installs the
// peers on first use, prints a table, and writes results.json, two charts (results.svg, errors.svg) and results.html
// beside this file.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import { parseArgs } from 'node:util';

const here = new URL('./', import.meta.url);
if (!existsSync(new URL('node_modules/', here))) {
  console.log('installing the peers');
  const { status } = spawnSync('npm', ['ci', '--no-audit', '--no-fund'], {
    cwd: here,
    stdio: 'inherit',
    shell: process.platform === 'win32', // npm is a script there
  });
  if (status !== 0) process.exit(1);
}

const { values } = parseArgs({
  options: {
    threads: { type: 'string', default: '1' },
    rounds: { type: 'string', default: '25' },
    max: { type: 'string', default: String(2 ** 24) },
    deviation: { type: 'string', default: '8' },
  },
});
const threads = Number(values.threads);
const deviation = Number(values.deviation);

const { inProcessPeers } = await import('./peers.mjs');
const { oneDNN } = await import('./onednn.mjs');
const { measureCase, timed } = await import('./measure.mjs');
const { EQUAL_VALUES } = await import('./rows.mjs');
const { table } = await import('./table.mjs');
const { chart, page } = await import('./chart.mjs');
const { errorChart } = await import('./errors.mjs');

const CASES = [10, 32, 100, 320, 1000, 4096, 32768, 128256, 524288, 2 ** 20, 2 ** 22, 2 ** 24]
  .map((cols) => ({ rows: 1, cols, kind: 'normal' }))
  .concat(
    [
      [4096, 1000],
      [1000, 4096],
      [16384, 128],
      [16384, 64],
      [100000, 10],
      [100000, 4],
    ].map(([rows, cols]) => ({ rows, cols, kind: 'normal' })),
    EQUAL_VALUES.map((kind) => ({ rows: 1, cols: 128256, kind })),
  );

/** The sizes of a core's data caches in bytes: [L1, L2, L3], as far as the system tells them. */
function cacheSizes() {
  const sizes = [];
  for (let i = 0; ; i++) {
    const file = (name) => `/sys/devices/system/cpu/cpu0/cache/index${i}/${name}`;
    if (!existsSync(file('size'))) return sizes;
    const read = (name) => readFileSync(file(name), 'utf8').trim();
    if (read('type') !== 'Instruction') sizes[Number(read('level')) - 1] = parseInt(read('size'), 10) * 1024;
  }
}

const peers = [...(await inProcessPeers(threads)).map(timed), ...(await oneDNN(threads))];
const report = {
  machine: {
    processor: os.cpus()[0].model.trim(),
    cores: os.availableParallelism(),
    caches: cacheSizes(),
    platform: `${os.platform()} ${os.arch()}`,
    node: process.version,
  },
  threads,
  deviation,
  peers: peers.map(({ name, version, backend, isSelected }) => ({ name, version, backend, isSelected })),
  cases: [],
};
console.log(
  `${report.machine.processor}, Node ${process.version}, threads: ${threads}, float32 logits N(0, ${deviation})`,
);
for (const { rows, cols, kind } of CASES) {
  if (rows * cols > Number(values.max)) continue;
  const rounds = Math.min(Number(values.rounds), rows * cols > 2 ** 22 ? 9 : Infinity);
  const measured = await measureCase(peers, { rows, cols, kind, deviation, rounds });
  report.cases.push(measured);
  console.log(`\n${table(measured, report)}`);
}
for (const peer of peers) peer.close?.();

const picture = chart(report);
writeFileSync(new URL('results.json', here), JSON.stringify(report, null, 2));
writeFileSync(new URL('results.svg', here), picture);
writeFileSync(new URL('errors.svg', here), errorChart(report));
writeFileSync(new URL('results.html', here), page(report, picture));
console.log('\nwritten: bench/peers/results.json, results.svg, errors.svg, results.html');
