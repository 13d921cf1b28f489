/**
 * Runs a range of the abuse cases in a process that they may end: `node main.mjs '{"library": …}'`. Each failure is a
 * line of JSON on stdout; the last line is the number of cases. `progress` has the number of the running case, in case
 * the process dies.
 */
import { openSync, writeSync } from 'node:fs';
import { loadBackends } from '../fuzz/backends.js';
import { allCases } from './cases.js';

interface Job {
  readonly library: string;
  readonly backend: string;
  readonly progress: string;
  readonly from: number;
  readonly to?: number;
  /** Cases whose number is `first` modulo `step` run, and all that are written by hand. */
  readonly step: number;
  readonly first: number;
  readonly name?: string;
}

const job = JSON.parse(process.argv[2]!) as Job;
const say = (line: object) => writeSync(1, `${JSON.stringify(line)}\n`);
process.on('unhandledRejection', () => undefined); // a case leaves promises behind
const [backend] = await loadBackends(job.library, [job.backend]);
const cases = allCases();
const progress = openSync(job.progress, 'w');
let ran = 0;
for (let i = job.from; i < Math.min(cases.length, job.to ?? Infinity); i++) {
  const { name, isOwnKind, run } = cases[i]!;
  if (i % job.step !== job.first % job.step && !isOwnKind) continue;
  if (job.name !== undefined && !name.includes(job.name)) continue;
  writeSync(progress, `${i}\n`.padEnd(12), 0);
  ran++;
  const what = await run(backend!).catch((error: unknown) => String(error));
  if (what !== undefined) say({ case: i, name, what });
}
say({ ran, end: Math.min(cases.length, job.to ?? Infinity) });
process.exit(0);
