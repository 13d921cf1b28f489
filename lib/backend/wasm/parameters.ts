/** The parameters of each kernel, from the words of signatures.ts. */
import type { ArrayKind } from '../../call/arrays.js';
import type { Signature } from './signatures.js';

export interface Parameter {
  readonly name: string;
  readonly form: 'array' | 'slabs' | 'size' | 'number';
  /** Of an array, or of each slab. */
  readonly kind: ArrayKind;
  readonly bytes: number;
  readonly isWritten: boolean;
  /** The positions of the sizes whose product its length is, and a factor; undefined: another length. */
  readonly length: { readonly factor: number; readonly sizes: readonly number[] } | undefined;
}

/** A kernel as a function of a module. */
export interface KernelParameters {
  readonly kernel: string;
  readonly operator: string;
  readonly module: string;
  readonly parameters: readonly Parameter[];
}

const BYTES: Readonly<Record<string, number>> = {
  Int8: 1,
  Uint8: 1,
  Uint16: 2,
  Int32: 4,
  Uint32: 4,
  Float32: 4,
  Float64: 8,
};

const sizesIn = (names: readonly string[], words: string | undefined): Parameter['length'] => {
  if (words === undefined) return undefined;
  const found = words.split('*').map((word) => (/^\d/.test(word) ? -Number(word) : names.indexOf(word)));
  const factor = found.reduce((product, each) => (each < 0 ? product * -each : product), 1);
  return { factor, sizes: found.filter((each) => each >= 0) };
};

/** All kernels of an operator. */
export function kernelsOf([operator, module, types, text]: Signature): KernelParameters[] {
  const words = text.split(/\s+/).map((word) => word.split(':'));
  const names = words.map(([name]) => name!);
  return types.split(' ').map((each) => {
    const [type, x, y = x] = each.split(':');
    const parameters = words.map(([name, role, element, length]): Parameter => {
      const kind = element === 'X' ? x! : element === 'Y' ? y! : (element ?? 'Uint8');
      const form = role === 'size' || role === 'number' ? role : role!.endsWith('slabs') ? 'slabs' : 'array';
      const isWritten = role === 'output' || role === 'written-slabs';
      const isProduct = length !== undefined && length !== 'mask' && length !== 'bias';
      return {
        name: name!,
        form,
        kind: `${kind}Array` as ArrayKind,
        bytes: BYTES[kind]!,
        isWritten,
        length: isProduct ? sizesIn(names, length) : undefined,
      };
    });
    return { kernel: `${operator}_${type}`, operator, module, parameters };
  });
}
