// A part of scripts/operators.mjs: lib/backend/wasm/signatures.ts, which says what the functions of WebAssembly modules
// take. It says it in words, as that is less to download than code.
import { readFileSync } from 'node:fs';

const modules = JSON.parse(readFileSync(new URL('../native/host/wasm/modules.json', import.meta.url), 'utf8'));

/** The module that has an operator. */
function moduleOf(operator) {
  const found = Object.entries(modules).find(([, operators]) => operators.includes(operator));
  if (!found) throw new Error(`Expected a module for ${operator} in native/host/wasm/modules.json but found none`);
  return found[0];
}

/** The type of a kernel with its arrays of logits and of results, as one word. */
const typeWord = ({ type, x, y }) => (x === y ? `${type}:${x}` : `${type}:${x}:${y}`).replaceAll('Array', '');

/** The numbers of an attention call, in the order of its shape. */
const [, shape] = /struct AttentionSizes \{\s*double ([\w, ]+), flags/.exec(
  readFileSync(new URL('../native/host/contract.h', import.meta.url), 'utf8'),
);
const SHAPE = shape.split(', ');

/** A length that is a product of sizes, or, of an array of results, of numbers of the shape; undefined: another. */
function product(length = '', role, camel) {
  if (/^[\w *]+$/.test(length)) return length.split(' * ').map(camel).join('*');
  if (role !== 'output') return undefined;
  const factors = length.replace('s.rows()', 's.batch * s.heads * s.queries').split(' * ');
  if (!factors.every((factor) => /^s\.\w+$/.test(factor))) return undefined;
  return factors.map((factor) => `#${SHAPE.indexOf(factor.slice(2))}`).join('*');
}

/**
 * A parameter as one word: its name, its kind, and its length if that is a product; #3 is number 3 of the shape.
 * Kernels may leave elements of a `kept` output as they were. `rows` is a size that counts rows which are apart.
 */
function parameterWord({ name, type, role, isSize, isConst, length }, { kept, rows }, camel) {
  if (role === 'number') return `${camel(name)}:${name === rows ? 'rows' : isSize ? 'size' : 'number'}`;
  const kind = type.replace(/ \| null|readonly |\[\]/g, '').replace('Array', '');
  if (role === 'slabs') return `${camel(name)}:${isConst ? 'slabs' : 'written-slabs'}:${kind}`;
  const words = [camel(name), kept.includes(name) ? 'kept' : role, kind, product(length, role, camel)];
  return words.filter(Boolean).join(':');
}

/** The lines of the file for a table of operators. */
export function writeSignatures({ lists, operators }, head, { camel, wrap }) {
  const typeList = ([list, types]) => `const ${list} = '${types.map(typeWord).join(' ')}';`;
  const parameterList = (operator) => {
    const words = operator.parameters.map((each) => parameterWord(each, operator, camel));
    words[words.length - 1] += '`,';
    return wrap(words, '      ').replace(/^ {6}/, '    `');
  };
  return [
    `/** What kernels take, for WebAssembly. ${head} */`,
    ...[...lists].map(typeList),
    '',
    '/** An operator, its module, its types (name:X:Y), and its parameters (name:kind, name:role:element:length). */',
    'export type Signature = readonly [name: string, module: string, types: string, parameters: string];',
    '',
    'export const SIGNATURES: readonly Signature[] = [',
    ...operators.flatMap((operator) => [
      '  [',
      `    '${operator.name}',`,
      `    '${moduleOf(operator.name)}',`,
      `    ${operator.list},`,
      parameterList(operator),
      '  ],',
    ]),
    '];',
  ];
}
