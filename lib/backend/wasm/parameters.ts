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
  /** Whether a copy must have the array's elements before the kernel runs: it reads them, or may leave some. */
  readonly isCopiedIn: boolean;
  /** A mask, or a bias, has one row or all elements. Undefined: a length that is no product. */
  readonly length: Product | 'mask' | 'bias' | undefined;
}

/** A length: a factor, the positions of sizes among the parameters, and the positions of numbers in the shape. */
export interface Product {
  readonly factor: number;
  readonly sizes: readonly number[];
  readonly ofShape: readonly number[];
}

/** A kernel as a function of a module. */
export interface KernelParameters {
  readonly kernel: string;
  readonly operator: string;
  readonly module: string;
  readonly parameters: readonly Parameter[];
  /** The position of the size that counts rows which are apart; −1: a call is one piece. */
  readonly rows: number;
}

/** The forms of roles; others are arrays. */
const FORMS: Readonly<Record<string, Parameter['form']>> = {
  rows: 'size',
  size: 'size',
  number: 'number',
  slabs: 'slabs',
  'written-slabs': 'slabs',
};

const BYTES: Readonly<Record<string, number>> = {
  Int8: 1,
  Uint8: 1,
  Uint16: 2,
  Int32: 4,
  Uint32: 4,
  Float32: 4,
  Float64: 8,
};

function lengthIn(names: readonly string[], text: string | undefined): Parameter['length'] {
  if (text === undefined || text === 'mask' || text === 'bias') return text;
  const words = text.split('*');
  return {
    factor: words.reduce((product, word) => (/^\d/.test(word) ? product * Number(word) : product), 1),
    sizes: words.filter((word) => names.includes(word)).map((word) => names.indexOf(word)),
    ofShape: words.filter((word) => word.startsWith('#')).map((word) => Number(word.slice(1))),
  };
}

/** All kernels of an operator. */
export function kernelsOf([operator, module, types, text]: Signature): KernelParameters[] {
  const words = text.split(/\s+/).map((word) => word.split(':'));
  const names = words.map(([name]) => name!);
  return types.split(' ').map((each) => {
    const [type, x, y = x] = each.split(':');
    const parameters = words.map(([name, role, element, length]): Parameter => {
      const kind = element === 'X' ? x! : element === 'Y' ? y! : (element ?? 'Uint8');
      const form = FORMS[role!] ?? 'array';
      const isWritten = role === 'output' || role === 'kept' || role === 'written-slabs';
      const elements = form === 'array' ? lengthIn(names, length) : undefined;
      return {
        name: name!,
        form,
        kind: `${kind}Array` as ArrayKind,
        bytes: BYTES[kind]!,
        isWritten,
        isCopiedIn: !(role === 'output' && elements !== undefined),
        length: elements,
      };
    });
    const rows = words.findIndex(([, role]) => role === 'rows');
    return { kernel: `${operator}_${type}`, operator, module, parameters, rows };
  });
}
