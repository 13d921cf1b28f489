/** README.md: its programs run and print the shown output, and it names every command and option. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { capture } from '../cli/capture.js';
import { root } from '../support/emulated.js';
import { run } from '../support/run.js';

const readme = readFileSync(join(root, 'README.md'), 'utf8');
const programs = [...readme.matchAll(/^```js runnable\n(.*?)^```$/gms)].map(([, program]) => program!);
/** The output that a line of the README states. */
const promised = (program: string) => [...program.matchAll(/\/\/ → (.*)$/gm)].map(([, text]) => text);

describe('README.md', () => {
  beforeAll(() => expect(existsSync(join(root, 'dist/index.js')), 'dist/ is there (npm run compile)').toBe(true));

  it('has programs', () => expect(programs.length).toBeGreaterThanOrEqual(3));

  // The package finds itself by its own name, from its own folder.
  it.each(programs.map((program, i) => [i + 1, program] as const))(
    'program %i prints what it says',
    async (_, program) => {
      const printed = await run(process.execPath, ['--input-type=module', '--eval', program], { cwd: root });
      expect(printed.trimEnd().split('\n')).toEqual(promised(program));
    },
  );

  it('shows every command', async () => {
    const { stdout } = await capture(['--help']);
    const commands = [...stdout.matchAll(/^  (\w+) /gm)].map(([, name]) => name!);
    expect(commands.length).toBeGreaterThanOrEqual(5);
    for (const name of commands) expect(readme).toContain(`flash-softmax ${name}`);
  });

  it('names every variable of the environment', () => {
    for (const name of ['BACKEND', 'THREADS', 'PROFILE']) expect(readme).toContain(`\`FLASH_SOFTMAX_${name}\``);
  });
});
