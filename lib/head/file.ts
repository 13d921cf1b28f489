/** Files of the system, read part by part. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { native } from '../backend/native.js';
import { wrongValue } from '../call/errors.js';
import { allocateShared } from '../call/allocate.js';
import type { ByteSource } from './source.js';

/** Headers are read in windows of so many bytes. */
const WINDOW = 2 ** 16;

/** Most bytes that one read of the system returns. */
const MOST = 2 ** 30;

export function openFile(given: string | URL): ByteSource {
  const file = path.resolve(given instanceof URL ? fileURLToPath(given) : given);
  const descriptor = openSync(file, 'r');
  const { size } = fstatSync(descriptor);
  const name = path.basename(file);
  const window: { at: number; bytes: Uint8Array } = { at: 0, bytes: new Uint8Array(0) };
  const fill = (bytes: Uint8Array, at: number) => {
    for (let done = 0; done < bytes.length;) {
      const read = readSync(descriptor, bytes, done, Math.min(MOST, bytes.length - done), at + done);
      if (read === 0) throw wrongValue(`${bytes.length} bytes at ${at}`, `the length of ${name}`, `${done} bytes`);
      done += read;
    }
    return bytes;
  };
  return {
    name,
    size,
    look(at, length) {
      if (at < window.at || at + length > window.at + window.bytes.length) {
        window.at = at;
        window.bytes = fill(new Uint8Array(Math.max(length, Math.min(WINDOW, size - at))), at);
      }
      return window.bytes.subarray(at - window.at, at - window.at + length);
    },
    keep(at, length) {
      const bytes = allocateShared(length, name);
      native().addon?.prepare(bytes, bytes.buffer);
      return fill(bytes, at);
    },
    beside: (location) => openFile(path.join(path.dirname(file), location)),
    close: () => closeSync(descriptor),
  };
}
