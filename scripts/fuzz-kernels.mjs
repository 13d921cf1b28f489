// Calls the kernels with bytes that coverage guides, by libFuzzer of clang, with AddressSanitizer and UBSan:
//
//     node scripts/fuzz-kernels.mjs [FAMILY…] [--seconds 30 | --runs N]
//
// test/native/programs/fuzz.cc makes each operator of native/operators/FAMILY.def a target. A family is compiled on its
// own, for AVX2. Inputs that reach new code are kept in node_modules/.cache/flash-softmax/kernels/FAMILY/, for the next
// run; test/native/corpus/FAMILY has a few to begin with. An input that breaks a kernel is written to
// test/native/found/FAMILY, and is tried first from then on. Exit status 1 if there is one.
//
// --runs N tries the same N inputs each time, from the committed ones on, and keeps none: a test that passes stays so
// until the code changes.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { copyKernels, FAMILIES } from './reduced-kernels.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const cache = path.join(root, 'node_modules', '.cache', 'flash-softmax', 'kernels');
const { values, positionals } = parseArgs({
  options: { seconds: { type: 'string', default: '30' }, runs: { type: 'string' } },
  allowPositionals: true,
});
const { x64 } = JSON.parse(readFileSync(path.join(root, 'native/sources.json'), 'utf8'));
const FLAGS = ['-std=c++17', '-O1', '-g1', '-w', '-ffp-contract=off', '-fno-math-errno'];
const SANITIZERS = ['-fsanitize=address,undefined', '-fno-sanitize-recover=undefined'];

function step(program, args) {
  const { status, error } = spawnSync(program, args, { stdio: 'inherit' });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} failed${error ? `: ${error.message}` : ''}`);
}

/** The fuzzer of a family. */
function built(family) {
  const folder = path.join(cache, `${family}-source`);
  copyKernels(folder, { families: [family] });
  const at = (name) => path.join(folder, name);
  const parts = {
    'native/isa/avx2.cc': [...x64.avx2.gcc, '-fno-exceptions', '-mllvm', '-asan-stack=0'],
    'native/host/contract.cc': [],
    'test/native/programs/fuzz.cc': ['-DKERNELS=kernels_avx2'],
  };
  const objects = Object.entries(parts).map(([source, more]) => {
    const object = at(`${path.basename(source)}.o`);
    step('clang++-19', [...FLAGS, ...SANITIZERS, '-fsanitize=fuzzer-no-link', ...more, '-c', at(source), '-o', object]);
    return object;
  });
  const program = path.join(cache, `${family}.fuzzer`);
  step('clang++-19', [...SANITIZERS, '-fsanitize=fuzzer', ...objects, '-o', program]);
  return program;
}

let status = 0;
for (const family of positionals.length > 0 ? positionals : FAMILIES) {
  if (!FAMILIES.includes(family)) throw new Error(`Expected one of ${FAMILIES.join(', ')} but received '${family}'`);
  const kept = path.join(cache, family);
  const found = path.join(root, 'test/native/found', family);
  for (const folder of [kept, found]) mkdirSync(folder, { recursive: true });
  const program = built(family);
  console.log(`${family}: ${(statSync(program).size / 2 ** 20).toFixed(0)} MB`);
  const seeds = path.join(root, 'test/native/corpus', family);
  const often = values.runs ? [`-runs=${values.runs}`, '-seed=1'] : [`-max_total_time=${values.seconds}`];
  const limits = [...often, '-max_len=512', '-timeout=20', '-rss_limit_mb=4096'];
  const quiet = ['-print_final_stats=1', '-verbosity=0', '-print_funcs=0', `-artifact_prefix=${found}/`];
  // The first folder takes what is new.
  const own = values.runs ? [mkdtempSync(path.join(tmpdir(), 'flash-softmax-fuzz-'))] : [kept, found];
  const folders = [...own, ...(existsSync(seeds) ? [seeds] : [])];
  const run = spawnSync(program, [...limits, ...quiet, ...folders], {
    cwd: root,
    stdio: 'inherit',
    env: { ASAN_OPTIONS: 'allocator_may_return_null=1', ...process.env },
  });
  if (values.runs) rmSync(own[0], { recursive: true });
  if (run.status !== 0) status = 1;
}
process.exitCode = status;
