/**
 * The include order of native/, as two ESLint rules: `downhill` reports an include of a folder that is not below,
 * `floors` a chain of includes that is too long. ESLint sees lines alone (`lines` in eslint.config.mjs).
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const native = fileURLToPath(new URL('../../native', import.meta.url));

/** Folders of kernel text, lowest first. A file includes its own folder and lower levels: a family, no other family. */
const levels = [
  ['simd'],
  ['math'],
  ['rows'],
  ['softmax'], // its sums are for every family
  ['losses', 'selection', 'sampling', 'attention', 'head', 'routing', 'detection'],
];

/** Folders that use kernels. No kernel includes them. */
const users = ['isa', 'platform', 'host'];

/** The first folder of a path below native/; '' for the tables and the headers of native/ itself. */
function folderOf(file) {
  const [first, ...others] = relative(native, file).split(sep);
  return others.length > 0 ? first : '';
}

/** The level of a folder of kernel text; -1 for any other folder. */
const levelOf = (folder) => levels.findIndex((level) => level.includes(folder));

/** The local includes of a text: the line and the file of each. */
function includesOf(file, lines) {
  return lines.flatMap((text, at) => {
    const [, name] = /^\s*#\s*include\s*"([^"]+)"/.exec(text) ?? [];
    return name === undefined ? [] : [{ line: at + 1, name, target: join(dirname(file), name) }];
  });
}

/** The longest chain of includes from a file down, itself included. A file on the way here counts nothing. */
function chainFrom(file, lines, above = []) {
  const chains = includesOf(file, lines).map(({ target }) => {
    if (above.includes(target) || !existsSync(target)) return [];
    return chainFrom(target, readFileSync(target, 'utf8').split('\n'), [...above, file]);
  });
  return chains.reduce((longest, chain) => (chain.length > longest.length ? chain : longest), []).concat(file);
}

const at = (line) => ({ start: { line, column: 0 }, end: { line, column: 0 } });

const downhill = {
  meta: { type: 'problem', schema: [], messages: { up: 'native/{{from}} does not include {{to}}: {{why}}.' } },
  create(context) {
    const from = folderOf(context.filename);
    const level = levelOf(from);
    if (level < 0) return {};
    const reasonAgainst = (to) => {
      if (to === from || to === '') return undefined;
      if (users.includes(to)) return 'kernels know nothing of the code that calls them';
      if (levelOf(to) > level) return `native/${to} stands above`;
      return levelOf(to) === level ? 'a family stands on no other family but softmax' : undefined;
    };
    return {
      Program() {
        for (const { line, name, target } of includesOf(context.filename, context.sourceCode.lines)) {
          const why = reasonAgainst(folderOf(target));
          if (why) context.report({ loc: at(line), messageId: 'up', data: { from, to: name, why } });
        }
      },
    };
  },
};

const floors = {
  meta: {
    type: 'problem',
    schema: [{ type: 'integer', minimum: 1 }],
    messages: { high: 'A chain of {{count}} includes, above {{most}}: {{chain}}.' },
  },
  create(context) {
    const [most] = context.options;
    return {
      Program() {
        const files = chainFrom(context.filename, context.sourceCode.lines).reverse();
        if (files.length <= most) return;
        const chain = files.map((file) => relative(native, file).replaceAll('\\', '/')).join(' → ');
        context.report({ loc: at(1), messageId: 'high', data: { count: files.length, most, chain } });
      },
    };
  },
};

export default { meta: { name: 'native-includes' }, rules: { downhill, floors } };
