/** Files of arrays: which format a file has, which array of it is meant, and how results are written. */
import { extname } from 'node:path';
import { Failure, UsageError } from './command.js';
import { formatNpy, parseNpy, type Npy } from './npy.js';
import { formatNpz, namesInNpz, parseNpz } from './npz.js';
import { formatSafetensors, namesInSafetensors, parseSafetensors } from './safetensors.js';
import { formatCsv, formatJson, parseCsv, parseJson } from './text-arrays.js';
import type { Floats } from './floats.js';

export const FORMATS = ['npy', 'npz', 'safetensors', 'json', 'csv'] as const;
export type Format = (typeof FORMATS)[number];

/** An array of a file, by its name where the file has several. */
export interface FileArray extends Npy {
  readonly name: string | undefined;
  readonly format: Format;
}

/** The format that a file's name tells. */
export function formatOfPath(path: string): Format | undefined {
  const extension = extname(path).slice(1).toLowerCase();
  if (extension === 'txt' || extension === 'tsv') return 'csv';
  return FORMATS.find((format) => format === extension);
}

/** The format that the first bytes tell; CSV if they tell none. */
function formatOfBytes(bytes: Uint8Array): Format {
  const start = Buffer.from(bytes.subarray(0, 16)).toString('latin1');
  if (start.startsWith('\x93NUMPY')) return 'npy';
  if (start.startsWith('PK')) return 'npz';
  if (/^.{8}\{/s.test(start) && start.includes('\0')) return 'safetensors';
  return /^\s*\[/.test(start) ? 'json' : 'csv';
}

/** The array in these bytes; `name` says which one, where there are several. The array may share their memory. */
export function parseArray(bytes: Uint8Array, format = formatOfBytes(bytes), name?: string): FileArray {
  const from = (names: readonly string[], parse: (name: string) => Npy): FileArray => {
    const wanted = chosen(names, name);
    return { ...parse(wanted), name: wanted, format };
  };
  if (format === 'npz') return from(namesInNpz(bytes), (wanted) => parseNpz(bytes, wanted));
  if (format === 'safetensors') return from(namesInSafetensors(bytes), (wanted) => parseSafetensors(bytes, wanted));
  if (name !== undefined) throw new UsageError(`Expected no --array for a file of one array but received '${name}'`);
  const parse = { npy: parseNpy, json: parseJson, csv: parseCsv }[format];
  return { ...parse(bytes), name: undefined, format };
}

function chosen(names: readonly string[], name: string | undefined): string {
  const all = names.length > 8 ? `${names.slice(0, 8).join(', ')} …` : names.join(', ');
  if (names.length === 0) throw new Failure('Expected an array but the file has none');
  if (name === undefined && names.length === 1) return names[0]!;
  if (name === undefined) throw new UsageError(`Expected --array with one of ${all}`);
  if (!names.includes(name)) throw new UsageError(`Expected one of ${all} for --array but received '${name}'`);
  return name;
}

/** The parts of a file of this format with one array. */
export function formatArray(format: Format, data: Floats, shape: readonly number[], name = 'softmax'): Uint8Array[] {
  if (format === 'npy') return formatNpy(data, shape);
  if (format === 'npz') return formatNpz(data, shape, name);
  if (format === 'safetensors') return formatSafetensors(data, shape, name);
  return format === 'json' ? formatJson(data, shape) : formatCsv(data, shape);
}
