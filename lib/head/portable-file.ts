/** Stands in for file.ts where there is no file system. */
import { wrongType } from '../call/errors.js';
import type { ByteSource } from './source.js';

export function openFile(given: string | URL): ByteSource {
  throw wrongType("the file's bytes in a Uint8Array, as there is no file system here,", 'source', given);
}
