/** Reads and writes whole files. A failed write leaves no file behind. */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fchmodSync,
  fstatSync,
  fsyncSync,
  openSync,
  readFileSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { setImmediate } from 'node:timers';
import { Failure } from './command.js';

// A single read or write of the operating system stops short of 2 GiB.
const CHUNK = 2 ** 30;

/** The name of standard input and standard output, in place of a file's. */
export const DASH = '-';

/** The cause in an error such as 'ENOENT: no such file or directory, open …': the words in the middle. */
export function reason(error: unknown): string {
  const { message } = error as Error;
  return /^[A-Z0-9_]+: ([^,]+)/.exec(message)?.[1] ?? message;
}

/** All bytes of a file. Throws a Failure. */
export function readWhole(path: string): Uint8Array {
  let file: number | undefined;
  try {
    file = openSync(path, 'r');
    const status = fstatSync(file);
    if (!status.isFile()) return readFileSync(file); // a pipe has no length
    const bytes = new Uint8Array(status.size);
    let length = 0;
    while (length < bytes.length) {
      const read = readSync(file, bytes, length, Math.min(CHUNK, bytes.length - length), null);
      if (read === 0) break;
      length += read;
    }
    return bytes.subarray(0, length);
  } catch (error) {
    throw new Failure(`Cannot read ${path}: ${reason(error)}`);
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

/** Gives a new file the permissions of the one that it replaces. Some file systems have none. */
function permit(file: number, mode: number): void {
  try {
    fchmodSync(file, mode);
  } catch {
    return; // it was made with no more than these
  }
}

/** Writes parts to a file. A new file, of this mode, is written through: a full disk may be noticed late. */
function writeAll(path: string, flags: string, parts: readonly Uint8Array[], mode?: number): void {
  const file = openSync(path, flags, mode);
  try {
    if (mode !== undefined) permit(file, mode);
    for (const part of parts) {
      let at = 0;
      while (at < part.length) at += writeSync(file, part, at, Math.min(CHUNK, part.length - at));
    }
    if (flags === NEW) fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** Fails if the file exists. */
const NEW = 'wx';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Runs `write` to its end. A signal that ends the process waits until then: no temporary file stays behind. */
function withoutSignals(write: () => void): void {
  const end = (signal: NodeJS.Signals) => {
    free();
    process.kill(process.pid, signal);
  };
  const free = () => SIGNALS.forEach((signal) => process.off(signal, end));
  SIGNALS.forEach((signal) => process.on(signal, end));
  try {
    write();
  } finally {
    setImmediate(free); // a signal is heard at the next turn of the event loop
  }
}

/**
 * Writes a temporary file and renames it, so that `path` has its old contents or all of the new ones, and its old
 * permissions. A symbolic link stays one, and a device or a pipe is written to, not replaced.
 */
export function writeWhole(path: string, parts: readonly Uint8Array[]): void {
  try {
    const existing = statSync(path, { throwIfNoEntry: false });
    if (existing && !existing.isFile()) writeAll(path, 'w', parts);
    else withoutSignals(() => replace(existing ? realpathSync(path) : path, parts, existing?.mode));
  } catch (error) {
    throw new Failure(`Cannot write ${path}: ${reason(error)}`);
  }
}

function replace(target: string, parts: readonly Uint8Array[], mode: number | undefined): void {
  const temporary = join(dirname(target), `.${basename(target)}.${randomBytes(6).toString('hex')}.tmp`);
  try {
    writeAll(temporary, NEW, parts, mode === undefined ? undefined : mode & 0o7777);
    renameSync(temporary, target);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}
