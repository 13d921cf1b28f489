// The gates that every binary must pass before it is published; CI, the release and the tests run them:
//
//     node scripts/check-binary.mjs [FILE.node…]        default: all of prebuilds/
//
// Binaries for Linux are read with readelf. For macOS and Windows only the machine type and the size are checked.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const KB = 1024;
/** One binary on disk. An operator of rows takes some 15 KB an instruction set. */
export const MOST_BYTES = 2200 * KB;
/** The binaries of all eight platforms, compressed as npm delivers them. */
export const MOST_BYTES_TOGETHER = 6600 * KB;

// glibc 2.28 and the libraries of the distributions that have it (Debian 10, RHEL 8). Node 20 needs the same.
const NEWEST = { GLIBC: '2.28', GLIBCXX: '3.4.25', CXXABI: '1.3.11', GCC: '4.2.0' };
const MACHINES = { x64: 'Advanced Micro Devices X86-64', arm64: 'AArch64' };
const LIBRARIES = /^(libstdc\+\+|libgcc_s|libc|libm|libpthread|ld-linux-\S+|libc\.musl-\S+)\.so/;
// The functions of Node-API 8 that the binding may use: values, functions, exceptions, references, promises, async
// work. Not napi_get_uv_event_loop, which ties a binary to one Node, and no later function.
const NODE_API = new RegExp(
  `^napi_(${[
    'add_env_cleanup_hook',
    'remove_env_cleanup_hook',
    'add_finalizer',
    'adjust_external_memory',
    'module_register',
    'fatal_error',
    'call_function',
    'new_instance',
    'unwrap',
    'wrap',
    'remove_wrap',
    'define_class',
    'define_properties',
    'instanceof',
    '(create|cancel|delete|queue)_async_work',
    '(create|resolve|reject)_(deferred|promise)',
    'resolve_deferred',
    'reject_deferred',
    '(create|delete)_reference',
    'reference_(ref|unref)',
    'get_reference_value',
    'get_global',
    'get_null',
    'get_undefined',
    'get_boolean',
    '(open|close)(_escapable)?_handle_scope',
    'escape_handle',
    'throw(_error|_type_error|_range_error)?',
    'is_error',
    'is_exception_pending',
    'get_and_clear_last_exception',
    'get_last_error_info',
    'create_(error|type_error|range_error)',
    'coerce_to_(string|number|object|bool)',
    'typeof',
    'strict_equals',
    'is_(array|arraybuffer|buffer|typedarray|dataview|detached_arraybuffer|promise)',
    'create_(object|array|array_with_length|function|string_utf8|string_utf16|string_latin1)',
    'create_(double|int32|uint32|int64|bigint_int64|bigint_uint64|external|arraybuffer|typedarray)',
    '(get|set|has|delete)_(property|named_property|element)',
    'has_own_property',
    'get_property_names',
    'get_array_length',
    'get_prototype',
    'get_value_(string_utf8|string_utf16|string_latin1|double|int32|uint32|int64|bool|external|bigint_int64|bigint_uint64)',
    'get_(cb|typedarray|arraybuffer|dataview|buffer)_info',
    'get_new_target',
    '(get|set)_instance_data',
    'get_version',
    'get_node_version',
  ].join('|')})$`,
);

class Refused extends Error {}

const newer = (a, b) => {
  const [left, right] = [a, b].map((version) => version.split('.').map(Number));
  for (let i = 0; i < Math.max(left.length, right.length); i++)
    if ((left[i] ?? 0) !== (right[i] ?? 0)) return (left[i] ?? 0) > (right[i] ?? 0);
  return false;
};
const readelf = (...args) =>
  execFileSync('readelf', ['--wide', ...args], {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    env: { ...process.env, LC_ALL: 'C' },
  });

/** The rows of a symbol table: type, bind, visibility, section and name. */
function symbols(file, ...options) {
  const rows = readelf(...options, file)
    .split('\n')
    .map((line) => /^\s*\d+:\s+\S+\s+\S+\s+(\S+)\s+(\S+)\s+(\S+)\s+(\S+)\s+(\S+)/.exec(line));
  return rows
    .filter(Boolean)
    .map(([, type, bind, visibility, section, name]) => ({ type, bind, visibility, section, name }));
}

/** The processor that a Mach-O or PE file is for. */
function machineOf(file) {
  const bytes = readFileSync(file);
  if (bytes.readUInt32LE(0) === 0xfeedfacf) return { 0x01000007: 'x64', 0x0100000c: 'arm64' }[bytes.readUInt32LE(4)];
  if (bytes.toString('latin1', 0, 2) === 'MZ')
    return { 0x8664: 'x64', 0xaa64: 'arm64' }[bytes.readUInt16LE(bytes.readUInt32LE(0x3c) + 4)];
  return 'no known format';
}

