/** Runs a command line in the test's own process and keeps its output. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { run } from '../../lib/cli/run.js';

export interface Captured {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export async function capture(args: readonly string[], { isTTY = false } = {}): Promise<Captured> {
  let [stdout, stderr] = ['', ''];
  const status = await run(args, {
    stdout: { write: (text) => (stdout += text), isTTY },
    stderr: { write: (text) => (stderr += text), isTTY },
  });
  return { status, stdout, stderr };
}

/** A directory that is removed when the test ends. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'flash-softmax-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}
