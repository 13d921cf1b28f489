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

/** A parameter as one word: its name, its kind, and its length if that is a product of sizes. */
function parameterWord({ name, type, role, isSize, isConst, length }, camel) {
  if (role === 'number') return `${camel(name)}:${isSize ? 'size' : 'number'}`;
  const kind = type.replace(/ \| null|readonly |\[\]/g, '').replace('Array', '');
  if (role === 'slabs') return `${camel(name)}:${isConst ? 'slabs' : 'written-slabs'}:${kind}`;
  const words = [camel(name), role, kind];
  if (/^[\w *]+$/.test(length ?? '')) words.push(length.split(' * ').map(camel).join('*'));
  return words.join(':');
}

/** The lines of the file for a table of operators. */
export function writeSignatures({ lists, operators }, head, { camel, wrap }) {
  const typeList = ([list, types]) => `const ${list} = '${types.map(typeWord).join(' ')}';`;
  const parameterList = (parameters) => {
    const words = parameters.map((each) => parameterWord(each, camel));
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
    ...operators.flatMap(({ name, list, parameters }) => [
      '  [',
      `    '${name}',`,
      `    '${moduleOf(name)}',`,
      `    ${list},`,
      parameterList(parameters),
      '  ],',
    ]),
    '];',
  ];
}
