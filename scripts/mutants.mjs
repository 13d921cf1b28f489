// Breaks the kernels on purpose, once for each entry of test/native/mutants.json, and looks whether the tests notice:
//
//     node scripts/mutants.mjs [NAME…] [--jobs 1] [--report FILE]
//
// A mutant is one text that becomes another, in a copy of native/ outside the sources. Its operators alone are
// compiled, for AVX2; the reference is the unbroken scalar kernels. test/native/bits.cc and guard.cc then compare both
// bit for bit, by every plan, beside pages that may not be touched. Files go to
// node_modules/.cache/flash-softmax/mutants/. Exit status 1 if a mutant survives, if its text is not there once, or if
// the unbroken kernels fail.
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { copyKernels } from './reduced-kernels.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const cache = path.join(root, 'node_modules', '.cache', 'flash-softmax', 'mutants');
const { values, positionals } = parseArgs({
  options: { jobs: { type: 'string', default: '1' }, report: { type: 'string' } },
  allowPositionals: true,
});
const { sets, mutants } = JSON.parse(readFileSync(path.join(root, 'test/native/mutants.json'), 'utf8'));
const { flags, x64 } = JSON.parse(readFileSync(path.join(root, 'native/sources.json'), 'utf8'));
const common = [...flags.gcc.filter((flag) => !/^-(O|W)/.test(flag)), '-O1', '-w'];

/** The broken kernels, the reference, and no others. */
const ISAS = `#pragma once
#include <cstring>
#include <vector>
#include "../../native/platform/cpu.h"
#include "check.h"
struct Isa { const char* name; const Kernels* kernels; };
inline const std::vector<Isa>& isas() {
  static const std::vector<Isa> all = {{"scalar", &kernels_scalar}, {"avx2", &kernels_avx2}};
  return all;
}
inline bool slow(const Isa& isa) { return !strcmp(isa.name, "scalar"); }
`;
const NO_AVX512 =
  '#include "../../native/kernels.h"\nextern const Kernels kernels_avx512; const Kernels kernels_avx512 = {};\n';

function run(program, args, seconds) {
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: seconds * 1000 });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (part) => (output += part));
    child.once('close', (code, signal) => resolve({ code, signal, output }));
  });
}
async function compile(...args) {
  const { code, output } = await run('g++', [...common, ...args], 540);
  if (code !== 0) throw new Error(`g++ ${args.join(' ')}\n${output}`);
}

/** A failed test goes on, which would take most of the time here. */
function endAtFirstComplaint(file) {
  const before = readFileSync(file, 'utf8');
  const after = before.replace(/if \(before < kLoud\) (printf\(.*\);)/, '$1\n  fflush(stdout);\n  _exit(1);');
  if (after === before) throw new Error(`Expected the line that prints complaints in ${file}`);
  writeFileSync(file, after);
}

/** A copy of the kernels with the operators of a set, and what does not change from mutant to mutant. */
async function prepare(set) {
  const folder = path.join(cache, set);
  copyKernels(folder, sets[set]);
  writeFileSync(path.join(folder, 'test/native/isas.h'), ISAS);
  endAtFirstComplaint(path.join(folder, 'test/native/main.cc'));
  writeFileSync(path.join(folder, 'test/native/no_avx512.cc'), NO_AVX512);
  const hasLanes = sets[set].operators.includes('softmax');
  const sources = ['main', 'bits', 'guard', 'no_avx512', ...(hasLanes ? ['lanes'] : [])].map(
    (name) => `test/native/${name}.cc`,
  );
  for (const name of ['plan', 'cpu', 'pool']) sources.push(`native/platform/${name}.cc`);
  const parts = sources.map((source) => [source, []]);
  parts.push([x64.scalar.source, x64.scalar.gcc.filter((flag) => flag !== '-Os')]);
  const objects = [];
  for (const [source, more] of parts) {
    objects.push(path.join(folder, `${path.basename(source)}.o`));
    await compile(...more, '-c', path.join(folder, source), '-o', objects.at(-1));
  }
  const tests = ['bits_of_every_plan', 'guard_pages_small', 'bits_of_every_thread_count'];
  if (hasLanes) tests.unshift('bits_of_tiles', 'bits_of_an_outlier_in_each_lane', 'bits_of_blocks_far_apart');
  return { folder, objects, tests };
}

/** Compiles the AVX2 kernels as they are now, and runs the tests. Returns 'killed by …', or undefined. */
async function verdict({ folder, objects, tests }) {
  const kernels = path.join(folder, 'avx2.o');
  const program = path.join(folder, 'tests');
  await compile(...x64.avx2.gcc, '-fno-exceptions', '-c', path.join(folder, x64.avx2.source), '-o', kernels);
  await compile(...objects, kernels, '-pthread', '-o', program);
  for (const test of tests) {
    const { code, signal, output } = await run(program, ['--thin', '5', test], 120);
    if (code === 0) continue;
    const line = output.split('\n').find((each) => /\.cc:\d+:|crashed/.test(each)) ?? `ended by ${signal}`;
    return `${test}: ${line.trim()}`;
  }
  return undefined;
}

/** Texts of several lines are lists. */
const text = (lines) => [lines].flat().join('\n');

async function attempt(prepared, { name, file, ...lines }) {
  const whole = readFileSync(path.join(root, file), 'utf8');
  const [from, to] = [text(lines.from), text(lines.to)];
  const count = whole.split(from).length - 1;
  if (count !== 1) return { name, file, isKilled: false, by: `the text is there ${count} times` };
  const copy = path.join(prepared.folder, file);
  writeFileSync(
    copy,
    whole.replace(from, () => to),
  );
  try {
    const by = await verdict(prepared);
    return { name, file, isKilled: by !== undefined, by };
  } catch (error) {
    return {
      name,
      file,
      isKilled: false,
      by: `it does not compile: ${error.message.split('\n').slice(0, 3).join(' ')}`,
    };
  } finally {
    writeFileSync(copy, whole);
  }
}

const chosen = mutants.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
const results = [];
const queue = [...new Set(chosen.map(({ set }) => set))];
async function work() {
  for (let set; (set = queue.shift()) !== undefined;) {
    mkdirSync(cache, { recursive: true });
    const prepared = await prepare(set);
    const own = await verdict(prepared);
    if (own !== undefined) throw new Error(`The unbroken kernels of ${set} fail: ${own}`);
    for (const mutant of chosen.filter((each) => each.set === set)) {
      const result = await attempt(prepared, mutant);
      results.push(result);
      console.log(
        `${result.isKilled ? 'killed  ' : 'SURVIVED'} ${result.name} (${result.file})\n         ${result.by ?? ''}`,
      );
    }
  }
}
await Promise.all(Array.from({ length: Number(values.jobs) }, work));
const killed = results.filter(({ isKilled }) => isKilled).length;
console.log(`${killed} of ${results.length} mutants killed`);
if (values.report) writeFileSync(values.report, `${JSON.stringify(results, null, 2)}\n`);
process.exitCode = killed === chosen.length ? 0 : 1;
