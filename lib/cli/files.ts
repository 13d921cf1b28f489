/** Reads and writes whole files. A failed write leaves no file behind. */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fstatSync,
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

function writeAll(path: string, flags: string, parts: readonly Uint8Array[]): void {
  const file = openSync(path, flags);
  try {
    for (const part of parts) {
      let at = 0;
      while (at < part.length) at += writeSync(file, part, at, Math.min(CHUNK, part.length - at));
    }
  } finally {
    closeSync(file);
  }
}

/**
 * Writes a temporary file and renames it, so that `path` has its old contents or all of the new ones. A symbolic link
 * stays one, and a device or a pipe is written to, not replaced.
 */
export function writeWhole(path: string, parts: readonly Uint8Array[]): void {
  let temporary: string | undefined;
  try {
    const existing = statSync(path, { throwIfNoEntry: false });
    if (existing && !existing.isFile()) {
      writeAll(path, 'w', parts);
      return;
    }
    const target = existing ? realpathSync(path) : path;
    temporary = join(dirname(target), `.${basename(target)}.${randomBytes(6).toString('hex')}.tmp`);
    writeAll(temporary, 'wx', parts);
    renameSync(temporary, target);
  } catch (error) {
    if (temporary !== undefined) rmSync(temporary, { force: true });
    throw new Failure(`Cannot write ${path}: ${reason(error)}`);
  }
}
