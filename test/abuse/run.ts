/** Runs the abuse cases on one backend in as few processes as survive them, and lists the faults. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { build } from 'esbuild';
import { bundled, root } from '../support/emulated.js';
import { isLong } from '../support/long.js';

export interface Failure {
  readonly case: number;
  readonly name: string;
  readonly what: string;
}

/** Lays out a folder like the package, with the cases and the library in it. */
export async function layOutAbuse(folder: string, addon: string): Promise<void> {
  mkdirSync(path.join(folder, 'build', 'Release'), { recursive: true });
  cpSync(path.join(root, 'package.json'), path.join(folder, 'package.json'));
  cpSync(addon, path.join(folder, 'build', 'Release', 'flash_softmax.node'));
  cpSync(path.join(root, 'dist', 'flash-softmax-worker.cjs'), path.join(folder, 'dist', 'flash-softmax-worker.cjs'));
  const file = (name: string) => path.join(root, name);
  await build({
    entryPoints: {
      library: file('test/fuzz/library.ts'),
      abuse: file('test/abuse/main.ts'),
    },
    outdir: path.join(folder, 'dist'),
    ...bundled,
  });
}

/** The number of cases that one process runs. */
const BATCH = 500;

/**
 * One case of so many runs, except in a long run. The step is prime, so that it meets every kind of abuse on arrays of
 * many operators.
 */
const STEP = isLong ? 1 : 7;

/** Milliseconds that a process may take, a hundred times the usual. A slower case is a fault. */
const LONGEST = 300_000;

export interface Target {
  /** A command line up to the script. */
  readonly node: readonly string[];
  readonly folder: string;
  readonly backend: string;
  /** Which of the samples runs: callers with different numbers meet different cases. */
  readonly turn: number;
}

export function runAbuse(target: Target): { ran: number; failures: Failure[] } {
  const failures: Failure[] = [];
  let ran = 0;
  for (let from = 0; ;) {
    const { found, total, end, died } = runRange(target, from, from + BATCH * STEP);
    failures.push(...found);
    ran += total;
    if (died) failures.push({ ...died, ...(culprit(target, from, died) ?? {}) });
    else if (end < from + BATCH * STEP) return { ran, failures };
    // A hanging case would hang again, and twelve faults are enough.
    if (died?.isHung || failures.length > 12) return { ran, failures };
    from = died ? died.case + 1 : end;
  }
}

interface Died extends Failure {
  readonly isHung: boolean;
}

function runRange({ node, folder, backend, turn }: Target, from: number, to: number) {
  const progress = path.join(folder, `progress-${backend}`);
  const library = path.join(folder, 'dist', 'library.js');
  const job = JSON.stringify({ library, backend, progress, from, to, step: STEP, first: turn });
  const [program, ...args] = [...node, path.join(folder, 'dist', 'abuse.js'), job];
  const { stdout, stderr, status, signal, error } = spawnSync(program!, args, {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    timeout: LONGEST,
  });
  const lines = stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Failure & { ran?: number; end?: number });
  const last = lines.at(-1);
  const found = lines.filter((line) => line.ran === undefined);
  if (last?.ran !== undefined && status === 0) return { found, total: last.ran, end: last.end! };
  const at = Number(readFileSync(progress, 'utf8')) || from;
  const complaint = complaintOf(stderr);
  return {
    found,
    total: Math.ceil((at - from + 1) / STEP),
    end: at + 1,
    died: {
      case: at,
      name: `case ${at}`,
      what: `the process died of ${signal ?? status} ${complaint}`.trim(),
      isHung: (error as NodeJS.ErrnoException | undefined)?.code === 'ETIMEDOUT',
    } satisfies Died,
  };
}
/** The line that names the cause: from a sanitizer, malloc or Node. */
const complaintOf = (stderr: string): string =>
  /^.*(?:ERROR: AddressSanitizer|runtime error|free\(\)|malloc|Error:|FATAL).*$/m.exec(stderr)?.[0] ?? '';

/**
 * Memory that one case breaks can end the process in a later case: finds the single case or the first half at fault.
 */
function culprit(target: Target, from: number, died: Died): { what: string } | undefined {
  if (died.isHung || runRange(target, died.case, died.case + 1).died) return undefined;
  let [low, high] = [from, died.case + 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (runRange(target, low, middle).died) high = middle;
    else if (runRange(target, middle, high).died) low = middle;
    else break;
  }
  return { what: `${died.what} after cases ${low} to ${high - 1}` };
}
