/** NumPy's .npz: a zip archive of .npy files, stored or deflated. fflate reads and writes the archive. */
import { unzipSync, zipSync, type UnzipFileInfo } from 'fflate';
import { Failure } from './command.js';
import type { Floats } from './floats.js';
import { formatNpy, parseNpy, type Npy } from './npy.js';

/** Deflate makes a byte from no fewer than 1/1032 bytes: a header that claims more lies. */
const MOST_RATIO = 1032;

/** The names of the arrays in an archive. */
export function namesInNpz(bytes: Uint8Array): string[] {
  const names: string[] = [];
  open(bytes, ({ name }) => {
    if (name.endsWith('.npy')) names.push(name.slice(0, -4));
    return false;
  });
  return names;
}

/** The array of this name. */
export function parseNpz(bytes: Uint8Array, name: string): Npy {
  const wanted = `${name}.npy`;
  const files = open(bytes, (file) => {
    if (file.name === wanted && file.originalSize > MOST_RATIO * file.size + MOST_RATIO) {
      throw new Failure(`Expected a size that ${file.size} packed bytes can have but received ${file.originalSize}`);
    }
    return file.name === wanted;
  });
  return parseNpy(files[wanted]!);
}

function open(bytes: Uint8Array, filter: (file: UnzipFileInfo) => boolean): Record<string, Uint8Array> {
  try {
    return unzipSync(bytes, { filter });
  } catch (error) {
    if (error instanceof Failure) throw error;
    throw new Failure(`Expected a .npz file but received something else (${(error as Error).message})`);
  }
}

/** The bytes of an archive with one array, stored without compression as numpy.savez does. */
export function formatNpz(data: Floats, shape: readonly number[], name: string): Uint8Array[] {
  const file = Buffer.concat(formatNpy(data, shape));
  return [zipSync({ [`${name}.npy`]: file }, { level: 0, mtime: new Date('1980-01-01T00:00:00') })];
}
