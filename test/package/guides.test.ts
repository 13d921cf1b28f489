/** README.md and the guides: programs run and print the shown output, links lead somewhere, every command is named. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { capture } from '../cli/capture.js';
import { root } from '../support/emulated.js';
import { run } from '../support/run.js';

const guides = readdirSync(join(root, 'guides')).filter((name) => name.endsWith('.md'));
const names = ['README.md', ...guides.map((name) => `guides/${name}`)];
const documents = names.map((name) => ({ name, text: readFileSync(join(root, name), 'utf8') }));
const programs = documents.flatMap(({ name, text }) =>
  [...text.matchAll(/^```js\n(.*?)^```$/gms)].map(([, program], i) => ({ name, number: i + 1, program: program! })),
);
/** The lines of output that a program states. */
const promised = (program: string) => [...program.matchAll(/\/\/ → (.*)$/gm)].map(([, text]) => text!);
const document = (name: string) => documents.find((each) => each.name === name)!.text;

describe('README.md and the guides', () => {
  beforeAll(() => expect(existsSync(join(root, 'dist/index.js')), 'dist/ is there (npm run compile)').toBe(true));

  // The package finds itself by its own name, from its own folder.
  it.each(programs)('program $number of $name prints what it says', async ({ program }) => {
    const printed = await run(process.execPath, ['--input-type=module', '--eval', program], { cwd: root });
    expect(printed.split('\n').filter((line) => line !== '')).toEqual(promised(program));
  });

  it.each(documents)('links of $name lead somewhere', ({ name, text }) => {
    for (const [, link] of text.matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g))
      expect(existsSync(join(root, dirname(name), link!)), link).toBe(true);
  });

  it('has a README of at most 150 lines, with programs', () => {
    expect(document('README.md').split('\n').length).toBeLessThanOrEqual(151);
    expect(programs.filter(({ name }) => name === 'README.md').length).toBeGreaterThanOrEqual(4);
  });

  it('shows every command', async () => {
    const { stdout } = await capture(['--help']);
    const commands = [...stdout.matchAll(/^  (\w+) /gm)].map(([, name]) => name!);
    expect(commands.length).toBeGreaterThanOrEqual(5);
    for (const name of commands) expect(document('guides/command-line.md')).toContain(`flash-softmax ${name}`);
  });

  it('names every variable of the environment', () => {
    for (const name of ['BACKEND', 'THREADS', 'PROFILE', 'REQUIRE_NATIVE'])
      expect(document('guides/configuration.md')).toContain(`\`FLASH_SOFTMAX_${name}\``);
  });
});
