/** Examples of docstrings: each public function and class has one, and it prints what it says. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { root } from '../support/emulated.js';
import { run } from '../support/run.js';

const sources = readdirSync(join(root, 'lib'), { recursive: true, encoding: 'utf8' }).filter((n) => n.endsWith('.ts'));

/** A docstring's example, and the name that is declared behind the docstring. */
interface Example {
  readonly source: string;
  readonly name: string;
  readonly program: string;
}

const examples = sources.flatMap((source): Example[] => {
  const text = readFileSync(join(root, 'lib', source), 'utf8');
  const docstrings = text.matchAll(
    /^ \* @example\n((?: \*.*\n)+?) \*\/\nexport .*?(?:function\*?|class|const) (\w+)/gm,
  );
  return [...docstrings].map(([, lines, name]) => ({
    source,
    name: name!,
    program: lines!.replaceAll(/^ \* ?/gm, ''),
  }));
});

/** What an example says that it prints: what stands behind the arrow in a comment. */
const promised = (program: string) => [...program.matchAll(/\/\/.*→ (.*)$/gm)].map(([, text]) => text!);

const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { exports: object };
/** Entry points of code; files, and modules of WebAssembly as text, have no docstrings. */
const entries = Object.keys(exports).filter((entry) => !/\.json$|^\.\/wasm\//.test(entry));
/** Functions of the root stand in other entries too, with one docstring; promises have docstrings of their own. */
const isFor = (entry: string, { source }: Example) => entry === './promises' || !source.endsWith('promises.ts');

/** All examples as one program, which prints `mark` before each: a process for each would take a minute. */
const mark = '=== ';
const together = examples
  .map(({ program }) => program.replaceAll(/^import (.*) from (.*);$/gm, 'const $1 = await import($2);'))
  .map((program) => `console.log('${mark}');\ntry {\n${program}} catch (error) { console.log(error); }\n`);
let printed: string[][];

describe('examples of docstrings', () => {
  beforeAll(async () => {
    expect(existsSync(join(root, 'dist/index.js')), 'dist/ is there (npm run compile)').toBe(true);
    // The package finds itself by its own name, from its own folder.
    const output = await run(process.execPath, ['--input-type=module', '--eval', together.join('')], { cwd: root });
    const parts = output.split(`${mark}\n`).slice(1);
    printed = parts.map((part) => part.split('\n').filter((line) => line !== ''));
  });

  it.each(entries)('every function and class of %s has one', (entry) => {
    const required = createRequire(import.meta.url)(join(root, 'dist', `${entry === '.' ? 'index' : entry}.cjs`));
    const names = Object.keys(required as object);
    expect(names.length).toBeGreaterThan(0);
    const shown = new Set(examples.filter((example) => isFor(entry, example)).map(({ name }) => name));
    expect(names.filter((name) => !shown.has(name))).toEqual([]);
  });

  it.each(examples.map((example, i) => ({ ...example, i })))('$name of $source prints what it says', (example) => {
    expect(promised(example.program).length).toBeGreaterThan(0);
    expect(printed[example.i]).toEqual(promised(example.program));
  });
});
