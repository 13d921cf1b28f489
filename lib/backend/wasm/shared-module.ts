/**
 * Modules for memory that threads share. Kernels are the same for one thread and for many: they take no locks, and all
 * that is static in them is constant. So a module differs from the one that was built in one bit, which says that the
 * memory it imports is shared.
 */

const IMPORTS = 2;
const MEMORY = 2;
const SHARED = 2;

/** A copy of a module's bytes whose imported memory is shared. Throws a TypeError for another module. */
export function sharedModule(module: Uint8Array): Uint8Array {
  const bytes = Uint8Array.from(module);
  let at = 8; // behind the magic number and the version
  /** A number of 7 bits a byte, the lowest first. */
  const number = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++] ?? 0;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const section = bytes[at++];
    const end = number() + at;
    if (section !== IMPORTS) {
      at = end;
      continue;
    }
    number(); // imports, of which the memory is the first
    for (let names = 0; names < 2; names++) {
      const length = number();
      at += length;
    }
    if (bytes[at++] !== MEMORY) break;
    bytes[at]! |= SHARED;
    return bytes;
  }
  throw new TypeError('Expected a module that imports a memory');
}
