/**
 * The packages of examples/adapters/package.json, and transformers.js: beside the examples if all are there, else
 * installed once.
 */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { exclusively } from '../package/package.js';
import { cache, root } from '../support/emulated.js';
import { run } from '../support/run.js';
import { tool } from '../support/tools.js';

const examples = path.join(root, 'examples', 'adapters');
const manifest = path.join(examples, 'package.json');
/** No example of the folder imports it: it would bring half a gigabyte to those who install these. */
const TRANSFORMERS = '@huggingface/transformers@4.3.2';
const hash = createHash('sha256').update(readFileSync(manifest)).update(TRANSFORMERS).digest('hex').slice(0, 12);
const cached = path.join(cache, `adapters-${hash}`);
const isIn = (folder: string): boolean =>
  ['fastify', 'onnxruntime-node', '@huggingface/transformers'].every((name) =>
    existsSync(path.join(folder, 'node_modules', name)),
  );

const available = [examples, cached].some(isIn);
const registry = tool('an npm registry', ['npm', 'view', 'onnxruntime-node@1.30.0', 'version']);
/** What a test with these packages needs. */
export const peers = available ? { ...registry, available } : registry;

/** The folder whose node_modules has the packages. No script of theirs runs. */
export async function peersFolder(): Promise<string> {
  if (isIn(examples)) return examples;
  if (isIn(cached)) return cached;
  return exclusively(cached, async () => {
    if (isIn(cached)) return cached;
    const unfinished = `${cached}.unfinished`;
    mkdirSync(unfinished, { recursive: true });
    cpSync(manifest, path.join(unfinished, 'package.json'));
    await run('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', TRANSFORMERS], { cwd: unfinished });
    renameSync(unfinished, cached);
    return cached;
  });
}

/** Imports one of the packages. */
export async function importPeer<T>(name: string): Promise<T> {
  const file = createRequire(path.join(await peersFolder(), 'package.json')).resolve(name);
  const loaded = (await import(pathToFileURL(file).href)) as { default?: T } & T;
  return name.startsWith('onnxruntime') ? (loaded.default ?? loaded) : loaded;
}

/** A folder with the programs of examples/adapters, from which they find the packages, and this one as it is built. */
export async function examplesFolder(): Promise<string> {
  const folder = await peersFolder();
  const self = path.join(folder, 'node_modules', 'flash-softmax');
  rmSync(self, { force: true });
  symlinkSync(root, self);
  if (folder === examples) return folder;
  for (const name of readdirSync(examples))
    if (name.endsWith('.mjs')) cpSync(path.join(examples, name), path.join(folder, name));
  return folder;
}
