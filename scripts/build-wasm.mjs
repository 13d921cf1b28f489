// Builds the WebAssembly modules into wasm/ with clang and lld 19, without a C library:
//
//     node scripts/build-wasm.mjs [--check]
//
// All modules are linked from one object and work on one memory that they import: first the stack, which they share as
// calls of a thread do not overlap, then 64 KB of static data for each. Other threads have stacks of their own; static
// data are constant. native/host/wasm/modules.json says which operators are in which module. Without a compiler it
// prints one line and succeeds, unless FLASH_SOFTMAX_REQUIRE_WASM is 1. What is up to date is not made again. With
// --check it only says whether all modules are there.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const at = (...path) => join(root, ...path);
const json = (path) => JSON.parse(readFileSync(at(path), 'utf8'));

const { sources, clang, lld } = json('native/sources.json').wasm;
const modules = json('native/host/wasm/modules.json');
const KB = 1024;
/** Where the static data of a module begins, as in lib/backend/wasm/space.ts. */
const STACK = 256 * KB;
const DATA = 64 * KB;
/** Half of what 32 bits address. A memory that threads share must have a limit. */
const MOST = 2 ** 31;

const works = (command) => spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0;
const firstOf = (commands) => commands.find(works);
const compiler = firstOf([process.env.WASM_CXX, 'clang++-19', 'clang++'].filter(Boolean));
const linker = firstOf([process.env.WASM_LD, 'wasm-ld-19', 'wasm-ld'].filter(Boolean));

function run(command, args) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (status !== 0) throw new Error(`${command} failed${error ? `: ${error.message}` : ''}`);
}

/** A hash of all that modules are made of. */
function fingerprint() {
  const hash = createHash('sha256').update(JSON.stringify([clang, lld, modules]));
  for (const file of readdirSync(at('native'), { recursive: true }).sort())
    if (/\.(h|cc|def|inc)$|cmath$/.test(file)) hash.update(file).update(readFileSync(at('native', file)));
  return hash.update(readFileSync(fileURLToPath(import.meta.url))).digest('hex');
}

/** The kernels of an operator, by the lists of types in operators/defaults.inc. */
function kernels() {
  const text = readFileSync(at('native/operators/defaults.inc'), 'utf8').replaceAll('\\\n', ' ');
  const lists = new Map([...text.matchAll(/^#define (\w+)\(F, op\) (.*)$/gm)].map(([, name, body]) => [name, body]));
  const typesOf = (list) =>
    [...lists.get(list).matchAll(/(\w+)\((?:F, op|op, (\w+), [^)]*)\)/g)].flatMap(([, macro, type]) =>
      type === undefined ? typesOf(macro) : [type],
    );
  const tables = readdirSync(at('native/operators')).filter((file) => file.endsWith('.def'));
  const all = tables.map((file) => readFileSync(at('native/operators', file), 'utf8')).join('\n');
  return new Map([...all.matchAll(/^OPERATOR\((\w+), (\w+)\)/gm)].map(([, name, list]) => [name, typesOf(list)]));
}

function build() {
  mkdirSync(at('build/wasm'), { recursive: true });
  mkdirSync(at('wasm'), { recursive: true });
  const objects = sources.map((source) => {
    const object = `build/wasm/${basename(source, '.cc')}.o`;
    run(compiler, [...clang, '-c', source, '-o', object]);
    return object;
  });
  const types = kernels();
  Object.entries(modules).forEach(([name, operators], index) => {
    const lacking = operators.find((each) => !types.get(each)?.length);
    if (lacking) throw new Error(`Expected types of ${lacking} in native/operators/ but found none`);
    const exports = operators.flatMap((each) => types.get(each).map((type) => `--export=${each}_${type}`));
    const base = STACK + index * DATA;
    // lld refuses a module whose data reach beyond its initial memory.
    const limits = [`--initial-memory=${base + DATA}`, `--max-memory=${MOST}`];
    const places = ['-z', `stack-size=${STACK}`, `--global-base=${base}`, '--export=__stack_pointer', ...limits];
    run(linker, [...lld, ...places, ...exports, ...objects, '-o', `wasm/${name}.wasm`]);
  });
}

const stamp = at('build/wasm/fingerprint');
const areThere = Object.keys(modules).every((name) => existsSync(at('wasm', `${name}.wasm`)));
if (process.argv.includes('--check')) process.exit(areThere ? 0 : 1);

const current = fingerprint();
if (!areThere || !existsSync(stamp) || readFileSync(stamp, 'utf8') !== current) {
  const missing = [!compiler && 'clang 19', !linker && 'lld 19'].filter(Boolean);
  if (missing.length > 0) {
    console.log(`flash-softmax: no ${missing.join(', no ')} here, so WebAssembly modules were not built.`);
    process.exit(process.env.FLASH_SOFTMAX_REQUIRE_WASM === '1' ? 1 : 0);
  }
  rmSync(at('wasm'), { recursive: true, force: true });
  build();
  writeFileSync(stamp, current);
}
