// Writes dist/files.*, which name the files that no import reaches by paths that tracers and bundlers see:
//
//     node scripts/static-files.mjs [FOLDER]
//
// These files are the worker's script, the WebAssembly modules in wasm/, and the binaries in prebuilds/, or else the
// one that was built here. Only files that exist are named, as webpack refuses to bundle a missing one. `imports` of
// package.json (#files) gives ES modules and CommonJS a URL of each, and gives Bun, or a bundler with a loader for
// .node files (condition `static-addons`), a require of each binary.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(process.argv[2] ?? fileURLToPath(new URL('..', import.meta.url)));
const folders = (path) => (existsSync(path) ? readdirSync(path).sort() : []);

/** [platform-arch, path from dist/] of each binary. */
function binaries() {
  const prebuilt = folders(join(root, 'prebuilds')).flatMap((target) =>
    folders(join(root, 'prebuilds', target))
      .filter((file) => file.endsWith('.node'))
      .map((file) => [target, `../prebuilds/${target}/${file}`]),
  );
  if (prebuilt.length > 0) return prebuilt;
  const local = 'build/Release/flash_softmax.node';
  return existsSync(join(root, local)) ? [[`${process.platform}-${process.arch}`, `../${local}`]] : [];
}

/** The text of an object with a list for each target; `entry` gives the text of a path. */
function list(entry) {
  const targets = new Map();
  for (const [target, path] of binaries()) targets.set(target, [...(targets.get(target) ?? []), `    ${entry(path)},`]);
  return `{\n${[...targets].map(([target, entries]) => `  '${target}': [\n${entries.join('\n')}\n  ],\n`).join('')}}`;
}

/** The text of an object with the path of each WebAssembly module. */
function modules(base) {
  const names = folders(join(root, 'wasm')).filter((file) => file.endsWith('.wasm'));
  const entry = (file) => `  ${file.slice(0, -5)}: () => fileURLToPath(new URL('../wasm/${file}', ${base})),\n`;
  return `{\n${names.map(entry).join('')}}`;
}

const worker = (base) => `() => fileURLToPath(new URL('./flash-softmax-worker.cjs', ${base}))`;
const byUrl = (base) => (path) => `(require) => require(fileURLToPath(new URL('${path}', ${base})))`;
const byRequire = (path) => `() => require('${path}')`;

const moduleUrl = 'import.meta.url';
const scriptUrl = 'pathToFileURL(__filename).href';
const module = (entry) => `import { fileURLToPath } from 'node:url';
export const binaries = ${list(entry)};
export const wasm = ${modules(moduleUrl)};
export const worker = ${worker(moduleUrl)};
`;
const script = `const { fileURLToPath, pathToFileURL } = require('node:url');
exports.binaries = ${list(byUrl(scriptUrl))};
exports.wasm = ${modules(scriptUrl)};
exports.worker = ${worker(scriptUrl)};
`;

/**
 * The WebAssembly modules as constants, for bundles of one file; a bundler drops those that nobody imports. CommonJS
 * reads the files, as twice the text would not fit into the package.
 */
function inline(isScript) {
  const files = folders(join(root, 'wasm')).filter((file) => file.endsWith('.wasm'));
  const bytesOf = isScript
    ? "const bytesOf = (name) => new Uint8Array(require('node:fs').readFileSync(`${__dirname}/../wasm/${name}.wasm`));"
    : 'const bytesOf = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));';
  const entries = files.map((file) => {
    const name = file.slice(0, -5);
    if (isScript)
      return `Object.defineProperty(exports, '${name}', { enumerable: true, get: () => bytesOf('${name}') });`;
    const text = readFileSync(join(root, 'wasm', file)).toString('base64');
    return `export const ${name} = /* @__PURE__ */ bytesOf('${text}');`;
  });
  const types = files.map((file) => `export declare const ${file.slice(0, -5)}: Uint8Array;`);
  const note = '/** The bytes of WebAssembly modules, for initSync of flash-softmax/wasm. */';
  const lines = (...all) => `${all.join('\n')}\n`;
  return { code: lines(note, bytesOf, ...entries), types: lines(note, ...types, 'export {};') };
}

for (const [isScript, extension] of [
  [false, 'js'],
  [true, 'cjs'],
]) {
  const { code, types } = inline(isScript);
  writeFileSync(join(root, 'dist', `wasm-inline.${extension}`), code);
  writeFileSync(join(root, 'dist', `wasm-inline.d.${extension.replace('js', 'ts')}`), types);
}
writeFileSync(join(root, 'dist', 'files.js'), module(byUrl(moduleUrl)));
writeFileSync(join(root, 'dist', 'files.static.js'), module(byRequire));
writeFileSync(join(root, 'dist', 'files.cjs'), script);
