/**
 * Loads the native addon, wherever this file lies: in the package, in a tree that a tracer copied, or in a bundle with
 * the package beside it. node-gyp-build knows local builds, platforms and C libraries and comes first; #files names
 * each file statically, as tracers and bundlers need.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import nodeModule from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { binaries } from '#files';
import type { Addon } from './native.js';
import { refuseCutBinary } from './whole-binary.js';

export interface LoadedAddon {
  readonly addon: Addon;
  readonly path: string;
}

/** The path of this file. A module that was bundled to CommonJS has no import.meta.url, but __filename. */
const here = (): string => fileHere() ?? join(process.cwd(), 'index.js');

function fileHere(): string | undefined {
  const url: string | undefined = import.meta.url;
  if (url !== undefined) return url.startsWith('file:') ? fileURLToPath(url) : undefined;
  return typeof __filename === 'string' ? __filename : undefined;
}

/**
 * The addon, from the first place with a file that loads. Throws an Error with the reasons and a remedy if none does.
 */
export function loadAddon(): LoadedAddon {
  const failures: string[] = [];
  const root = packageRoot();
  const places = root === undefined ? [listed, besideBundle, installed] : [() => fromFolder(root), listed];
  for (const place of places) {
    try {
      return place();
    } catch (error) {
      failures.push(firstLine(error));
    }
  }
  throw new Error(explanation(failures, root === undefined));
}

/** The directory of this package, upwards from here; undefined in a bundle, or where files may not be read. */
export function packageRoot(): string | undefined {
  try {
    for (let directory = dirname(here()); ; directory = dirname(directory)) {
      const manifest = join(directory, 'package.json');
      if (existsSync(manifest) && isOurs(manifest)) return directory;
      if (directory === dirname(directory)) return undefined;
    }
  } catch {
    return undefined;
  }
}

const isOurs = (manifest: string): boolean =>
  (JSON.parse(readFileSync(manifest, 'utf8')) as { name?: unknown }).name === 'flash-softmax';

/** The build in build/, or the binary in prebuilds/ for this machine, by the node-gyp-build that `from` resolves. */
function fromFolder(folder: string, from = join(folder, 'package.json')): LoadedAddon {
  const require = requireFrom(from);
  const { resolve } = require('node-gyp-build') as { resolve(root: string): string };
  const path = resolve(folder);
  return { addon: addonIn(require, path), path };
}

/** Loads a file. Throws an Error if it is cut off, or the addon of something else. */
function addonIn(require: NodeJS.Require, path: string): Addon {
  refuseCutBinary(path);
  return checked(require(path), path);
}

/** Some members of an addon, by which ours is known. */
const MEMBERS = ['kernels', 'jobs', 'machine', 'threads', 'plan'] as const;

function checked(loaded: unknown, path: string): Addon {
  const addon = loaded as Partial<Addon> | null;
  if (Array.isArray(addon?.backends) && MEMBERS.every((name) => typeof addon[name] === 'function'))
    return addon as Addon;
  throw new Error(`${path}: the addon is not the one of flash-softmax`);
}

// Not createRequire by its name: webpack replaces it by a function that finds nothing outside the bundle.
const requireFrom = (file: string): NodeJS.Require => nodeModule.createRequire(pathToFileURL(file));

const target = `${process.platform}-${process.arch}`;

/** A file that was in the package when it was built. */
function listed(): LoadedAddon {
  const require = requireFrom(here());
  return firstOf(binaries[target] ?? [], (load) => {
    let path = 'in the bundle';
    const addon = checked(
      load((file) => addonIn(require, (path = file))),
      path,
    );
    return { addon, path };
  });
}

/** From a folder prebuilds/ that was copied beside the bundle. */
function besideBundle(): LoadedAddon {
  const require = requireFrom(here());
  const folder = join(dirname(here()), 'prebuilds', target);
  const files = existsSync(folder) ? readdirSync(folder).sort() : [];
  return firstOf(files, (file) => {
    const path = join(folder, file);
    return { addon: addonIn(require, path), path };
  });
}

/** The first item that loads: a binary for another C library does not. */
function firstOf<Item>(items: readonly Item[], load: (item: Item) => LoadedAddon): LoadedAddon {
  let failure = new Error(`There is no binary for ${target}`);
  for (const item of items) {
    try {
      return load(item);
    } catch (error) {
      failure = error as Error;
    }
  }
  throw failure;
}

/** From the package that is installed for the bundle. */
function installed(): LoadedAddon {
  const main = requireFrom(here()).resolve('flash-softmax');
  return fromFolder(dirname(dirname(main)), main);
}

/** Loaders explain themselves over several lines; the first says what is wrong. */
const firstLine = (error: unknown): string => String(error instanceof Error ? error.message : error).split('\n', 1)[0]!;

function explanation(failures: readonly string[], isBundled: boolean): string {
  const all = failures.join('; ');
  return `${[...new Set(failures)].join('; ')}. ${cure(all, isBundled)}`;
}

function cure(failures: string, isBundled: boolean): string {
  if (/ERR_DLOPEN_DISABLED|loading addons|allow-addons|no-addons/i.test(failures))
    return 'Run Node without --no-addons, or with --allow-addons';
  if (/ffi access|NotCapable|read access|env access/i.test(failures))
    return 'Run Deno with --allow-ffi, --allow-read and --allow-env';
  if (isBundled)
    return 'Leave flash-softmax outside the bundle (external), or copy its folder prebuilds/ beside the bundle';
  return "Build it: 'npx flash-softmax build' (docs: building from source)";
}
