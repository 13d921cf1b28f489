/** Memory errors and undefined behaviour: the C++ tests and the addon itself under AddressSanitizer and UBSan. */
import path from 'node:path';
import { beforeAll, describe, expect } from 'vitest';
import { layOutAbuse, runAbuse } from '../abuse/run.js';
import { nativeBackends } from '../support/backends.js';
import { cache, capabilitiesOn, layOut, root, runTests } from '../support/emulated.js';
import { run } from '../support/run.js';
import { isNightly, itWith, tool } from '../support/tools.js';

const cmake = tool('cmake', ['cmake', '--version']);
const compiler = tool('g++', ['g++', '--version']);
const suites = [
  ...[
    'edge',
    'masks',
    'softmax',
    'properties',
    'family',
    'family-edges',
    'exp-sum',
    'merge-exp-sums',
    'exp-sum-accumulator',
  ].map((name) => `softmax/${name}`),
  'native/fpcontrol',
  'call/workers',
  'call/promises',
];

describe.runIf(process.platform === 'linux')('with sanitizers', () => {
  const folder = path.join(cache, 'sanitized');
  const addon = path.join(cache, 'cmake-sanitize', 'Release', 'flash_softmax.node');
  let node: string[] = [];

  itWith(
    [cmake, compiler],
    'the C++ tests pass',
    async () => {
      const sample = isNightly ? [] : ['--', '--thin', '97'];
      const output = await run(process.execPath, [
        path.join(root, 'scripts', 'native-tests.mjs'),
        '--sanitize',
        ...sample,
      ]);
      expect(output).toMatch(/^\d\d passed, 0 failed$/m);
    },
    900_000,
  );

  // Node itself is built without the runtime, which must be loaded first. Memory that Node leaves allocated is no leak
  // of ours.
  beforeAll(async () => {
    if (!cmake.available || !compiler.available) return;
    await run(process.execPath, [path.join(root, 'scripts', 'native-tests.mjs'), '--sanitize', '--build']);
    await layOut(folder, suites, addon);
    const runtime = (await run('g++', ['-print-file-name=libasan.so'])).trim();
    node = ['env', `LD_PRELOAD=${runtime}`, 'ASAN_OPTIONS=detect_leaks=0', process.execPath];
  }, 900_000);

  itWith([cmake, compiler], 'Node loads the addon', async () => {
    const { native } = await capabilitiesOn(node, folder);
    expect(native).toMatchObject({ loaded: true });
  });

  // Node's array buffers come from malloc, so that a sanitizer sees a kernel read or write behind one.
  itWith(
    [cmake, compiler],
    'the addon passes the abuse cases',
    async () => {
      const apart = path.join(cache, 'sanitized-abuse');
      await layOutAbuse(apart, addon);
      const { ran, failures } = runAbuse(node, apart, nativeBackends[0]!);
      expect(failures.map((failure) => `${failure.name}: ${failure.what}`)).toEqual([]);
      expect(ran).toBeGreaterThan(3000);
    },
    900_000,
  );

  for (const suite of suites) {
    itWith(
      [cmake, compiler],
      `the addon passes ${suite}.test.ts`,
      async () => {
        expect(await runTests(node, folder, suite)).toBeGreaterThan(2);
      },
      600_000,
    );
  }
});
