/** Runs a command line in the test's own process and keeps its output. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { onTestFinished } from 'vitest';
import { run } from '../../lib/cli/run.js';

export interface Captured {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

interface Setting {
  readonly isTTY?: boolean;
  readonly stdin?: Uint8Array;
}

/** Standard output as bytes. */
export async function captureBytes(args: readonly string[], { isTTY = false, stdin = new Uint8Array() }: Setting = {}) {
  const parts: { stdout: Uint8Array[]; stderr: Uint8Array[] } = { stdout: [], stderr: [] };
  const into = (name: 'stdout' | 'stderr') => ({
    write: (part: string | Uint8Array) => parts[name].push(Buffer.from(part)),
    isTTY,
  });
  const status = await run(args, { stdin: Readable.from([stdin]), stdout: into('stdout'), stderr: into('stderr') });
  return { status, stdout: Buffer.concat(parts.stdout), stderr: Buffer.concat(parts.stderr).toString() };
}

export async function capture(args: readonly string[], setting: Setting = {}): Promise<Captured> {
  const { status, stdout, stderr } = await captureBytes(args, setting);
  return { status, stdout: stdout.toString(), stderr };
}

/** A directory that is removed when the test ends. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'flash-softmax-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}
