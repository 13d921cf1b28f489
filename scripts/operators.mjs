// Makes lib/backend/operators.ts with a file of operators/ for each family, parameters.ts, types.ts and
// wasm/signatures.ts, from the table, native/operators.def and what it includes, so that lib/ calls kernels with
// arguments by name. Run it after a change of the table: a test fails while they differ. With --check it writes
// nothing, and fails if they do.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { writeSignatures } from './wasm-signatures.mjs';

const file = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));

/** C types to typed arrays. X and Y, the types of a kernel's logits and results, stay parameters. */
const ARRAYS = {
  X: 'X',
  Y: 'Y',
  float: 'Float32Array',
  double: 'Float64Array',
  int8_t: 'Int8Array',
  int32_t: 'Int32Array',
  uint8_t: 'Uint8Array',
  uint16_t: 'Uint16Array',
  uint32_t: 'Uint32Array',
  F16: 'Uint16Array',
  BF16: 'Uint16Array',
  I8: 'Int8Array',
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

/** The table: lists of types, groups of parameters like ROWS, and operators. */
function readTable(source) {
  const text = source
    .replace(/\/\/.*$/gm, '')
    .replace(/\\\n/g, ' ')
    .replace(/"[^"]*"/g, '""');
  const bodies = new Map();
  for (const [, name, body] of text.matchAll(/^#define ([A-Z_]+)(?:\([^)]*\))? (.*)$/gm)) bodies.set(name, body);

  const operators = [];
  for (const [, name, list, body] of text.matchAll(/^OPERATOR\((\w+), (\w+)\)(.*?)^END\(\1\)/gms)) {
    const namedBy = (macro) => [...usesOf(body)].filter(([each]) => each === macro).map(([, names]) => names);
    const [inPlace = null] = namedBy('IN_PLACE');
    const [rows] = namedBy('BY_ROWS').flat();
    const memory = { inPlace, kept: namedBy('KEEPS').flat(), rows };
    operators.push({ name, list, ...memory, parts: partsOf(body, bodies), parameters: parametersOf(body, bodies) });
  }
  const lists = new Map(operators.map(({ list }) => [list, typesOf(list, bodies)]));
  const names = new Set([...bodies.keys()].filter((name) => !/\bF\(/.test(bodies.get(name))));
  const groups = [...names].map((name) => ({ name, parts: partsOf(bodies.get(name), bodies) }));
  return { lists, groups, operators };
}

/** The types of a list like SAME: F(op, f32, float, float) F(…) …, which may name other lists. */
function typesOf(list, bodies) {
  return [...usesOf(bodies.get(list))].flatMap(([macro, [, type, x, y]]) =>
    macro === 'F' ? [{ type, x: ARRAYS[x], y: ARRAYS[y] }] : typesOf(macro, bodies),
  );
}

/** The parameters of an operator or a group, and the names of groups in it, in order. */
function partsOf(text, bodies) {
  return [...usesOf(text)].flatMap(([macro, args]) => (bodies.has(macro) ? [macro] : parameters(macro, args)));
}

/** All parameters of an operator in the order of its kernels. */
function parametersOf(text, bodies) {
  return partsOf(text, bodies).flatMap((part) =>
    typeof part === 'string' ? parametersOf(bodies.get(part), bodies) : [part],
  );
}

/** The parameters that a macro stands for. The role says what a job does with an array. */
function parameters(macro, [first, second, length]) {
  const array = ARRAYS[first?.replace('const ', '')];
  const orNull = macro.startsWith('OPTIONAL_') ? ' | null' : '';
  if (['SIZE', 'NUMBER', 'CODE'].includes(macro))
    return [{ name: first, type: 'number', role: 'number', isSize: macro === 'SIZE' }];
  if (macro.endsWith('INPUT')) return [{ name: second, type: `${array}${orNull}`, role: 'input', length }];
  if (macro.endsWith('OUTPUT')) return [{ name: second, type: `${array}${orNull}`, role: 'output', length }];
  if (macro === 'BIAS') return [{ name: second, type: `${array} | null`, role: 'input', length: 'bias' }];
  if (macro === 'SHAPE') return [{ name: first, type: 'Float64Array', role: 'input' }];
  if (macro === 'SLABS')
    return [{ name: second, type: `readonly ${array}[]`, role: 'slabs', isConst: first.startsWith('const ') }];
  if (macro !== 'MASK') return [];
  return [
    { name: first, type: 'Uint8Array | null', role: 'input', length: 'mask' },
    { name: second, type: 'number', role: 'number' },
  ];
}

const camel = (name) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase());
const pascal = (name) => camel(`_${name.toLowerCase()}`);
const quoted = (names) => names.map((name) => `'${camel(name)}'`).join(', ');

/** Items on lines of at most 118 columns. */
function wrap(items, indent) {
  const lines = [];
  for (const item of items) {
    const longer = lines.length > 0 ? `${lines.at(-1)} ${item}` : '';
    if (longer !== '' && longer.length <= 118) lines[lines.length - 1] = longer;
    else lines.push(indent + item);
  }
  return lines.join('\n');
}

/** Items in brackets, on one line if they fit. */
function bracketed(head, [open, close], items, indent, room = '') {
  const space = open === '{' ? ' ' : '';
  const line = `${indent}${head}${open}${space}${items.join(' ').replace(/[,;]$/, '')}${space}${close}`;
  if (line.length + room.length <= 116) return line;
  return `${indent}${head}${open}\n${wrap(items, `${indent}  `)}\n${indent}${close}`;
}

/** A parameter with its type, and a group as a type. */
const typed = ({ name, type }) => `${camel(name)}: ${type}`;
const groupType = (group, groups) => {
  const { parts } = groups.find(({ name }) => name === group);
  return `${pascal(group)}${parts.some(({ type }) => type?.startsWith('X')) ? '<X>' : ''}`;
};

/** A group by name and in order. No interface: an object of such a type is a Record as well. */
function writeGroup({ name, parts }, groups) {
  const [type, X = ''] = groupType(name, groups).split(/(?=<)/);
  return [
    `${byName(parts, groups, '', `type ${type}${X} = `)};`,
    `${bracketed(`type Ordered${type}${X} = `, '[]', inOrder(parts, groups), '')};`,
  ];
}

/** An object type: the parameters, and groups. */
function byName(parts, groups, indent, head) {
  const own = parts.filter((part) => typeof part !== 'string').map((part) => `${typed(part)};`);
  const others = parts.filter((part) => typeof part === 'string').map((part) => ` & ${groupType(part, groups)}`);
  const room = ' '.repeat(others.join('').length); // the groups stand behind the bracket
  return `${bracketed(head, '{}', own, indent, room)}${others.join('')}`;
}

function inOrder(parts, groups) {
  const group = (name) => `...${camel(name.toLowerCase())}: Ordered${groupType(name, groups)},`;
  return parts.map((part) => (typeof part === 'string' ? group(part) : `${typed(part)},`));
}

const typeLines = (types) => types.map(({ type, x, y }) => `  ${type}: { x: ${x}; y: ${y} };`);

/** A list of types as an interface. It extends the longest other list whose types it has. */
function listOfTypes([list, types], _, lists) {
  const lines = typeLines(types);
  const [base, inherited] = lists
    .map(([name, others]) => [` extends ${pascal(name)}`, typeLines(others)])
    .filter(([, others]) => others.length < lines.length && others.every((line) => lines.includes(line)))
    .reduce((longest, each) => (each[1].length > longest[1].length ? each : longest), ['', []]);
  return [`interface ${pascal(list)}${base} {`, ...lines.filter((line) => !inherited.includes(line)), '}'];
}

/** A property that is a list of names: one item for wrap, or, if it is too long for a line, one for each name. */
function listed(name, names) {
  const line = `${name}: [${names}],`;
  if (line.length <= 116) return [line];
  const [first, ...others] = names.split(', ');
  return [`${name}: [${first},`, ...others.map((each, i) => (i < others.length - 1 ? `${each},` : `${each}],`))];
}

function descriptor({ name, list, parameters, inPlace }) {
  const arrays = (role) => quoted(parameters.filter((each) => each.role === role).map((each) => each.name));
  const ofType = (array) => quoted(parameters.filter(({ type }) => type.startsWith(array)).map((each) => each.name));
  const names = parameters.map((each) => camel(each.name));
  return [
    '',
    `export const ${name.toUpperCase()}: OperatorOf<'${name}'> = {`,
    wrap(
      [
        `name: '${name}',`,
        `types: ${list},`,
        `inPlace: ${inPlace ? `[${quoted(inPlace)}]` : 'null'},`,
        ...listed('inputs', arrays('input')),
        `outputs: [${arrays('output')}],`,
        `logits: [${ofType('X')}],`,
        `results: [${ofType('Y')}],`,
      ],
      '  ',
    ),
    `${bracketed(
      'parameters: ',
      '[]',
      names.map((each) => `'${each}',`),
      '  ',
    )},`,
    `${bracketed(
      'call: (kernel, a) => kernel',
      '()',
      names.map((each) => `a.${each},`),
      '  ',
    )},`,
    '};',
  ];
}

const HEAD = 'Made by scripts/operators.mjs from native/operators.def. Do not edit.';

/** lib/backend/parameters.ts: the parameters. */
function writeParameters({ groups, operators }) {
  return [
    `/** The parameters of operators. ${HEAD} */`,
    ...groups.flatMap((group) => writeGroup(group, groups)),
    '',
    '/** The parameters of an operator by name: X is the type of its logits, Y that of its results. */',
    'export interface NamedParameters<X, Y> {',
    ...operators.map(({ name, parts }) => `${byName(parts, groups, '  ', `${name}: `)};`),
    '}',
    '',
    '/** The same parameters in the order of kernels. */',
    'export interface OrderedParameters<X, Y> {',
    ...operators.map(({ name, parts }) => `${bracketed(`${name}: `, '[]', inOrder(parts, groups), '  ')};`),
    '}',
  ];
}

/** lib/backend/types.ts: the types. */
function writeTypes({ lists, operators }) {
  return [
    `/** The types of operators. ${HEAD} */`,
    ...[...lists].flatMap(listOfTypes),
    '',
    '/** The types that an operator has kernels for, by name: x is the type of its logits, y that of its results. */',
    'export interface OperatorTypes {',
    ...operators.map(({ name, list }) => `  ${name}: ${pascal(list)};`),
    '}',
  ];
}

/** lib/backend/operators/FAMILY.ts: the operators of a family. */
function writeFamily({ lists, operators }, names) {
  const own = operators.filter(({ name }) => names.includes(name));
  const used = [...lists].filter(([list]) => own.some((operator) => operator.list === list));
  return [
    `/** Operators. ${HEAD} */`,
    "import type { OperatorOf } from '../operator.js';",
    '',
    ...used.map(([list, types]) => `const ${list} = [${types.map(({ type }) => `'${type}'`).join(', ')}];`),
    ...own.flatMap(descriptor),
  ];
}

/** lib/backend/operators.ts: all of them. */
const writeOperators = (families) => [
  `/** The operators. ${HEAD} */`,
  "export type * from './operator.js';",
  ...families.map((family) => `export * from './operators/${family}.js';`),
];

const read = (path) => readFileSync(file(path), 'utf8');
// Groups of parameters, and the families in the order of the table.
const files = [...read('native/operators.def').matchAll(/^#include "(operators\/(\w+)\.(?:inc|def))"$/gm)];
const texts = files.map(([, path, family]) => ({ family, text: read(`native/${path}`) }));
const table = readTable(texts.map(({ text }) => text).join('\n'));
const families = texts
  .map(({ family, text }) => ({ family, names: [...text.matchAll(/^OPERATOR\((\w+),/gm)].map(([, name]) => name) }))
  .filter(({ names }) => names.length > 0);
const made = {
  'lib/backend/parameters.ts': writeParameters(table),
  'lib/backend/types.ts': writeTypes(table),
  'lib/backend/wasm/signatures.ts': writeSignatures(table, HEAD, { camel, wrap }),
  'lib/backend/operators.ts': writeOperators(families.map(({ family }) => family)),
  ...Object.fromEntries(
    families.map(({ family, names }) => [`lib/backend/operators/${family}.ts`, writeFamily(table, names)]),
  ),
};
for (const [path, lines] of Object.entries(made)) {
  const text = `${lines.join('\n')}\n`;
  if (!process.argv.includes('--check')) writeFileSync(file(path), text);
  else if (readFileSync(file(path), 'utf8') !== text) {
    console.error(`${path} is not what native/operators.def says: run node scripts/operators.mjs`);
    process.exitCode = 1;
  }
}
