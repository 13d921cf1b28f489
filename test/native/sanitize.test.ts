/**
 * Memory errors and undefined behaviour: the C++ tests and the addon itself under AddressSanitizer and UBSan, with the
 * kernels of the best instruction set and of the reference. A long run has those of all, and more tests of the addon.
 */
import path from 'node:path';
import { beforeAll, describe, expect } from 'vitest';
import { layOutAbuse, runAbuse } from '../abuse/run.js';
import { nativeBackends } from '../support/backends.js';
import { exclusively } from '../package/package.js';
import { cache, capabilitiesOn, layOut, root, runTests } from '../support/emulated.js';
import { isLong } from '../support/long.js';
import { run } from '../support/run.js';
import { itLong, itWith, tool } from '../support/tools.js';

const cmake = tool('cmake', ['cmake', '--version']);
const compiler = tool('g++', ['g++', '--version']);
const suites = [
  ...['edge', 'masks', 'family', 'family-edges', 'merge-exp-sums', 'exp-sum-accumulator'].map(
    (name) => `softmax/${name}`,
  ),
  'call/promises',
];
/** Their numbers are those of the suites above in more rows, or nothing that a sanitizer sees. */
const suitesOfLongRuns = [
  'softmax/softmax',
  'softmax/properties',
  'softmax/exp-sum',
  'native/fpcontrol',
  'call/workers',
];

describe.runIf(process.platform === 'linux')('with sanitizers', () => {
  const needs = [cmake, compiler];
  const folder = path.join(cache, 'sanitized');
  const built = path.join(cache, 'cmake');
  const addon = path.join(built, 'Sanitized', 'flash_softmax.node');
  let node: string[] = [];

  // Node itself is built without the runtime, which must be loaded first. Memory that Node leaves allocated is no leak
  // of ours.
  beforeAll(async () => {
    if (!needs.every(({ available }) => available)) return;
    const script = [
      path.join(root, 'scripts', 'native-tests.mjs'),
      '--sanitize',
      '--build',
      ...(isLong ? [] : ['--best']),
    ];
    await exclusively(built, () => run(process.execPath, script));
    await layOut(folder, [...suites, ...suitesOfLongRuns], addon);
    const runtime = (await run('g++', ['-print-file-name=libasan.so'])).trim();
    node = ['env', `LD_PRELOAD=${runtime}`, 'ASAN_OPTIONS=detect_leaks=0', process.execPath];
  }, 1_800_000);

  itWith(
    needs,
    'the C++ tests pass',
    async () => {
      const program = path.join(built, 'native_tests_sanitized');
      const env = { ASAN_OPTIONS: 'detect_leaks=0' };
      const output = await run(program, ['--thin', isLong ? '13' : '997'], { env });
      expect(output).toMatch(/^\d\d passed, 0 failed$/m);
    },
    1_800_000,
  );

  itWith(needs, 'Node loads the addon', async () => {
    const { native } = await capabilitiesOn(node, folder);
    expect(native).toMatchObject({ loaded: true });
  });

  // Node's array buffers come from malloc, so that a sanitizer sees a kernel read or write behind one.
  itWith(
    needs,
    'the addon passes the abuse cases',
    async () => {
      const apart = path.join(cache, 'sanitized-abuse');
      await layOutAbuse(apart, addon);
      const { ran, failures } = runAbuse({ node, folder: apart, backend: nativeBackends[0]!, turn: 3 });
      expect(failures.map((failure) => `${failure.name}: ${failure.what}`)).toEqual([]);
      expect(ran).toBeGreaterThan(isLong ? 9000 : 1500);
    },
    900_000,
  );

  const passes = async (suite: string) => expect(await runTests(node, folder, suite)).toBeGreaterThan(2);
  for (const suite of suites) itWith(needs, `the addon passes ${suite}.test.ts`, () => passes(suite), 600_000);
  for (const suite of suitesOfLongRuns)
    itLong(needs, `the addon passes ${suite}.test.ts`, () => passes(suite), 3_600_000);
});
