/**
 * Projects that use the packed package, each with one tool that runs, bundles, traces or tests JavaScript. A project
 * has a program that reports the backend and whether promises give the same numbers.
 */
import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pack, temporary, type Tarballs } from '../package/package.js';
import { root } from '../support/emulated.js';
import { run } from '../support/run.js';

/** The report of a program. */
export interface Answer {
  readonly backend: string;
  /** The reason why there is no addon; absent if there is one. */
  readonly error?: string;
  /** 'same' if the promise gave the numbers of the call without one; else the fault. */
  readonly promise: string;
}

const BODY = `
const x = Float32Array.from({ length: 20_000 }, (_, i) => i % 77);
const { backend, native } = capabilities();
const answer = { backend, error: native.error };
const now = softmax(x);
const done = promises.softmax(x).then(
  (later) => ({ ...answer, promise: later.every((value, i) => value === now[i]) ? 'same' : 'different' }),
  (error) => ({ ...answer, promise: String(error) }),
);
`;

const IMPORTS = `
import { capabilities, softmax } from 'flash-softmax';
import * as promises from 'flash-softmax/promises';
`;
const REQUIRES = `
const { capabilities, softmax } = require('flash-softmax');
const promises = require('flash-softmax/promises');
`;

/** Programs that print an answer, and modules that export the promise of one as `done`. */
export const programs = {
  'app.mjs': `${IMPORTS}${BODY}done.then((all) => console.log(JSON.stringify(all)));\n`,
  'app.cjs': `${REQUIRES}${BODY}done.then((all) => console.log(JSON.stringify(all)));\n`,
  'done.mjs': `${IMPORTS}${BODY}export { done };\n`,
  'done.cjs': `${REQUIRES}${BODY}exports.done = done;\n`,
};

const folder = temporary();
let tarballs: Promise<Tarballs> | undefined;

/**
 * A folder with the programs and files. The package and `packages` are installed there, unless its tool installs them.
 */
export async function project(
  name: string,
  files: Record<string, string>,
  { packages = [] as string[], links = [] as string[], install = true } = {},
): Promise<string> {
  const { full, dependency } = await (tarballs ??= pack(folder));
  const place = path.join(folder, name.replace(/\W+/g, '-'));
  mkdirSync(place, { recursive: true });
  const local = { 'flash-softmax': `file:${full}`, 'node-gyp-build': `file:${dependency}` };
  const manifest = {
    name: 'project',
    version: '1.0.0',
    private: true,
    dependencies: local,
    resolutions: { 'node-gyp-build': `file:${dependency}` },
  };
  writeFileSync(path.join(place, 'package.json'), JSON.stringify(manifest, undefined, 2));
  for (const [file, text] of Object.entries({ ...programs, ...files })) {
    mkdirSync(path.dirname(path.join(place, file)), { recursive: true });
    writeFileSync(path.join(place, file), text);
  }
  if (!install) return place;
  const quiet = ['--no-audit', '--no-fund', '--ignore-scripts'];
  await run('npm', ['install', ...(packages.length > 0 ? packages : ['--offline']), ...quiet], { cwd: place });
  for (const link of links) symlinkSync(path.join(root, 'node_modules', link), path.join(place, 'node_modules', link));
  return place;
}

const environment = {
  FLASH_SOFTMAX_BACKEND: undefined,
  NODE_OPTIONS: undefined,
  VITEST: undefined,
  CI: undefined,
  NODE_ENV: undefined,
};

/** The JSON that a command prints among other lines. */
export async function answer(
  place: string,
  command: readonly string[],
  env: Record<string, string | undefined> = {},
): Promise<Answer> {
  const [program, ...args] = command;
  return answerIn(await run(program!, args, { cwd: place, env: { ...environment, ...env } }));
}

export function answerIn(output: string): Answer {
  const found = /\{"backend":.*?"promise":"[^"]*"\}/.exec(output);
  if (!found) throw new Error(`No answer in ${output}`);
  return JSON.parse(found[0]) as Answer;
}

/** Copies some files of a project to a folder without the rest. */
export function apart(place: string, files: readonly string[], name = 'apart'): string {
  const to = path.join(`${place}-${name}`);
  for (const file of files) {
    mkdirSync(path.dirname(path.join(to, file)), { recursive: true });
    cpSync(path.join(place, file), path.join(to, file), { recursive: true });
  }
  return to;
}

/** The Vitest that runs this test. */
export const vitestVersion = (
  JSON.parse(readFileSync(path.join(root, 'node_modules', 'vitest', 'package.json'), 'utf8')) as { version: string }
).version;

/** The version of a package in a project. */
export function versionOf(place: string, name: string): string {
  const file = path.join(place, 'node_modules', name, 'package.json');
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version : '';
}
