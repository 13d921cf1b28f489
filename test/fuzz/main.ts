/**
 * Runs cases one after another, in the process that scripts/fuzz.mjs started: `node main.mjs '{"library": …}'`. Each
 * finding is a line of JSON on stdout; the last line has the totals. `progress` has the number of the running case, in
 * case the process dies.
 */
import { openSync, writeSync } from 'node:fs';
import { loadBackends } from './backends.js';
import { operatorOfCase, runCase, type Settings } from './run-case.js';

interface Job extends Settings {
  readonly library: string;
  readonly progress: string;
  /** The first case, and the step to the next. */
  readonly from: number;
  readonly step: number;
  /** Stops before this case, or at this time in milliseconds. */
  readonly to?: number;
  readonly until?: number;
  readonly only?: string;
  readonly backends?: readonly string[];
  /** True if failing cases are made smaller. */
  readonly shrinks: boolean;
}

const job = JSON.parse(process.argv[2]!) as Job;
const say = (line: object) => writeSync(1, `${JSON.stringify(line)}\n`);

/** The smallest limit with which the case still fails. */
async function shrink(number: number, backends: Awaited<ReturnType<typeof loadBackends>>): Promise<number | undefined> {
  for (const limit of [1, 2, 3, 5, 9, 17, 40, 70, 130, 300, 1000]) {
    if (limit < job.limit && (await runCase(number, { ...job, limit }, backends)).findings.length > 0) return limit;
  }
  return undefined;
}

const backends = await loadBackends(job.library, job.backends);
const progress = openSync(job.progress, 'w');
const totals = { cases: 0, calls: 0, elements: 0, differences: 0 };
const shrunk = new Map<string, number>();
for (let number = job.from; number < (job.to ?? Infinity) && Date.now() < (job.until ?? Infinity); number += job.step) {
  if (job.only !== undefined && operatorOfCase(job.seed, number) !== job.only) continue;
  writeSync(progress, JSON.stringify({ number, totals }).padEnd(120), 0);
  const { operator, calls, elements, findings } = await runCase(number, job, backends);
  totals.cases++;
  totals.calls += calls;
  totals.elements += elements;
  if (findings.length === 0) continue;
  totals.differences++;
  const times = shrunk.get(operator) ?? 0;
  shrunk.set(operator, times + 1);
  const limit = job.shrinks && times < 20 ? await shrink(number, backends) : undefined;
  say({ case: number, limit, ...findings[0]!, more: findings.length - 1 });
}
say({ totals });
process.exit(0); // worker threads of the library may still be idle
