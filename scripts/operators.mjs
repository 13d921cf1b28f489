// Makes lib/backend/operators.ts from native/operators.def, so that lib/ calls kernels with arguments by name. Run it after
// a change of the table; a test fails while the two differ. With --check it writes nothing and fails if they differ.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const file = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));

const ARRAYS = {
  X: 'KernelArray', Y: 'KernelArray', float: 'Float32Array', double: 'Float64Array',
  int32_t: 'Int32Array', uint32_t: 'Uint32Array', uint8_t: 'Uint8Array',
};

/** The uses of macros in a text, in order: their names and arguments, split at the commas outside of parentheses. */
function* usesOf(text) {
  for (const match of text.matchAll(/\b([A-Z_]+)(?=\(|\s|$)/g)) {
    let at = match.index + match[0].length;
    if (text[at] !== '(') {
      yield [match[1], []];
      continue;
    }
    const args = [''];
    for (let depth = 0; ; at++) {
      if (text[at] === '(' && depth++ === 0) continue;
      if (text[at] === ')' && --depth === 0) break;
      if (text[at] === ',' && depth === 1) args.push('');
      else args[args.length - 1] += text[at];
    }
    yield [match[1], args.map((each) => each.trim())];
  }
}

/** The operators of the table, with groups like ROWS written out. */
function readTable(source) {
  const text = source.replace(/\/\/.*$/gm, '').replace(/\\\n/g, ' ').replace(/"[^"]*"/g, '""');
  const groups = new Map();
  for (const [, name, body] of text.matchAll(/^#define ([A-Z_]+)(?:\([^)]*\))? (.*)$/gm)) groups.set(name, body);
  const operators = [];
  for (const [, name, types, body] of text.matchAll(/^OPERATOR\((\w+), (\w+)\)(.*?)^END\(\1\)/gms)) {
    const parameters = [...flat(body, groups)];
    const inPlace = [...uses(body, groups)].find(([macro]) => macro === 'IN_PLACE')?.[1] ?? null;
    operators.push({ name, types: typesOf(types, groups), parameters, inPlace });
  }
  return operators;
}

function* uses(body, groups) {
  for (const [macro, args] of usesOf(body)) {
    if (groups.has(macro)) yield* uses(groups.get(macro), groups);
    else yield [macro, args];
  }
}

/** The types of a list like SAME: F(op, f32, float, float) F(…) …, which may name other lists. */
function typesOf(list, groups) {
  return [...uses(groups.get(list), groups)].filter(([macro]) => macro === 'F').map(([, [, type]]) => type);
}

function* flat(body, groups) {
  for (const [macro, [first, second]] of uses(body, groups)) {
    const optional = macro.startsWith('OPTIONAL_') ? ' | null' : '';
    const array = ARRAYS[first?.replace('const ', '')];
    if (['SIZE', 'NUMBER', 'CODE'].includes(macro)) yield { name: first, type: 'number', role: 'number' };
    else if (macro.endsWith('INPUT')) yield { name: second, type: `${array}${optional}`, role: 'input' };
    else if (macro.endsWith('OUTPUT')) yield { name: second, type: `${array}${optional}`, role: 'output' };
    else if (macro === 'MASK') {
      yield { name: first, type: 'Uint8Array | null', role: 'input' };
      yield { name: second, type: 'number', role: 'number' };
    } else if (macro === 'BIAS') yield { name: second, type: `${array} | null`, role: 'input' };
    else if (macro === 'SHAPE') yield { name: first, type: 'Float64Array', role: 'input' };
    else if (macro === 'SLABS') yield { name: second, type: `readonly ${array === 'KernelArray' ? '(KernelArray | Int8Array)' : array}[]`, role: 'store' };
  }
}

const camel = (name) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase());
const list = (names) => `[${names.map((name) => `'${name}'`).join(', ')}]`;

function write(operators) {
  const names = (operator, role) => list(operator.parameters.filter((each) => each.role === role).map(({ name }) => camel(name)));
  const lines = [
    '/** Made by scripts/operators.mjs from native/operators.def: the parameters of each operator by name. Do not edit. */',
    "import type { KernelArray } from '../call/arguments.js';",
    '',
    '/** The arguments of an operator\'s kernels. */',
    'export interface OperatorArguments {',
    ...operators.map(({ name, parameters }) => `  ${name}: {\n${parameters.map((each) => `    ${camel(each.name)}: ${each.type};\n`).join('')}  };`),
    '}',
    '',
    'export type Operator = keyof OperatorArguments;',
    '',
    '/** The types that an operator has kernels for: operator_type is their name. */',
    'export interface OperatorTypes {',
    ...operators.map(({ name, types }) => `  ${name}: ${types.map((type) => `'${type}'`).join(' | ')};`),
    '}',
    '',
    '/** What kernels take, in their order. */',
    'export type Positional = (...values: unknown[]) => unknown;',
    '',
    '/** What there is to know of an operator by those who call its kernels. */',
    'export interface AnyOperator {',
    '  readonly name: Operator;',
    '  /** Arrays that kernels read, and that they write. */',
    '  readonly inputs: readonly string[];',
    '  readonly outputs: readonly string[];',
    '  /** The output that may be an input itself, and that input. */',
    '  readonly inPlace: readonly [output: string, input: string] | null;',
    '  /** Calls a kernel with its arguments in order. */',
    '  call(kernel: Positional, a: Readonly<Record<string, unknown>>): unknown;',
    '}',
    '',
    'export interface OperatorOf<O extends Operator> extends AnyOperator {',
    '  readonly name: O;',
    '  call(kernel: Positional, a: OperatorArguments[O]): unknown;',
    '}',
    ...operators.map((operator) => [
      '',
      `export const ${operator.name.toUpperCase()}: OperatorOf<'${operator.name}'> = {`,
      `  name: '${operator.name}',`,
      `  inputs: ${names(operator, 'input')},`,
      `  outputs: ${names(operator, 'output')},`,
      `  inPlace: ${operator.inPlace ? list(operator.inPlace) : 'null'},`,
      `  call: (kernel, a) => kernel(\n${wrap(operator.parameters.map((each) => `a.${camel(each.name)}`), '    ')}\n  ),`,
      '};',
    ].join('\n')),
  ];
  return `${lines.join('\n')}\n`;
}

/** Items with commas, on lines of at most 110 columns. */
function wrap(items, indent) {
  const lines = [indent];
  for (const item of items) {
    if (lines.at(-1).length + item.length > 108) lines.push(indent);
    lines[lines.length - 1] += `${lines.at(-1) === indent ? '' : ' '}${item},`;
  }
  return lines.join('\n');
}

const table = ['native/operators/defaults.inc', 'native/operators.def'].map((path) => readFileSync(file(path), 'utf8'));
const made = write(readTable(table.join('\n')));
const target = file('lib/backend/operators.ts');
if (process.argv.includes('--check')) {
  if (readFileSync(target, 'utf8') !== made) {
    console.error('lib/backend/operators.ts is not what native/operators.def says: run node scripts/operators.mjs');
    process.exitCode = 1;
  }
} else writeFileSync(target, made);