/** Checks a binary for Linux; returns the oldest libraries that it needs. */
function checkElf(file, arch, libc, refuse) {
  const machine = /^\s*Machine:\s+(.*)$/m.exec(readelf('--file-header', file))?.[1];
  if (machine !== MACHINES[arch]) refuse(`is for ${machine} and not for ${MACHINES[arch]}`);

  const stack = /GNU_STACK\s+(?:0x\S+\s+){5}(\S+)/.exec(readelf('--program-headers', file))?.[1];
  if (stack === undefined || stack.includes('E')) refuse('has an executable stack');
  if (/\s\.(symtab|debug_info)\s/.test(readelf('--section-headers', file))) refuse('is not stripped');

  for (const [, library] of readelf('--dynamic', file).matchAll(/\(NEEDED\).*\[(.*)\]/g))
    if (!LIBRARIES.test(library)) refuse(`needs ${library}`);

  const versions = [
    ...new Set([...readelf('--version-info', file).matchAll(/Name: (\w+?_[\d.]+)/g)].map(([, version]) => version)),
  ];
  for (const version of versions) {
    const [family, number] = version.split('_');
    if (!(family in NEWEST)) refuse(`needs ${version}`);
    else if (newer(number, NEWEST[family])) refuse(`needs ${version}, newer than ${NEWEST[family]}`);
  }
  if (libc === 'musl' && versions.some((version) => version.startsWith('GLIBC_')))
    refuse('is called musl but needs glibc');

  const dynamic = symbols(file, '--dyn-syms');
  const wants = dynamic.filter(({ section }) => section === 'UND').map(({ name }) => name.split('@')[0]);
  for (const name of wants)
    if (/^(napi|node|uv|v8)_|^_ZN2v8|^_ZN4node/.test(name) && !NODE_API.test(name))
      refuse(`calls ${name}, which is not among the Node-API functions it may use`);

  const floor = (family) =>
    versions
      .filter((version) => version.startsWith(`${family}_`))
      .map((version) => version.split('_')[1])
      .reduce((a, b) => (newer(b, a) ? b : a), '0');
  return `${floor('GLIBC') === '0' ? 'no glibc' : `glibc ${floor('GLIBC')}`}, GLIBCXX ${floor('GLIBCXX')}, ${wants.filter((name) => name.startsWith('napi_')).length} Node-API functions`;
}

/** Checks a binary; returns a line that describes it. Throws Refused. */
export function checkBinary(file, { platform, arch } = targetOf(file)) {
  const refuse = (why) => {
    throw new Refused(`${file} ${why}`);
  };
  const libc = /\.(glibc|musl)\./.exec(basename(file))?.[1];
  let more = '';
  if (platform === 'linux') more = `, ${checkElf(file, arch, libc, refuse)}`;
  else if (machineOf(file) !== arch) refuse(`is for ${machineOf(file)} and not for ${arch}`);
  const { size } = statSync(file);
  if (size > MOST_BYTES) refuse(`has ${size} bytes, more than ${MOST_BYTES}`);
  return `${basename(dirname(file))}/${basename(file)}: ${(size / KB).toFixed(0)} KB${more}`;
}

/** The platform and architecture of a binary, from its folder. */
function targetOf(file) {
  const [platform, arch] = basename(dirname(file)).split('-');
  return { platform, arch };
}

/**
 * Refuses weak symbols in the objects of instruction sets. A C++ inline function leaves one, and the linker could keep
 * that copy for all callers, on processors without those instructions too.
 */
export function checkObjects(folder) {
  if (process.platform !== 'linux') return;
  const objects = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
    /isa[\\/]\w+(\.cc)?\.o$/.test(name),
  );
  if (objects.length === 0) throw new Refused(`${folder} has no objects of instruction sets`);
  for (const object of objects) {
    const weak = symbols(join(folder, object), '--symbols').filter(
      ({ bind, section }) => (bind === 'WEAK' || bind === 'UNIQUE') && section !== 'UND',
    );
    if (weak.length > 0) throw new Refused(`${object} has weak symbols: ${weak.map(({ name }) => name).join(', ')}`);
  }
}

function allOf(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.node'))
    .map((name) => join(folder, name))
    .sort();
}

/** Checks all binaries, and the sum of their sizes; returns the lines to print. */
export function checkAll(files) {
  if (files.length === 0) throw new Refused('There is no binary to check (npm run prebuild)');
  const lines = files.map((file) => checkBinary(file));
  const packed = files.reduce((sum, file) => sum + gzipSync(readFileSync(file), { level: 9 }).length, 0);
  if (packed > MOST_BYTES_TOGETHER)
    throw new Refused(`The binaries have ${packed} bytes compressed, more than ${MOST_BYTES_TOGETHER}`);
  return [...lines, `together ${(packed / KB).toFixed(0)} KB of at most ${MOST_BYTES_TOGETHER / KB} KB compressed`];
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const files = process.argv.slice(2);
  try {
    console.log(
      checkAll(files.length > 0 ? files : allOf(join(dirname(dirname(process.argv[1])), 'prebuilds'))).join('\n'),
    );
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
}
