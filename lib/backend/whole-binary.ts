/**
 * Refuses a binary that was cut off. glibc maps what an ELF file promises and touches pages behind its end, so that a
 * file half copied ends the process with SIGBUS where an error is due. Loaders of other systems look by themselves.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

const MAGIC = 0x464c457f; // '\x7fELF', little-endian
const HEADER_BYTES = 64;
const SEGMENT_BYTES = 56;
const LOADED = 1; // PT_LOAD: a segment that is mapped into memory

/**
 * Throws an Error if the file ends before its last segment does. What is no ELF file of 64 bits passes, and so does
 * what cannot be opened here: the loader has the last word.
 */
export function refuseCutBinary(path: string): void {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch {
    return;
  }
  try {
    const { size } = fstatSync(file);
    const needed = endOfSegments(file);
    if (needed > size) throw new Error(`${path}: the file is cut off (${size} bytes of at least ${needed})`);
  } finally {
    closeSync(file);
  }
}

/** The number of bytes that an ELF file needs so that all of its segments are there; 0 for other files. */
function endOfSegments(file: number): number {
  const header = new DataView(new ArrayBuffer(HEADER_BYTES));
  if (readSync(file, header, 0, HEADER_BYTES, 0) < HEADER_BYTES) return 0; // every loader refuses it
  const is64 = header.getUint8(4) === 2;
  if (header.getUint32(0, true) !== MAGIC || !is64) return 0;
  const at = Number(header.getBigUint64(32, true));
  const bytes = SEGMENT_BYTES * header.getUint16(56, true);
  const segments = new DataView(new ArrayBuffer(bytes));
  if (readSync(file, segments, 0, bytes, Math.min(at, Number.MAX_SAFE_INTEGER)) < bytes) return at + bytes;
  let end = 0;
  for (let i = 0; i < bytes; i += SEGMENT_BYTES) {
    if (segments.getUint32(i, true) !== LOADED) continue;
    const [offset, length] = [segments.getBigUint64(i + 8, true), segments.getBigUint64(i + 32, true)];
    end = Math.max(end, Number(offset + length));
  }
  return end;
}
